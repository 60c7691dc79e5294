"""Columns of a table to values in them that stand for something else than they say."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from trainwell.audit.view import View
from trainwell.data.rows import counted
from trainwell.data.values import MOMENTS, as_text
from trainwell.doctor.data_check import far_apart
from trainwell.doctor.finding import Finding, Severity

NINES = (99, 999, 9999, 99999, 999999, 9999999)
STAND_INS = {-1.0, -9.0, *(float(nines) for nines in NINES), *(-float(nines) for nines in NINES)}
UNIT = re.compile(r"^[$€£¥]?\s*[+-]?(\d[\d.,]*)\s*([A-Za-z%°µ$€£¥/²³][\w%°µ$€£¥/²³ .]{0,8})$")
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\b(18|19|20)\d\d\b")
FEW = 3  # rows of a class, one for each part


def said(name: str, where: str, severity: Severity, evidence: str, cause: str, sure: float = 0.8) -> Finding:
    """A finding of the source itself."""
    return Finding(name, where, severity, evidence, cause, sure, statistic={"of the source": True})


def amounts_of(view: View) -> Iterator[tuple[str, np.ndarray, str]]:
    """Each column of numbers, its present values in the training rows, and what a fault in it is called."""
    learned = np.ones(view.rows, dtype=bool) if view.parts is None else view.parts == "train"
    for name, values in view.numbers.items():
        yield name, values[~np.isnan(values) & learned], "bad-features"
    if view.amounts is not None and view.target is not None:
        yield view.target, view.amounts[~np.isnan(view.amounts) & learned], "targets-out-of-range"


def stand_ins(view: View) -> list[Finding]:
    """A number such as -999 that comes again and again apart from all others."""
    found = []
    for name, values, fault in amounts_of(view):
        stand_in = stand_in_of(values)
        if stand_in is not None:
            value, count, low, high = stand_in
            found.append(
                said(
                    fault,
                    f"column {name!r}",
                    "critical" if fault.startswith("targets") else "warn",
                    f"{value:g} stands in {count:,} of {len(values):,} rows; all others run from {low:g} to {high:g}.",
                    "A number in place of a missing value is read as an amount: leave those cells empty.",
                )
            )
    return found


def stand_in_of(values: np.ndarray) -> tuple[float, int, float, float] | None:
    """(value, count, lowest and highest of the others) of a number that stands for a missing one.

    It is of those that are in use for that, at an end, and a half of the others' range away from them, or the only one
    below zero and farther off than numbers usually lie.
    """
    kinds, counts = np.unique(values, return_counts=True)
    if len(values) < 50 or len(kinds) < 10:
        return None
    for place in (0, len(kinds) - 1):
        value, count, rest = float(kinds[place]), int(counts[place]), np.delete(kinds, place)
        low, high = float(rest[0]), float(rest[-1])
        away = low - value if place == 0 else value - high
        alone = value < 0 <= low and away > 1.5 * float(np.median(np.diff(rest)))
        if value in STAND_INS and count >= max(3, 0.002 * len(values)) and (alone or away > (high - low) / 2):
            return value, count, low, high
    return None


def far_cells(view: View) -> list[Finding]:
    """A few cells far beyond all others, with nothing in between."""
    found = []
    for name, values, fault in amounts_of(view):
        far = far_apart(values) if len(values) >= 100 and stand_in_of(values) is None else None
        if far is not None:
            count, inside, outside, value = far
            found.append(
                said(
                    fault,
                    f"column {name!r}",
                    "warn",
                    f"{counted(count, 'cell')} of {len(values):,}, such as {value:g}, lie at least {outside:,.0f} "
                    f"robust deviations from the median, no other beyond {inside:,.1f}.",
                    "A slip of the pen, another unit, or a number that stands for a missing one.",
                )
            )
    return found


def infinite(view: View) -> list[Finding]:
    """Infinity among the numbers of a column."""
    found = []
    for column in view.inputs:
        series = view.series(column.name)
        count = int(series.is_infinite().sum() or 0) if series.dtype.is_float() else 0
        if count:
            text = f"{count:,} of {view.rows:,} cells are infinite; they count as missing."
            cause = "A division by zero, or a logarithm of it, before the table was written."
            found.append(said("bad-features", f"column {column.name!r}", "warn", text, cause, 0.95))
    return found


def hardly_filled(view: View) -> list[Finding]:
    """Columns with a value in fewer than one row in twenty."""
    names = [column.name for column in view.inputs if column.missing > 0.95 * view.whole.rows]
    if not names or not view.table:
        return []
    text = f"{', '.join(map(repr, names[:5]))}: hardly any row has a value."
    cause = "What so few rows have tells little of the others; that it is there is learned too."
    return [said("bad-features", "columns", "note", text, cause, 0.9)]


def two_units(view: View) -> list[Finding]:
    """Positive numbers in two heaps of one shape, of which one is a power of ten times as large as the other."""
    found = []
    for name, values, fault in amounts_of(view):
        logs = np.sort(np.log10(values[values > 0]))
        if len(logs) < 200 or len(logs) < 0.95 * len(values) or len(np.unique(logs)) < 50:
            continue
        heaps = _heaps(logs)
        if heaps is None:
            continue
        small, large = heaps
        apart = float(np.median(large) - np.median(small))
        widths = sorted((small.std(), large.std()))
        if round(apart) >= 2 and abs(apart - round(apart)) < 0.15 and widths[1] < 1.5 * widths[0]:
            text = (
                f"{len(small) / len(logs):.0%} of the cells lie around {10 ** np.median(small):.3g}, the others around "
                f"{10 ** np.median(large):.3g}, {10 ** round(apart):,} times as much, with the same spread."
            )
            cause = "Two units in one column, as of files that were put together."
            found.append(said(fault, f"column {name!r}", "warn", text, cause))
    return found


def _heaps(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Sorted numbers cut where the heaps on both sides are tightest, if that takes nine tenths of the spread away."""
    count = np.arange(1, len(logs))
    sums = np.cumsum(logs)
    total, mean = float(logs.var() * len(logs)), logs.mean()
    left = sums[:-1] / count
    between = count * (len(logs) - count) / len(logs) * ((sums[-1] - sums[:-1]) / (len(logs) - count) - left) ** 2
    place = int(between.argmax()) + 1
    share = place / len(logs)
    if not np.isfinite(mean) or total <= 0 or between.max() < 0.9 * total or not 0.05 < share < 0.95:
        return None
    return logs[:place], logs[place:]


