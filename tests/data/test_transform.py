"""Tensors from rows: fitted on training rows, kept, and the same at prediction."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data import Transform, infer, read, restored
from trainwell.data.encode_numbers import NumberEncoder
from trainwell.data.schema import Column

RNG = np.random.default_rng(0)


def frame(rows: int = 120) -> pl.DataFrame:
    size = RNG.normal(10, 3, rows)
    size[::10] = np.nan
    return pl.DataFrame(
        {
            "size": size,
            "count": RNG.poisson(3, rows),
            "town": RNG.choice(["Ulm", "Bonn", "Jena", None], rows),
            "when": np.datetime64("2020-01-01", "us") + np.arange(rows) * np.timedelta64(1, "h"),
            "price": RNG.exponential(size=rows) + 1,
        }
    )


def fitted(data: pl.DataFrame, **options):
    source = read(data)
    schema = infer(source)
    return source, Transform.fit(source, schema, np.arange(source.rows), **options)


def kept(transform: Transform) -> Transform:
    state, arrays = transform.save()
    return restored(json.loads(json.dumps(state)), {name: array.copy() for name, array in arrays.items()})


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first["inputs"], second["inputs"], strict=True)) and all(
        torch.equal(first[name], second[name]) for name in ("target", "row")
    )


@pytest.mark.parametrize("layout", ["columns", "vector"])
@pytest.mark.parametrize("numbers", ["standard", "robust", "quantile", "none"])
def test_kept_and_restored(layout, numbers):
    source, transform = fitted(frame(), layout=layout, numbers=numbers)
    assert same(transform.encode(source), kept(transform).encode(source))
    assert kept(transform).supplies == transform.supplies
    transform.notes.append("something odd was found")
    assert kept(transform).notes == transform.notes


cells = st.one_of(st.none(), st.floats(-1e6, 1e6, allow_subnormal=False))


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, st.one_of(st.none(), st.sampled_from("abcde"))), min_size=12, max_size=60),
    numbers=st.sampled_from(["standard", "robust", "quantile"]),
)
def test_any_table_encodes_finite_and_restores_equal(rows, numbers):
    data = pl.DataFrame(
        {
            "x": pl.Series([row[0] for row in rows], dtype=pl.Float64),
            "c": pl.Series([row[1] for row in rows], dtype=pl.String),
            "z": np.arange(len(rows)) ** 1.5,
            "y": ["p", "q"] * (len(rows) // 2) + ["p"] * (len(rows) % 2),
        }
    )
    source, transform = fitted(data, numbers=numbers)
    encoded = transform.encode(source)
    assert encoded["inputs"][0].isfinite().all()
    cards = torch.tensor(transform.supplies["categories"])
    assert (encoded["inputs"][1] < cards).all() and (encoded["inputs"][1] >= 0).all()
    assert same(encoded, kept(transform).encode(source))
    backwards = np.arange(len(rows))[::-1].copy()
    assert torch.equal(transform.encode(source, backwards)["inputs"][0], encoded["inputs"][0].flip(0))


def test_only_training_rows_are_looked_at():
    data = frame()
    source = read(data)
    schema = infer(source)
    rows = np.arange(60)
    changed = read(data.with_columns(pl.when(pl.int_range(120) < 60).then("size").otherwise(1e9).alias("size")))
    one = Transform.fit(source, schema, rows).encode(source, rows)
    two = Transform.fit(changed, schema, rows).encode(changed, rows)
    assert same(one, two)


def test_standard_and_robust_and_quantile():
    x = np.concatenate([RNG.normal(5, 2, 2000), [1e6]])
    data = pl.DataFrame({"x": x, "y": RNG.normal(size=2001)})
    standard = fitted(data)[1].encode(read(data))["inputs"][0][:, 0].numpy()
    assert standard == pytest.approx((x - x.mean()) / x.std(), abs=1e-3)
    robust = fitted(data, numbers="robust")[1].encode(read(data))["inputs"][0][:, 0].numpy()
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    plain = (x - middle) / (high - low)
    assert robust == pytest.approx(plain / np.sqrt(1 + (plain / 3) ** 2), abs=1e-5) and np.abs(robust).max() <= 3


def test_quantile_is_as_in_scikit_learn():
    from sklearn.preprocessing import QuantileTransformer

    x = np.round(RNG.exponential(size=(3000, 2)), 1)  # many ties
    encoder = NumberEncoder.fit(
        pl.DataFrame({"a": x[:, 0], "b": x[:, 1]}), [Column("a", "number"), Column("b", "number")], "quantile", True
    )
    noisy = x + np.random.default_rng(0).normal(0, 1e-5, x.shape) * x.std(axis=0)
    oracle = QuantileTransformer(n_quantiles=100, output_distribution="normal", subsample=None).fit(noisy)
    found = encoder.encode(pl.DataFrame({"a": x[:, 0], "b": x[:, 1]}))
    assert found == pytest.approx(oracle.transform(x), abs=1e-4)


def test_missing_numbers_get_the_median_and_a_mark():
    source, transform = fitted(frame(), numbers="none")
    numbers = transform.encode(source)["inputs"][0].numpy()
    names = transform.facts["numbers"]
    gaps = source.frame["size"].is_null().to_numpy()
    assert names[-1] == "size is missing" and (numbers[:, -1] == gaps).all()
    assert numbers[gaps, 0] == pytest.approx(np.nanmedian(source.frame["size"].to_numpy()), rel=1e-6)
    assert fitted(frame(), missing_indicator=False)[1].supplies["numbers"] == numbers.shape[1] - 1


def test_dates_become_numbers():
    source, transform = fitted(frame(), numbers="none")
    names = transform.facts["numbers"]
    numbers = transform.encode(source)["inputs"][0].double().numpy()
    assert numbers[25, names.index("when days")] == pytest.approx(18262 + 25 / 24, abs=1e-2)
    assert numbers[6, names.index("when hour sine")] == pytest.approx(1, abs=1e-6)
    assert "when year" not in names  # it does not vary


def test_codes_of_categories():
    towns = ["b"] * 10 + ["a"] * 10 + ["c"] * 5 + ["once"] + [None] * 4
    data = pl.DataFrame({"town": towns, "x": RNG.normal(size=30), "y": RNG.normal(size=30)})
    source, transform = fitted(data)
    codes = transform.encode(source)["inputs"][1][:, 0].tolist()
    assert codes == [2] * 10 + [1] * 10 + [3] * 5 + [0] * 5 and transform.supplies["categories"] == [4]
    new = read({"x": np.zeros(3), "town": np.array(["c", "new", "a"])})
    assert transform.encode(new, with_target=False)["inputs"][1][:, 0].tolist() == [3, 0, 1]
    vector = fitted(data, layout="vector")[1]
    assert vector.facts["features"] == ["x", "town=a", "town=b", "town=c"]
    assert vector.encode(new, with_target=False)["inputs"][0][:, 1:].tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_many_categories_become_one_number_in_a_vector():
    data = pl.DataFrame({"town": [f"t{int(place**0.5)}" for place in range(6400)], "y": RNG.normal(size=6400)})
    source, transform = fitted(data, layout="vector")
    column = transform.encode(source)["inputs"][0][:, 0]
    assert transform.supplies["features"] == 1 and column[-1] == 1 and (column.diff() >= 0).all()


def test_prediction_from_other_types_and_orders():
    data = pl.DataFrame({"code": [1, 2, 5] * 40, "x": RNG.normal(size=120), "y": ["a", "b"] * 60})
    source = read(data)
    schema = infer(source, types={"code": "category"})
    transform = Transform.fit(source, schema, np.arange(120))
    plain = transform.encode(source, with_target=False)["inputs"]
    changed = data.with_columns(pl.col("x").cast(pl.String), pl.col("code").cast(pl.Float64), extra=pl.lit(1))
    floats = read(changed.select("y", "extra", "x", "code"))
    for a, b in zip(plain, transform.encode(floats, with_target=False)["inputs"], strict=True):
        assert torch.equal(a, b)
    texts = transform.encode(read(data.with_columns(pl.col("code").cast(pl.String))), with_target=False)["inputs"]
    assert torch.equal(plain[1], texts[1])


def test_number_targets_are_scaled_and_undone():
    data = pl.DataFrame({"x": RNG.normal(size=500), "y": np.exp(RNG.normal(size=500) * 1.5) * 1000})
    source, transform = fitted(data)
    target = transform.encode(source)["target"]
    assert target.shape == (500, 1) and transform.target_log == [True]
    assert [*transform.low, *transform.high] == pytest.approx([target.min().item(), target.max().item()], abs=1e-5)
    assert transform.undo_target(target.double())[:, 0] == pytest.approx(data["y"].to_numpy(), rel=1e-4)
    plain = fitted(data, target="none")[1]
    assert plain.encode(source)["target"][:, 0].numpy() == pytest.approx(data["y"].to_numpy(), rel=1e-6)
    assert transform.supplies["center"] == transform.target_center


def test_a_column_without_values_in_training_is_left_out():
    late = [None] * 60 + list(RNG.normal(size=60))
    data = pl.DataFrame({"x": RNG.normal(size=120), "late": late, "y": RNG.normal(size=120)})
    source = read(data)
    transform = Transform.fit(source, infer(source), np.arange(60))
    assert transform.facts["numbers"] == ["x"] and transform.encode(source)["inputs"][0].shape == (120, 1)


def test_several_labels_and_several_numbers():
    data = pl.DataFrame({"x": RNG.normal(size=40), "p": [0, 1] * 20, "q": ["yes", "yes", "no", "no"] * 10})
    source = read(data)
    transform = Transform.fit(source, infer(source, target="p,q"), np.arange(40))
    assert transform.encode(source)["target"][:4].tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert transform.supplies["outputs"] == 2 and transform.classes == ["p", "q"]


def test_pictures(write, tmp_path, picture):
    for place in range(20):
        write(f"pets/{place % 2}/{place}.jpg", picture(30, 40, kind="jpeg", seed=place))
    source = read(tmp_path / "pets")
    transform = Transform.fit(source, infer(source), np.arange(20), layout="image")
    encoded = transform.encode(source, np.array([3, 1]))
    assert encoded["inputs"][0].shape == (2, 3, 30, 40) and encoded["row"].tolist() == [3, 1]
    assert transform.supplies == {
        "outputs": 2, "classes": 2, "channels": 3, "height": 30, "width": 40, "features": 3600,
        "shape": (3, 30, 40),
    }  # fmt: skip
    everything = transform.encode(source)["inputs"][0].float() / 255
    assert transform.mean == pytest.approx(everything.mean((0, 2, 3)).tolist(), abs=1e-4)
    assert transform.std == pytest.approx(everything.std((0, 2, 3), correction=0).tolist(), abs=1e-4)
    small = Transform.fit(source, infer(source), np.arange(20), layout="image", size=20)
    assert small.encode(source)["inputs"][0].shape == (20, 3, 15, 20) and "brought to 20 x 15" in small.notes[0]
    assert same(small.encode(source), kept(small).encode(source))


def test_pictures_of_many_sizes_and_kinds(tmp_path):
    from PIL import Image

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    grey = Image.fromarray(np.full((300, 200), 90, np.uint8))
    grey.save(tmp_path / "a" / "grey.png")
    grey.convert("RGB").save(tmp_path / "b" / "rgb.jpg", quality=95)
    grey.convert("1").save(tmp_path / "a" / "bit.png")
    Image.fromarray(np.full((100, 150), 90 * 257, np.uint16)).save(tmp_path / "b" / "deep.png")
    clear = np.zeros((300, 200, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "a" / "clear.png")
    for place in range(5):
        grey.resize((100 + place, 160)).save(tmp_path / "b" / f"{place}.png")
    source = read(tmp_path)
    transform = Transform.fit(source, infer(source), np.arange(10), layout="image")
    pixels = transform.encode(source)["inputs"][0]
    assert pixels.shape[1] == 1 and max(pixels.shape[2:]) == 128 and "sizes are brought to" in transform.notes[0]
    by_name = {path.rsplit("/", 1)[1]: pixels[row].float().mean() for row, path in enumerate(source.frame["image"])}
    assert by_name["grey.png"] == by_name["rgb.jpg"] == by_name["deep.png"] == 90 and by_name["clear.png"] == 255


def test_pictures_are_turned_as_the_camera_was_held(tmp_path):
    from PIL import Image

    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10, 0] = 255  # red on the left
    for place in range(10):
        (tmp_path / str(place % 2)).mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees clockwise to show
        Image.fromarray(pixels).save(tmp_path / str(place % 2) / f"{place}.png", exif=exif)
    source = read(tmp_path)
    encoded = Transform.fit(source, infer(source), np.arange(10), layout="image").encode(source)["inputs"][0]
    assert encoded.shape == (10, 3, 20, 10) and (encoded[:, 0, :10] == 255).all() and (encoded[:, 0, 10:] == 0).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 16.0), (-1.0, 1.0), (0.0, 255.0)])
def test_picture_arrays_are_brought_to_bytes(low, high):
    x = RNG.uniform(low, high, (40, 6, 6, 1)).astype(np.float32)
    x[0, 0, 0], x[0, 0, 1] = low, high
    source = read((x, np.arange(40) % 2))
    transform = Transform.fit(source, infer(source), np.arange(40), layout="image")
    pixels = transform.encode(source)["inputs"][0]
    assert pixels.dtype == torch.uint8 and pixels.shape == (40, 1, 6, 6)
    assert pixels.float().numpy() == pytest.approx((x.transpose(0, 3, 1, 2) - low) / (high - low) * 255, abs=0.51)
    x[3, 2, 2] = np.nan
    broken = transform.encode(read((x, np.arange(40) % 2)))
    assert broken["inputs"][0][3, 0, 2, 2] == 0 and "1 pixel " in transform.notes[-1]
