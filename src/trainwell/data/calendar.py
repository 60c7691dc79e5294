"""Stamps to where in the day, the week and the year they lie, as points on circles."""

import numpy as np
import polars as pl

SPANS = {"day": 86_400.0, "week": 604_800.0}  # seconds
FEATURES = 6  # sine and cosine of each of day, week and year
MONDAY = 4 * 86_400.0  # 1970-01-01 was a Thursday: the first Monday's midnight in seconds


def calendar(stamps: pl.Series) -> np.ndarray:
    """Sine and cosine of the time of day, of the place in the week and in the year; zeros for steps without dates.

    -> (steps, 6) float32
    """
    if not stamps.dtype.is_temporal():
        return np.zeros((len(stamps), FEATURES), dtype=np.float32)
    seconds = stamps.cast(pl.Datetime("us")).dt.epoch("us").to_numpy().astype(np.float64) / 1e6
    year = stamps.cast(pl.Datetime("us")).dt.ordinal_day().to_numpy().astype(np.float64) - 1
    shares = [seconds / SPANS["day"], (seconds - MONDAY) / SPANS["week"], (year + seconds / SPANS["day"] % 1) / 365.25]
    circles = [function(2 * np.pi * share) for share in shares for function in (np.sin, np.cos)]
    return np.stack(circles, axis=1).astype(np.float32)
