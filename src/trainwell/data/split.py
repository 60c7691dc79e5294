"""A source and its schema to training, validation and test rows, equal rows on one side."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.values import as_moments, as_numbers, as_text
from trainwell.errors import InputError, suggest

METHODS = ("auto", "random", "group", "time")


@dataclass
class Split:
    """Row numbers of each part, the fold of each training row (-1 elsewhere), and how it was done, as a sentence."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    fold: np.ndarray | None
    how: str


def split(
    source: Source,
    schema: Schema,
    *,
    method: str = "auto",
    test: float = 0.2,
    val: float = 0.15,
    folds: int = 0,
    group: str | None = None,
    time: str | None = None,
    parts: list[int] | None = None,
    seed: int = 0,
) -> Split:
    """Rows for training, validation and testing; `test` and `val` are shares of all rows.

    Parts that the source itself gives win. Rows whose inputs are equal, and rows of one group, stay on one side; the
    classes (or fifths of a number to predict) keep their shares. By time, the latest rows are the test;
    `parts` then says instead how many rows each side has, as in [8640, 2880, 2880], what follows them left out. Raises
    InputError for shares that leave no training rows, an unknown method, or fewer groups than folds.
    """
    _check(source, method, test, val, folds)
    group = group or next((column.name for column in schema.columns if column.role == "group"), None)
    if method == "auto":
        method = "time" if time else "group" if group else "random"
    if (method == "group" and not group) or (method == "time" and not time):
        raise InputError(f"split by {method}: name the column, as in {method}=COLUMN; {suggest('', source.columns)}")
    for name in (group, time):
        if name and name not in source.frame.columns:
            raise InputError(f"{source.origin}: no column {name!r} to split by; {suggest(name, source.columns)}")
    if parts is not None:
        return _in_parts(source, method, time, parts)
    unit = units(source, schema, group)
    given = source.parts
    side = np.full(source.rows, "train", dtype="<U5") if given is None else given.astype("<U5")
    need_test = test if given is None or not (given == "test").any() else 0.0
    need_val = val if given is None or not (given == "val").any() else 0.0
    free = np.flatnonzero(side == "train")
    rng = np.random.default_rng(seed)
    strata = _strata(source, schema)
    if method == "time" and time:
        side[free] = _by_time(as_moments_or_numbers(source.frame[time])[free], need_test, need_val)
    else:
        # A share is of all rows that are to be divided; validation comes out of what the test leaves.
        side[free] = _at_random(unit[free], strata[free], need_test, need_val, rng)
    train = np.flatnonzero(side == "train")
    if not len(train):
        raise InputError(f"{source.origin}: the split leaves no rows to train on")
    fold = None
    if folds:
        fold = np.full(source.rows, -1)
        fold[train] = _folds(unit[train], strata[train], folds, rng)
    made = Split(train, np.flatnonzero(side == "val"), np.flatnonzero(side == "test"), fold, "")
    made.how = _sentence(source, schema, made, method, group, time, unit, folds)
    return made


def _in_parts(source: Source, method: str, time: str | None, parts: list[int]) -> Split:
    """The rows in the order of time, so many to each side, one side after the other."""
    if method != "time" or not time:
        raise InputError(
            "split.parts: rows are counted in the order of time; give split.method=time and split.time too"
        )
    if len(parts) != 3 or min(parts) < 0 or not parts[0] or sum(parts) > source.rows:
        raise InputError(
            f"split.parts={parts}: expected how many rows to learn from, to validate and to test by, "
            f"{source.rows:,} at most in all"
        )
    order = np.argsort(as_moments_or_numbers(source.frame[time]), kind="stable")
    train, val, test, _ = np.split(order, np.cumsum(parts))
    how = f"{parts[0]:,} rows to train, {parts[1]:,} to validate, {parts[2]:,} to test: by {time}, in these parts"
    return Split(np.sort(train), np.sort(val), np.sort(test), None, how)


def _check(source: Source, method: str, test: float, val: float, folds: int) -> None:
    if method not in METHODS:
        raise InputError(f"no way to split is called {method!r}; {suggest(method, METHODS)}")
    if not 0 <= test < 1 or not 0 <= val < 1 or test + val >= 1:
        raise InputError(f"test={test} and val={val}: expected shares of 0 to 1 that leave rows to train on")
    if folds < 0 or folds == 1 or folds > source.rows:
        raise InputError(f"folds={folds}: expected 0, or 2 to {source.rows}")
    if val == 0 and not folds and source.parts is None:
        raise InputError("val=0: expected a share of validation rows, or folds of 2 and more")


