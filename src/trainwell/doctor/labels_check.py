"""Labels beside those of their rows' neighbors to whether some are wrong, and how far neighbors tell a label at all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from trainwell.doctor.data_check import classes_of, small
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.sample import Sample, is_picture
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
NEAR = 10  # neighbors that vote
SURE = 0.8  # share of the vote


def label_noise(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Rows whose neighbors agree on another label than theirs, where the same neighbors are right of held-out rows.

    Neighbors by pixels or loose columns may be no neighbors in what the label says; then they are wrong of both.
    """
    labels, values = classes_of(sample, facts), _values(sample)
    if values is None or len(labels) < 200:
        raise CannotJudge("needs 200 rows of number or picture inputs to look at neighbors")
    values = np.nan_to_num(values)[: len(labels)]
    mean, deviation = values.mean(0), values.std(0)
    # A column of a table counts in whatever unit it comes; a pixel at the rim that hardly changes does not.
    table = any(each.dim() == 2 for each in sample.inputs)
    least = 1e-6 * np.abs(mean) if table else 1e-3 * deviation.max()
    deviation = np.where(deviation > least + 1e-12, deviation, np.inf)
    points, kinds = (values - mean) / deviation, int(labels.max()) + 1
    votes = _votes(points, points, labels, kinds, same=True)
    shares = np.bincount(labels, minlength=kinds) / len(labels)
    facts["neighbor agreement"] = float((votes.argmax(1) == labels).mean())
    facts["commonest class"] = float(shares.max())
    sure = votes.max(1) >= SURE
    base = 1 - float((shares**2).sum())
    noise = float((votes.argmax(1) != labels)[sure].mean()) if sure.sum() >= 50 else 0.0
    facts["labels clear"] = bool(sure.sum() >= 50 and noise < 0.05)
    error = (noise * (1 - noise) / max(1, sure.sum())) ** 0.5
    if noise - 2 * error < 0.15 or noise > 0.6 * base or base < 0.45 or _overlap(votes.max(1)[sure], noise):
        return None
    theirs = _wrong_of_held(points, labels, kinds, held, (mean, deviation))
    if theirs is not None and noise - theirs[0] < max(0.5 * noise, 2 * math.hypot(error, theirs[1])):
        return None
    suspects = np.flatnonzero(sure & (votes.argmax(1) != labels))[:10].tolist()
    evidence = (
        f"Of {int(sure.sum())} rows whose ten nearest neighbors agree on a class, {noise:.0%} carry another label"
        + ("" if theirs is None else f", of such held-out rows {theirs[0]:.0%}")
        + f"; suspects are rows {', '.join(map(str, suspects[:5]))} of the sample."
    )
    return Finding(
        "label-noise",
        "target",
        "note" if theirs is None else "warn",
        evidence,
        "Part of the training rows' labels are wrong.",
        0.5 if theirs is None else 0.8,
        statistic={"value": noise, "healthy": [0, 0.15], "suspects": suspects},
    )


def _values(sample: Sample) -> np.ndarray | None:
    """(rows, features) of the number inputs, or of pictures made small; nothing where there are none."""
    matrices = [matrix for place, matrix in sample.numbers() if sample.inputs[place].dim() == 2]
    if not matrices:
        pictures = [
            each for each in sample.inputs if (each.is_floating_point() or is_picture(each)) and each.dim() == 4
        ]
        matrices = [small(each).flatten(1).cpu().numpy().astype(np.float64) for each in pictures]
    return np.concatenate(matrices, 1) if matrices else None


def _votes(rows: np.ndarray, others: np.ndarray, labels: np.ndarray, kinds: int, same: bool = False) -> np.ndarray:
    """Which share of each row's nearest others carries which label, (rows, kinds); itself left out where the same."""
    distances = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    if same:
        np.fill_diagonal(distances, np.inf)
    near = np.argpartition(distances, NEAR, axis=1)[:, :NEAR]
    return np.stack([(labels[near] == kind).mean(1) for kind in range(kinds)], 1)


def _wrong_of_held(
    points: np.ndarray, labels: np.ndarray, kinds: int, held: Sample | None, scale: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float] | None:
    """Share of held-out rows with another label than training rows around them agree on, and its error."""
    asked, values = (held.labels, _values(held)) if held is not None else (None, None)
    if asked is None or values is None or values.shape[1] != points.shape[1] or len(values) < len(asked):
        return None
    kept = asked >= 0
    values, asked = np.nan_to_num(values)[: len(asked)][kept], asked[kept]
    votes = _votes((values - scale[0]) / scale[1], points, labels, kinds)
    sure = votes.max(1) >= SURE
    if sure.sum() < 50:
        return None
    wrong = float((votes.argmax(1) != asked)[sure].mean())
    return wrong, (wrong * (1 - wrong) / float(sure.sum())) ** 0.5


def _overlap(votes: np.ndarray, noise: float) -> bool:
    """Whether ten neighbors agree wholly far more often than they could if labels were wrong at random: then classes
    meet at their borders, and in their midst the labels are right."""
    chances = [math.comb(NEAR, right) * (1 - noise) ** right * noise ** (NEAR - right) for right in (8, 9, 10)]
    return float((votes > 0.999).mean()) > 1.5 * chances[-1] / sum(chances) + 0.05


def cut_answers(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Answers that are whole numbers in what is learned from, and are not in what is held out."""
    target, theirs = sample.target, held.target if held is not None else None
    if target is None or theirs is None or not target.is_floating_point() or not theirs.is_floating_point():
        raise CannotJudge("needs numbers to answer, of held-out rows too")
    ours, others = (each[each.isfinite()].flatten() for each in (target, theirs))
    if min(len(ours), len(others)) < 64 or len(ours.unique()) < 3:
        return None
    whole, fine = (float((each == each.round()).float().mean()) for each in (ours, others))
    if whole < 1.0 or fine > 0.5:
        return None
    return Finding(
        "targets-out-of-range",
        "target",
        "critical",
        f"All {len(ours)} answers looked at are whole numbers, {len(ours.unique())} different ones; of those held out "
        f"{fine:.0%} are.",
        "What is learned from was cut to whole numbers on its way, as by a tensor of integers.",
        0.9,
        statistic={"value": whole, "healthy": [0.0, fine]},
    )


CHECKS: dict[str, Callable[[Sample, Sample | None, dict[str, Any]], Finding | None]] = {
    "label-noise": label_noise,
    "targets-out-of-range": cut_answers,
}