def numbers_as_text(view: View) -> list[Finding]:
    """Cells that are numbers with a unit behind them, which are read as names."""
    found = []
    for column in view.schema.columns:
        cells = _cells(view, column.name) if column.role in ("input", "ignored") else None
        if cells is None:
            continue
        matched = [UNIT.match(cell.strip()) for cell in cells]
        units = Counter(each.group(2).strip() for each in matched if each)
        numbers = {each.group(1) for each in matched if each}
        most = sum(count for _, count in units.most_common(3))
        if most >= 0.8 * len(cells) and len(numbers) > 20 and len(units) <= 10:
            unit = ", ".join(repr(name) for name, _ in units.most_common(3))
            text = f"{most / len(cells):.0%} of the cells are a number with {unit} behind it, such as {cells[0]!r}."
            cause = "They are read as text, and not as amounts: keep the number alone in one unit."
            found.append(said("bad-features", f"column {column.name!r}", "warn", text, cause, 0.9))
    return found


def dates_as_text(view: View) -> list[Finding]:
    """Cells that look like dates and could not be read as such, as they are written in several manners."""
    found = []
    for column in view.schema.columns:
        cells = _cells(view, column.name) if column.role in ("input", "ignored") and column.kind != "text" else None
        if cells is None:
            continue
        dates = [cell for cell in cells if len(cell) <= 30 and DATE.search(cell)]
        if len(dates) < 0.8 * len(cells) or len(set(dates)) < 20:
            continue
        series = pl.Series(dates)
        nulls = [series.str.to_datetime(form, strict=False).null_count() for form in MOMENTS]
        read = 1 - min(nulls) / len(series)
        if 0.1 < read < 0.95:
            shown = ", ".join(repr(each) for each in list(dict.fromkeys(dates))[:3])
            text = f"{len(dates) / len(cells):.0%} of the cells look like dates in several manners, such as {shown}."
            cause = "They are read as names, and not as times: write all in one manner, as 2026-01-31."
            found.append(said("bad-features", f"column {column.name!r}", "warn", text, cause))
    return found