def as_moments_or_numbers(series: pl.Series) -> np.ndarray:
    """A column to order rows by: moments as seconds, or numbers as they are."""
    return as_moments(series) if series.dtype.is_temporal() or series.dtype == pl.String else as_numbers(series)


def units(source: Source, schema: Schema, group: str | None = None) -> np.ndarray:
    """A number for each row: rows that must stay on one side have the same, counted by first appearance."""
    equal = _numbered(_row_hashes(source, schema))
    if not group:
        return equal
    cells = source.frame[group]
    by_group = _numbered(cells.hash(seed=7).to_numpy())
    if cells.null_count():  # each row without a group is its own
        gaps = cells.is_null().to_numpy()
        by_group[gaps] = by_group.max() + 1 + np.arange(gaps.sum())
    return _joined(by_group, equal)


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rows that share either number, directly or through others, to one number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    second = second + first.max() + 1
    size = int(second.max()) + 1
    edges = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    return _numbered(connected_components(edges, directed=False)[1][first])


def _numbered(values: np.ndarray) -> np.ndarray:
    """Equal values to equal numbers 0, 1, ... in order of first appearance."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse]


def _row_hashes(source: Source, schema: Schema) -> np.ndarray:
    """64 bits for the inputs of each row; rows without a single value count as different."""
    names = [column.name for column in schema.inputs if column.name in source.frame.columns]
    total = np.zeros(source.rows, dtype=np.uint64)
    if names:
        files = [c.name for c in schema.inputs if c.name in names and c.kind in ("image", "audio")]
        paths = [name for name in files if source.frame[name].dtype == pl.String]
        frame = source.frame.select(names).with_columns(_contents(source.frame[name]) for name in paths)
        total += frame.hash_rows(seed=1).to_numpy()
        empty = source.frame.select(pl.all_horizontal(pl.col(names).is_null())).to_series().to_numpy()
    else:
        empty = np.zeros(source.rows, dtype=bool)
    for column in schema.inputs:
        if column.name in source.arrays:
            array = np.ascontiguousarray(source.arrays[column.name])
            flat = array.reshape(len(array), -1).view(np.uint8)
            hashes = (hash(row.tobytes()) & (2**64 - 1) for row in flat)
            total += np.fromiter(hashes, dtype=np.uint64, count=len(array)) * np.uint64(0x9E3779B97F4A7C15)
            empty[:] = False
    total[empty] = np.arange(empty.sum(), dtype=np.uint64)
    return total


def _contents(paths: pl.Series) -> pl.Series:
    """A text for each file that equals another's where their contents do; only files of one size are opened."""
    sizes = [os.path.getsize(path) if path and os.path.isfile(path) else -1 for path in paths]
    common = {size for size, count in Counter(sizes).items() if count > 1 and size > 0}
    marks = list(paths)
    for place, size in enumerate(sizes):
        if size in common:
            with open(marks[place], "rb") as file:
                marks[place] = hashlib.file_digest(file, "md5").hexdigest()
    return pl.Series(paths.name, marks, dtype=pl.String)


