"""Each fault of a source is named, and its healthy twin is not."""

import wave

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_wine

from trainwell.audit import audit
from trainwell.checkup import checkup
from trainwell.data import infer, read
from trainwell.prepare import prepare

CHANCE = np.random.default_rng


def table(rows: int = 400, classes: bool = False) -> pl.DataFrame:
    """Four measurements, a code, and an answer that they tell in part."""
    chance = CHANCE(1)
    a, b, c = chance.gamma(3.0, 2.0, rows), chance.normal(50.0, 9.0, rows), chance.integers(1, 60, rows)
    answer = 3 * a + 0.2 * b + chance.normal(0, 2, rows)
    cells = {"a": a, "b": b, "c": c, "d": a + chance.normal(0, 3, rows), "code": chance.choice(["n", "s", "w"], rows)}
    return pl.DataFrame(cells | {"y": np.where(answer > 28, "high", "low") if classes else answer})


def told(frame: pl.DataFrame, parts: np.ndarray | None = None) -> dict[str, str]:
    """The names of what is found above a note, with where."""
    source = read(frame)
    source.parts = parts
    found = audit(source, infer(source, target="y"))
    return {each.name: each.where for each in found if each.severity != "note"}


@pytest.mark.parametrize("classes", [False, True])
def test_a_healthy_table_is_left_alone(classes):
    assert told(table(classes=classes)) == {}
    assert told(table(classes=classes), np.array(["train"] * 300 + ["test"] * 100)) == {}


def some(column: pl.Expr, value: object, share: float = 0.08) -> pl.Expr:
    places = CHANCE(3).random(400) < share
    return pl.when(pl.Series(places)).then(pl.lit(value)).otherwise(column)


CODE = pl.col("code")
COLUMNS = {
    "-999 for missing": (some(pl.col("a"), -999.0).alias("a"), "bad-features", "'a'"),
    "-1 for missing": (some(pl.col("c"), -1).alias("c"), "bad-features", "'c'"),
    "-1 for an answer": (some(pl.col("y") + 10, -1.0).alias("y"), "targets-out-of-range", "'y'"),
    "one cell far off": (
        pl.when(pl.int_range(400) == 7).then(pl.col("a") * 1e6).otherwise(pl.col("a")).alias("a"),
        "bad-features",
        "'a'",
    ),
    "infinite": (some(pl.col("b"), float("inf")).alias("b"), "bad-features", "'b'"),
    "two units": (
        pl.when(pl.int_range(400) % 3 == 0).then(pl.col("b") / 1000).otherwise(pl.col("b")).alias("b"),
        "bad-features",
        "'b'",
    ),
    "numbers with a unit": (pl.format("{} kg", pl.col("b").round(2)).alias("b"), "bad-features", "'b'"),
    "levels in two spellings": (
        pl.when(pl.int_range(400) % 2 == 0).then(CODE.str.to_uppercase()).otherwise(CODE).alias("code"),
        "bad-features",
        "'code'",
    ),
    "the answer in thousands": ((pl.col("y") / 1000).alias("fee"), "data-leakage", "'fee'"),
    "a class of the answer": (
        pl.when(pl.col("y") > 28).then(pl.lit("h")).otherwise(pl.lit("l")).alias("band"),
        "data-leakage",
        "'band'",
    ),
}


@pytest.mark.parametrize("fault", COLUMNS)
def test_a_faulty_column_is_named(fault):
    change, name, where = COLUMNS[fault]
    found = told(table().with_columns(change))
    assert list(found) == [name] and where in found[name]


@pytest.mark.parametrize("levels", [("'-1'", "'1'"), ("A", "A-")])
def test_signs_make_other_levels(levels):
    one, other = (pl.lit(each) for each in levels)
    assert (
        told(table().with_columns(pl.when(pl.int_range(400) % 3 == 0).then(one).otherwise(other).alias("code"))) == {}
    )


def test_what_stands_for_missing_is_no_honest_low():
    frame = table().with_columns((pl.col("c") - 2).alias("c"))  # whole numbers from -1 on
    assert told(frame) == {}
    assert told(table().with_columns(pl.col("a").log().exp().exp().alias("a"))) == {}  # over many magnitudes


