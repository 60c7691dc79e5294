"""Encoded rows of a table back to its columns: what a network draws becomes a table like the one that it learned."""

from typing import Any

import numpy as np
import polars as pl

from trainwell.data.encode_numbers import _DAY
from trainwell.data.schema import Column, Schema
from trainwell.data.transform import Transform
from trainwell.errors import InputError


def decoded(transform: Transform, schema: Schema, rows: np.ndarray) -> pl.DataFrame:
    """Rows of layout "vector" as a frame with the columns that the transform read, in the schema's order.

    rows: (rows, features). Numbers stay within what was seen, with as many decimals; a date is given by its day.
    Raises InputError for another layout.
    """
    numbers, categories = transform.numbers, transform.categories
    if transform.layout != "vector" or numbers is None or categories is None:
        raise InputError(f"layout {transform.layout!r} cannot be turned back into columns; fit with layout 'vector'")
    amounts = numbers.decode(rows[:, : numbers.width])
    levels = dict(zip(categories.columns, categories.decode(rows[:, numbers.width :]), strict=True))
    found: dict[str, pl.Series] = {}
    for column in schema.columns:
        if column.name in levels:
            found[column.name] = _as_it_was(pl.Series(column.name, levels[column.name], dtype=pl.String))
        elif column.kind == "time" and f"{column.name} days" in numbers.names:
            days = amounts[:, numbers.names.index(f"{column.name} days")]
            found[column.name] = _dates(column.name, days)
        elif column.name in numbers.names:
            found[column.name] = _numbers(column, amounts[:, numbers.names.index(column.name)])
    return pl.DataFrame(list(found.values()))


def _numbers(column: Column, values: np.ndarray) -> pl.Series:
    facts: dict[str, Any] = column.facts
    places = int(facts.get("decimals", 6))
    with np.errstate(invalid="ignore"):
        values = np.clip(values, facts.get("low", -np.inf), facts.get("high", np.inf)).round(places)
    series = pl.Series(column.name, values).fill_nan(None)
    return series.cast(pl.Int64) if places == 0 else series


def _dates(name: str, days: np.ndarray) -> pl.Series:
    gaps = np.isnan(days)
    moments = (np.where(gaps, 0.0, days) * _DAY).round().astype("int64").astype("datetime64[s]").astype("datetime64[D]")
    series = pl.Series(name, moments)
    return series.to_frame().with_columns(pl.when(pl.Series(~gaps)).then(pl.col(name)).alias(name))[name]


def _as_it_was(series: pl.Series) -> pl.Series:
    """Levels that all are whole numbers as such numbers."""
    whole = series.str.to_integer(strict=False)
    return whole if whole.null_count() == series.null_count() else series
