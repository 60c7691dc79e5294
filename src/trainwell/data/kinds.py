"""One column to what it is: number, category, text, moment, picture, or nothing to learn from, and why."""

import re

import numpy as np
import polars as pl

from trainwell.data.schema import Column, Kind
from trainwell.data.values import as_numbers, as_text

_ID_NAME = re.compile(r"(^|[_\W])(id|ids|uuid|guid|index|idx|rownum|row|key|nr|no|unnamed: 0)$", re.IGNORECASE)
_CODE_NAME = re.compile(r"(^|[_\W])(code|type|class|zone|zip|postcode|category|cat|region|group)s?$", re.IGNORECASE)
_YEAR_NAME = re.compile(r"year|month|day|hour|week|age|time|date", re.IGNORECASE)


def describe(name: str, series: pl.Series, kind: Kind | None = None) -> Column:
    """The column as it was found: its kind and role, the sentence that says why, and its figures.

    `kind` overrules what the cells suggest.
    """
    missing = series.null_count()
    if series.dtype.is_float():
        missing += int(series.is_nan().sum() or 0) + int(series.is_infinite().sum() or 0)
    unique = series.drop_nulls().n_unique()
    column = Column(name, "number", missing=int(missing), unique=int(unique))
    if kind is not None:
        column.kind, column.reason = kind, "told by the user"
    else:
        _decide(column, series)
    if column.kind == "number":
        if series.dtype == pl.String:
            column.missing = int(np.isnan(as_numbers(series)).sum())
        _figures(column, series)
    elif column.kind == "category":
        _levels(column, series)
    elif column.kind == "time" and column.role == "input":
        column.facts.update(low=str(series.min()), high=str(series.max()))
    return column


def _ignore(column: Column, reason: str) -> None:
    column.role, column.reason = "ignored", reason


def _decide(column: Column, series: pl.Series) -> None:
    """Kind, role and reason by the type and the values."""
    rows, present = len(series), len(series) - column.missing
    dtype = series.dtype
    if dtype.is_temporal():
        column.kind, column.reason = "time", "dates"
    elif dtype == pl.Binary:
        column.kind, column.reason = "image", "encoded pictures"
    elif dtype == pl.Boolean:
        column.kind, column.reason = "category", "true or false"
    elif dtype == pl.String:
        _decide_text(column, series)
    elif dtype.is_numeric():
        _decide_number(column, series)
    if present == 0:
        column.kind = "category" if dtype in (pl.String, pl.Null) else column.kind
        _ignore(column, "every cell is missing")
    elif column.unique == 1 and column.missing == 0:
        _ignore(column, f"constant: always {str(series.drop_nulls()[0])[:40]!r}")
    elif column.unique == 1 and dtype.is_numeric():
        column.kind = "category"
        column.reason = f"one value or missing ({column.missing} of {rows} rows)"


