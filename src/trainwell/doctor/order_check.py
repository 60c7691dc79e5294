"""A sample of rows to findings about the order they come in."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from trainwell.doctor.data_check import classes_of
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.sample import Sample
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
MANY, ROWS = 8, 192  # batches and rows, which no chance puts in order of their length
FAR = 4  # places on that an answer is looked for


def data_not_shuffled(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Neighboring rows share their label far more often than chance would have it, batch after batch."""
    if facts.get("ordered by design"):
        return None
    target = sample.target
    numbers = target is not None and target.is_floating_point() and target.numel() == sample.rows > 0
    if target is not None and numbers and len(target.unique()) >= 5:
        return _numbers_in_order(sample, target.flatten().cpu().numpy().astype(np.float64))
    labels = classes_of(sample, facts)
    if len(labels) < 64 or len(sample.sizes) < 3:
        raise CannotJudge("needs three batches to see their order")
    shares = np.bincount(labels) / len(labels)
    chance = float((shares**2).sum())
    same = float((labels[1:] == labels[:-1]).mean())
    excess = (same - chance) / max(1e-9, 1 - chance)
    fewest = np.mean(
        [len(np.unique(part)) for part in np.split(labels, np.cumsum(sample.sizes)[:-1])[:-1] if len(part)]
    )
    if chance > 0.95:  # the batches seen hold one class alone: sorted, or there is but one
        only_one = len(np.unique(labels)) == 1 and (facts.get("classes") or 0) >= 2
        if not only_one:
            return None
        facts["class of all first rows"] = int(labels[0])
        excess, same = 1.0, 1.0
    if excess <= LIMITS.label_autocorrelation or _all_kinds_each(labels, sample.sizes, shares):
        return None
    evidence = (
        f"Neighboring rows have the same label in {same:.0%} of cases where chance gives {chance:.0%}; "
        f"a batch holds {fewest:.1f} different labels on average."
    )
    return Finding(
        "data-not-shuffled",
        "loader",
        "critical" if excess > 0.7 else "warn",
        evidence,
        "Rows come in the order of their labels, so each batch pulls towards one class.",
        0.9,
        statistic={"value": excess, "healthy": [-0.1, LIMITS.label_autocorrelation]},
    )


def _all_kinds_each(labels: np.ndarray, sizes: list[int], shares: np.ndarray) -> bool:
    """Whether each batch holds all labels as often as all rows do, in whatever order: drawn or made that way."""
    if (shares > 0).sum() < 2:
        return False  # one label alone is what sorted rows begin with
    parts = np.split(labels, np.cumsum(sizes)[:-1])
    shown = [np.bincount(part, minlength=len(shares)) / len(part) for part in parts if len(part) >= 2 * len(shares)]
    return len(shown) >= 3 and max(float(np.abs(each - shares).sum()) for each in shown) < 0.1


