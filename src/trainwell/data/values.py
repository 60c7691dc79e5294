"""Cells as text to what they are: numbers, moments, truth values, or missing."""

import re
from typing import Any

import numpy as np
import polars as pl

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "Null", "#N/A", "<NA>")
# Words that are a gap only where the other cells are numbers; elsewhere they may be a category.
MISSING_IN_NUMBERS = ("-", "--", ".", "None", "none", "na", "Na", "missing", "unknown", "nil", "n.a.")
TRUTH = {"true": True, "false": False}
MOMENTS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
)
OFFSET = r"(?:Z|([+-])(\d\d):?(\d\d))$"  # from UTC, as ISO 8601 has it
_DATE_LIKE = r"\d{1,4}[-/.]\d{1,2}|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{4}|[A-Za-z]{3,9} \d{1,2}, \d{4}"
_CODE = r"^0\d+$"  # digits behind a leading zero: a code such as a postal one, not an amount
_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$"
_UNIT = r"^[$€£¥]\s*|\s*[%€]$"


def blank(series: pl.Series) -> pl.Series:
    """Text without outer spaces, with every way of writing a missing value made null."""
    series = series.str.strip_chars()
    return series.set(series.is_in(list(MISSING)), None)


def unquote(series: pl.Series) -> pl.Series:
    """Text without the single quotes around it, where every cell wears them: '-1' becomes -1."""
    cells = series.drop_nulls()
    if len(cells) and bool((cells.str.contains(r"^'.*'$") & (cells.str.len_chars() > 1)).all()):
        return blank(series.str.strip_prefix("'").str.strip_suffix("'"))
    return series


def _parse_numbers(cells: pl.Series) -> pl.Series:
    """Text to float64; what is no number becomes null. Grouped thousands and a currency or per-cent sign may stand."""
    numbers = cells.cast(pl.Float64, strict=False)
    if numbers.null_count() == cells.null_count():
        return numbers
    cleaned = cells.str.replace_all(_UNIT, "")
    grouped = cleaned.str.contains(_GROUPED)
    cleaned = pl.select(pl.when(grouped).then(cleaned.str.replace_all(",", "")).otherwise(cleaned)).to_series()
    return numbers.fill_null(cleaned.cast(pl.Float64, strict=False))


def _decimal_comma(cells: pl.Series) -> pl.Series:
    """Text with a comma for the decimal point, rewritten, where every broken number is written so."""
    present = cells.drop_nulls()
    comma = present.str.contains(_DECIMAL_COMMA)
    plain = present.str.contains(r"^[+-]?\d+$")
    if bool(comma.any()) and bool((comma | plain).all()) and not bool(present.str.contains(_GROUPED).all()):
        return cells.str.replace_all(r"\.", "").str.replace(",", ".")
    return cells


def _examples(name: str, series: pl.Series, wrong: pl.Series, what: str) -> str:
    places = wrong.arg_true()
    shown = ", ".join(f"{series[int(row)]!r} in row {int(row) + 1}" for row in places[:3])
    more = " ..." if len(places) > 3 else ""
    return f"column {name!r}: {len(places)} cells are no {what} ({shown}{more}): treated as missing"


def _numbers(name: str, series: pl.Series, notes: list[str]) -> pl.Series | None:
    """The column as integers or floats if at least 95 % of its cells are numbers, else nothing."""
    cells = _decimal_comma(series)
    cells = cells.set(cells.is_in(list(MISSING_IN_NUMBERS)), None)
    present = cells.len() - cells.null_count()
    if not present:
        return None
    numbers = _parse_numbers(cells)
    wrong = numbers.is_null() & cells.is_not_null()
    if wrong.sum() > 0.05 * present or bool(cells.str.contains(_CODE).any()):
        return None
    if wrong.any():
        # A few cells that recur ("4+") are levels of a category; a few odd ones are slips.
        if series.drop_nulls().n_unique() <= 20 and cells.filter(wrong).n_unique() < wrong.sum():
            return None
        notes.append(_examples(name, series, wrong, "number"))
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() == numbers.null_count():
        return whole
    if bool(cells.str.contains(r"^\d{19,}$").any()):  # too long for exact numbers: an identifier
        return None
    return numbers


