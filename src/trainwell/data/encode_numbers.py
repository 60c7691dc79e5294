"""Number and date columns to scaled float32, gaps filled and marked."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.schema import Column
from trainwell.data.values import as_moments, as_numbers
from trainwell.errors import InputError, suggest

SCALES = ("standard", "robust", "quantile", "none")
ANGLES = (30, 60, 120, 150)  # degrees, of the further directions that a location is seen along
_DAY = 86_400.0
_EDGE = 5.199337582290661  # the normal score of one in ten million: beyond it scores are cut
_FAR = 1e30  # what single precision holds with room to spare


@dataclass
class NumberEncoder:
    """Scaling fitted on training rows.

    encode: frame -> (rows, numbers) float32. "standard" is (x - mean) / deviation. "robust" is (x - median) / quartile
    range, then x / sqrt(1 + (x / 3)^2), as RealMLP has it (Holzmueller et al. 2024). "quantile" gives normal scores.
    """

    columns: list[str]  # columns of the frame
    kinds: list[str]  # number or time, by column
    how: str
    names: list[str]  # of the encoded numbers, without indicators
    keep: np.ndarray  # which expanded numbers vary in training
    median: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    quantiles: np.ndarray  # (points, numbers), empty unless "quantile"
    indicators: np.ndarray  # which of the kept numbers get a column "is missing"
    locations: list[list[str]]  # pairs of columns, longitude and latitude, that are also seen from other angles

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        columns: list[Column],
        how: str,
        indicator: bool,
        locations: list[list[str]] | None = None,
    ) -> "NumberEncoder":
        """Fit on a frame of training rows; raises InputError for an unknown way of scaling or location column."""
        locations = locations or []
        for name in [name for pair in locations for name in pair]:
            if name not in [column.name for column in columns]:
                known = suggest(name, [column.name for column in columns])
                raise InputError(f"locations: {name!r} is no number column; {known}")
        if how not in SCALES:
            raise InputError(f"numbers={how!r}: no such scaling; {suggest(how, SCALES)}")
        names, kinds = [column.name for column in columns], [column.kind for column in columns]
        raw, expanded = _expand(frame, names, list(kinds), locations)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # columns without a value give NaN, which drops them
            keep = np.nanmax(raw, axis=0, initial=-np.inf) > np.nanmin(raw, axis=0, initial=np.inf)
        x = raw[:, keep]
        gaps = np.isnan(x)
        median = np.nanmedian(x, axis=0) if x.shape[1] else np.zeros(0)
        x = np.where(gaps, median, x)
        center, scale, quantiles = _fitted(x, how)
        marked = np.flatnonzero(gaps.mean(axis=0) > 0.01) if indicator and len(x) else np.zeros(0, dtype=np.int64)
        kept = [name for name, chosen in zip(expanded, keep, strict=True) if chosen]
        return cls(names, list(kinds), how, kept, keep, median, center, scale, quantiles, marked, locations)

    @property
    def width(self) -> int:
        """How many numbers come out, indicators included."""
        return len(self.names) + len(self.indicators)

    def encode(self, frame: pl.DataFrame) -> np.ndarray:
        """frame -> (rows, numbers) float32; raises InputError for a missing column or one that holds no numbers."""
        x = _expand(frame, self.columns, self.kinds, self.locations)[0][:, self.keep]
        gaps = np.isnan(x)
        x = np.where(gaps, self.median, x)
        if self.how == "quantile":
            x = _scores(x, self.quantiles)
        else:
            # What lies absurdly far out at prediction is cut, so that single precision holds it.
            x = np.clip((x - self.center) * self.scale, -_FAR, _FAR)
            if self.how == "robust":
                x = x / np.sqrt(1 + (x / 3) ** 2)
        return np.concatenate([x, gaps[:, self.indicators]], axis=1).astype(np.float32)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """(rows, numbers) as `encode` gives them -> (rows, names) in the columns' own units, NaN for marked gaps."""
        x, marks = encoded[:, : len(self.names)].astype(np.float64), encoded[:, len(self.names) :]
        if self.how == "quantile":
            from scipy.special import ndtr

            shares = np.linspace(0, 1, len(self.quantiles))
            points = [np.interp(ndtr(x[:, i]), shares, self.quantiles[:, i]) for i in range(x.shape[1])]
            x = np.stack(points, axis=1) if points else x
        else:
            if self.how == "robust":  # what encode squeezed into (-3, 3) is stretched again
                x = np.clip(x, -2.999, 2.999)
                x = x / np.sqrt(1 - (x / 3) ** 2)
            x = x / np.where(self.scale == 0, 1.0, self.scale) + self.center
        x[:, self.indicators] = np.where(marks > 0.5, np.nan, x[:, self.indicators])
        return x

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Names for JSON and arrays for a tensor file."""
        state: dict[str, Any] = {"columns": self.columns, "kinds": self.kinds, "how": self.how, "names": self.names}
        state["locations"] = self.locations
        arrays = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in ("keep", "median", "center", "scale", "quantiles", "indicators")
        }
        return state, arrays

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "NumberEncoder":
        """The encoder that was saved."""
        given: dict[str, Any] = {"locations": [], **state, **arrays, "keep": arrays["keep"].astype(bool)}
        return cls(**given)


def _fitted(x: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Center, factor and quantiles of (rows, numbers)."""
    none = np.zeros((0, x.shape[1]))
    if how == "none" or not x.size:
        return np.zeros(x.shape[1]), np.ones(x.shape[1]), none
    if how == "standard":
        deviation = x.std(axis=0)
        return x.mean(axis=0), 1 / np.where(deviation > 0, deviation, 1.0), none
    if how == "robust":
        low, center, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
        half = (x.max(axis=0) - x.min(axis=0)) / 2  # where the quartiles coincide
        spread = np.where(high > low, high - low, half)
        return center, np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0), none
    points = int(np.clip(len(x) // 30, 10, 1000))
    noise = np.random.default_rng(0).normal(0.0, 1e-5, x.shape) * x.std(axis=0)
    # The noise gives equal values distinct ranks, so that a heap of them lands in the middle of its ranks.
    quantiles = np.quantile(x + noise, np.linspace(0, 1, points), axis=0)
    return np.zeros(x.shape[1]), np.ones(x.shape[1]), np.maximum.accumulate(quantiles, axis=0)


def _scores(x: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Values to normal scores by their rank among the fitted quantiles, ties in the middle of their ranks."""
    from scipy.special import ndtri

    shares = np.linspace(0, 1, len(quantiles))
    result = np.empty_like(x)
    for place in range(x.shape[1]):
        points = quantiles[:, place]
        up = np.interp(x[:, place], points, shares)
        down = -np.interp(-x[:, place], -points[::-1], -shares[::-1])
        result[:, place] = np.clip(ndtri((up + down) / 2), -_EDGE, _EDGE)
    return result


def _expand(
    frame: pl.DataFrame, columns: list[str], kinds: list[str], locations: list[list[str]]
) -> tuple[np.ndarray, list[str]]:
    """Columns to (rows, numbers) float64 with NaN for gaps, and the name of each number; a date gives several.

    A location gives its distances along four more directions, as borders seldom run along meridians.
    """
    parts, names = [], []
    for name, kind in zip(columns, kinds, strict=True):
        if kind == "time":
            moments = as_moments(frame[name])
            found = _moment_numbers(moments)
            parts += list(found.values())
            names += [f"{name} {part}" for part in found]
        else:
            parts.append(as_numbers(frame[name]))
            names.append(name)
        if np.isnan(parts[-1]).all() and frame[name].null_count() < frame.height and frame[name].dtype == pl.String:
            what = "dates" if kind == "time" else "numbers"
            raise InputError(f"column {name!r}: expected {what} as in training, found {frame[name].drop_nulls()[0]!r}")
    for across, up in locations:
        for degrees in ANGLES:
            turn = np.deg2rad(degrees)
            parts.append(np.cos(turn) * as_numbers(frame[across]) + np.sin(turn) * as_numbers(frame[up]))
            names.append(f"{across} and {up} at {degrees} degrees")
    return (np.stack(parts, axis=1) if parts else np.zeros((frame.height, 0))), names


def _moment_numbers(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Seconds since 1970 to day count, year, and the place in the year, week and day as sine and cosine."""
    known = np.where(np.isnan(seconds), 0.0, seconds)
    stamps = (known * 1e6).astype("int64").astype("datetime64[us]")
    year = stamps.astype("datetime64[Y]")
    start = year.astype("datetime64[us]").astype("int64") / 1e6
    turns = {
        "month": (known - start) / (365.2425 * _DAY),
        "weekday": (np.floor(known / _DAY) + 4) % 7 / 7,  # 1970 began on a Thursday
        "hour": known % _DAY / _DAY,
    }
    numbers = {"days": known / _DAY, "year": year.astype("int64") + 1970.0}
    for name, turn in turns.items():
        numbers[f"{name} sine"], numbers[f"{name} cosine"] = np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)
    return {name: np.where(np.isnan(seconds), np.nan, value) for name, value in numbers.items()}
