"""Training rows and held-out rows to findings about the split: rows in both, answers in the inputs, unlike scales."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.copies_check import copies
from trainwell.doctor.data_check import small
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.orientation_check import turned
from trainwell.doctor.sample import Sample
from trainwell.doctor.telling_check import ranks, telling
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
WINDOW = 8  # columns from which on neighbours may be steps of one quantity
NEAR = 0.8  # their median correlation then


def data_leakage(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Held-out rows that are training rows as well, or one feature that gives the answer away."""
    shared = None if facts.get("folds") else _shared_rows(sample, held) or copies(sample, held)
    return shared or telling(sample)


def _shared_rows(sample: Sample, held: Sample | None) -> Finding | None:
    if held is None or not held.hashes:
        return None
    known = set(sample.hashes)
    within = 1 - len(known) / max(1, len(sample.hashes))
    both = sum(each in known for each in held.hashes)
    share = both / len(held.hashes)
    # A set that repeats its own rows, as of few discrete columns, repeats them across the split as well by chance.
    # Where none was seen among so many rows, up to three in them may be so (Hanley and Lippman-Hand 1983).
    by_chance = 2 * (within + 3 / max(1, len(sample.hashes)))
    least = LIMITS.overlap_critical if _of_their_own(sample) else max(LIMITS.overlap_critical, by_chance)
    if share <= least or both < 3:
        return None
    evidence = f"{both:,} of {len(held.hashes):,} held-out rows ({share:.1%}) are training rows, value for value."
    return Finding(
        "data-leakage",
        "split",
        "critical" if share > 0.02 else "warn",
        evidence,
        "The split was made after rows were repeated, or the same rows were used twice.",
        0.95,
        statistic={"value": share, "healthy": [0, LIMITS.overlap_critical], "within training": within},
    )


def _of_their_own(sample: Sample) -> bool:
    """Whether a column tells most rows from all others, so that equal ones are the same row and not alike by chance."""
    matrices = [matrix for place, matrix in sample.numbers() if sample.inputs[place].dim() == 2]
    rows = np.unique(np.concatenate(matrices, 1), axis=0) if matrices else np.zeros((0, 1))
    return len(rows) >= 100 and max(len(np.unique(column)) for column in rows.T) > 0.5 * len(rows)


def _by_row(ours: Tensor, theirs: Tensor, moving: np.ndarray) -> bool:
    """Whether pictures or sequences differ by more than their rows among themselves, of which there may be few.

    The pixels of a picture are no rows of their own: a few pictures that were brightened at random differ by chance.
    """
    looks = []
    for each in (ours, theirs):
        rows = each.detach().double().cpu()
        rows = rows.flatten(2) if rows.dim() >= 4 else rows.transpose(1, 2)  # (rows, features, places)
        looks.append((rows.mean(2).numpy()[:, moving], np.log(rows.std(2).numpy()[:, moving] + 1e-9)))
    surprises = []
    for one, other in zip(*looks, strict=True):
        error = np.sqrt(one.var(0) / len(one) + other.var(0) / len(other))
        surprises.append(float(np.median(np.abs(one.mean(0) - other.mean(0)) / (error + 1e-12))))
    return max(surprises) > LIMITS.surprise