def _moments(name: str, series: pl.Series, notes: list[str]) -> pl.Series | None:
    """The column as moments if at least 98 % of its cells are dates in one way of writing, else nothing."""
    present = series.len() - series.null_count()
    sample = series.drop_nulls().head(50)
    if not present or not _most(sample, _DATE_LIKE):
        return None
    cells, ahead = series, None
    if _most(sample, "[T ]"):
        cells, ahead = series.str.replace(OFFSET, ""), _offsets(series)
    if _most(sample, r"^\d{4}-\d{2}$"):  # a month: its first day
        cells = cells + "-01"
    for form in MOMENTS:
        moments = cells.str.to_datetime(form, strict=False)
        wrong = moments.is_null() & series.is_not_null()
        if wrong.sum() > 0.02 * present:
            continue
        if form.startswith("%d/%m"):
            other = cells.str.to_datetime("%m/%d" + form[5:], strict=False)
            if other.null_count() == moments.null_count():
                notes.append(f"column {name!r}: read as day/month/year; month/day/year fits it as well")
        if wrong.any():
            notes.append(_examples(name, series, wrong, "date"))
        if ahead is not None:
            notes.append(f"column {name!r}: moments with several offsets from UTC, as clocks are changed: read as UTC")
            moments = moments - ahead
        return moments
    return None


def _most(sample: pl.Series, pattern: str) -> bool:
    """Whether all but slips, one in fifty, have a form."""
    return float(sample.str.contains(pattern).mean() or 0) >= 0.98  # type: ignore[arg-type]


def _offsets(series: pl.Series) -> pl.Series | None:
    """How far ahead of UTC each moment says to be, where they differ; else nothing, and moments are of one place."""
    parts = [series.str.extract(OFFSET, group) for group in (1, 2, 3)]
    if not parts[0].is_not_null().any():
        return None
    sign = pl.when(parts[0] == "-").then(-1).otherwise(1)
    minutes = sign * (parts[1].cast(pl.Int64).fill_null(0) * 60 + parts[2].cast(pl.Int64).fill_null(0))
    found = pl.select(pl.duration(minutes=minutes)).to_series()
    return found if found.n_unique() > 1 else None


