"""Splits: nothing lost, nothing on two sides, shares kept."""

import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data import infer, read, split
from trainwell.data.split import units
from trainwell.errors import InputError


def made(rows: int, seed: int = 0, repeats: int = 0, **more):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    if repeats:
        x[rng.integers(0, rows, repeats)] = x[rng.integers(0, rows, repeats)]
    frame = pl.DataFrame({"x": x, "label": rng.choice(["a", "b", "c"], rows, p=[0.7, 0.25, 0.05]), **more})
    return read(frame)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(30, 400),
    seed=st.integers(0, 99),
    repeats=st.integers(0, 60),
    test=st.sampled_from([0.0, 0.1, 0.2, 0.33]),
    val=st.sampled_from([0.1, 0.15, 0.25]),
    folds=st.sampled_from([0, 2, 5]),
)
def test_parts_are_a_partition_and_equal_rows_stay_together(rows, seed, repeats, test, val, folds):
    source = made(rows, seed, repeats)
    schema = infer(source, target="label")
    parts = split(source, schema, test=test, val=val, folds=folds, seed=seed)
    assert sorted(np.concatenate([parts.train, parts.val, parts.test]).tolist()) == list(range(rows))
    for name in ("train", "val", "test"):
        inside = set(source.frame["x"][getattr(parts, name)].to_list())
        outside = set(source.frame["x"].to_list()) - inside
        assert len(inside) + len(outside) == source.frame["x"].n_unique()
    sides = pl.DataFrame({"x": source.frame["x"], "side": np.isin(np.arange(rows), parts.train)})
    assert sides.unique().height == source.frame["x"].n_unique()
    if folds:
        assert set(np.flatnonzero(parts.fold >= 0)) == set(parts.train)
        together = pl.DataFrame({"x": source.frame["x"], "fold": parts.fold}).filter(pl.col("fold") >= 0)
        assert together.unique().height == together["x"].n_unique()
        counts = np.bincount(parts.fold[parts.train], minlength=folds)
        assert counts.max() - counts.min() <= 2 + repeats


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(60, 800), seed=st.integers(0, 99))
def test_classes_keep_their_shares(rows, seed):
    source = made(rows, seed)
    schema = infer(source, target="label")
    parts = split(source, schema, seed=seed, folds=3)
    labels = source.frame["label"].to_numpy()
    for label in ("a", "b", "c"):
        count = (labels == label).sum()
        assert abs((labels[parts.test] == label).sum() - 0.2 * count) <= 1.5
        assert abs((labels[parts.val] == label).sum() - 0.15 * count) <= 1.5
        inside = np.bincount(parts.fold[parts.train][labels[parts.train] == label], minlength=3)
        assert inside.max() - inside.min() <= 1


def test_numbers_keep_their_spread():
    rng = np.random.default_rng(1)
    source = read(pl.DataFrame({"x": rng.normal(size=3000), "price": rng.exponential(size=3000)}))
    parts = split(source, infer(source))
    price = source.frame["price"].to_numpy()
    for part in (parts.val, parts.test):
        assert np.quantile(price[part], [0.2, 0.5, 0.8]) == pytest.approx(np.quantile(price, [0.2, 0.5, 0.8]), rel=0.1)


def test_same_seed_same_rows_other_seed_other_rows():
    source = made(200)
    schema = infer(source, target="label")
    first, again, other = (split(source, schema, seed=seed) for seed in (3, 3, 4))
    assert (first.test == again.test).all() and (first.train == again.train).all()
    assert len(other.test) == len(first.test) and set(other.test) != set(first.test)


def test_each_row_is_as_likely_to_be_tested():
    source = made(60)
    schema = infer(source, target="label")
    counts = np.zeros(60)
    for seed in range(400):
        counts[split(source, schema, seed=seed).test] += 1
    assert abs(counts / 400 - 0.2).max() < 0.2  # a rare class can be far off, never left out or always in
    assert counts.min() > 0


