"""Whatever stands in a file or a frame: it is read, or an InputError says why not."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trainwell.data import Transform, drop_unlabelled, infer, read, split
from trainwell.errors import InputError

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
cell = st.one_of(
    st.sampled_from(["", "?", "NA", "1", "2.5", "-3", "1e5", "1,5", "$3", "007", "true", "2020-01-02", "'x'", "a b c"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)


def through(source) -> None:
    """All the way from a source to tensors."""
    schema = infer(source)
    source = drop_unlabelled(source, schema)
    parts = split(source, schema, folds=2)
    assert len(parts.train) + len(parts.val) + len(parts.test) == source.rows
    layout = "image" if any(column.kind == "image" for column in schema.inputs) else "columns"
    transform = Transform.fit(source, schema, parts.train, layout=layout)
    encoded = transform.encode(source)
    assert all(bool(x.isfinite().all()) for x in encoded["inputs"])
    assert "target" not in encoded or bool(encoded["target"].isfinite().all())


def read_bytes(name: str, raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(raw)
        try:
            through(read(path))
        except InputError as error:
            assert str(error)


@SETTINGS
@given(
    rows=st.lists(st.lists(cell, min_size=1, max_size=4), min_size=1, max_size=30),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_tables_of_anything(rows, separator, end):
    read_bytes("a.csv", end.join(separator.join(row) for row in rows).encode())


@SETTINGS
@given(columns=st.lists(st.lists(cell, min_size=25, max_size=25), min_size=2, max_size=4))
@example(columns=[["x^", *["1"] * 24], ["y", *["2"] * 24]])
def test_whole_tables_of_anything(columns):
    rows = [
        "\t".join(part.replace("\t", " ").replace('"', "").replace("\n", "") for part in row)
        for row in zip(*columns, strict=True)
    ]
    read_bytes("a.tsv", "\n".join(rows).encode())


@SETTINGS
@given(
    raw=st.binary(max_size=300), name=st.sampled_from(["a.csv", "a.txt", "a.parquet", "a.jsonl", "a.gz", "a.npz", "a"])
)
def test_bytes_of_anything(raw, name):
    read_bytes(name, raw)


values = st.one_of(
    st.lists(st.one_of(st.none(), st.floats()), min_size=30, max_size=30),
    st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), min_size=30, max_size=30),
    st.lists(st.integers(0, 3), min_size=30, max_size=30),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=30, max_size=30),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c d e f g"])), min_size=30, max_size=30),
    st.lists(st.one_of(st.none(), st.datetimes()), min_size=30, max_size=30),
)


@SETTINGS
@given(columns=st.lists(values, min_size=1, max_size=4))
def test_frames_of_anything(columns):
    frame = pl.DataFrame([pl.Series(f"c{place}", column, strict=False) for place, column in enumerate(columns)])
    try:
        through(read(frame))
    except InputError as error:
        assert str(error)


@SETTINGS
@given(
    shape=st.tuples(st.integers(0, 14), st.integers(0, 6), st.integers(0, 6), st.integers(1, 4)),
    axes=st.integers(1, 4),
    kind=st.sampled_from(["f4", "f8", "u1", "i8", "?"]),
    seed=st.integers(0, 9),
)
@example(shape=(0, 4, 4, 1), axes=3, kind="f4", seed=0)
def test_arrays_of_anything(shape, axes, kind, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 200, shape[:axes]).astype(kind)
    try:
        through(read((x, np.arange(len(x)) % 2)))
    except InputError as error:
        assert str(error)