def typed(frame: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """A frame of text to a frame of numbers, truth values, moments and text, each column by its cells."""
    columns = []
    for series in frame.iter_columns():
        if series.dtype != pl.String:
            if series.dtype == pl.Duration or series.dtype == pl.Time:
                series = series.cast(pl.Duration("us")).dt.total_microseconds() / 1e6  # seconds
            columns.append(series.fill_nan(None) if series.dtype.is_float() else series)
            continue
        cells = unquote(blank(series))
        if cells.null_count() == len(cells):
            columns.append(cells)
            continue
        found = _numbers(series.name, cells, notes)
        if found is None and bool(cells.drop_nulls().str.to_lowercase().is_in(list(TRUTH)).all()):
            found = cells.str.to_lowercase().replace_strict(TRUTH, return_dtype=pl.Boolean)
        if found is None:
            found = _moments(series.name, cells, notes)
        columns.append((cells if found is None else found).alias(series.name))
    return pl.DataFrame(columns)


def as_numbers(series: pl.Series) -> np.ndarray:
    """A column of any kind as float64, missing, infinite and unreadable cells as NaN."""
    if series.dtype == pl.String:
        cells = _decimal_comma(unquote(blank(series)))
        numbers = _parse_numbers(cells)
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        numbers = series.cast(pl.Float64)
    else:
        numbers = series.cast(pl.String).cast(pl.Float64, strict=False)
    values = numbers.to_numpy().astype(np.float64, copy=True)
    values[~(np.abs(values) < 1e150)] = np.nan  # nor may a square be infinite
    return values


def as_text(series: pl.Series) -> pl.Series:
    """A column of any kind as labels: 1, 1.0 and "1" are one label, truth values are True and False."""
    if series.dtype == pl.Boolean:
        text = series.cast(pl.String).replace({"true": "True", "false": "False"})
    elif series.dtype.is_float():
        series = series.set(~series.is_finite().fill_null(False), None)
        whole = series.drop_nulls()
        exact = bool((whole == whole.floor()).all()) and bool((whole.abs() < 2**53).all())
        text = (series.cast(pl.Int64) if exact else series).cast(pl.String)
    elif series.dtype == pl.String:
        text = blank(series)
    else:
        text = series.cast(pl.String)
    return text.alias(series.name)


def as_moments(series: pl.Series) -> np.ndarray:
    """A column of dates as seconds since 1970 in float64, missing cells as NaN."""
    if series.dtype == pl.String:
        found = _moments(series.name, blank(series), [])
        series = pl.Series(series.name, [None] * len(series), dtype=pl.Datetime) if found is None else found
    if series.dtype == pl.Date or series.dtype == pl.Datetime:
        micro = series.cast(pl.Datetime("us")).dt.timestamp("us")
        return micro.cast(pl.Float64).to_numpy() / 1e6
    if series.dtype.is_numeric():
        return _seconds(as_numbers(series))
    return np.full(len(series), np.nan)


def _seconds(numbers: np.ndarray) -> np.ndarray:
    """Numbers that are moments as seconds since 1970: years, else seconds or milliseconds by their size."""
    known = numbers[~np.isnan(numbers)]
    if len(known) and known.min() >= 1000 and known.max() <= 2500:
        return (numbers - 1970) * 365.2425 * 86_400
    return numbers / 1000 if len(known) and known.max() > 1e11 else numbers


def as_column(name: str, values: Any, notes: list[str]) -> pl.Series:
    """A sequence or an array of mixed Python values as a column; mixed kinds become text."""
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return pl.Series(name, np.ascontiguousarray(array))
    if array.dtype.kind == "M":
        return pl.Series(name, array.astype("datetime64[us]"))
    cells = [None if cell is None or cell != cell else cell for cell in array.tolist()]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and kinds:
        return pl.Series(name, cells, dtype=pl.Float64 if float in kinds else pl.Int64, strict=False)
    if len(kinds) <= 1 and kinds <= {bool, bytes}:
        return pl.Series(name, cells)
    if kinds and all(kind.__name__ in ("date", "datetime", "Timestamp") for kind in kinds):
        return pl.Series(name, cells)
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        notes.append(f"column {name!r} mixes {names}: read as text")
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)


def name_columns(names: list[str], notes: list[str]) -> list[str]:
    """Column names made whole: empty ones are numbered, equal ones told apart by a suffix."""
    taken: set[str] = set()
    result = []
    for place, raw in enumerate(names, start=1):
        name = re.sub(r"\s+", " ", raw or "").strip() or f"column_{place}"
        new, count = name, 1
        while new in taken or (new != name and new in names):
            count += 1
            new = f"{name}_{count}"
        if new != name:
            notes.append(f"two columns are called {name!r}: the later one is now {new!r}")
        taken.add(new)
        result.append(new)
    return result


def flat(frame: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """A frame without nested columns: pictures by their bytes, other structs by field, lists as text."""
    columns: list[pl.Series] = []
    for series in frame.iter_columns():
        if isinstance(series.dtype, pl.Struct):
            fields = [part.name for part in series.dtype.fields]
            if "bytes" in fields:
                columns.append(series.struct.field("bytes").alias(series.name))
                continue
            columns += [series.struct.field(part).alias(f"{series.name}.{part}") for part in fields]
        elif series.dtype.is_nested():
            notes.append(f"column {series.name!r} holds lists: read as text")
            columns.append(pl.Series(series.name, [None if cell is None else str(list(cell)) for cell in series]))
        elif isinstance(series.dtype, (pl.Categorical, pl.Enum)):
            columns.append(series.cast(pl.String))
        elif series.dtype.is_decimal():
            columns.append(series.cast(pl.Float64))
        else:
            columns.append(series)
    names = name_columns([series.name for series in columns], notes)
    return pl.DataFrame([series.alias(name) for series, name in zip(columns, names, strict=True)])
