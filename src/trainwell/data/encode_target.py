"""Target columns to class codes or scaled numbers, and what undoes the scaling."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.values import as_numbers, as_text
from trainwell.errors import InputError, suggest

WAYS = ("auto", "standard", "log", "none")


@dataclass
class TargetEncoder:
    """The answer's coding fitted on training rows.

    encode gives (rows,) int64 class codes, (rows, labels) float32 of 0 and 1 for several labels, or (rows, targets)
    float32: (number - center) / scale, where a logarithmic target is first log(1 + number).
    """

    columns: list[str]
    task: str
    classes: list[str] = field(default_factory=list)
    levels: list[list[str]] = field(default_factory=list)  # of several labels: no, yes
    center: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    log: list[bool] = field(default_factory=list)
    low: list[float] = field(default_factory=list)  # of training rows, scaled
    high: list[float] = field(default_factory=list)
    temperature: float = 1.0  # of a classification's answers, chosen once it has learned
    ranks: list[float] = field(default_factory=list)  # of distributions: where held-out truths fell, found likewise

    @classmethod
    def fit(cls, frame: pl.DataFrame, schema: Schema, how: str) -> "TargetEncoder":
        """Fit on a frame of training rows; raises InputError for a logarithm of numbers at or below -1."""
        if how not in WAYS:
            raise InputError(f"target={how!r}: no such scaling of the target; {suggest(how, WAYS)}")
        task = "classify" if schema.classes else schema.task  # what a class is drawn or told for, it is coded alike
        encoder = cls([column.name for column in schema.targets], task, list(schema.classes))
        if task == "classify":
            if len(encoder.columns) > 1:
                encoder.levels = [list(column.categories) for column in schema.targets]
            return encoder
        for name in encoder.columns:
            values = as_numbers(frame[name])
            values = values[~np.isnan(values)]
            log = how == "log" or (how == "auto" and bool((values > 0).all()) and _skew(values) > 2)
            if log and (values <= -1).any():
                raise InputError(f"target {name!r}: a logarithm needs numbers above -1, found {values.min():g}")
            values = np.log1p(values) if log else values
            center = 0.0 if how == "none" else float(values.mean())
            deviation = 1.0 if how == "none" else float(values.std())
            scale = deviation if deviation > 0 else 1.0
            encoder.log.append(log)
            encoder.center.append(center)
            encoder.scale.append(scale)
            encoder.low.append(float((values.min() - center) / scale))
            encoder.high.append(float((values.max() - center) / scale))
        return encoder

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for a row."""
        return len(self.classes) if self.task == "classify" else len(self.columns)

    def encode(self, source: Source) -> np.ndarray:
        """source -> codes or scaled numbers, as above; raises InputError for a class that is not known, or a gap."""
        for name in self.columns:
            if name not in source.frame.columns:
                raise InputError(
                    f"{source.origin}: the target column {name!r} is missing; {suggest(name, source.frame.columns)}"
                )
        if self.task != "classify":
            return np.stack([self._scaled(source, place) for place in range(len(self.columns))], axis=1)
        if self.levels:
            codes = [_codes(source, name, levels) for name, levels in zip(self.columns, self.levels, strict=True)]
            return np.stack(codes, axis=1).astype(np.float32)
        return _codes(source, self.columns[0], self.classes)

    def _scaled(self, source: Source, place: int) -> np.ndarray:
        values = as_numbers(source.frame[self.columns[place]])
        if np.isnan(values).any():
            row = int(np.argmax(np.isnan(values)))
            raise InputError(
                f"{source.origin}: the target {self.columns[place]!r} has no number in {int(np.isnan(values).sum())} "
                f"rows (first in row {row + 1}): leave them out"
            )
        if self.log[place]:
            values = np.log1p(np.maximum(values, -1 + 1e-12))
        return np.clip((values - self.center[place]) / self.scale[place], -1e30, 1e30).astype(np.float32)

    def undo(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled answers in their own unit: (rows, targets) -> (rows, targets)."""
        numbers = np.asarray(scaled, dtype=np.float64) * np.array(self.scale) + np.array(self.center)
        return np.where(np.array(self.log), np.expm1(numbers), numbers)

    def save(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return dict(vars(self))


def _skew(values: np.ndarray) -> float:
    deviation = values.std()
    return float((((values - values.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0


def _codes(source: Source, name: str, classes: list[str]) -> np.ndarray:
    """The place of each label among the classes."""
    text = as_text(source.frame[name])
    codes = text.cast(pl.Enum(classes), strict=False).to_physical().cast(pl.Int64)
    if codes.null_count():
        row = int(codes.is_null().arg_true()[0])
        found = text[row]
        if found is None:
            raise InputError(f"{source.origin}: the target {name!r} is missing in row {row + 1}: leave such rows out")
        raise InputError(
            f"{source.origin}: the target {name!r} is {found!r} in row {row + 1}, a class that was not there in "
            f"training; {suggest(found, classes)}"
        )
    return codes.to_numpy().astype(np.int64)