def _strata(source: Source, schema: Schema) -> np.ndarray:
    """A small number for each row: its class, or the tenth of the numbers to predict that it falls in."""
    targets = [column.name for column in schema.targets if column.name in source.frame.columns]
    if not targets or schema.task == "likeness" or schema.targets[0].kind in ("mask", "boxes", "text"):
        return np.zeros(source.rows, dtype=np.int64)
    if schema.classes:
        cells = [as_text(source.frame[name]).fill_null("") for name in targets]
        strata = _numbered(pl.DataFrame(cells).hash_rows(seed=2).to_numpy())
        # Several labels together make many rare combinations: then only the first label is kept even.
        return strata if len(targets) == 1 or strata.max() < source.rows / 20 else _numbered(cells[0].hash().to_numpy())
    values = np.nan_to_num(as_numbers(source.frame[targets[0]]))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 11)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _ordered(unit: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Units by stratum, the larger first and else at random, and how many rows each has (by unit number).

    Small units come last so that they even out what large ones leave.
    """
    numbered = _numbered(unit)
    sizes = np.bincount(numbered)
    first = np.unique(numbered, return_index=True)[1]
    order = np.lexsort((rng.random(len(sizes)), -sizes, strata[first]))
    return order, sizes


def _at_random(unit: np.ndarray, strata: np.ndarray, test: float, val: float, rng: np.random.Generator) -> np.ndarray:
    """The side of each row: units laid out by stratum are dealt to the three sides in even steps."""
    numbered = _numbered(unit)
    order, sizes = _ordered(unit, strata, rng)
    first = np.unique(numbered, return_index=True)[1]
    sides = np.full(len(sizes), "train", dtype="<U5")
    sides[_dealt(order, sizes, test, float(rng.random()))] = "test"
    rest = order[sides[order] == "train"]
    sides[_dealt(rest, sizes, val / (1 - test), float(rng.random()))] = "val"
    for name, share in (("test", test), ("val", val)):
        if share and not (sides == name).any() and (sides == "train").sum() > 1:
            sides[rest[int(rng.integers(len(rest)))]] = name
    # A class of which no row is left to learn from gives its rows to training.
    of_unit = strata[first]
    lost = np.setdiff1d(of_unit, of_unit[sides == "train"])
    sides[np.isin(of_unit, lost)] = "train"
    return sides[numbered]


def _dealt(order: np.ndarray, sizes: np.ndarray, share: float, start: float) -> np.ndarray:
    """The units of this order that are picked so that the picked rows follow the share all along."""
    if not share or not len(order):
        return order[:0]
    ends = np.cumsum(sizes[order])
    if (sizes[order] == 1).all():
        steps = np.floor(ends * share + start)
        return order[np.diff(steps, prepend=np.floor(start)) > 0]
    picked, taken = [], 0.0
    for unit, end in zip(order.tolist(), ends.tolist(), strict=True):
        size = int(sizes[unit])
        if end * share + start - taken >= (size + 1) / 2:
            picked.append(unit)
            taken += size
    return np.array(picked, dtype=np.int64)


def _folds(unit: np.ndarray, strata: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each row; units go by stratum to the fold that has the fewest rows."""
    numbered = _numbered(unit)
    order, sizes = _ordered(unit, strata, rng)
    if len(sizes) < folds:
        raise InputError(f"{len(sizes)} groups of rows that must stay together for {folds} folds: take fewer folds")
    fold = np.empty(len(sizes), dtype=np.int64)
    if (sizes == 1).all():
        fold[order] = np.arange(len(order)) % folds
    else:
        filled = np.zeros(folds)
        for place in order:
            fold[place] = int(np.argmin(filled))
            filled[fold[place]] += sizes[place]
    return fold[numbered]


def _by_time(moments: np.ndarray, test: float, val: float) -> np.ndarray:
    """The side of each row by time: the latest are the test, those before validation; one moment stays whole."""
    side = np.full(len(moments), "train", dtype="<U5")
    known = np.flatnonzero(~np.isnan(moments))
    if not len(known):
        raise InputError("split by time: the column holds no dates or numbers")
    ranked = np.sort(moments[known])
    end = ranked[min(len(ranked) - 1, round(len(ranked) * (1 - test)))] if test else np.inf
    start = ranked[min(len(ranked) - 1, round(len(ranked) * (1 - test - val)))] if val else end
    side[moments >= start] = "val"
    side[moments >= end] = "test"
    return side


def _sentence(
    source: Source,
    schema: Schema,
    parts: Split,
    method: str,
    group: str | None,
    time: str | None,
    unit: np.ndarray,
    folds: int,
) -> str:
    """How the rows were divided, for the user."""
    ways = {
        "random": {"classify": "at random, class by class", "regress": "at random, evenly over the target"}.get(
            schema.task, "at random"
        ),
        "group": f"by {group}: each of its values on one side",
        "time": f"by {time}: the latest rows are the test",
    }
    way = ways[method]
    if source.parts is not None:
        named = [part for part in ("val", "test") if (source.parts == part).any()]
        way = f"{' and '.join(named) or 'training'} rows as the source gives them" + (
            "" if len(named) == 2 else f", the rest {way}"
        )
    text = f"{len(parts.train):,} rows to train, {len(parts.val):,} to validate, {len(parts.test):,} to test: {way}"
    held = np.concatenate([parts.val, parts.test])
    twins = len(unit) - int(unit.max()) - 1
    if twins and method != "group":
        text += f"; {twins:,} rows repeat the inputs of another"
        crossing = int(np.isin(unit[held], unit[parts.train]).sum())
        text += f", {crossing:,} of them on both sides" if crossing else ", kept on one side"
    return text + (f"; {folds} folds" if folds else "")
