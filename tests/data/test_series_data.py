"""Tables of time to even steps: order, gaps, repeated stamps, periods, and what is refused."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from trainwell.data import as_series, looks_like_series, read, split, stamps_after
from trainwell.data.rows import Source
from trainwell.data.series import filled, period_of, stamp_text
from trainwell.data.windows import SeriesTransform, Windows
from trainwell.errors import InputError


def hourly(steps: int = 200, **columns: np.ndarray) -> pl.DataFrame:
    start = datetime(2024, 1, 1)
    stamps = [start + timedelta(hours=i) for i in range(steps)]
    return pl.DataFrame({"time": stamps, "load": np.sin(np.arange(steps) * 2 * np.pi / 24), **columns})


def series(frame: pl.DataFrame, **options: object) -> Source:
    return as_series(read(frame), **options)[0]  # type: ignore[arg-type]


def test_even_steps_stay_as_they_are() -> None:
    made, schema = as_series(read(hourly()))
    assert made.rows == 200 and schema.task == "forecast"
    assert [column.name for column in schema.targets] == ["load"]
    assert made.hints["series"]["step"] == "hour" and made.hints["series"]["period"] == 24
    again = series(made.frame)
    assert again.frame.equals(made.frame)


def test_unsorted_rows_are_sorted_and_said() -> None:
    made = series(hourly()[np.random.default_rng(0).permutation(200)])
    assert made.frame.equals(series(hourly()).frame)
    assert any("sorted" in note for note in made.notes)


def test_gaps_become_steps_without_values_and_are_counted() -> None:
    whole = hourly()
    made = series(whole.filter(~pl.Series(np.isin(np.arange(200), [50, 51, 120]))))
    assert made.rows == 200 and made.frame["load"].null_count() == 3
    assert made.frame["time"].equals(whole["time"])
    assert any("3 steps without a row" in note for note in made.notes)


def test_missing_days_between_months_of_unequal_length() -> None:
    months = pl.date_range(datetime(2000, 1, 1), datetime(2009, 12, 1), "1mo", eager=True)
    frame = pl.DataFrame({"month": months, "sales": np.arange(120.0)})
    assert series(frame).hints["series"]["step"] == "month"
    made = series(frame.filter(pl.Series(np.arange(120) != 13)))
    assert made.rows == 120 and made.frame["month"].equals(months)
    assert str(stamps_after(months, 2)[1]) == "2010-02-01"


def test_repeated_stamps() -> None:
    frame = hourly()
    equal = series(pl.concat([frame, frame[[10]]]))
    assert equal.rows == 200 and any("kept once" in note for note in equal.notes)
    other = frame[[10]].with_columns(load=pl.lit(5.0))
    with pytest.raises(InputError, match="several rows with different values"):
        series(pl.concat([frame, other]))


def test_clocks_set_back_in_autumn_and_forward_in_spring() -> None:
    start = datetime(2024, 10, 20)
    stamps = [start + timedelta(hours=i) for i in range(300)]
    stamps.insert(172, datetime(2024, 10, 27, 3))  # three o'clock comes twice
    made = series(pl.DataFrame({"time": stamps, "load": np.arange(301.0)}))
    assert made.rows == 300 and any("autumn" in note for note in made.notes)
    spring = hourly().filter(pl.Series(np.arange(200) != 100))
    assert series(spring).frame["load"].null_count() == 1


def test_weekends_left_out_leave_the_rows_as_steps() -> None:
    days = [day for day in (datetime(2024, 1, 1) + timedelta(days=i) for i in range(200)) if day.weekday() < 5]
    made = series(pl.DataFrame({"day": days, "price": np.random.default_rng(0).normal(size=len(days))}))
    assert made.rows == len(days) and any("the rows are the steps" in note for note in made.notes)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (hourly(10), {}, "at least 20"),
        (hourly().with_columns(load=pl.lit(1.0)), {}, "constant throughout"),
        (hourly().select("time"), {}, "no column of numbers"),
        (hourly(), {"target": "lod"}, "did you mean 'load'"),
        (hourly(), {"time": "when"}, "no column 'when'"),
        (hourly(), {"target": "time"}, "holds no numbers"),
        (hourly().with_columns(time=pl.when(pl.col("load") > 0.99).then(None).otherwise(pl.col("time"))), {}, "row 7"),
    ],
)
def test_what_cannot_be_forecast(frame: pl.DataFrame, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        series(frame, **options)


def test_uneven_stamps_are_refused() -> None:
    random = np.random.default_rng(0)
    stamps = [datetime(2024, 1, 1) + timedelta(seconds=float(s)) for s in np.cumsum(random.uniform(10, 9000, 200))]
    with pytest.raises(InputError, match="not evenly spaced"):
        series(pl.DataFrame({"time": stamps, "load": random.normal(size=200)}))


@pytest.mark.parametrize("period", [7, 12, 24, 168, 365])
def test_the_period_is_found_in_noise(period: int) -> None:
    steps = np.arange(max(400, 6 * period))
    noise = np.random.default_rng(0).normal(size=(len(steps), 1))
    assert period_of(np.sin(2 * np.pi * steps / period)[:, None] * 1.5 + 0.7 * noise) == period
    assert period_of(noise) == 0
    assert period_of(np.cumsum(noise, 0) * 0 + 1) == 0


def test_filling_is_linear() -> None:
    values = np.array([[np.nan], [1.0], [np.nan], [3.0], [np.nan]])
    assert filled(values)[:, 0].tolist() == [1, 1, 2, 3, 3]


def test_windows_are_slices_of_the_series() -> None:
    values = torch.arange(20.0)[:, None]
    windows = Windows(values, torch.tensor([0, 3, 7]), 4)
    stacked = torch.stack([values[start : start + 4] for start in (0, 3, 7)])
    assert len(windows) == 3 and torch.equal(windows[:], stacked)
    assert torch.equal(windows.index_select(0, torch.tensor([2, 0])), stacked[[2, 0]])
    assert torch.equal(windows.to("cpu")[1:3], stacked[1:3])


def fitted(frame: pl.DataFrame, lookback: int = 24, horizon: int = 6) -> tuple[SeriesTransform, Source, object]:
    source, schema = as_series(read(frame))
    parts = split(source, schema, method="time", time="time", parts=[120, 30, 50])
    return (
        SeriesTransform.fit(source, schema, parts.train, lookback, horizon, layout="series with phase"),
        source,
        parts,
    )


def test_no_window_learns_from_what_it_is_judged_by() -> None:
    transform, source, parts = fitted(hourly())
    train, test = (transform.encode(source, rows) for rows in (parts.train, parts.test))
    assert train["row"].tolist() == list(range(24, 115)) and test["row"].tolist() == list(range(150, 195))
    past, phase = test["inputs"]
    scaled = (source.frame["load"].to_numpy() - transform.center[0]) / transform.scale[0]
    assert np.allclose(past[0][:, 0], scaled[126:150], atol=1e-6) and phase[0] == 126
    assert np.allclose(test["target"][0][:, 0], scaled[150:156], atol=1e-6)
    known = source.frame["load"].to_numpy()[:120]
    assert np.allclose([transform.center[0], transform.scale[0]], [known.mean(), known.std()])


def test_missing_values_are_no_answers() -> None:
    frame = hourly().with_columns(load=pl.when(pl.int_range(200) == 160).then(None).otherwise(pl.col("load")))
    transform, source, parts = fitted(frame)
    test = transform.encode(source, parts.test)
    assert test["target"].numpy()[test["row"].numpy() == 158, :, 0].argmax() >= 0
    assert np.isnan(test["target"][10]).sum() == 1 and torch.isfinite(test["inputs"][0][:]).all()


def test_a_later_stretch_keeps_its_phase() -> None:
    transform, _, _ = fitted(hourly())
    later = read(hourly()[100:200])
    assert transform.encode(later, with_target=False)["inputs"][1].tolist() == [176]
    assert SeriesTransform.restore(*transform.save()).supplies == transform.supplies


def test_what_is_too_short_says_so() -> None:
    with pytest.raises(InputError, match="longer than the data"):
        fitted(hourly(), horizon=500)
    with pytest.raises(InputError, match="hold no window of 110"):
        fitted(hourly(), lookback=110, horizon=20)
    transform, _, _ = fitted(hourly())
    with pytest.raises(InputError, match="hold no window"):
        transform.encode(read(hourly(22)), with_target=False)
    with pytest.raises(InputError, match="'load' is missing"):
        transform.encode(read(hourly().rename({"load": "other"})), with_target=False)


def test_parts_in_steps() -> None:
    source, schema = as_series(read(hourly()))
    parts = split(source, schema, method="time", time="time", parts=[100, 50, 40])
    assert (parts.train[-1], parts.val[0], parts.test[-1]) == (99, 100, 189)
    for wrong in ([100, 50], [0, 50, 50], [100, 100, 100]):
        with pytest.raises(InputError, match=r"split\.parts"):
            split(source, schema, method="time", time="time", parts=wrong)
    with pytest.raises(InputError, match="order of time"):
        split(source, schema, parts=[100, 50, 40])


def test_what_looks_like_a_series() -> None:
    assert looks_like_series(read(hourly()))
    assert not looks_like_series(read(hourly().with_columns(place=pl.lit("here"))))
    assert not looks_like_series(read(hourly().drop("time")))


@pytest.mark.parametrize(
    ("name", "step", "steps", "period"),
    [
        ("ett", "hour", 17_420, 24),
        ("daily-min-temperatures", "day", 3_652, 365),
        ("monthly-sunspots", "month", 2_820, 125),
    ],
)
def test_real_series(name: str, step: str, steps: int, period: int) -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    source = read(str(folder))
    assert looks_like_series(source)
    facts = as_series(source)[0].hints["series"]
    assert (facts["step"], facts["steps"]) == (step, steps)
    assert abs(facts["period"] - period) <= 0.05 * period


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (datetime(1984, 12, 30), "1984-12-30"),
        (datetime(1984, 12, 30, 6), "1984-12-30 06:00:00"),
        (datetime(1984, 12, 30, 0, 30), "1984-12-30 00:30:00"),
        (17, "17"),
    ],
)
def test_days_are_said_without_their_midnight(stamp, text):
    assert stamp_text(stamp) == text
