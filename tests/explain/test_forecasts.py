"""Errors of forecasts against NumPy, and the naive forecasts beside them."""

import numpy as np
import polars as pl

from trainwell.data import as_series, read, split
from trainwell.data.windows import SeriesTransform
from trainwell.explain.forecasts import by_origin, forecast_cases, measure_forecasts, naive_forecasts
from trainwell.tasks import Forecast


def test_errors_are_those_of_numpy() -> None:
    random = np.random.default_rng(0)
    scaled, target = random.normal(size=(2, 40, 5, 3))
    target[3] = np.nan
    found = measure_forecasts({"scaled": scaled}, target, Forecast([0.0] * 3, [1.0, 2.0, 3.0], horizon=5))
    error = np.delete(scaled - target, 3, 0)
    assert np.isclose(found["metrics"]["mse"]["value"], (error**2).mean())
    assert np.isclose(found["metrics"]["mae"]["value"], np.abs(error).mean())
    assert found["metrics"]["mse"]["low"] < found["metrics"]["mse"]["value"] < found["metrics"]["mse"]["high"]
    assert np.allclose(found["by_step"], (error**2).mean((0, 2)))
    assert np.allclose(found["by_channel"]["mae"], np.abs(error).mean((0, 1)) * [1, 2, 3])


def test_coverage_is_the_share_between_the_outer_quantiles() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=(50, 4, 2))
    target[0] = np.nan
    ends = np.stack([np.full((50, 4, 2), -1.0), np.full((50, 4, 2), 1.0)], axis=1)
    ends[:, 1, 2:] = -1.0  # nothing lies between in the later steps
    task = Forecast([0.0, 5.0], [1.0, 2.0], horizon=4, quantiles=[0.1, 0.9])
    unit = np.array([1.0, 2.0]), np.array([0.0, 5.0])
    found = measure_forecasts({"scaled": target * 0, "quantiles": ends * unit[0] + unit[1]}, target, task)["intervals"]
    inside = np.abs(target[1:, :2]) <= 1
    assert found["level"] == 0.8 and np.isclose(found["coverage"], inside.sum() / (49 * 4 * 2))
    assert found["by_step"][2:] == [0.0, 0.0]


def test_origins_are_judged_one_after_the_other() -> None:
    frame = pl.DataFrame({"wave": np.tile(np.arange(10.0), 40)})
    source, schema = as_series(read(frame))
    source.hints["series"]["period"] = 10
    parts = split(source, schema, method="time", time="step", parts=[250, 50, 100])
    transform = SeriesTransform.fit(source, schema, parts.train, 15, 12)
    rows = transform.encode(source, parts.test)["row"].numpy()
    found = by_origin(source, transform, rows, np.zeros((len(rows), 12, 1)))
    assert [each["windows"] for each in found] == [15, 15, 15, 15, 15, 14]
    assert all(each["naive"] < 1e-12 for each in found)  # the last period again is right on a pure cycle
    values = (frame["wave"].to_numpy() - transform.center) / transform.scale
    first = np.mean([values[row : row + 12] ** 2 for row in rows[:15]])
    assert np.isclose(found[0]["mse"], first) and found[0]["first"] == "300"


def test_naive_forecasts_of_a_pure_cycle() -> None:
    steps = np.arange(400)
    frame = pl.DataFrame({"wave": np.tile(np.random.default_rng(0).normal(size=10), 40), "slope": 0.5 * steps})
    source, schema = as_series(read(frame))
    source.hints["series"]["period"] = 10
    parts = split(source, schema, method="time", time="step", parts=[250, 50, 100])
    transform = SeriesTransform.fit(source, schema, parts.train, 15, 12)
    judged = transform.encode(source, parts.test)
    found = naive_forecasts(
        source, transform, parts.train, judged, Forecast(transform.center, transform.scale, horizon=12)
    )
    errors = {each["kind"]: each["metrics"]["mse"] for each in found}
    assert set(errors) == {"seasonal", "constant", "linear"}
    assert errors["linear"] < errors["seasonal"] < errors["constant"]
    cases = forecast_cases(source, transform, judged["row"].numpy(), {"number": judged["target"].numpy()})
    assert [case["channel"] for case in cases[:2]] == ["wave", "slope"]
    assert cases[1]["truth"] == frame["slope"][300:312].to_list() and len(cases[1]["history"]) == 15
