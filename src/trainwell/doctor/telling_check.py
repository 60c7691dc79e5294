"""A sample's inputs beside its answers to whether one of them gives the answer away: a column, a word, a place."""

import itertools

import numpy as np

from trainwell.doctor.finding import Finding
from trainwell.doctor.sample import Sample
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS


def telling(sample: Sample) -> Finding | None:
    """A column that orders the labels, a token that tells a class, or numbers to answer among their row's inputs."""
    return _telling_feature(sample) or _telling_token(sample) or _answers_given(sample)


def _telling_feature(sample: Sample) -> Finding | None:
    """A single input that orders the labels almost perfectly where the others do not."""
    labels = sample.labels
    matrices = [(place, matrix) for place, matrix in sample.numbers() if sample.inputs[place].dim() == 2]
    target = sample.target
    if labels is None and target is not None and target.is_floating_point() and target.numel() == sample.rows:
        labels = target.flatten().cpu().numpy()
    if labels is None or not matrices or len(labels) < 100:
        return None
    for place, matrix in matrices:
        if not 2 <= matrix.shape[1] <= 500:
            continue
        scores = np.array([_orders(np.nan_to_num(matrix[:, column]), labels) for column in range(matrix.shape[1])])
        best = int(scores.argmax())
        others = np.delete(scores, best)
        if scores[best] > LIMITS.single_feature_auroc and others.max() < 0.97:
            evidence = (
                f"Feature {best} alone ranks the answers with {scores[best]:.3f} where "
                f"the next best reaches {others.max():.2f}."
            )
            return Finding(
                "data-leakage",
                f"input {place}, feature {best}",
                "critical",
                evidence,
                "The answer, or something made from it, is among the inputs.",
                0.85,
                statistic={"value": float(scores[best]), "healthy": [0.5, LIMITS.single_feature_auroc]},
            )
    return None


def _telling_token(sample: Sample) -> Finding | None:
    """A token whose presence alone tells a class from all others, where hardly any other token comes near."""
    labels, tokens = sample.labels, sample.inputs[0] if sample.inputs else None
    if labels is None or tokens is None or tokens.is_floating_point() or tokens.dim() != 2 or len(labels) < 200:
        return None
    rows = tokens.cpu().numpy()
    kinds, counts = np.unique(labels, return_counts=True)
    if len(rows) != len(labels) or rows.shape[1] < 16 or not 2 <= len(kinds) <= 20 or counts.min() < 20:
        return None
    found: dict[int, float] = {}
    for token in np.unique(rows):
        present = (rows == token).any(1)
        if 10 <= present.sum() <= len(rows) - 10:
            # The share of rows that the presence gets right, each class and the rest of the rows counting alike.
            right = [(present[labels == kind].mean() + 1 - present[labels != kind].mean()) / 2 for kind in kinds]
            found[int(token)] = float(max(right))
    order = sorted(found, key=lambda token: -found[token])
    telling = [token for token in order if found[token] > LIMITS.telling_token]
    rest = [found[token] for token in order[len(telling) :]]
    if not telling or len(telling) > len(kinds) or (rest and rest[0] > 0.9):
        return None
    others = f"the next best {rest[0]:.2f}" if rest else "no other comes near"
    return Finding(
        "data-leakage",
        f"input 0, token {telling[0]}",
        "critical",
        f"Whether token {telling[0]} is there alone tells a class with {found[telling[0]]:.3f}; {others}.",
        "The answer, or something made from it, stands in the text.",
        0.85,
        statistic={"value": found[telling[0]], "healthy": [0.5, LIMITS.telling_token]},
    )


def _answers_given(sample: Sample) -> Finding | None:
    """Numbers to answer that stand at one place of their own row's inputs, as where a series was cut too late."""
    matrices = [each.flatten(1) for each in sample.inputs if each.is_floating_point() and each.dim() >= 2]
    target = sample.target
    if target is None or not target.is_floating_point() or not matrices or len(target) != len(matrices[0]):
        return None
    asked = target.detach().double().cpu().reshape(len(target), -1).numpy()
    given = np.concatenate([each.detach().double().cpu().numpy() for each in matrices], 1)
    if len(asked) < 100 or given.shape[1] > 2000 or asked.shape[1] * 2 > given.shape[1]:
        return None  # as many numbers as inputs are asked for where those are to be drawn again
    found = [
        (int(places[0]), column)
        for column in range(asked.shape[1])
        if len(np.unique(asked[:, column])) > 20
        if len(places := np.flatnonzero((given == asked[:, column : column + 1]).mean(0) > 0.95))
    ]
    if len(found) * 2 < asked.shape[1]:
        return None
    place, column = found[0]
    return Finding(
        "data-leakage",
        f"input 0, place {place}",
        "critical",
        f"{len(found)} of {asked.shape[1]} numbers to answer stand among the inputs of their own row: number {column} "
        f"at place {place}.",
        "The answer is among the inputs: a window that reaches past the moment that it should end at, or a column.",
        0.95,
        statistic={"value": len(found) / asked.shape[1], "healthy": [0, 0]},
    )


def _orders(feature: np.ndarray, answer: np.ndarray) -> float:
    """How well the feature ranks the answer, 0.5 to 1: AUROC for two classes, |rank correlation| scaled otherwise."""
    if feature.std() == 0:
        return 0.5
    kinds = np.unique(answer)
    if len(kinds) == 2:
        return tells(feature[answer == kinds[0]], feature[answer == kinds[1]])
    if len(kinds) <= 20:  # classes: how well the feature tells each from the next one up
        groups = sorted((feature[answer == kind] for kind in kinds), key=lambda group: float(np.mean(group)))
        return min(tells(low, high) for low, high in itertools.pairwise(groups))
    correlation = abs(float(np.corrcoef(ranks(feature), ranks(answer.astype(float)))[0, 1]))
    return 0.5 + correlation / 2


def tells(low: np.ndarray, high: np.ndarray, directed: bool = False) -> float:
    """The AUROC of a feature between two groups, the better of both directions unless it is directed."""
    place = ranks(np.concatenate([low, high]))
    count = len(high)
    area = (place[len(low) :].sum() - count * (count - 1) / 2) / max(1, count * len(low))
    return float(area if directed else max(area, 1 - area))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from zero, ties at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]
