"""A series as evenly spaced steps to windows of its past and its future, gathered when a batch asks for them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.data.calendar import FEATURES, calendar
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.series import as_series, filled, stamps_after
from trainwell.errors import InputError

LAYOUTS = ("series", "series with phase", "series with covariates")


LATER = ("covariates", "beside", "margins")  # of a saved transform, set after its making


class Windows:
    """Stretches of one length of a tensor, by where they start: as a tensor of (windows, length, ...) without its size.

    It has what a loader asks of a tensor: `to`, `len`, slices, `index_select` and `numpy`.
    """

    def __init__(self, values: Tensor, starts: Tensor, length: int) -> None:
        self.values, self.starts, self.length = values, starts, length
        self.steps = torch.arange(length, device=values.device)

    def to(self, device: torch.device | str) -> "Windows":
        """The same on a device."""
        return Windows(self.values.to(device), self.starts.to(device), self.length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: Any) -> Tensor:
        return self.values[self.starts[part].unsqueeze(-1) + self.steps]

    def index_select(self, dim: int, places: Tensor) -> Tensor:
        """The windows at these places: (places, length, ...)."""
        return self[places]

    def numpy(self) -> np.ndarray:
        """All windows, in memory."""
        return self[:].numpy()


class SeriesTransform:
    """What turns steps of a series into windows of past and future, fitted once and kept with the run.

    Layout "series" gives x: (windows, lookback, channels) float32, standardized; "series with phase" adds at which
    step each window starts, counted from the first step of training; "series with covariates" adds their past,
    (windows, lookback, covariates), and the calendar, (windows, lookback + horizon, 6). Targets are
    (windows, horizon, channels), missing values NaN.
    """

    by_row = False  # answers are a forecast, not one for each row of a source

    def __init__(
        self,
        layout: str,
        time: str,
        channels: list[str],
        center: list[float],
        scale: list[float],
        lookback: int,
        horizon: int,
        *,
        first: float,
        step: str,
        period: int,
    ) -> None:
        self.layout, self.time, self.channels = layout, time, channels
        self.center, self.scale, self.lookback, self.horizon = center, scale, lookback, horizon
        self.first, self.step, self.period = first, step, period
        self.covariates: list[str] = []
        self.beside: list[list[float]] = []  # center and scale of each covariate
        self.margins: list[list[float]] = []  # of quantiles, as the task found them on held-out steps
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls, source: Source, schema: Schema, rows: np.ndarray, lookback: int, horizon: int, *, layout: str = "series"
    ) -> "SeriesTransform":
        """Standardize by these rows; raises InputError for a horizon or lookback that the data is too short for."""
        facts, channels = source.hints["series"], [column.name for column in schema.targets]
        for name, value in (("task.horizon", horizon), ("model.lookback", lookback)):
            if value < 1:
                raise InputError(f"{name}={value}: expected 1 step or more")
        if horizon >= source.rows:
            raise InputError(
                f"task.horizon={horizon}: longer than the data, which has {source.rows:,} steps of one {facts['step']}"
            )
        if lookback + horizon > len(rows):
            raise InputError(
                f"{source.origin}: {len(rows):,} steps to learn from hold no window of {lookback} steps back and "
                f"{horizon} ahead; take a shorter task.horizon or model.lookback"
            )
        values = source.frame.select(channels).to_numpy().astype(np.float64)[rows]
        center, scale = np.nanmean(values, 0), np.nanstd(values, 0)
        made = cls(
            layout,
            facts["time"],
            channels,
            np.nan_to_num(center).tolist(),
            np.where(np.nan_to_num(scale) > 0, scale, 1.0).tolist(),
            lookback,
            horizon,
            first=facts["first"],
            step=facts["step"],
            period=facts["period"],
        )
        if layout == "series with covariates":
            made._fit_covariates(source, facts.get("covariates", []), rows)
        flat = [name for name, each in zip(channels, scale, strict=True) if not each > 0]
        if flat:
            made.notes.append(f"constant in the training part: {', '.join(flat[:5])}")
        missing = int(np.isnan(values).sum())
        if missing:
            made.notes.append(
                f"{counted(missing, 'missing value')} of the training part: bridged by straight lines in what is read, "
                "left out of what is learned to forecast"
            )
        return made

    def _fit_covariates(self, source: Source, names: list[str], rows: np.ndarray) -> None:
        """Center and scale of the covariates that vary in these rows."""
        for name in names:
            values = source.frame[name].to_numpy().astype(np.float64)[rows]
            if np.isfinite(values).any() and np.nanstd(values) > 0:
                self.covariates.append(name)
                self.beside.append([float(np.nanmean(values)), float(np.nanstd(values))])

    def grid(self, source: Source) -> Source:
        """The source as even steps of this transform's channels; raises InputError where a channel is missing."""
        facts = source.hints.get("series", {})
        if facts.get("channels") == self.channels and set(self.covariates) <= set(facts.get("covariates", [])):
            return source
        lost = [name for name in self.channels + self.covariates if name not in source.frame.columns]
        if lost:
            raise InputError(f"{source.origin}: the series {lost[0]!r} is missing, which the model was trained with")
        time = self.time if self.time in source.frame.columns else None
        return as_series(source, self.channels, time)[0]

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """{"inputs": (windows,), "target": windows, "row": the first step that each forecasts}.

        With targets, every window whose future lies within these rows; their past may reach before them. Without, the
        one window at the end. Raises InputError where there is none.
        """
        source = self.grid(source)
        gaps = source.frame.select(self.channels).to_numpy().astype(np.float64)
        scaled = torch.from_numpy(((filled(gaps) - self.center) / self.scale).astype(np.float32))
        starts = self._starts(source, rows) if with_target else np.array([len(gaps) - self.lookback])
        if not len(starts) or starts[0] < 0:
            have = len(gaps) if rows is None else len(rows)
            wanted = f"{self.lookback} steps back" + (f" and {self.horizon} ahead" if with_target else "")
            raise InputError(
                f"{source.origin}: {have:,} steps hold no window of {wanted}; give a longer series, or fit with a "
                "shorter model.lookback or task.horizon"
            )
        places = torch.from_numpy(starts)
        inputs: tuple[Any, ...] = (Windows(scaled, places, self.lookback),)
        if self.layout == "series with phase":
            inputs += (places + round(source.hints["series"]["first"] - self.first),)
        elif self.layout == "series with covariates":
            inputs += self._beside(source, places)
        result: dict[str, Any] = {"inputs": inputs, "row": places + self.lookback}
        if with_target:
            truth = scaled.masked_fill(torch.from_numpy(~np.isfinite(gaps)), float("nan"))
            result["target"] = Windows(truth, places + self.lookback, self.horizon)
        return result

    def _beside(self, source: Source, places: Tensor) -> tuple[Any, ...]:
        """Windows of the covariates' past, and of the calendar of past and future."""
        stamps = source.frame[self.time]
        columns = [filled(source.frame.select(name).to_numpy()) for name in self.covariates]
        values = np.concatenate(columns, 1) if columns else np.zeros((source.rows, 0))
        center, scale = np.array(self.beside).reshape(-1, 2).T
        scaled = torch.from_numpy(((values - center) / scale).astype(np.float32))
        dates = np.concatenate([calendar(stamps), calendar(stamps_after(stamps, self.horizon))])
        return (
            Windows(scaled, places, self.lookback),
            Windows(torch.from_numpy(dates), places, self.lookback + self.horizon),
        )

    def _starts(self, source: Source, rows: np.ndarray | None) -> np.ndarray:
        """Where the windows start whose future lies within the rows."""
        inside = np.zeros(source.rows + 1, dtype=np.int64)
        inside[1:][np.arange(source.rows) if rows is None else rows] = 1
        before = np.cumsum(inside)
        first = np.arange(self.lookback, source.rows - self.horizon + 1)
        whole = before[first + self.horizon] - before[first] == self.horizon
        return (first[whole] - self.lookback).astype(np.int64)

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        return {
            "channels": len(self.channels),
            "horizon": self.horizon,
            "center": self.center,
            "scale": self.scale,
            "margins": self.margins or None,
            "covariates": len(self.covariates),
            "calendar": FEATURES,
        }

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        return {"version": 1, **vars(self)}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "SeriesTransform":
        """The transform that was saved."""
        kept = {key: value for key, value in state.items() if key not in ("version", "notes", *LATER)}
        made = cls(**kept)
        made.covariates, made.beside = state.get("covariates", []), state.get("beside", [])
        made.margins = state.get("margins", [])
        return made
