"""Errors of forecasts against NumPy, and the naive forecasts beside them."""

import numpy as np
import polars as pl

from trainwell.data import as_series, read, split
from trainwell.data.windows import SeriesTransform
from trainwell.explain.forecasts import forecast_cases, measure_forecasts, naive_forecasts


def test_errors_are_those_of_numpy() -> None:
    random = np.random.default_rng(0)
    scaled, target = random.normal(size=(2, 40, 5, 3))
    target[3] = np.nan
    found = measure_forecasts(scaled, target, np.array([1.0, 2.0, 3.0]))
    error = np.delete(scaled - target, 3, 0)
    assert np.isclose(found["metrics"]["mse"]["value"], (error**2).mean())
    assert np.isclose(found["metrics"]["mae"]["value"], np.abs(error).mean())
    assert found["metrics"]["mse"]["low"] < found["metrics"]["mse"]["value"] < found["metrics"]["mse"]["high"]
    assert np.allclose(found["by_step"], (error**2).mean((0, 2)))
    assert np.allclose(found["by_channel"]["mae"], np.abs(error).mean((0, 1)) * [1, 2, 3])


def test_naive_forecasts_of_a_pure_cycle() -> None:
    steps = np.arange(400)
    frame = pl.DataFrame({"wave": np.tile(np.random.default_rng(0).normal(size=10), 40), "slope": 0.5 * steps})
    source, schema = as_series(read(frame))
    source.hints["series"]["period"] = 10
    parts = split(source, schema, method="time", time="step", parts=[250, 50, 100])
    transform = SeriesTransform.fit(source, schema, parts.train, 15, 12)
    judged = transform.encode(source, parts.test)
    found = naive_forecasts(source, transform, parts.train, judged, np.array(transform.scale))
    errors = {each["kind"]: each["metrics"]["mse"] for each in found}
    assert set(errors) == {"seasonal", "constant", "linear"}
    assert errors["linear"] < errors["seasonal"] < errors["constant"]
    cases = forecast_cases(source, transform, judged["row"].numpy(), judged["target"].numpy())
    assert [case["channel"] for case in cases[:2]] == ["wave", "slope"]
    assert cases[1]["truth"] == frame["slope"][300:312].to_list() and len(cases[1]["history"]) == 15