def test_groups_stay_together():
    source = made(300, group=np.repeat(np.arange(30), 10))
    schema = infer(source, target="label", group="group")
    parts = split(source, schema, folds=4)
    groups = source.frame["group"].to_numpy()
    assert not set(groups[parts.train]) & set(groups[parts.test]) and not set(groups[parts.val]) & set(
        groups[parts.test]
    )
    assert abs(len(parts.test) - 60) <= 10 and abs(len(parts.val) - 45) <= 10
    for group in set(groups[parts.train]):
        assert len(set(parts.fold[groups == group])) == 1
    assert "by group" in parts.how


def test_groups_that_share_equal_rows_are_one_unit():
    frame = pl.DataFrame(
        {"x": [1.0, 2.0, 2.0, 3.0, 4.0, *np.arange(5, 12.0)], "g": list("aabcdefghijk"), "y": [0, 1] * 6}
    )
    source = read(frame)
    schema = infer(source, target="y", group="g")
    assert units(source, schema, "g").tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_by_time_the_latest_are_the_test():
    days = [
        datetime.date(2020, 1, 1) + datetime.timedelta(days=int(day))
        for day in np.random.default_rng(0).permutation(100)
    ]
    source = made(100, when=days)
    parts = split(source, infer(source, target="label", time="when"), time="when")
    when = np.array(days)
    assert when[parts.train].max() < when[parts.val].min() and when[parts.val].max() < when[parts.test].min()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (65, 15, 20)


def test_given_parts_win():
    source = made(100)
    source.parts = np.array(["train"] * 80 + ["test"] * 20)
    parts = split(source, infer(source, target="label"))
    assert parts.test.tolist() == list(range(80, 100)) and len(parts.val) == 12
    assert "test rows as the source gives them" in parts.how
    source.parts[:10] = "val"
    parts = split(source, infer(source, target="label"), test=0.5)
    assert parts.val.tolist() == list(range(10)) and len(parts.train) == 70


def test_twins_across_given_parts_are_told():
    source = made(100)
    source = source.take(np.r_[0:80, 0:20])
    source.parts = np.array(["train"] * 80 + ["test"] * 20)
    assert "on both sides" in split(source, infer(source, target="label"), val=0.1).how


def test_a_class_with_one_row_is_learnt():
    source = read(
        pl.DataFrame({"x": np.arange(40) * 1.5 + np.arange(40) % 3, "label": ["a"] * 20 + ["b"] * 19 + ["c"]})
    )
    schema = infer(source, target="label")
    for seed in range(20):
        assert 39 in split(source, schema, seed=seed).train


def test_equal_pictures_stay_together():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, 5, 5), dtype=np.uint8)
    pictures = np.concatenate([pictures, pictures])
    source = read((pictures, np.tile(np.arange(40) % 2, 2)))
    parts = split(source, infer(source))
    for part in (parts.train, parts.val, parts.test):
        assert {row % 40 for row in part} == {row % 40 for row in part if row < 40}


def test_equal_picture_files_stay_together(write, tmp_path, picture):
    for place in range(30):
        write(f"pets/{place % 2}/{place}.png", picture(seed=place // 2))
    source = read(tmp_path / "pets")
    contents = [Path(path).read_bytes() for path in source.frame["image"]]
    parts = split(source, infer(source))
    sides = [{contents[row] for row in rows} for rows in (parts.train, parts.val, parts.test)]
    assert sum(map(len, sides)) == len(set(contents)) == 15 and "15 rows repeat" in parts.how


def test_folds_without_validation_and_too_many_folds():
    source = made(50)
    schema = infer(source, target="label")
    parts = split(source, schema, val=0.0, folds=5)
    assert not len(parts.val) and set(parts.fold[parts.train]) == set(range(5))
    with pytest.raises(InputError, match="folds=60"):
        split(source, schema, folds=60)
    few = made(50, group=["a", "b", "c"] * 16 + ["a", "b"])
    with pytest.raises(InputError, match="fewer folds"):
        split(few, infer(few, target="label", group="group"), folds=5)
