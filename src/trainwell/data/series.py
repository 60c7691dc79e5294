"""A table with a time column to evenly spaced steps: sorted, gaps kept as missing values, its period found."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.kinds import describe
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.data.split import as_moments_or_numbers
from trainwell.data.values import as_numbers
from trainwell.errors import InputError, suggest

FEWEST = 20  # steps below which nothing can be learned of how a series goes on
SPARSE = 0.2  # share of steps without a row from which on the rows themselves are taken as the steps
NATURAL = (7, 12, 24, 30, 48, 52, 60, 96, 144, 168, 288, 336, 365, 672, 1440, 8766)  # periods that calendars make
SPANS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}


def as_series(source: Source, target: str | list[str] | None = None, time: str | None = None) -> tuple[Source, Schema]:
    """The source with one row a step in the order of time, and its schema for a forecast.

    target: the columns to forecast, all number columns unless named; those that are left are covariates, whose past
    networks such as tide read; time: the column of stamps, the first of that kind unless named; without one the rows
    are the steps. Steps without a row are added with missing values.
    Raises InputError for stamps that are missing, repeated with other values or unevenly spaced, and for text.
    """
    clock = _clock(source, time)
    channels = _channels(source, target, clock)
    beside = _covariates(source, channels, clock) if target else []
    frame, notes = source.frame, list(source.notes)
    parts = source.parts
    if clock:
        moments = as_moments_or_numbers(frame[clock])
        lost = int(np.isnan(moments).sum())
        if lost:
            place = int(np.flatnonzero(np.isnan(moments))[0])
            raise InputError(
                f"{source.origin}: {counted(lost, 'row')} without a time in {clock!r}, the first is row {place + 1} "
                "(empty, or no moment); fill or remove them"
            )
        frame, moments, parts = _sorted(source, frame, moments, parts, clock, notes)
        frame, moments, parts = _single(source, frame, moments, parts, clock, channels + beside, notes)
    else:
        clock, moments = "step", np.arange(source.rows, dtype=np.float64)
        frame = frame.with_columns(pl.Series("step", np.arange(source.rows)))
        notes.append("no column of times: the rows are taken as the steps, in their order")
    if len(moments) < FEWEST:
        raise InputError(f"{source.origin}: {counted(len(moments), 'step')}; at least {FEWEST} are needed to forecast")
    step, places, calendar = steps_of(moments, frame[clock].dtype.is_temporal())
    frame = frame.select([clock, *channels, *beside])
    frame, parts, places = _gridded(source, frame, parts, places, clock, calendar, notes)
    numbers = [pl.Series(name, as_numbers(frame[name])).fill_nan(None) for name in channels + beside]
    frame = pl.DataFrame([frame[clock], *numbers])
    values = filled(np.stack([each.cast(pl.Float64).to_numpy() for each in numbers[: len(channels)]], axis=1))
    if not (values.max(0) > values.min(0)).any():
        raise InputError(f"{source.origin}: {', '.join(channels)}: constant throughout; there is nothing to forecast")
    facts: dict[str, Any] = {"step": step, "steps": len(frame), "first": float(places[0])}
    facts["period"] = period_of(values[: max(FEWEST, round(0.6 * len(values)))])
    hints = {**source.hints, "series": {**facts, "time": clock, "channels": channels, "covariates": beside}}
    made = replace(source, frame=frame, arrays={}, parts=parts, notes=notes, hints=hints)
    return made, _schema(source, made, clock, channels, facts)


def _clock(source: Source, time: str | None) -> str | None:
    """The column of stamps."""
    if time is not None:
        if time not in source.frame.columns:
            raise InputError(f"{source.origin}: no column {time!r} to order by; {suggest(time, source.frame.columns)}")
        return time
    if "series" in source.hints and source.hints["series"]["time"] in source.frame.columns:
        return str(source.hints["series"]["time"])
    for name in source.frame.columns:
        if source.frame[name].dtype.is_temporal() or describe(name, source.frame[name]).kind == "time":
            return name
    return None


def _channels(source: Source, target: str | list[str] | None, clock: str | None) -> list[str]:
    """The columns to forecast."""
    names = source.frame.columns
    if target:
        wanted = [target] if isinstance(target, str) and target in names else target
        wanted = [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
        for name in wanted:
            if name not in names:
                raise InputError(f"{source.origin}: no column {name!r} to forecast; {suggest(name, names)}")
            if not source.frame[name].dtype.is_numeric():
                raise InputError(f"{source.origin}: the column {name!r} holds no numbers, which a forecast needs")
        return wanted
    found = [name for name in names if name != clock and source.frame[name].dtype.is_numeric()]
    if not found:
        raise InputError(f"{source.origin}: no column of numbers to forecast; the columns are {', '.join(names)}")
    return found


def _covariates(source: Source, channels: list[str], clock: str | None) -> list[str]:
    """The number columns that are not forecast."""
    names = [name for name in source.frame.columns if name not in (*channels, clock)]
    return [name for name in names if source.frame[name].dtype.is_numeric()]


Sorted = tuple[pl.DataFrame, np.ndarray, np.ndarray | None]


def _sorted(
    source: Source, frame: pl.DataFrame, moments: np.ndarray, parts: np.ndarray | None, clock: str, notes: list[str]
) -> Sorted:
    """Rows in the order of time."""
    back = int((np.diff(moments) < 0).sum())
    if not back:
        return frame, moments, parts
    order = np.argsort(moments, kind="stable")
    where = int(np.flatnonzero(np.diff(moments) < 0)[0])
    notes.append(f"{clock}: not in the order of time at {counted(back, 'place')}, first after row {where + 1}; sorted")
    return frame[order], moments[order], None if parts is None else parts[order]


def _single(
    source: Source,
    frame: pl.DataFrame,
    moments: np.ndarray,
    parts: np.ndarray | None,
    clock: str,
    channels: list[str],
    notes: list[str],
) -> Sorted:
    """One row a stamp: repeated rows are dropped, the hour that autumn repeats is averaged, others are refused."""
    again = np.flatnonzero(np.diff(moments) == 0)
    if not len(again):
        return frame, moments, parts
    values = frame.select(channels)
    different = [place for place in again.tolist() if not values[place].equals(values[place + 1])]
    autumn = frame[clock].dtype.is_temporal() and all(_repeated_hour(moments[place]) for place in different)
    if different and not autumn:
        first = different[0]
        raise InputError(
            f"{source.origin}: {clock} {frame[clock][first]} has several rows with different values "
            f"({counted(len(different), 'such stamp')}); one row a step is expected: if several series lie below each "
            "other, give each a column of its own, or keep one of them"
        )
    numbered = np.cumsum(np.diff(moments, prepend=moments[0] - 1) > 0) - 1
    means = frame.select(channels).with_columns(pl.Series("", numbered)).group_by("", maintain_order=True).mean()
    keep = np.flatnonzero(np.diff(moments, prepend=moments[0] - 1) > 0)
    what = "averaged, as clocks are set back in autumn" if different else "kept once"
    notes.append(f"{clock}: {counted(len(again), 'repeated stamp')}, as {frame[clock][int(again[0])]}; {what}")
    single = pl.DataFrame([frame[clock][keep], *(means[name] for name in channels)])
    return single, moments[keep], None if parts is None else parts[keep]


def _repeated_hour(moment: float) -> bool:
    """Whether clocks are set back around then: a Sunday night from late September to early November, or in April."""
    stamp = np.datetime64(int(moment), "s").item()
    return stamp.weekday() == 6 and stamp.hour <= 3 and stamp.month in (4, 9, 10, 11)


def steps_of(moments: np.ndarray, temporal: bool) -> tuple[str, np.ndarray, bool]:
    """The step in words, the place of each sorted moment counted in steps from a fixed origin, and whether in months.

    The places are not whole where stamps are uneven.
    """
    if temporal:
        stamps = moments.astype(np.int64).astype("datetime64[s]")
        months = stamps.astype("datetime64[M]")
        within = stamps - months.astype("datetime64[s]")
        apart = np.diff(months.astype(np.int64))
        if (within == within[0]).all() and (apart > 0).all():
            every = int(np.gcd.reduce(apart))
            words = {1: "month", 3: "quarter", 12: "year"}.get(every, f"{every} months")
            return words, months.astype(np.int64) / every, True
    size = float(np.median(np.diff(moments)))
    if not temporal:
        return ("step" if size == 1 else f"{size:g}"), moments / size, False
    unit = max((name for name in SPANS if SPANS[name] <= size), key=lambda name: SPANS[name], default="second")
    count = size / SPANS[unit]
    return (unit if count == 1 else f"{count:g} {unit}s"), moments / size, False


def _gridded(
    source: Source,
    frame: pl.DataFrame,
    parts: np.ndarray | None,
    exact: np.ndarray,
    clock: str,
    calendar: bool,
    notes: list[str],
) -> tuple[pl.DataFrame, np.ndarray | None, np.ndarray]:
    """A row for every step: those that the data lacks have a stamp and no values."""
    shift = exact[0] - np.floor(exact[0])
    places = np.round(exact - shift).astype(np.int64)
    uneven = (np.abs(exact - shift - places) > 0.1) | (np.diff(places, prepend=places[0] - 1) == 0)
    total = int(places[-1] - places[0]) + 1
    lost = total - len(places)
    if uneven.mean() > 0.01 or lost > SPARSE * total:
        if uneven.mean() > SPARSE:
            row = int(np.flatnonzero(uneven)[0])
            raise InputError(
                f"{source.origin}: {clock}: the stamps are not evenly spaced, as at {frame[clock][row]}; "
                "bring the series to even steps first, as by the mean of each hour or day"
            )
        notes.append(
            f"{clock}: {lost / total:.0%} of the steps have no row, as weekends have none: the rows are the steps"
        )
        return frame, parts, places[0] + np.arange(len(places))
    at = places - places[0]
    keep = np.diff(at, prepend=-1) > 0  # a few stamps that fall on one step: the first of them stays
    frame, at = frame.filter(pl.Series(keep)), at[keep]
    parts = None if parts is None else parts[keep]
    if not lost:
        return frame, parts, places[keep]
    before = stamp_text(frame[clock][int(np.flatnonzero(np.diff(at) > 1)[0])])
    notes.append(f"{clock}: {counted(total - len(at), 'step')} without a row, the first after {before}; filled in")
    source_row = np.repeat(-1, total)
    source_row[at] = np.arange(len(at))
    wide = frame[np.maximum(source_row, 0)]
    gap = pl.Series(source_row == -1)
    stamps = _stamps(frame[clock], at, total, calendar)
    others = [pl.when(gap).then(None).otherwise(pl.col(name)).alias(name) for name in frame.columns if name != clock]
    wide = wide.with_columns(others).with_columns(stamps.alias(clock))
    if parts is not None:
        parts = parts[np.maximum.accumulate(np.maximum(source_row, 0))]
    return wide, parts, places[0] + np.arange(total)


def _stamps(clock: pl.Series, at: np.ndarray, total: int, calendar: bool) -> pl.Series:
    """The stamps of all steps, those between rows by calculation."""
    if calendar:
        apart = _months_apart(clock, at)
        first = np.datetime64(clock[0], "us")
        month = first.astype("datetime64[M]")
        months = (month + apart * np.arange(total)).astype("datetime64[us]")
        return pl.Series(clock.name, months + (first - month.astype("datetime64[us]"))).cast(clock.dtype)
    numbers = clock.cast(pl.Int64) if clock.dtype.is_temporal() else clock
    between = np.interp(np.arange(total), at, numbers.to_numpy().astype(np.float64))
    whole = clock.dtype.is_temporal() or clock.dtype.is_integer()
    return pl.Series(clock.name, np.round(between).astype(np.int64) if whole else between).cast(clock.dtype)


def stamps_after(clock: pl.Series, count: int) -> pl.Series:
    """The stamps of so many steps after the last row of an even series."""
    moments = as_moments_or_numbers(clock)
    _, places, calendar = steps_of(moments, clock.dtype.is_temporal())
    if calendar:
        return _stamps(clock, places.astype(np.int64) - int(places[0]), len(clock) + count, True)[-count:]
    size = float(np.median(np.diff(moments)))
    later = moments[-1] + size * np.arange(1, count + 1)
    if clock.dtype.is_temporal():
        return pl.Series(clock.name, (later * 1e6).round().astype(np.int64)).cast(pl.Datetime("us")).cast(clock.dtype)
    return pl.Series(clock.name, later).cast(clock.dtype)


def _months_apart(clock: pl.Series, at: np.ndarray) -> int:
    """How many months one step is."""
    first, last = clock[0], clock[len(clock) - 1]
    return ((last.year - first.year) * 12 + last.month - first.month) // int(at[-1] - at[0])


def stamp_text(stamp: Any) -> str:
    """A moment, or the number of a step, as text; a day alone where it is midnight."""
    return str(stamp).removesuffix(" 00:00:00")


def filled(values: np.ndarray) -> np.ndarray:
    """Missing values on a straight line between their neighbours, at the ends as the nearest one.

    values: (steps, channels) -> (steps, channels)
    """
    values = values.astype(np.float64, copy=True)
    for column in values.T:
        known = np.isfinite(column)
        if known.all():
            continue
        column[~known] = np.interp(np.flatnonzero(~known), np.flatnonzero(known), column[known]) if known.any() else 0.0
    return values


def period_of(values: np.ndarray) -> int:
    """The lag at which the series repeats itself best, by its autocorrelation; 0 where none stands out.

    values: (steps, channels), without gaps
    """
    steps = len(values)
    longest = steps // 3
    if longest < 4:
        return 0
    line = np.linspace(-1, 1, steps)[:, None]
    rest = values - values.mean(0)
    rest = rest - line * (line * rest).sum(0) / (line**2).sum()
    power = np.abs(np.fft.rfft(rest, n=2 * steps, axis=0)) ** 2
    raw = np.fft.irfft(power, axis=0)[: longest + 1]
    kept = raw[0] > 1e-12
    if not kept.any():
        return 0
    # Each lag is divided by how many pairs of steps it has, or long lags would look weaker than they are.
    curve = (raw[:, kept] / raw[0, kept]).mean(1) * steps / (steps - np.arange(longest + 1))
    lowest = np.minimum.accumulate(curve)
    inner = np.arange(2, longest)
    peaks = inner[(curve[inner] > curve[inner - 1]) & (curve[inner] >= curve[inner + 1])]
    peaks = peaks[(curve[peaks] > 0.2) & (curve[peaks] - lowest[peaks] > 0.15)]
    if not len(peaks):
        return 0
    best = int(peaks[curve[peaks] >= 0.9 * curve[peaks].max()][0])
    if best > 20:  # the peak of a long period is broad and noisy: its middle counts
        side = best // 10
        around = np.arange(best - 2 * side, min(best + 2 * side, longest - side) + 1)
        best = int(around[np.argmax([curve[lag - side : lag + side + 1].mean() for lag in around])])
    near = [each for each in NATURAL if abs(each - best) <= 0.04 * best and each <= longest]
    near = [each for each in near if curve[each] >= 0.9 * curve[best]]
    return int(min(near, key=lambda each: abs(each - best)) if near else best)


def _schema(source: Source, made: Source, clock: str, channels: list[str], facts: dict[str, Any]) -> Schema:
    period = f"it repeats every {facts['period']}" if facts["period"] else "no period stands out"
    columns = [Column(clock, "time", "input", f"one {facts['step']} a step; {period}", facts=facts)]
    for name in source.frame.columns:
        if name in channels:
            column = describe(name, made.frame[name], "number")
            column.role, column.reason = "target", "a series to forecast"
        elif name in made.hints["series"]["covariates"]:
            column = Column(name, "number", "input", "measured beside: its past is read by networks such as tide")
        elif name != clock:
            column = Column(name, "category", "ignored", "not among the series to forecast")
        else:
            continue
        columns.append(column)
    return Schema(columns, made.rows, "forecast")


def looks_like_series(source: Source) -> bool:
    """Whether a table is one of time and numbers alone, its stamps all different and evenly spaced."""
    frame = source.frame
    clocks = [name for name in frame.columns if frame[name].dtype.is_temporal()]
    if len(clocks) != 1 or source.arrays or source.parts is not None or source.hints.get("target"):
        return False
    numbers = [name for name in frame.columns if name not in clocks]
    if not numbers or len(frame) < 5 * FEWEST or not all(frame[name].dtype.is_numeric() for name in numbers):
        return False
    moments = as_moments_or_numbers(frame[clocks[0]])
    if np.isnan(moments).any() or (np.diff(np.sort(moments)) == 0).any():
        return False
    _, places, _ = steps_of(np.sort(moments), True)
    apart = np.diff(places)
    return bool((np.abs(apart - 1) < 0.1).mean() > 0.95)
