"""Answers and the truth row by row to one number and its 95 % interval."""

import math
from collections.abc import Callable

import numpy as np

RESAMPLES = 200  # of the bootstrap; the ends of a 95 % interval move by some 3 % of its width
CELLS = 4_000_000  # of answers that are resampled in all, so that many rows take seconds; 40 resamples at least
Measure = Callable[[np.ndarray, np.ndarray], float]


def interval(function: Measure, answer: np.ndarray, truth: np.ndarray, seed: int = 0) -> dict[str, float]:
    """A number and its 95 % percentile bootstrap interval over rows. Efron 1979."""
    random = np.random.default_rng(seed)
    values = []
    for _ in range(max(40, min(RESAMPLES, CELLS // max(1, answer.size)))):
        rows = random.integers(0, len(truth), len(truth))
        value = function(answer[rows], truth[rows])
        if math.isfinite(value):
            values.append(value)
    value = function(answer, truth)
    low, high = np.percentile(values, [2.5, 97.5]) if values else (value, value)
    return {"value": _finite(value), "low": _finite(low), "high": _finite(high)}


def wilson(right: int, rows: int) -> dict[str, float]:
    """A share and its 95 % score interval, which keeps within 0 and 1. Wilson 1927."""
    z, share = 1.959964, right / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return {"value": share, "low": middle - half, "high": middle + half}


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