def same_batch(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """The same rows in every batch, where as many rows as that are held out: no whole set, but one batch of it."""
    if len(sample.sizes) < 4 or len(sample.hashes) < sum(sample.sizes[:4]):
        raise CannotJudge("needs four batches to see whether they are the same")
    ends = np.cumsum(sample.sizes)
    batches = [frozenset(sample.hashes[end - size : end]) for size, end in zip(sample.sizes, ends, strict=True)]
    held = facts.get("held-out rows") or 0
    if len(set(batches)) > 1 or len(batches[0]) < 2 or held < sample.sizes[0]:
        return None  # a set that is learned from whole at each step holds out fewer rows than it has
    orders = {tuple(sample.hashes[end - size : end]) for size, end in zip(sample.sizes, ends, strict=True)}
    if len(orders) > 1:
        return None  # shuffled at each step, so these are all rows that there are
    few = len(batches[0]) * 2 <= sample.sizes[0]
    return Finding(
        "overfitting" if few else "data-not-shuffled",
        "loader",
        "critical",
        f"All {len(batches)} batches seen hold the same {len(batches[0])} rows, while {held} or more are held out.",
        "A sampler draws those few again and again, as by a weight a class where it asks for a weight a row."
        if few
        else "The loader is begun anew at each step, as by next(iter(loader)), so only its first batch is learned.",
        0.9,
        statistic={"value": len(set(batches)), "healthy": [2, len(batches)], "one batch": True},
    )


def _numbers_in_order(sample: Sample, target: np.ndarray) -> Finding | None:
    """Neighboring rows of a table with like answers, where their inputs are not alike, as a series' would be."""
    inputs = [matrix for place, matrix in sample.numbers() if sample.inputs[place].dim() == 2]
    if len(target) < 192 or len(sample.sizes) < 3 or not inputs:
        raise CannotJudge("needs three batches of a table to see their order")
    if not np.isfinite(target).all():
        raise CannotJudge("answers that are not finite have no order")
    matrix = np.nan_to_num(inputs[0])
    follows = abs(_one_apart(target))
    alike = float(np.median([abs(_one_apart(column)) for column in matrix.T if column.std() > 0] or [1.0]))
    if follows <= LIMITS.label_autocorrelation or follows < alike + 0.3:
        return None
    return Finding(
        "data-not-shuffled",
        "loader",
        "critical" if follows > 0.7 else "warn",
        f"The answers of neighboring rows correlate by {follows:.2f}, their features by {alike:.2f}; chance gives 0.",
        "Rows come in the order of their answers, so each batch pulls towards one end.",
        0.85,
        statistic={"value": follows, "healthy": [-0.1, LIMITS.label_autocorrelation]},
    )


def _one_apart(values: np.ndarray) -> float:
    """The correlation of a row's value with the next row's."""
    if values[1:].std() == 0 or values[:-1].std() == 0:
        return 0.0
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


def _by_a_feature(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Rows of a table that come in the order of one of their features, without a single exception."""
    tables = [(place, each) for place, each in sample.numbers() if sample.inputs[place].dim() == 2]
    if facts.get("ordered by design") or len(sample.sizes) < 3 or not tables:
        return None
    for place, matrix in tables:
        steps = np.diff(matrix, axis=0)
        many = np.array([len(np.unique(column)) for column in matrix.T]) >= 64
        for feature in np.flatnonzero(many & ((steps >= 0).all(0) | (steps <= 0).all(0))):
            return Finding(
                "data-not-shuffled",
                "loader",
                "warn",
                f"The {len(matrix)} rows seen come in the order of feature {feature} of input {place}, each at or "
                "beyond the one before.",
                "A sorted file was not shuffled, so each batch knows one end of it only.",
                0.9,
                statistic={"value": 1.0, "healthy": [0.4, 0.6]},
            )
    return None


def _by_length(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Rows of tokens that come by their length, the padding behind them left out, without a single exception."""
    tokens = sample.inputs[0] if sample.inputs else None
    if facts.get("ordered by design") or tokens is None or tokens.is_floating_point() or tokens.dim() != 2:
        return None
    padding = int(tokens[:, -1].mode().values)
    lengths = (tokens != padding).sum(1).cpu().numpy()[: sum(sample.sizes)]
    steps = np.diff(lengths)
    few = len(sample.sizes) < MANY or len(lengths) < ROWS
    if few or len(np.unique(lengths)) < 3 or not ((steps >= 0).all() or (steps <= 0).all()):
        return None
    return Finding(
        "data-not-shuffled",
        "loader",
        "warn",
        f"The {len(lengths)} rows seen come by their length, from {lengths[0]} to {lengths[-1]} tokens, without an "
        "exception.",
        "Batches of one length save padding, but left in that order each knows one kind of rows only: shuffle them.",
        0.85,
        statistic={"value": 1.0, "healthy": [0.4, 0.6]},
    )


def turned_answers(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Answers by time and row where the tokens are by row and time: turned round, and only so, they follow them."""
    tokens, target = sample.inputs[0] if sample.inputs else None, sample.target
    if tokens is None or target is None or tokens.is_floating_point() or tokens.dim() != 2:
        raise CannotJudge("the inputs are no sequences of tokens")
    if target.shape != tokens.shape or len(tokens) != sum(sample.sizes) or set(sample.sizes) != {tokens.shape[1]}:
        return None  # a square alone can be turned round unseen
    blocks = list(zip(tokens.split(sample.sizes), target.split(sample.sizes), strict=True))
    plain = np.mean([float((y[:, :-1] == x[:, 1:]).float().mean()) for x, y in blocks])
    turned = np.mean([float((y.t()[:, :-1] == x[:, 1:]).float().mean()) for x, y in blocks])
    if turned < 0.98 or plain > 0.9:
        return None
    return Finding(
        "label-noise",
        "target",
        "critical",
        f"Turned round, the answers are the tokens that follow in {turned:.0%} of the places, as they are in "
        f"{plain:.0%}.",
        "They come by time and row, the inputs by row and time, so each place is asked for another row's token.",
        0.95,
        statistic={"value": float(plain), "healthy": [0.98, 1.0]},
    )


def misplaced_answers(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """Answers that are tokens of their own row, but not the next ones; or such as are turned round."""
    tokens, target = sample.inputs[0] if sample.inputs else None, sample.target
    if tokens is None or target is None or tokens.is_floating_point() or target.shape != tokens.shape:
        return turned_answers(sample, facts)
    shares = [_follow(tokens, target, apart) for apart in range(1, FAR + 1)] if tokens.shape[-1] > FAR else [1.0]
    place = int(np.argmax(shares))
    if tokens.dim() != 2 or place == 0 or shares[place] < 0.98 or shares[0] > 0.9:
        return turned_answers(sample, facts)
    return Finding(
        "label-noise",
        "target",
        "critical",
        f"The answers are the tokens {place + 1} places on in {shares[place]:.0%} of the places, the next ones in "
        f"{shares[0]:.0%}.",
        "They are shifted twice, by the rows as they are made and by the model or the loss once more.",
        0.95,
        statistic={"value": float(shares[0]), "healthy": [0.98, 1.0]},
    )


def _follow(tokens: Tensor, target: Tensor, apart: int) -> float:
    """The share of answers that are the tokens so many places on; those left out, below zero, aside."""
    given, on = target[:, :-apart], tokens[:, apart:]
    told = given >= 0
    return float((given == on)[told].float().mean()) if told.any() else 0.0


def in_order(sample: Sample, facts: dict[str, Any]) -> Finding | None:
    """The same batch again and again, rows in the order of a feature, or neighboring rows of one label."""
    try:
        found = same_batch(sample, facts)
    except CannotJudge:
        found = None
    return found or _by_a_feature(sample, facts) or _by_length(sample, facts) or data_not_shuffled(sample, facts)


CHECKS: dict[str, Callable[[Sample, dict[str, Any]], Finding | None]] = {"data-not-shuffled": in_order}
OF_ANSWERS: dict[str, Callable[[Sample, dict[str, Any]], Finding | None]] = {"label-noise": misplaced_answers}
