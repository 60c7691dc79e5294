"""A sample of each part to what a ridge learns from it and carries over: parts at odds, and a bar for the network.

A ridge, or for text a table of which token follows which, is learned in milliseconds. What it learns within one part
and not across says that the parts differ in what the network must learn, in whichever way that came about.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.data_check import small
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.sample import Sample, is_picture
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
ROWS = 512
WORDS = 500
KINDS = 200  # classes, or tokens, at most
FAR = 5.0  # deviations at which a feature is cut off


@dataclass
class Part:
    """Rows as a ridge takes them: features (rows, features), and answers (rows, outputs), of classes one-hot."""

    features: np.ndarray
    answers: np.ndarray
    classes: bool

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, which: np.ndarray) -> "Part":
        return Part(self.features[which], self.answers[which], self.classes)


def part_of(sample: Sample | None, classes: int = 0, words: np.ndarray | None = None) -> Part | None:
    """At most 512 rows of numbers, pictures, series or tokens with one class or number a row; nothing of another kind.

    words: the tokens that are counted in each row, its commonest where none are told.
    """
    if sample is None or sample.target is None or not sample.rows:
        return None
    flat = [
        _flat(each) if each.is_floating_point() or is_picture(each) else counted(each, words) for each in sample.inputs
    ]
    found = [each for each in flat if each is not None]
    if not found or len(found) != len(flat) or any(len(each) != len(found[0]) for each in found):
        return None
    features: np.ndarray = np.concatenate(found, 1)[:ROWS]
    labels, target = sample.labels, sample.target
    # A row that came twice would be learned in one third of a part and asked for in another.
    once = np.sort(np.unique(features, axis=0, return_index=True)[1])
    if labels is not None:
        labels = labels[:ROWS]
        kinds = max(classes, int(labels.max(initial=0)) + 1)
        if len(labels) != len(features) or labels.min(initial=0) < 0 or not 2 <= kinds <= KINDS:
            return None
        return Part(features[once], np.eye(kinds)[labels[once]], True)
    if not target.is_floating_point() or target.numel() != sample.rows:
        return None
    answers = target.detach().double().cpu().numpy().reshape(-1, 1)[:ROWS]
    return Part(features[once], answers[once], False) if np.isfinite(answers).all() else None


def _of_later_half(sample: Sample, classes: int) -> float | None:
    """The skill within the later half of each sequence alone; None where the inputs are none."""
    if len(sample.inputs) != 1 or sample.inputs[0].dim() != 3 or sample.inputs[0].shape[1] < 8:
        return None
    (values,) = sample.inputs
    part = part_of(replace(sample, inputs=[values[:, values.shape[1] // 2 :]]), classes)
    return crossed(part).value if part is not None and _varied(part) else None


def _flat(values: Tensor) -> np.ndarray | None:
    if values.dim() == 4 and (values.is_floating_point() or is_picture(values)):
        values = small(values[:ROWS])
    elif not values.is_floating_point() or not 2 <= values.dim() <= 3:
        return None
    flat = values[:ROWS].detach().double().cpu().numpy().reshape(min(len(values), ROWS), -1)
    return np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0) if flat.shape[1] <= 1000 else None


def counted(tokens: Tensor, words: np.ndarray | None = None) -> np.ndarray | None:
    """How often each of these tokens stands in a row, (rows, tokens), three times at most; of lengths, nothing."""
    if tokens.dim() != 2 or tokens.shape[1] < 4 or tokens.dtype == torch.bool:
        return np.zeros((len(tokens[:ROWS]), 0)) if tokens.dim() == 1 else None
    rows = tokens[:ROWS].detach().cpu().numpy()
    words = common_words(rows) if words is None else words
    place = np.searchsorted(words, rows).clip(max=len(words) - 1)
    found = np.zeros((len(rows), len(words)))
    known = words[place] == rows
    np.add.at(found, (np.nonzero(known)[0], place[known]), 1.0)
    return np.minimum(found, 3.0)


def common_words(rows: np.ndarray) -> np.ndarray:
    """At most 500 tokens, the commonest, in their order."""
    kinds, counts = np.unique(rows, return_counts=True)
    return np.sort(kinds[np.argsort(-counts, kind="stable")[:WORDS]])


class Skill(NamedTuple):
    """How much of the way from guessing to being always right is gone, and by how much that is off by chance."""

    value: float
    error: float


def skill(learned: Part, judged: Part) -> Skill:
    """What a ridge learned from one part makes of another: by accuracy of classes, else by R squared."""
    center, deviation = np.median(learned.features, 0), learned.features.std(0)
    spread = 1.4826 * np.median(np.abs(learned.features - center), 0)
    spread = np.where(spread > 0.01 * deviation, spread, deviation)
    spread = np.where(spread > 1e-9, spread, np.inf)

    def scaled(part: Part) -> np.ndarray:
        return np.clip((part.features - center) / spread, -FAR, FAR)

    x, mean = scaled(learned), learned.answers.mean(0)
    at = x.mean(0)
    x = x - at
    gram = x.T @ x + 0.05 * len(x) * np.eye(x.shape[1])
    answer = (scaled(judged) - at) @ np.linalg.solve(gram, x.T @ (learned.answers - mean)) + mean
    if learned.classes:
        given, told = answer.argmax(1), judged.answers.argmax(1)
        left, guessed = (given != told).astype(float), np.full(len(told), 1 - judged.answers.mean(0).max())
    else:
        left, guessed = (
            (each**2).mean(1) for each in (answer - judged.answers, judged.answers - judged.answers.mean(0))
        )
    least = max(float(guessed.mean()), 1e-12)
    share = float(left.mean()) / least
    return Skill(1 - share, float((left - share * guessed).std()) / least / len(left) ** 0.5)


def crossed(part: Part, folds: int = 3) -> Skill:
    """The skill within a part, each third of its rows answered by what the other two taught."""
    order = np.random.default_rng(0).permutation(len(part))
    pieces = np.array_split(order, folds)
    found = [
        skill(part.rows(np.concatenate(pieces[:place] + pieces[place + 1 :])), part.rows(piece))
        for place, piece in enumerate(pieces)
    ]
    value = float(np.mean([each.value for each in found]))
    return Skill(value, float(np.mean([each.error**2 for each in found]) / folds) ** 0.5)


def told_apart(one: Part, other: Part) -> float:
    """How well a ridge tells the inputs of two parts apart, 0 by chance to 1."""
    count = min(len(one), len(other))
    features = np.concatenate([one.features[:count], other.features[:count]])
    middle = features - features.mean(0)
    features = np.concatenate([features, middle**2], 1)  # by their place and by their spread
    return crossed(Part(features, np.eye(2)[np.repeat([0, 1], count)], True)).value


def preprocessing_mismatch(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Parts of which each teaches a ridge, and neither the other; or of which one alone teaches nothing."""
    classes = int(facts.get("classes") or 0)
    words = _words(sample)
    ours = part_of(sample, classes, words)
    if ours is not None and len(ours) >= 200 and _varied(ours):
        facts["ridge"] = crossed(ours).value
        facts["ridge leaves"] = _left(ours, facts)
        facts["ridge of the later half"] = _of_later_half(sample, classes)
    if facts.get("folds"):
        raise CannotJudge("the rows take turns at being held out, so both parts are the same")
    theirs = part_of(held, classes, words)
    if ours is None or theirs is None or min(len(ours), len(theirs)) < 200:
        raise CannotJudge("needs 200 rows of numbers or pictures in both parts")
    if ours.features.shape[1] != theirs.features.shape[1] or ours.answers.shape[1] != theirs.answers.shape[1]:
        raise CannotJudge("the parts differ in shape")
    if not (_varied(ours) and _varied(theirs)):
        raise CannotJudge("nearly all rows have one answer")
    count = min(len(ours), len(theirs))  # of more rows more is learned, which says nothing of the parts
    ours, theirs = (each.rows(np.random.default_rng(1).permutation(len(each))[:count]) for each in (ours, theirs))
    across = skill(ours.rows(np.arange(count * 2 // 3)), theirs)
    found = _judged(crossed(ours), crossed(theirs), across, told_apart(ours, theirs), count)
    if found is not None and found.where != "held out" and facts.get("augmented"):
        return None  # rows that the loader moves teach each other less; whether it breaks labels is tried on copies
    return found


def _words(sample: Sample) -> np.ndarray | None:
    """The tokens that both parts are counted by, where the rows are tokens."""
    found = next((each for each in sample.inputs if not each.is_floating_point() and each.dim() == 2), None)
    return None if found is None or is_picture(found) else common_words(found[:ROWS].detach().cpu().numpy())


def _left(ours: Part, facts: dict[str, Any]) -> float | None:
    """The share of guessing's loss that a network should not end above, by what a ridge learns; nothing where that is
    little. A good part of the ridge's way is enough, as where a straight line is the answer a network takes longer;
    of classes, a ridge tells no chances."""
    gone = LIMITS.ridge_way * min(1.0, facts["ridge"])
    kinds = {"mse": 1 - gone, "mae": (1 - gone) ** 0.5}
    kinds = {"cross_entropy": 1 - gone, "nll": 1 - gone} if ours.classes else kinds
    return kinds.get(str(facts.get("loss"))) if facts["ridge"] > LIMITS.ridge else None


def _varied(part: Part) -> bool:
    return bool(part.answers.mean(0).max() < 0.8) if part.classes else bool(part.answers.std() > 0)


def _judged(within: Skill, beside: Skill, carried: Skill, apart: float, rows: int) -> Finding | None:
    """What the skills within the training rows, within the held-out rows, and across say of the two."""
    ours, theirs, across = max(0.0, within.value), max(0.0, beside.value), carried.value
    # Worse than guessing is no less than nothing.
    errors = [each.error for each in (within, beside, carried)]
    least = max(LIMITS.parts_gap, LIMITS.surprise * 2**0.5 * max(errors))
    words = (
        f"A ridge learned from some {rows * 2 // 3} rows goes {max(0.0, across):.0%} of the way from guessing to being "
        f"right when it is carried from training rows to held-out rows; within the training rows {max(0.0, ours):.0%}, "
        f"within the held-out rows {max(0.0, theirs):.0%}."
    )
    statistic = {"value": across, "healthy": [min(ours, theirs) - least, 1.0], "inputs told apart": apart}
    both = min(ours, theirs)
    if across < LIMITS.parts_carried * both and both - max(0.0, across) > least:
        cause = "The parts differ in how inputs or labels are made: another transform, order or coding in one of them."
        return Finding("preprocessing-mismatch", "held out", "warn", words, cause, 0.8, statistic=statistic)
    if theirs < 0.5 * ours and ours - theirs > least:
        cause = "The held-out rows' labels do not belong to their inputs, or their inputs are spoiled."
        return Finding("preprocessing-mismatch", "held out", "warn", words, cause, 0.75, statistic=statistic)
    if ours < 0.6 * theirs and theirs - ours > least:
        if apart > LIMITS.parts_apart:
            cause = (
                "What is done to the training inputs, such as an augmentation, hides or changes what the label says."
            )
            statistic["by ridge"] = True
            return Finding(
                "label-breaking-augmentation", "training rows", "warn", words, cause, 0.75, statistic=statistic
            )
        cause = "Part of the training labels are wrong: held-out rows of the same kind are explained far better."
        return Finding("label-noise", "target", "warn", words, cause, 0.7, statistic=statistic)
    return None


def table_of_tokens(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """The same for text whose answer is a token at each place: which answer comes with which token."""
    ours = _pairs(sample, facts.get("ignore index"))
    if ours is None:
        raise CannotJudge("the answer is no token at each place")
    first, second = _halves(ours)
    kinds = int(max(ours.max(), facts.get("classes") or 0)) + 1
    own = _explained(first, second, kinds)
    facts["ridge"] = own
    shares = np.bincount(ours[:, 1], minlength=kinds) / len(ours)
    entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    if len(ours) > 50 * kinds and own > 0.1 and facts.get("loss") in ("cross_entropy", "nll"):
        facts["ridge leaves"] = (
            (1 - LIMITS.ridge_way * own) * entropy / max(math.log(max(2, facts.get("classes") or kinds)), 1e-9)
        )
    theirs = _pairs(held, facts.get("ignore index")) if held is not None and not facts.get("folds") else None
    if theirs is None or theirs.max() >= KINDS or min(len(ours), len(theirs)) < 100 * min(kinds, 50):
        raise CannotJudge("needs more tokens in both parts")
    kinds = max(kinds, int(theirs.max()) + 1)
    one, other = _halves(theirs)
    within, across = _explained(one, other, kinds), _explained(first, theirs, kinds)
    both = min(own, within)
    if both < 0.1 or across > LIMITS.parts_carried * both:
        return None
    return Finding(
        "preprocessing-mismatch",
        "held out",
        "warn",
        f"Which answer comes with which token explains {own:.0%} of the answers' entropy within the training rows, "
        f"{within:.0%} within the held-out rows, and {max(0.0, across):.0%} of the held-out rows by the training rows.",
        "The parts differ in how text or answers are coded, ordered or shifted.",
        0.85,
        statistic={"value": across, "healthy": [both / 2, 1.0]},
    )


def _pairs(sample: Sample | None, ignored: int | None = None) -> np.ndarray | None:
    """(places, 2): token and answer at each place; ignored: the answer that the loss leaves out."""
    tokens = sample.inputs[0] if sample is not None and sample.inputs else None
    target = sample.target if sample is not None else None
    if tokens is None or target is None or tokens.is_floating_point() or tokens.dim() != 2 or is_picture(tokens):
        return None
    if target.is_floating_point() or target.shape != tokens.shape:
        return None
    found = np.stack([tokens.cpu().numpy().ravel(), target.cpu().numpy().ravel()], 1)
    found = found[(found >= 0).all(1) & (found[:, 1] != ignored)]
    return found if len(found) >= 1000 and found.max() < KINDS else None


def _halves(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]


def _explained(learned: np.ndarray, judged: np.ndarray, kinds: int) -> float:
    """The share of the answers' entropy that the token beside each explains, by counts of the other rows."""
    counts = np.zeros((kinds, kinds))
    np.add.at(counts, (learned[:, 0], learned[:, 1]), 1.0)
    shares = np.bincount(judged[:, 1], minlength=kinds) / len(judged)
    plain = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    common = (counts.sum(0) + 0.1) / (counts.sum() + 0.1 * kinds)
    chances = (counts + 5.0 * common) / (counts.sum(1, keepdims=True) + 5.0)  # rare tokens answer as all do
    left = -float(np.log(chances[judged[:, 0], judged[:, 1]]).mean())
    return 1 - left / max(plain, 1e-9)


CHECKS: tuple[tuple[str, Callable[[Sample, Sample | None, dict[str, Any]], Finding | None]], ...] = (
    ("preprocessing-mismatch", preprocessing_mismatch),
    ("preprocessing-mismatch", table_of_tokens),
)
