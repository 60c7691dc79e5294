"""A source and its schema to what rules ask of them: some thousand rows, columns as numbers, answers, parts."""

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.rows import Source
from trainwell.data.schema import Column, Schema
from trainwell.data.values import as_numbers, as_text

ROWS = 20_000  # that rules look at, spread evenly


class View:
    """What the rules see: the rows of a source, fewer where there are very many, and what its schema makes of them."""

    def __init__(self, data: Source, schema: Schema, at_random: bool = True) -> None:
        self.whole, self.schema = data, schema
        self.at_random = at_random and data.parts is None  # whether any row may be held out, whatever lies beside it
        many = data.rows > ROWS
        self.places = np.linspace(0, data.rows - 1, min(data.rows, ROWS)).round().astype(np.int64)
        self.data = data.take(self.places) if many else data
        self.frame, self.parts, self.rows = self.data.frame, self.data.parts, self.data.rows
        self.read: dict[str, Any] = {}  # by column, what rules have read of its files

    def series(self, name: str) -> pl.Series:
        return self.frame[name]

    @cached_property
    def inputs(self) -> list[Column]:
        """The columns of the frame that are learned from."""
        return [column for column in self.schema.inputs if column.name in self.frame.columns]

    @cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """Inputs that are numbers, with NaN for what is missing."""
        names = [column.name for column in self.inputs if self.frame[column.name].dtype.is_numeric()]
        return {name: self.finite(name) for name in names}

    def finite(self, name: str) -> np.ndarray:
        values = as_numbers(self.frame[name]).astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    @cached_property
    def target(self) -> str | None:
        """The one column to answer, where there is one."""
        names = [column.name for column in self.schema.targets if column.name in self.frame.columns]
        return names[0] if len(names) == 1 else None

    @cached_property
    def labels(self) -> np.ndarray | None:
        """Each row's class as a number, where classes are what is asked for."""
        if self.schema.task != "classify" or self.target is None:
            return None
        names = as_text(self.frame[self.target]).fill_null("").to_list()
        order = {name: place for place, name in enumerate(sorted(set(names)))}
        return np.array([order[name] for name in names])

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes, by the number that a label has."""
        return sorted(set(as_text(self.frame[self.target]).fill_null("").to_list())) if self.target else []

    @cached_property
    def amounts(self) -> np.ndarray | None:
        """Each row's number to answer, where one is asked for."""
        if self.labels is not None or self.target is None or not self.frame[self.target].dtype.is_numeric():
            return None
        return self.finite(self.target)

    def column(self, kind: str) -> str | None:
        """The one input of a kind of file or text, where there is no other input."""
        names = [column.name for column in self.inputs if column.kind == kind]
        return names[0] if len(names) == 1 == len(self.inputs) else None

    @cached_property
    def table(self) -> bool:
        """Whether the inputs are cells, and not files, texts or a series."""
        return (
            bool(self.inputs)
            and self.schema.task != "forecast"
            and all(column.kind in ("number", "category", "time") for column in self.inputs)
        )
