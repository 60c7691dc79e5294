"""Forecasts and what came after to errors with intervals, by step and by channel, beside a seasonal-naive forecast."""

import time
from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data import Source
from trainwell.data.series import filled, stamp_text
from trainwell.tasks import Forecast

RESAMPLES = 200
ORIGINS = 6  # stretches of the held-out time whose forecasts are judged apart
SHOWN, CHANNELS = 3, 4  # windows and channels that a page draws
RIDGE, WINDOWS = 10.0, 20_000  # strength of the linear map's decay; windows that it learns from at most


def measure_forecasts(answers: dict[str, np.ndarray], target: np.ndarray, task: Forecast) -> dict[str, Any]:
    """Errors of standardized forecasts, and by channel in its own unit; missing true values are left out.

    answers: "scaled" (windows, horizon, channels) and, where quantiles were learned, "quantiles"; target: as "scaled".
    Intervals resample stretches of one horizon, as windows that overlap err together: the moving-block bootstrap of
    Kuensch 1989.
    """
    scaled, scale = answers["scaled"], task.scale.numpy()
    error = np.where(np.isfinite(target), scaled - target, np.nan).astype(np.float64)
    squared, absolute = error**2, np.abs(error)
    known = np.isfinite(error)
    metrics = {
        name: _interval(np.nansum(values, (1, 2)), known.sum((1, 2)), error.shape[1])
        for name, values in (("mse", squared), ("mae", absolute))
    }
    by_step = np.nansum(squared, (0, 2)) / np.maximum(known.sum((0, 2)), 1)
    count = np.maximum(known.sum((0, 1)), 1)
    found = {
        "part": "test",
        "rows": len(target),
        "goal": "mse",
        "metrics": metrics,
        "by_step": by_step.tolist(),
        "by_channel": {
            "mae": (np.nansum(absolute, (0, 1)) / count * scale).tolist(),
            "rmse": (np.sqrt(np.nansum(squared, (0, 1)) / count) * scale).tolist(),
            "mse_standardized": (np.nansum(squared, (0, 1)) / count).tolist(),
        },
    }
    if "quantiles" in answers and len(task.quantiles) > 1:
        found["intervals"] = _coverage(answers["quantiles"], task.unscale(torch.from_numpy(target)).numpy(), task)
    return found


def _coverage(quantiles: np.ndarray, truth: np.ndarray, task: Forecast) -> dict[str, Any]:
    """What share of the truth lies between the outer quantiles, which promise a level, in all and by step."""
    known = np.isfinite(truth)
    inside = (truth >= quantiles[:, 0]) & (truth <= quantiles[:, -1]) & known
    return {
        "level": round(task.quantiles[-1] - task.quantiles[0], 6),
        "coverage": float(inside.sum() / max(1, known.sum())),
        "by_step": (inside.sum((0, 2)) / np.maximum(1, known.sum((0, 2)))).tolist(),
    }