def _cells(view: View, name: str) -> list[str] | None:
    """The cells of a text column, at most 2,000; nothing where it is none or hardly holds any."""
    if name not in view.frame.columns or view.series(name).dtype != pl.String:
        return None
    cells = view.series(name).drop_nulls()[:2000].to_list()
    return cells if len(cells) >= 50 else None


def spellings(view: View) -> list[Finding]:
    """Levels that differ in capitals and blanks alone."""
    found = []
    for column in [*view.inputs, *view.schema.targets]:
        if column.name not in view.frame.columns or column.kind != "category":
            continue
        counts = Counter(as_text(view.series(column.name)).drop_nulls().to_list())
        if len(counts) > 1000:
            continue
        same: dict[str, list[str]] = {}
        for level in counts:
            # A sign before a number, and one behind a grade, is no blank.
            same.setdefault(re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", level).strip().casefold(), []).append(level)
        twice = [levels for levels in same.values() if len(levels) > 1]
        if twice and sum(counts[level] for levels in twice for level in levels[1:]) >= FEW:
            shown = ", ".join(f"{level!r} ({counts[level]})" for level in twice[0])
            is_target = column.role == "target"
            fault = "targets-out-of-range" if is_target else "bad-features"
            text = f"Levels differ in capitals and blanks alone: {shown}."
            cause = f"One {'class' if is_target else 'level'} counts as several: write it in one way."
            found.append(said(fault, f"column {column.name!r}", "critical" if is_target else "warn", text, cause, 0.9))
    return found


def rare_classes(view: View) -> list[Finding]:
    """Classes of a row or two, and how unlike the others are in number."""
    if view.labels is None or view.rows < 20:
        return []
    names, counts = view.classes, np.bincount(view.labels)
    few = [name for name, count in zip(names, counts, strict=True) if count < FEW]
    where = f"column {view.target!r}"
    if few and len(names) <= 20 and np.median(counts) >= 10:
        shown = ", ".join(map(repr, few[:3]))
        text = f"{counted(len(few), 'class')} of {len(names)} with fewer than {FEW} rows: {shown}."
        cause = (
            "It can be in one part of the split alone, and so be learned or judged, not both: gather more, or drop it."
        )
        return [said("class-imbalance", where, "warn", text, cause, 0.9)]
    if len(names) <= 50 and counts.max() > 10 * counts.min():
        most, least = names[int(counts.argmax())], names[int(counts.argmin())]
        text = f"{most!r} has {counts.max():,} rows, {least!r} {counts.min():,}."
        cause = "Whether the rare class is missed shows only while training."
        return [said("class-imbalance", where, "note", text, cause, 0.9)]
    return []


def answers_missing(view: View) -> list[Finding]:
    """More rows without an answer than with one."""
    if view.target is None:
        return []
    missing = view.schema[view.target].missing
    if missing <= max(view.schema.rows, 20):
        return []
    text = f"{missing:,} of {missing + view.schema.rows:,} rows have no answer and are left out."
    cause = "A column of another table that was joined badly, or answers that are still to come."
    return [said("targets-out-of-range", f"column {view.target!r}", "warn", text, cause)]


RULES = (
    stand_ins, far_cells, infinite, hardly_filled, two_units, numbers_as_text, dates_as_text, spellings, rare_classes,
    answers_missing,
)  # fmt: skip
