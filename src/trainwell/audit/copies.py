"""Rows that equal others, or nearly so, to what they do to the split and to the labels."""

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.view import View
from trainwell.data.split import units
from trainwell.doctor.finding import Finding

NEAR = 0.01  # of the usual distance to the nearest row
ROWS = 4_000
LONG = 40  # characters, from which on a text does not come again by chance
SAME = 0.05  # of the rows that are one and the same


def equal_rows(view: View) -> list[Finding]:
    """Rows that come again: across parts that the source gives, under another label, or one row everywhere."""
    if view.schema.task == "forecast" or view.rows < 50:
        return []
    unit = units(view.data, view.schema)
    counts = np.bincount(unit)
    again = view.rows - len(counts)
    files = view.column("image") or view.column("audio") or view.column("text")
    own = files is not None or any(len(np.unique(each)) > 0.5 * view.rows for each in view.numbers.values())
    if not again or not own:  # of a few levels only, rows are alike by chance
        return []
    found = _across(view, unit)
    if files is not None and not found:  # cells of a table repeat themselves where little was measured
        found = _same(view, unit, counts, files) or _contrary(view, unit)
    if not found and again > 0.01 * view.rows:
        text = f"{again:,} of {view.rows:,} rows equal another one."
        found = [said("data-leakage", "rows", "note", text, "Equal rows are kept on one side of the split.", 0.9)]
        found[0].remedy = "none, unless rows were copied by mistake"
    return found


def _across(view: View, unit: np.ndarray) -> list[Finding]:
    """Rows of the given test or validation part that stand in the training part too."""
    if view.parts is None:
        return []
    train = set(unit[view.parts == "train"].tolist())
    for part in ("test", "val"):
        theirs = unit[view.parts == part]
        both = sum(each in train for each in theirs.tolist())
        if both >= 3 and both > 0.005 * len(theirs):
            text = f"{both:,} of {len(theirs):,} rows of the {part} part ({both / len(theirs):.1%}) are training rows."
            cause = "The parts were not made of different rows: what is measured there is too good."
            return [
                said("data-leakage", "split", "critical" if both > 0.02 * len(theirs) else "warn", text, cause, 0.95)
            ]
    return []


def _same(view: View, unit: np.ndarray, counts: np.ndarray, name: str) -> list[Finding]:
    """One input in a good part of the rows."""
    most = int(counts.argmax())
    if counts[most] < max(10, SAME * view.rows):
        return []
    cell = str(view.series(name)[int(np.flatnonzero(unit == most)[0])])
    text = f"{counts[most]:,} of {view.rows:,} rows have the same input, such as {cell[-40:]!r}."
    cause = "A page of a server in place of a file, a blank one, or a default that was filled in."
    return [said("bad-features", "rows", "warn", text, cause, 0.9)]


def _contrary(view: View, unit: np.ndarray) -> list[Finding]:
    """Equal inputs under different classes."""
    if view.labels is None:
        return []
    order = np.lexsort((view.labels, unit))
    units_in_order, labels = unit[order], view.labels[order]
    split = set(units_in_order[1:][(units_in_order[1:] == units_in_order[:-1]) & (labels[1:] != labels[:-1])].tolist())
    contrary = np.isin(unit, list(split))
    if view.column("text"):  # a word or two may well stand in any class
        contrary &= (view.series(str(view.column("text"))).str.len_chars().fill_null(0) >= LONG).to_numpy()
    rows = int(contrary.sum())
    if rows < max(4, 0.01 * view.rows):
        return []
    text = f"{rows:,} of {view.rows:,} rows equal another one that has another class."
    cause = "One of the labels is wrong each time: files were copied into several class folders, or labeled twice."
    return [said("label-noise", "rows", "critical" if rows > 0.05 * view.rows else "warn", text, cause, 0.95)]


def near_rows(view: View) -> list[Finding]:
    """Rows of a table that are another one but for a hair, which the split does not keep together."""
    names = [name for name, values in view.numbers.items() if len(np.unique(values)) > 0.2 * view.rows]
    if not view.table or len(names) < 3 or view.rows < 200:
        return []
    matrix = np.stack([view.numbers[name] for name in names], 1)[:ROWS]
    matrix = np.unique(matrix[~np.isnan(matrix).any(1)], axis=0)
    # In robust deviations, far ones as their logarithm, so that no unit and no outlier counts more.
    away = matrix - np.median(matrix, 0)
    usual = np.quantile(np.abs(away), 0.75, axis=0)
    found = near(np.arcsinh(away / np.where(usual > 0, usual, 1.0)))
    if found is None:
        return []
    text = (
        f"{found:.0%} of {len(matrix):,} rows lie within a hundredth of the usual distance to their nearest row, "
        f"in {len(names)} columns at once."
    )
    cause = "Rows were copied with a little noise, or measured twice: name what they belong to with --group."
    return [said("data-leakage", "rows", "warn", text, cause, 0.75)]


def near(
    points: np.ndarray, *, others: np.ndarray | None = None, least: float = NEAR, parts: np.ndarray | None = None
) -> float | None:
    """Share of points far nearer to another one than is usual, where it is more than one in twenty.

    points: (rows, features); others: the same rows in another form, whose own form does not count; least: of the usual
    distance; parts: of each row, of which a copy counts in another one only.
    """
    if len(points) < 200:
        return None
    theirs = points if others is None else others
    squares = (theirs**2).sum(1)
    nearest, of = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), 500):
        part = points[start : start + 500]
        distances = (part**2).sum(1)[:, None] + squares[None] - 2 * part @ theirs.T
        distances[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        nearest[start : start + 500] = np.sqrt(np.maximum(distances.min(1), 0))
        of[start : start + 500] = distances.argmin(1)
    # Of many copies the usual distance is that of the rest.
    copied = nearest < least * float(np.quantile(nearest, 0.9))
    share = float((copied if parts is None else copied & (parts != parts[of])).mean())
    return share if share > 0.05 else None


RULES = (equal_rows, near_rows)