def test_dates_in_several_manners():
    days = [
        f"{1 + row % 28:02}/{1 + row % 12:02}/1990" if row % 2 else f"1990-{1 + row % 12:02}-03" for row in range(400)
    ]
    assert told(table().with_columns(pl.Series("when", days))) == {"bad-features": "column 'when'"}
    whole = [f"1990-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(400)]
    assert told(table().with_columns(pl.Series("when", whole))) == {}


def test_classes():
    frame = table(classes=True)
    one = pl.when(pl.int_range(400) == 3).then(pl.lit("odd")).otherwise(pl.col("y")).alias("y")
    assert told(frame.with_columns(one)) == {"class-imbalance": "column 'y'"}
    blanks = pl.when(pl.int_range(400) % 4 == 0).then(pl.col("y").str.to_titlecase()).otherwise(pl.col("y")).alias("y")
    assert told(frame.with_columns(blanks)) == {"targets-out-of-range": "column 'y'"}
    code = pl.when(pl.col("y") == "low").then(pl.lit("K2")).otherwise(pl.lit("K7")).alias("file")
    assert told(frame.with_columns(code)) == {"data-leakage": "column 'file'"}


def test_rows_that_come_again():
    frame = table()
    near = frame.head(200).with_columns(pl.col("a", "b", "d") * 1.00001, (pl.col("c") * 1.00001))
    cells = frame.with_columns(pl.col("c").cast(pl.Float64))
    assert told(pl.concat([cells, near])) == {"data-leakage": "rows"}
    assert told(pl.concat([frame, frame.head(200)])) == {}  # equal rows stay on one side of the split
    source = read(pl.concat([frame, frame.head(200)]))
    assert [each.remedy for each in audit(source, infer(source, target="y"))] == [
        "none, unless rows were copied by mistake"
    ]
    parts = np.array(["train"] * 400 + ["test"] * 200)
    assert told(pl.concat([frame, frame.head(200)]), parts) == {"data-leakage": "split"}


def test_parts_that_were_prepared_apart():
    frame, parts = table(), np.array(["train"] * 300 + ["test"] * 100)
    late = pl.int_range(400) >= 300
    other = frame.with_columns(pl.when(late).then(pl.col("b") * 1000).otherwise(pl.col("b")).alias("b"))
    assert "'b'" in told(other, parts)["preprocessing-mismatch"]
    other = frame.with_columns(pl.when(late).then(CODE + "_x").otherwise(CODE).alias("code"))
    assert "'code'" in told(other, parts)["preprocessing-mismatch"]


def pictures(tmp_path, change=lambda place, label, pixels: pixels, apart=False):
    """Two classes of noise with a bright bar, upright or level."""
    chance = CHANCE(5)
    for place in range(160):
        label = place % 2
        pixels = chance.integers(0, 120, (24, 24, 3))
        at = int(chance.integers(3, 20))
        pixels[(slice(None), slice(at, at + 2)) if label else (slice(at, at + 2), slice(None))] = 230
        part = ("test/" if place % 4 < 2 and place > 20 else "train/") if apart else ""
        path = tmp_path / f"{part}{'up' if label else 'level'}" / f"{place:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = change(place, label, pixels)
        path.write_bytes(changed) if isinstance(changed, bytes) else Image.fromarray(changed.astype(np.uint8)).save(
            path
        )
    data, schema, _ = prepare(str(tmp_path))
    return sorted({each.name for each in audit(data, schema) if each.severity != "note"})


def framed(place, label, pixels):
    pixels[0] = pixels[0] if label else (0, 255, 0)
    return pixels


@pytest.mark.parametrize(
    ("change", "apart", "name"),
    [
        (lambda place, label, pixels: pixels, False, None),
        (lambda place, label, pixels: pixels, True, None),
        (framed, False, "data-leakage"),
        (lambda place, label, pixels: np.repeat(pixels, 2, 0) if label else pixels, False, "data-leakage"),
        (lambda place, label, pixels: pixels * 0 if place % 5 == 0 else pixels, False, "bad-features"),
        (lambda place, label, pixels: b"\x89PNG broken" if place % 9 == 0 else pixels, False, "bad-features"),
        (lambda place, label, pixels: pixels // 3 if place % 4 < 2 else pixels, True, "preprocessing-mismatch"),
    ],
)
def test_pictures(tmp_path, change, apart, name):
    assert pictures(tmp_path, change, apart) == ([] if name is None else [name])


@pytest.mark.parametrize(
    ("fault", "name"), [(None, None), ("silent", "bad-features"), ("clipped", "bad-features"), ("rate", "data-leakage")]
)
def test_sounds(tmp_path, fault, name):
    chance = CHANCE(2)
    for place in range(60):
        label = place % 2
        tone = 6000 * np.sin(np.arange(2000) * (0.1 + 0.2 * label)) + chance.normal(0, 900, 2000)
        tone = tone * (
            0 if fault == "silent" and place % 5 == 0 else 30 if fault == "clipped" and place % 5 == 0 else 1
        )
        path = tmp_path / f"tone{label}" / f"{place}.wav"
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000 if fault == "rate" and label else 8000)
            file.writeframes(np.clip(tone, -32768, 32767).astype(np.int16).tobytes())
    data, schema, _ = prepare(str(tmp_path))
    found = {each.name for each in audit(data, schema) if each.severity != "note"}
    assert found == ({name} - {None})


SENTENCE = "the film was long and the plot went on while people in it spoke of love rain trains and other things"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda place, label, text: text, None),
        (lambda place, label, text: "" if place % 7 == 0 else text, "bad-features"),
        (lambda place, label, text: text[:30], "bad-features"),
        (lambda place, label, text: f"<p> {text}" if label else text, "data-leakage"),
    ],
)
def test_texts(change, name):
    chance = CHANCE(4)
    texts = [
        change(
            place, place % 2, " ".join(chance.choice([*SENTENCE.split(), *(["good"] if place % 2 else ["bad"])], 40))
        )
        for place in range(200)
    ]
    frame = pl.DataFrame({"text": texts, "y": ["pos" if place % 2 else "neg" for place in range(200)]})
    assert list(told(frame)) == ([] if name is None else [name])


