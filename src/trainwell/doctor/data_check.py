"""A sample of rows to findings about the data and its labels, before a single step is taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from trainwell.doctor import columns_check
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.sample import Sample, is_picture
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
NORMS = ("Normalize", "BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm")
TAIL = 0.2  # of the rows, beyond which a second cluster is a kind of its own
LEFT_OUT = 0.02  # of the rows, each with one label
FEW = 5  # rows of a class, which then may well have had none in a sample
ALMOST_ALL = 0.8  # of the rows, beyond which one label hides how rare the others are


def input_not_normalized(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Features far from zero mean and unit deviation, in front of a layer that does not normalize them itself."""
    matrices = sample.numbers()
    if not matrices:
        raise CannotJudge("the inputs are no numbers but codes")
    if facts.get("first layer normalizes"):
        return None
    for place, matrix in matrices:
        values = matrix[np.isfinite(matrix).all(1)]
        left = facts.get("task scales") and is_picture(sample.inputs[place])
        if len(values) < 16 or left or columns_check.who_knows_whom(values):
            continue
        mean, deviation = values.mean(0), values.std(0)
        moving = deviation > 0
        if not moving.any():
            continue
        size = float(np.sqrt((values**2).mean()))
        feature_sizes = np.sqrt((values**2).mean(0))[moving]
        largest, smallest = float(deviation[moving].max()), float(deviation[moving].min())
        shifted = float((np.abs(mean[moving]) / deviation[moving]).max()) if moving.any() else 0.0
        uneven = largest / smallest > LIMITS.scale_ratio and feature_sizes.max() > LIMITS.deviation_high
        far = shifted > LIMITS.mean_over_deviation and np.abs(mean).max() > LIMITS.deviation_high
        tiny = feature_sizes.max() < LIMITS.deviation_low / 2
        tiny = tiny or (largest < LIMITS.deviation_low / 2 and shifted > LIMITS.mean_over_deviation)
        tiny = tiny and not columns_check.shares_of_words(values)
        if size <= LIMITS.deviation_high and not (uneven or far or tiny):
            continue
        pixels = values.min() >= 0 and 200 < values.max() <= 255
        worst = int(np.argmax(np.abs(mean) + deviation))
        evidence = (
            f"Over {len(values):,} rows the inputs have a root mean square of {size:.3g}, feature {worst} a mean of "
            f"{mean[worst]:.3g} and a deviation of {deviation[worst]:.3g}; "
            "healthy is a mean near 0 and a deviation near 1."
        )
        cause = "Pixels were not divided by 255." if pixels else "The features reach the network in their raw units."
        return Finding(
            "input-not-normalized",
            f"input {place}",
            "critical" if size > 30 else "warn",
            evidence,
            cause,
            0.9,
            statistic={
                "value": size,
                "healthy": [0.1, 10.0],
                "largest deviation": largest,
                "smallest deviation": smallest,
            },
        )
    return None