def preprocessing_mismatch(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Held-out inputs on another scale than the training inputs, in most features at once."""
    if facts.get("folds"):
        raise CannotJudge("the rows take turns at being held out, so both parts are the same")
    if held is None or held.rows < 32:
        raise CannotJudge("no held-out rows were seen")
    recoded = _other_codes(sample, held) or _turned(sample, held)
    if recoded is not None:
        return recoded
    pairs = zip(sample.numbers(), held.numbers(), strict=False)
    for (place, ours), (_, theirs) in pairs:
        if ours.shape[1] != theirs.shape[1]:
            continue
        deviation = ours.std(0)
        moving = deviation > 1e-3 * deviation.max() + 1e-12
        if not moving.any():
            continue
        shift = np.abs(ours.mean(0) - theirs.mean(0))[moving] / deviation[moving]
        stretch = np.abs(np.log((theirs.std(0)[moving] + 1e-9) / deviation[moving]))
        # What comes later may have moved on, as from summer to winter, but within what was seen before.
        drifts = facts.get("in order of time") or _windows(sample.inputs[place], ours)
        lit = LIMITS.lit if sample.inputs[place].dim() == 4 else LIMITS.drift
        far, wide = (LIMITS.moved, 4.0) if drifts else (lit, 2.0)
        off = (shift > far) | (stretch > np.log(wide))
        typical = float(np.median(shift))
        if sample.inputs[place].dim() > 2 and not _by_row(sample.inputs[place], held.inputs[place], moving):
            continue
        if off.mean() <= 0.6 or (typical < far and np.median(stretch) < np.log(wide)):
            table = sample.inputs[place].dim() == 2
            moved = (_other_pairs(ours, theirs, place) or _some_columns(ours, theirs, place)) if table else None
            if moved is not None:
                return moved
            continue
        evidence = (
            f"{off.mean():.0%} of the features differ between training and held-out rows: the median feature's mean by "
            f"{typical:.2g} deviations, its deviation by a factor of {np.exp(np.median(stretch)):.2g}."
        )
        return Finding(
            "preprocessing-mismatch",
            f"input {place}",
            "critical" if off.mean() > 0.9 else "warn",
            evidence,
            "The held-out rows went through another transform than the training rows.",
            0.85,
            statistic={"value": typical, "healthy": [0, far]},
        )
    return None


def _windows(rows: Tensor, columns: np.ndarray) -> bool:
    """Whether rows are windows of one quantity in time, as sequences of a number or as columns each near the one
    before it; there all features are one, and what comes later may lie higher."""
    if rows.dim() == 3 and rows.shape[2] == 1:
        return True
    if columns.shape[1] < WINDOW or len(columns) < 32 or not (columns.std(0) > 0).all():
        return False
    near = [np.corrcoef(one, other)[0, 1] for one, other in itertools.pairwise(columns.T)]
    alike = np.ptp(columns.mean(0)) < 0.3 * columns.std() and np.ptp(columns.std(0)) < 0.3 * columns.std()
    return bool(np.median(near) > NEAR and alike)


TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "width taken for height": lambda picture: picture.swapaxes(-1, -2),
    "turned by a quarter": lambda picture: np.rot90(picture, 1, (-2, -1)),
    "turned by three quarters": lambda picture: np.rot90(picture, 3, (-2, -1)),
    "upside down": lambda picture: picture[..., ::-1, :],
    "mirrored": lambda picture: picture[..., ::-1],
    "turned by half": lambda picture: picture[..., ::-1, ::-1],
}


def _turned(sample: Sample, held: Sample) -> Finding | None:
    """Held-out pictures that are the training pictures' like only once they are turned or mirrored."""
    for place, (ours, theirs) in enumerate(zip(sample.inputs, held.inputs, strict=False)):
        if ours.dim() != 4 or ours.shape[1:] != theirs.shape[1:] or min(len(ours), len(theirs)) < 64:
            continue
        one, other = (small(each[:512]).double().cpu().numpy() for each in (ours, theirs))
        error = np.sqrt((one.var(0) / len(one) + other.var(0) / len(other)).mean())
        apart = np.sqrt(((one.mean(0) - other.mean(0)) ** 2).mean()) / max(error, 1e-12)
        if apart < LIMITS.surprise or one.shape[-1] != one.shape[-2]:
            continue
        left = {
            name: np.sqrt(((one.mean(0) - turn(other.mean(0))) ** 2).mean()) / max(error, 1e-12)
            for name, turn in TURNS.items()
        }
        name = min(left, key=lambda each: left[each])
        if left[name] > apart / 2:
            continue
        return Finding(
            "preprocessing-mismatch",
            f"input {place}",
            "critical",
            f"The mean held-out picture lies {apart:.1f} standard errors from the mean training picture; "
            f"{name} only {left[name]:.1f}.",
            "The held-out pictures are read or turned in another way.",
            0.85,
            statistic={"value": float(apart), "healthy": [0, LIMITS.surprise]},
        )
    return None


def _other_codes(sample: Sample, held: Sample) -> Finding | None:
    """Tokens that come as often as in the training rows, but under other codes."""
    for place, (ours, theirs) in enumerate(zip(sample.inputs, held.inputs, strict=False)):
        if (
            ours.is_floating_point()
            or ours.dim() != 2
            or ours.dtype != theirs.dtype
            or min(ours.min(), theirs.min()) < 0
        ):
            continue
        kinds = int(max(ours.max(), theirs.max())) + 1
        if kinds > 100_000 or min(ours.numel(), theirs.numel()) < 50 * min(kinds, 100):
            continue
        one, other = (
            torch.bincount(each.flatten(), minlength=kinds).double() / each.numel() for each in (ours, theirs)
        )
        apart = float((one - other).abs().sum() / 2)
        ranked = float((one.sort().values - other.sort().values).abs().sum() / 2)
        if apart < LIMITS.other_codes or ranked > apart / 4:
            columns = _renumbered(ours, theirs) if ours.shape[1] <= 50 else None
            if columns is not None:
                return _coded(place, columns)
            continue
        return Finding(
            "preprocessing-mismatch",
            f"input {place}",
            "critical",
            f"{apart:.0%} of the held-out tokens would have to be others to come as often as in the training rows; "
            f"ranked by how often they come, {ranked:.0%}.",
            "The held-out rows were coded by another vocabulary.",
            0.9,
            statistic={"value": apart, "healthy": [0, LIMITS.other_codes]},
        )
    return None


def _renumbered(ours: Tensor, theirs: Tensor) -> list[int] | None:
    """Columns of a table of codes whose classes come as often in both parts, but under other numbers."""
    found = []
    for column in range(ours.shape[1]):
        pair = ours[:, column], theirs[:, column]
        kinds = int(max(each.max() for each in pair)) + 1
        if not 3 <= kinds <= 50 or min(map(len, pair)) < 200:
            continue
        one, other = (torch.bincount(each, minlength=kinds).double() / len(each) for each in pair)
        apart = float((one - other).abs().sum() / 2)
        ranked = float((one.sort().values - other.sort().values).abs().sum() / 2)
        if apart > LIMITS.other_codes and ranked < apart / 4:
            found.append(column)
    return found if len(found) >= 2 else None


def _coded(place: int, columns: list[int]) -> Finding:
    return Finding(
        "preprocessing-mismatch",
        f"input {place}, feature {columns[0]}",
        "critical",
        f"In {len(columns)} columns, such as {columns[0]}, the codes of the held-out rows come as often as those of "
        "the training rows, but under other numbers.",
        "The parts were numbered apart: keep the numbers of the training rows' classes for every part.",
        0.9,
        statistic={"value": len(columns), "healthy": [0, 1]},
    )


def _other_pairs(ours: np.ndarray, theirs: np.ndarray, place: int) -> Finding | None:
    """Features that go together in one part and not in the other, as when columns come in another order."""
    if not 4 <= ours.shape[1] <= 200 or min(len(ours), len(theirs)) < 200:
        return None
    moving = (ours.std(0) > 0) & (theirs.std(0) > 0) & np.isfinite(ours).all(0) & np.isfinite(theirs).all(0)
    if moving.sum() < 4:
        return None
    shift = np.abs(np.corrcoef(_ranked(ours[:, moving]).T) - np.corrcoef(_ranked(theirs[:, moving]).T))
    pairs = shift[np.triu_indices(len(shift), 1)]
    share = float((pairs > LIMITS.pair_shift).mean())
    if share <= 0.1 or pairs.max() < 2 * LIMITS.pair_shift:
        return None
    evidence = (
        f"The correlation of {share:.0%} of the pairs of features differs by more than {LIMITS.pair_shift:g} between "
        f"training and held-out rows, by {pairs.max():.2f} at most, while each feature keeps its scale."
    )
    return Finding(
        "preprocessing-mismatch",
        f"input {place}",
        "critical",
        evidence,
        "The held-out columns come in another order, or from another transform.",
        0.85,
        statistic={"value": share, "healthy": [0, 0.1]},
    )


def _some_columns(ours: np.ndarray, theirs: np.ndarray, place: int) -> Finding | None:
    """Columns in other units: their middle half lies apart from, or is many times as wide as, that of the training
    rows, for as good as all rows; a drift in time moves a column, but seldom beyond where it was."""
    if min(len(ours), len(theirs)) < 100 or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return None
    low, middle, high = np.quantile(ours, (0.25, 0.5, 0.75), axis=0)
    low_too, middle_too, high_too = np.quantile(theirs, (0.25, 0.5, 0.75), axis=0)
    # A column that is nearly always the same, as a pixel at the rim, has no middle half to speak of.
    moving = (high - low > 0.1 * ours.std(0)) & (high_too > low_too)
    apart = moving & ((low_too > np.quantile(ours, 0.99, axis=0)) | (high_too < np.quantile(ours, 0.01, axis=0)))
    wide = np.log(np.where(moving, (high_too - low_too) / np.where(moving, high - low, 1.0), 1.0))
    # Where many rows share a value, a few rows more or less move a quartile from one value to the next.
    error = 4 * (0.25 * 0.75 * sum(1 / len(np.unique(part, axis=0)) for part in (ours, theirs))) ** 0.5
    below, above = (ours < low_too).mean(0), (ours > high_too).mean(0)
    below_too, above_too = (theirs < low).mean(0), (theirs > high).mean(0)
    wide = np.where(np.max([abs(each - 0.25) for each in (below, above, below_too, above_too)], 0) > error, wide, 0.0)
    # Other units stretch a column's ends as much as its middle, which may lie at the edge of a heap of zeros.
    ends = np.log((theirs.std(0) + 1e-12) / (ours.std(0) + 1e-12))
    wide = np.where(np.abs(ends) > 0.5 * np.log(LIMITS.column_stretch), wide, 0.0)
    off = np.flatnonzero(apart | (np.abs(wide) > np.log(LIMITS.column_stretch)))
    if not len(off):
        return None
    worst = int(off[0])
    return Finding(
        "preprocessing-mismatch",
        f"input {place}, feature {worst}",
        "warn",
        f"{len(off)} of {ours.shape[1]} columns are on another scale in the held-out rows: the middle half of column "
        f"{worst} runs from {low_too[worst]:.3g} to {high_too[worst]:.3g}, in the training rows from {low[worst]:.3g} "
        f"to {high[worst]:.3g}.",
        "Other units, or a transform that was left out or done twice for one of the parts.",
        0.8,
        statistic={"value": float(np.abs(middle_too - middle)[worst]), "healthy": [0, float((high - low)[worst])]},
    )


def _ranked(matrix: np.ndarray) -> np.ndarray:
    """Each column's ranks, which outliers do not sway."""
    return np.stack([ranks(column) for column in matrix.T], 1)


def never_drawn(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """A class that many held-out rows have and no training row."""
    ours, theirs = sample.labels, held.labels if held is not None else None
    if ours is None or theirs is None or len(ours) < 200 or len(theirs) < 50 or facts.get("folds"):
        raise CannotJudge("needs one class a row in both parts")
    kinds, counts = np.unique(theirs[theirs >= 0], return_counts=True)
    facts["labels held out"] = len(kinds)
    for kind, count in zip(kinds, counts, strict=True):
        if count >= 10 and count / len(theirs) * len(ours) >= 20 and not (ours == kind).any():
            share, facts["classes lost"] = f"{count / len(theirs):.0%}", True
            return Finding(
                "class-imbalance",
                "target",
                "warn",
                f"{share} of the held-out rows have the label {kind}, and none of {len(ours)} training rows.",
                "A sampler never draws that class, or the split or a mapping has lost it.",
                0.9,
                statistic={"value": int(kind), "instead of": "targets-out-of-range"},  # the labels are there, held out
            )
    return _never_held(ours, theirs)


def _never_held(ours: np.ndarray, theirs: np.ndarray) -> Finding | None:
    """Classes that make up half of the training rows or more, and none of many held-out ones."""
    kinds, counts = np.unique(ours[ours >= 0], return_counts=True)
    lost = ~np.isin(kinds, theirs)
    share = float(counts[lost].sum() / counts.sum())
    if share < 0.5 or len(theirs) < 100:
        return None
    return Finding(
        "class-imbalance",
        "split",
        "critical",
        f"{lost.sum()} of {len(kinds)} classes, {share:.0%} of the training rows, have none of {len(theirs)} held-out "
        "rows.",
        "The last rows of a sorted file were held out: deal the rows by chance, class by class.",
        0.9,
        statistic={"value": share, "healthy": [0, 0.1]},
    )


CHECKS: dict[str, Callable[[Sample, Sample | None, dict[str, Any]], Finding | None]] = {
    "data-leakage": data_leakage,
    "preprocessing-mismatch": preprocessing_mismatch,
    "class-imbalance": never_drawn,
    "label-breaking-augmentation": turned,
}