def series(**more):
    """A year of days with a wave in them, as forecasting has them."""
    chance = CHANCE(6)
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 12, 31), eager=True)
    wave = 10 * np.sin(np.arange(len(days)) / 20) + chance.normal(0, 1, len(days)).cumsum() / 4
    frame = pl.DataFrame({"day": days, "beside": np.roll(wave, 3) + chance.normal(0, 1, len(days)), "y": wave})
    frame = frame.with_columns(**{name: change(frame) for name, change in more.items()})
    data, schema, _ = prepare(frame, "y", task="forecast")
    return {each.name for each in audit(data, schema) if each.severity != "note"}


def test_series():
    assert series() == set()
    assert series(planned=lambda frame: frame["y"].shift(-5)) == {"data-leakage"}
    stuck = lambda frame: pl.concat([frame["beside"][:500], pl.Series([4.5] * 231)])  # noqa: E731
    assert series(beside=stuck) == {"bad-features"}
    assert series(y=lambda frame: frame["y"].shuffle(1)) == {"bad-features"}


def test_check_says_what_was_read(tmp_path, capsys):
    path = tmp_path / "table.csv"
    table().with_columns(same=pl.lit(4), b=some(pl.col("b"), -999.0)).write_csv(path)
    doctor = checkup(str(path), "y")
    assert [each.name for each in doctor.findings][:1] == ["bad-features"]
    assert "'same' left out: constant" in capsys.readouterr().err
    checkup(str(path), "y", quiet=True)
    assert capsys.readouterr().err == ""


def test_what_the_source_itself_shows_is_not_listed_among_what_could_not_run(tmp_path):
    """Too few rows for the check of a network's own rows, enough for that of the source."""
    bunch, chance = load_wine(), CHANCE(0)
    kinds = np.array(["red", "rose", "white"])[bunch.target]
    wrong = chance.permutation(len(kinds))[: len(kinds) // 5]
    kinds[wrong] = chance.permutation(kinds[wrong])
    frame = pl.DataFrame(bunch.data, schema=list(bunch.feature_names))
    frame.with_columns(target=pl.Series(kinds)).write_csv(tmp_path / "wine.csv")
    doctor = checkup(str(tmp_path / "wine.csv"), quiet=True)
    assert "label-noise" in {each.name for each in doctor.findings}
    assert "label-noise" not in doctor.checks()["skipped"]


def hours(steps: int = 600, even: bool = True) -> pl.DataFrame:
    """A temperature that moves slowly, hour by hour, and a load beside it."""
    draw = CHANCE(0)
    stamps = np.datetime64("2024-01-01", "us") + np.arange(steps).astype("timedelta64[h]")
    stamps = stamps if even else draw.permutation(stamps)
    warmth = np.cumsum(draw.normal(size=steps))
    return pl.DataFrame({"date": stamps, "load": draw.normal(size=steps), "warmth": warmth})


def of_neighbours(path, **wishes) -> list[str]:
    """What is said of neighbours in time when rows of hours are held out."""
    findings = checkup(path, "warmth", quiet=True, task="regress", **wishes).findings
    return [f"{each.name}: {each.cause}" for each in findings if "even steps" in each.evidence]


def test_hours_are_not_to_be_held_out_beside_those_that_are_learned_from(tmp_path):
    hours().write_csv(tmp_path / "hours.csv")
    (text,) = of_neighbours(tmp_path / "hours.csv")
    assert text.startswith("data-leakage") and "split.time=date" in text
    assert not of_neighbours(tmp_path / "hours.csv", changes=["split.method=time", "split.time=date"])


def test_rows_in_no_order_of_time_may_be_held_out_at_random(tmp_path):
    hours(even=False).write_csv(tmp_path / "hours.csv")
    assert not of_neighbours(tmp_path / "hours.csv")