def bad_features(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Values that are not finite, and single values absurdly far from the rest."""
    matrices = sample.numbers()
    if not matrices:
        return _one_token(sample)
    for place, each in enumerate(sample.inputs):
        if len(each) >= 16 and each[0].numel() > 1 and each.is_floating_point() and bool((each == each[:1]).all()):
            return Finding(
                "bad-features",
                f"input {place}",
                "critical",
                f"All {len(each):,} rows have the same values.",
                "The inputs carry nothing: a transform blanks them, or the same row is read again and again.",
                0.95,
                statistic={"value": 0.0},
            )
    for place, matrix in matrices:
        wrong = ~np.isfinite(matrix)
        if wrong.any():
            row, column = (int(each) for each in np.argwhere(wrong)[0])
            evidence = (
                f"{int(wrong.sum()):,} of {matrix.size:,} input values are NaN or infinite, the first in row {row}."
            )
            return Finding(
                "bad-features",
                f"input {place}, feature {column}",
                "critical",
                evidence,
                "Missing values were passed on instead of imputed.",
                1.0,
                statistic={"value": int(wrong.sum())},
            )
        middle = np.median(matrix, 0)
        spread = 1.4826 * np.median(np.abs(matrix - middle), 0)
        spread = np.where(spread > 0, spread, np.inf)
        distance = np.abs(matrix - middle) / spread
        overall = float(np.sqrt((matrix**2).mean()))
        rows = np.argwhere((distance > LIMITS.outlier) & (np.abs(matrix) > 30 * np.median(np.abs(matrix)) + 20))
        if (mixed := _two_units(place, matrix, distance)) is not None:
            return mixed
        if len(rows) and len(rows) < 0.01 * len(matrix) * matrix.shape[1] and overall > 0:
            row, column = (int(each) for each in rows[0])
            evidence = (
                f"{len(rows):,} values lie more than {LIMITS.outlier:g} robust deviations from their feature's median, "
                f"such as {matrix[row, column]:.3g} in row {row}."
            )
            return Finding(
                "bad-features",
                f"input {place}, feature {column}",
                "warn",
                evidence,
                "Outliers of this size dominate the gradient of every batch they are in.",
                0.8,
                statistic={"value": float(distance.max()), "healthy": [0, LIMITS.outlier]},
            )
    return columns_check.one_value(sample)


def _two_units(place: int, matrix: np.ndarray, distance: np.ndarray) -> Finding | None:
    """A column part of whose values lie far beyond all the others, with nothing between: no tail, another unit."""
    if len(matrix) < LIMITS.rows // 2:
        return None
    beyond = distance > LIMITS.outlier
    between = (distance > LIMITS.outlier / 5) & ~beyond
    share = beyond.mean(0)
    apart = (beyond.sum(0) >= FEW) & (share < TAIL) & (between.sum(0) <= 0.1 * beyond.sum(0))
    if not apart.any():
        return None
    column = int(np.flatnonzero(apart)[share[apart].argmax()])
    row = int(np.flatnonzero(beyond[:, column])[0])
    return Finding(
        "bad-features",
        f"input {place}, feature {column}",
        "warn",
        f"{share[column]:.1%} of the values of feature {column} lie over {LIMITS.outlier:g} robust deviations from "
        f"its median, such as {matrix[row, column]:.3g} in row {row}, and hardly any between these and the rest.",
        "Part of the rows are in another unit, or hold a sign for what was not measured.",
        0.8,
        statistic={"value": float(share[column]), "healthy": [0, 0.0]},
    )


def _one_token(sample: Sample) -> Finding | None:
    """One token at nearly all places in front of where rows end."""
    tokens = next((each for each in sample.inputs if not each.is_floating_point() and each.dim() == 2), None)
    if tokens is None or tokens.shape[1] < 8 or is_picture(tokens):
        raise CannotJudge("the inputs are no numbers but codes")
    inside = tokens[~_ends(tokens)]
    kinds, counts = inside.unique(return_counts=True)
    if 1 < len(kinds) < FEW or len(inside) < LIMITS.rows or float(counts.max()) <= ALMOST_ALL * len(inside):
        return None
    most, share = int(kinds[counts.argmax()]), float(counts.max()) / len(inside)
    others = f", {len(kinds) - 1} others at the rest" if len(kinds) > 1 else ""
    return Finding(
        "bad-features",
        "input",
        "warn",
        f"Token {most} stands at {share:.0%} of the places in front of where rows end{others}.",
        "What was read is not in the vocabulary: another one, other case, or words where it has letters.",
        0.85,
        statistic={"value": share, "healthy": [0, ALMOST_ALL]},
    )


def _ends(tokens: Tensor) -> Tensor:
    """Where the commonest last token fills a row up to its end, (rows, places)."""
    return (tokens == int(tokens[:, -1].mode().values)).flip(1).long().cumprod(1).flip(1).bool()


def class_imbalance(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Notes how much more frequent the commonest class is; it becomes a finding where the rarest is seen to be
    missed."""
    counts = np.bincount(classes_of(sample, facts))
    kinds, counts = np.flatnonzero(counts), counts[counts > 0]
    if 2 <= len(counts) <= 50:
        facts["class shares"] = np.stack([kinds, counts / counts.sum()], 1).tolist()
        facts["class ratio"] = float(counts.max() / counts.min())
    raise CannotJudge("shows only in what the trained model misses")


def small(pictures: Tensor) -> Tensor:
    """Pictures (rows, channels, height, width) of at most 12 by 12 pixels."""
    height, width = (min(12, side) for side in pictures.shape[2:])
    return nn.functional.adaptive_avg_pool2d(pictures.float(), (height, width))


def targets_out_of_range(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Labels outside the model's classes, all ignored, or numbers that are not finite."""
    target = sample.target
    if target is None:
        raise CannotJudge("no targets were seen")
    if target.is_floating_point():
        wrong = int((~target.isfinite()).sum())
        if not wrong:
            return _no_share(target, facts) or _far_off(target, facts)
        if facts.get("loss leaves out missing targets"):
            return None
        return _targets(f"{wrong} targets are NaN or infinite.", "Missing answers were passed on.", "critical", wrong)
    ignored, classes = facts.get("ignore index", -100), facts.get("classes")
    seen = target[target != ignored]
    if not seen.numel():
        return _targets(
            f"All {target.numel():,} targets equal {ignored}, the index that the loss ignores.",
            "The mapping from labels to indices, or the collator, blanks every answer.",
            "critical",
            target.numel(),
        )
    if facts.get("loss") in ("cross_entropy", "nll") and classes:
        # What the step leaves out before its loss, as pixels of no class, is no fault.
        low, high = facts.get("labels that the loss got") or (int(seen.min()), int(seen.max()))
        if low < 0 or high >= classes:
            text = f"Labels run from {low} to {high}, the model has classes 0 to {classes - 1}."
            return _targets(text, "Labels are not mapped to 0 .. classes - 1.", "critical", high)
        # Of sequences the padding's label is left out rightly; where each row has one label, a class is lost.
        if 0 <= ignored < classes and target.dim() == 1 and (target == ignored).any():
            text = (
                f"The loss ignores class {ignored}, which "
                f"{float((target == ignored).float().mean()):.0%} of the rows have."
            )
            return _targets(text, "`ignore_index` is one of the classes.", "critical", ignored)
        left_out = float((target == ignored).float().mean())
        if target.dim() == 1 and LEFT_OUT < left_out < 1:
            text = f"{left_out:.0%} of the rows have the label {ignored}, which the loss leaves out."
            return _targets(
                text, "The mapping knows no class for them, so nothing is learned of these.", "warn", ignored
            )
        counts = seen.unique(return_counts=True)[1]
        missing = classes - len(counts)
        # Where one label takes nearly all rows, as "no entity" does among words, or some are seen a few times only, a
        # sample need not hold the rare ones.
        if len(counts) > 1 and (float(counts.max()) > ALMOST_ALL * seen.numel() or int(counts.min()) < FEW):
            return None
        if seen.numel() >= 20 * classes and missing >= max(2, 0.3 * classes) and classes <= 100:
            text = f"{missing} of the model's {classes} classes have no row among {seen.numel():,}."
            wide = int(seen.max()) == len(counts) - 1  # a head with room to spare does no harm
            cause = "Labels collapse several classes into one, or the head is too wide."
            return _targets(text, cause, "note" if wide else "warn", missing)
    return None


def _no_share(target: Tensor, facts: dict[str, Any]) -> Finding | None:
    """Answers below 0 or above 1 where the loss takes them for shares."""
    low, high = float(target.min()), float(target.max())
    if target.dim() > 2 and low < 0:
        return None  # boxes and the like, filled up, of which the loss makes its own targets
    if facts.get("loss") not in ("bce", "bce_logits") or (low >= 0 and high <= 1):
        return None
    text = f"The answers run from {low:.3g} to {high:.3g}; binary cross-entropy takes shares from 0 to 1."
    outside = int(((target < 0) | (target > 1)).sum())
    return _targets(
        text, "Its terms have no lowest value beyond: code the two classes as 0 and 1.", "critical", outside
    )


def _far_off(target: Tensor, facts: dict[str, Any]) -> Finding | None:
    """A few answers far beyond all others with nothing in between, as slips of the pen are and heavy tails are not."""
    values = target.detach().double().flatten(1).cpu().numpy() if target.dim() > 1 else None
    values = target.detach().double().cpu().numpy()[:, None] if values is None else values
    if facts.get("loss") not in ("mse", "mae", "huber") or len(values) < 200 or values.shape[1] > 50:
        return None
    for column in values.T:
        far = far_apart(column)
        if far is not None:
            count, inside, outside, _ = far
            text = (
                f"{count} of {len(column)} answers lie at least {outside:.0f} robust deviations from the median, "
                f"no other beyond {inside:.1f}."
            )
            cause = (
                "Misplaced points, other units, or a number that stands for a missing answer; they make up the loss."
            )
            return _targets(text, cause, "warn", outside)
    return None


def far_apart(column: np.ndarray) -> tuple[int, float, float, float] | None:
    """(how many, farthest of the others, nearest of them, one of them) of the few numbers far beyond all others.

    Distances are robust deviations from the median. Numbers that run over many magnitudes have none. column: (rows,)
    """
    middle = np.median(column)
    spread = 1.4826 * np.median(np.abs(column - middle))
    column = column[np.abs(column - middle).argsort()]
    distance = np.abs(column - middle) / (spread or np.inf)
    first = len(column) - max(3, len(column) // 20)  # at most one in twenty
    place = first + int((distance[first + 1 :] / np.maximum(distance[first:-1], 3.0)).argmax())
    inside, outside = float(distance[place]), float(distance[place + 1])
    if outside < max(LIMITS.outlier, LIMITS.gap * inside):
        return None
    if _in_tail(distance, place) or _in_tail(np.abs(column), place):
        return None
    return len(column) - place - 1, inside, outside, float(column[place + 1])


def _in_tail(sizes: np.ndarray, place: int) -> bool:
    """Whether all sizes beyond a place may still belong to numbers that run over many magnitudes."""
    magnitudes = np.log(sizes + 1e-12)
    usual = np.median(magnitudes)
    width = 1.4826 * np.median(np.abs(magnitudes - usual))
    return bool(magnitudes[place + 1 :].min() < usual + LIMITS.spike_deviations * width)


def _targets(evidence: str, cause: str, severity: Any, value: Any) -> Finding:
    return Finding("targets-out-of-range", "target", severity, evidence, cause, 0.95, statistic={"value": value})


def padding_or_mask_fault(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Sequences that are mostly padding, or a mask that does not lie where the padding is."""
    tokens = next((each for each in sample.inputs if not each.is_floating_point() and each.dim() == 2), None)
    if tokens is None or tokens.shape[1] < 8 or tokens.shape[0] < 8:
        raise CannotJudge("the inputs are no sequences of tokens")
    if (tokens == tokens[0, 0]).all():
        raise CannotJudge("all tokens are the same")
    last = tokens[:, -1]
    padding = int(last.mode().values)
    same = _ends(tokens)
    if (last == padding).float().mean() < 0.3:
        return None
    share = float(same.float().mean())
    masks = {name: each for name, each in sample.masks.items() if "mask" in name and each.shape[1:] == tokens.shape[1:]}
    for name, mask in masks.items():
        rows = min(len(mask), len(tokens))
        seen = mask[:rows].bool()
        wrong = float((seen & same[:rows]).float().sum() / same[:rows].float().sum().clamp_min(1))
        turned = float((~seen & ~same[:rows]).float().mean())
        if wrong > 0.05 and share > 0.05 and (wrong > 0.5 or turned > 0.3):
            evidence = (
                f"{wrong:.0%} of the padded positions count as seen in {name}, and "
                f"{turned:.0%} of all are real and hidden."
            )
            return Finding(
                "padding-or-mask-fault",
                name,
                "critical",
                evidence,
                "The mask is turned round, or does not belong to these rows.",
                0.85,
                statistic={"value": wrong, "healthy": [0, 0.05]},
            )
    # What no row of a batch reaches into is the batch's to leave out; rows of unlike length need the rest.
    # Of batches of another length than the first no rows are kept.
    sizes = sample.sizes if sum(sample.sizes) == len(same) else sample.sizes[:1]
    wasted = float(np.mean([float(part.all(0).float().mean()) for part in same[: sum(sizes)].split(sizes)] or [0.0]))
    if max(share, wasted) <= LIMITS.padding:
        return None
    evidence = f"{share:.0%} of all positions are padding (token {padding}), {wasted:.0%} in all rows of their batch."
    return Finding(
        "padding-or-mask-fault",
        "input",
        "warn" if wasted > LIMITS.padding and sizes[0] >= FEW else "note",  # a single row is all there is of its batch
        evidence,
        "Rows are padded to the longest of all, not of their batch.",
        0.8,
        statistic={"value": wasted, "healthy": [0, LIMITS.padding]},
    )


def first_layer_normalizes(model: nn.Module) -> bool:
    """Whether the first layer with weights or running statistics is a norm or an embedding."""
    for module in model.modules():
        name = type(module).__name__
        if name.startswith(NORMS) or "Embedding" in name:
            return True
        if next(module.parameters(recurse=False), None) is not None:
            return False
    return False


def classes_of(sample: Sample, facts: dict[str, Any]) -> np.ndarray:
    """One class a row, those that are left out removed; raises CannotJudge where the target is something else."""
    labels = sample.labels
    if labels is None and sample.target is not None and facts.get("loss") in ("bce", "bce_logits", "mse"):
        target = sample.target.flatten().cpu().numpy()
        if len(target) == sample.rows and len(np.unique(target)) == 2:
            labels = (target > target.min()).astype(np.int64)
    if labels is None:
        raise CannotJudge("the target is not one class a row")
    return labels[labels >= 0]


CHECKS: dict[str, Callable[[Sample, dict[str, Any]], Finding | None]] = {
    "input-not-normalized": input_not_normalized,
    "bad-features": bad_features,
    "class-imbalance": class_imbalance,
    "targets-out-of-range": targets_out_of_range,
    "padding-or-mask-fault": padding_or_mask_fault,
}