def _decide_number(column: Column, series: pl.Series) -> None:
    rows = len(series)
    values = series.drop_nulls()
    if series.dtype.is_float():
        if not bool(values.is_finite().all()):
            values = values.filter(values.is_finite())
            column.unique = values.n_unique()
        whole = bool((values == values.floor()).all())
    else:
        whole = True
    if column.unique == 2:
        column.kind, column.reason = "category", f"two values, {values.min()!r} and {values.max()!r}"
    elif not whole:
        column.reason = "numbers with fractions"
    elif series.dtype.is_integer() and _is_id(column, values, rows):
        return
    elif column.unique <= max(50, rows // 20) and _CODE_NAME.search(column.name) and rows >= 5 * column.unique:
        column.kind, column.reason = "category", f"{column.unique} whole numbers that the name calls a code"
    elif column.unique <= 30 and rows >= 20 * column.unique and _spaced_oddly(values):
        column.kind, column.reason = "category", f"{column.unique} whole numbers with uneven gaps: codes, not amounts"
    else:
        column.reason = f"whole numbers, {column.unique:,} different"


def _spaced_oddly(values: pl.Series) -> bool:
    """Whether few large levels lie apart unevenly, as codes do (20, 30, 45, 190) and counts do not."""
    levels = np.sort(values.unique().to_numpy())
    gaps = np.diff(levels)
    shares = values.alias("level").value_counts()["count"].to_numpy() / len(values)
    return bool(len(levels) >= 3 and gaps.min() >= 5 and len(set(gaps.tolist())) > 1 and shares.min() > 0.002)


def _is_id(column: Column, values: pl.Series, rows: int) -> bool:
    """Whether integers number the rows or name cases; if so the column is marked as ignored."""
    every = column.unique == rows and rows >= 10
    if every and not _YEAR_NAME.search(column.name):
        steps = values.diff().drop_nulls()
        if bool((steps == 1).all()) or bool((steps == -1).all()):
            _ignore(column, "numbers the rows in order")
        elif _ID_NAME.search(column.name):
            _ignore(column, "a different number in each row, and the name says identifier")
        elif bool((steps > 0).all()) and rows >= 50:
            _ignore(column, "a different number in each row, rising from row to row: an identifier")
    elif _ID_NAME.search(column.name) and column.unique > 0.9 * rows and rows >= 20:
        _ignore(column, "nearly every row has its own number, and the name says identifier")
    if column.role == "ignored":
        return True
    if rows >= 50 and column.unique >= 0.8 * rows and values.min() >= 10_000:  # type: ignore[operator]
        digits = values.cast(pl.String)
        lengths = digits.str.len_chars()
        if digits.str.slice(0, 1).n_unique() == 1 and lengths.min() < lengths.max():  # type: ignore[operator]
            low, high, first = int(lengths.min()), int(lengths.max()), digits[0][0]  # type: ignore[arg-type]
            _ignore(column, f"all begin with {first} though they have {low} to {high} digits: case numbers")
    return column.role == "ignored"


def _decide_text(column: Column, series: pl.Series) -> None:
    rows, cells = len(series), series.drop_nulls()
    column.kind = "category"
    if not len(cells):
        return
    sample = cells.sample(min(1000, len(cells)), seed=0)
    words = float(sample.str.count_matches(r"\S+").mean() or 0)  # type: ignore[arg-type]
    length = float(sample.str.len_chars().mean() or 0)  # type: ignore[arg-type]
    repeats_little = column.unique > 20 and (column.unique > 0.3 * len(cells) or length > 100)
    if words >= 4 and (repeats_little or column.unique > 0.8 * len(cells)):
        column.kind, column.reason = "text", f"text of {words:.0f} words on average"
    elif column.unique == rows and rows >= 10:
        _ignore(column, "a different text in each row: an identifier or a name")
    elif column.unique > 0.5 * len(cells) and column.unique > 50 and words >= 2.5:
        column.kind, column.reason = "text", f"{column.unique:,} different texts of {words:.1f} words on average"
    elif column.unique > 0.9 * len(cells) and rows >= 50:
        _ignore(column, f"{column.unique:,} different texts in {rows:,} rows: too few of each to learn from")
    else:
        column.reason = f"text with {column.unique:,} different values"


def _figures(column: Column, series: pl.Series) -> None:
    """Low, high, mean, deviation, skew and tail weight of a number column."""
    values = as_numbers(series)
    values = values[~np.isnan(values)]
    infinite = int(series.is_infinite().sum() or 0) if series.dtype.is_float() else 0
    if infinite:
        column.facts["infinite"] = infinite
        column.reason += f"; {infinite} infinite values are treated as missing"
    if not len(values):
        return
    mean, deviation = float(values.mean()), float(values.std())
    centered = (values - mean) / deviation if deviation > 0 else values * 0
    square = centered * centered
    column.facts.update(
        low=float(values.min()),
        high=float(values.max()),
        mean=mean,
        median=float(np.median(values)),
        deviation=deviation,
        skew=float((square * centered).mean()),
        kurtosis=float((square * square).mean()),
        zeros=float((values == 0).mean()),
        whole=bool((values == np.floor(values)).all()),
    )


def _levels(column: Column, series: pl.Series) -> None:
    """The levels of a category, the commonest first; equally common ones by name."""
    cells = as_text(series).drop_nulls()
    counts = cells.alias("cell").value_counts().sort(["count", "cell"], descending=[True, False])
    column.categories = counts["cell"].to_list()
    column.unique = len(column.categories)
    column.missing = len(series) - len(cells)
    if counts.height:
        column.facts.update(largest=int(counts["count"][0]), smallest=int(counts["count"][-1]))