def _interval(sums: np.ndarray, counts: np.ndarray, block: int) -> dict[str, float]:
    """A mean over windows and its 95 % interval from resampled blocks of windows."""
    random = np.random.default_rng(0)
    block = max(1, min(block, len(sums) // 4))
    blocks = -(-len(sums) // block)
    values = []
    for _ in range(RESAMPLES):
        starts = random.integers(0, len(sums) - block + 1, blocks)
        rows = (starts[:, None] + np.arange(block)).ravel()
        values.append(sums[rows].sum() / max(1, counts[rows].sum()))
    low, high = np.percentile(values, [2.5, 97.5])
    return {"value": float(sums.sum() / max(1, counts.sum())), "low": float(low), "high": float(high)}


def sentence(evaluation: dict[str, Any], transform: Any) -> str:
    """The result in words, with the lookback that it rests on."""
    mse, ahead = evaluation["metrics"]["mse"], len(evaluation["by_step"])
    own = ""
    if len(transform.channels) == 1:
        own = f" ({evaluation['by_channel']['mae'][0]:.3g} in the unit of {transform.channels[0]})"
    return (
        f"Forecasts {ahead} steps (one {transform.step} each) from the {transform.lookback} before "
        f"with a mean squared error of {mse['value']:.3f} [{mse['low']:.3f}, {mse['high']:.3f}] in standardized units, "
        f"mean absolute error {evaluation['metrics']['mae']['value']:.3f}{own}, on {evaluation['rows']:,} held-out "
        "windows."
    )


def forecast_cases(
    source: Source, transform: Any, rows: np.ndarray, answers: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """A few windows as a page draws them: the steps before, what came and what was forecast, in the channel's unit.

    rows: the first forecasted step of each window; answers: "number" (windows, horizon, channels) and, where quantiles
    were learned, "quantiles", of which the outer two are drawn
    """
    grid, number = transform.grid(source), answers["number"]
    horizon, shown = number.shape[1], min(transform.lookback, 2 * number.shape[1])
    chosen = np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int))
    found = []
    for window in chosen.tolist():
        start = int(rows[window])
        for channel, name in list(enumerate(transform.channels))[:CHANNELS]:
            values = grid.frame[name]
            found.append(
                {
                    "channel": name,
                    "start": stamp_text(grid.frame[transform.time][start]),
                    "step": transform.step,
                    "history": _numbers(values[start - shown : start]),
                    "truth": _numbers(values[start : start + horizon]),
                    "forecast": number[window, :, channel].astype(float).tolist(),
                }
            )
            if "quantiles" in answers and answers["quantiles"].shape[1] > 1:
                ends = answers["quantiles"][window, :, :, channel].astype(float)
                found[-1] |= {"low": ends[0].tolist(), "high": ends[-1].tolist()}
    return found


def _numbers(values: pl.Series) -> list[float | None]:
    return [None if each is None else float(each) for each in values]


def by_origin(source: Source, transform: Any, rows: np.ndarray, scaled: np.ndarray) -> list[dict[str, Any]]:
    """The error of forecasts that start in each of a few stretches of time, beside the seasonal-naive one's.

    rows: the first forecasted step of each window, in order; scaled: (windows, horizon, channels), standardized
    """
    grid = transform.grid(source)
    values = grid.frame.select(transform.channels).to_numpy().astype(np.float64)
    values = (values - transform.center) / transform.scale
    steps = np.arange(scaled.shape[1])
    period = transform.period if 1 < transform.period <= rows[0] else 1
    past = filled(values)
    found = []
    for part in np.array_split(np.arange(len(rows)), min(ORIGINS, len(rows))):
        truth = values[rows[part][:, None] + steps]
        naive = past[rows[part][:, None] + steps % period - period]
        first, last = (stamp_text(grid.frame[transform.time][int(rows[place])]) for place in (part[0], part[-1]))
        errors = {name: np.nanmean((each - truth) ** 2) for name, each in (("mse", scaled[part]), ("naive", naive))}
        if np.isfinite(truth).any():
            found.append({"first": first, "last": last, "windows": len(part), "period": period}
                         | {name: float(value) for name, value in errors.items()})  # fmt: skip
    return found


def naive_forecasts(
    source: Source, transform: Any, known: np.ndarray, judged: dict[str, Any], task: Forecast
) -> list[dict[str, Any]]:
    """What simple forecasts give on the same windows: the last period again, the last value, a linear map.

    known: rows that the linear map, one for all channels, may learn from in closed form; judged: the encoded windows
    """
    target = judged["target"].numpy()
    past = judged["inputs"][0]
    period, horizon, lookback = transform.period, transform.horizon, transform.lookback
    first = past.starts.numpy() + lookback
    values, steps = past.values.numpy(), np.arange(horizon)
    answers: list[tuple[str, str, Any]] = []
    if 1 < period <= first[0]:
        answers.append((f"the last {period} steps again (seasonal naive)", "seasonal", steps % period - period))
    answers.append(("the last value", "constant", 0 * steps - 1))
    began = time.perf_counter()
    linear = _linear(transform.encode(source, known))
    seconds = time.perf_counter() - began
    answers.append(("a linear map of the window", "linear", linear))
    rows = []
    for name, kind, answer in answers:
        if kind == "linear":
            scaled = np.concatenate([answer(past[part].numpy()) for part in _pieces(len(past))])
        else:
            scaled = values[first[:, None] + answer]
        metrics = measure_forecasts({"scaled": scaled}, target, task)["metrics"]
        spent = seconds if kind == "linear" else 0.0
        reached = {key: each["value"] for key, each in metrics.items()}
        rows.append({"name": name, "kind": kind, "seconds": spent, "metrics": reached})
    return rows


def _pieces(rows: int, size: int = 2048) -> list[slice]:
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _linear(encoded: dict[str, Any]) -> Any:
    """Ridge regression from what a window differs from its last value, all channels by one map."""
    past, future = encoded["inputs"][0], encoded["target"]
    every = max(1, len(past) // WINDOWS)
    size = past.length
    left, right = np.zeros((size, size)), np.zeros((size, future.length))
    for part in _pieces(len(past)):
        x, y = past[part][::every].double().numpy(), future[part][::every].double().numpy()
        last = x[:, -1:]
        x = (x - last).transpose(0, 2, 1).reshape(-1, size)
        y = np.nan_to_num(y - last).transpose(0, 2, 1).reshape(-1, future.length)
        left += x.T @ x
        right += x.T @ y
    weight = np.linalg.solve(left + RIDGE * np.eye(size), right)
    return lambda window: ((window - window[:, -1:]).transpose(0, 2, 1) @ weight).transpose(0, 2, 1) + window[:, -1:]
