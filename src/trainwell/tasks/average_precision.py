"""Boxes answered and boxes true to average precision, as COCO's own tool computes it. Lin et al. 2014, arXiv:1405.0312.

Boxes answered: rows of (class, score, left, top, right, bottom), boxes true: rows of (class, left, top, right, bottom);
a row of class -1 fills up.
"""

from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # overlaps from which on an answer counts as right
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # answers a picture that count, the surest first


@dataclass
class Matches:
    """The answers of one class in one picture: (answers,) scores, (thresholds, answers) right or not, and how many
    boxes there truly are.
    """

    scores: np.ndarray
    right: np.ndarray
    truth: int


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union: (n, 4), (m, 4) -> (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(each[:, 2:] - each[:, :2]).prod(-1) for each in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def match(answered: np.ndarray, true: np.ndarray, label: int) -> Matches:
    """Each answer of a class, the surest first, takes the free true box that it overlaps most.

    answered: (answers, 6); true: (boxes, 5)
    """
    answered = answered[answered[:, 0] == label]
    answered = answered[np.argsort(-answered[:, 1], kind="stable")][:MOST].astype(np.float64)
    boxes = true[true[:, 0] == label, 1:].astype(np.float64)
    right = np.zeros((len(THRESHOLDS), len(answered)), dtype=bool)
    if len(answered) and len(boxes):
        shared = overlaps(answered[:, 2:], boxes)
        for place, least in enumerate(THRESHOLDS):
            taken = np.zeros(len(boxes), dtype=bool)
            for answer in range(len(answered)):
                free = np.where(taken, -1.0, shared[answer])
                # Of equal overlaps COCO's tool takes the last.
                best = len(free) - 1 - int(free[::-1].argmax())
                if free[best] >= least - 1e-10:
                    taken[best] = right[place, answer] = True
    return Matches(answered[:, 1], right, len(boxes))


def curve(found: list[Matches]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pictures' matches of a class as precision over recall.

    -> precision (thresholds, answers), recall (thresholds, answers), scores (answers,), the surest answer first
    """
    scores = np.concatenate([each.scores for each in found])
    order = np.argsort(-scores, kind="stable")
    right = np.concatenate([each.right for each in found], axis=1)[:, order].cumsum(1)
    precision = right / np.arange(1, len(order) + 1)
    return precision, right / max(1, sum(each.truth for each in found)), scores[order]


def average_precision(found: list[Matches]) -> np.ndarray:
    """The precision averaged over 101 recalls, at each threshold: (thresholds,); NaN where there is no true box."""
    if not sum(each.truth for each in found):
        return np.full(len(THRESHOLDS), np.nan)
    precision, recall, _ = curve(found)
    # What precision some recall or more can be had with: the curve never rises.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    means = []
    for row, reached in zip(precision, recall, strict=True):
        places = np.searchsorted(reached, RECALLS, side="left")
        means.append(np.append(row, 0.0)[places].mean() if len(row) else 0.0)
    return np.array(means)


def matches_of(answered: np.ndarray, true: np.ndarray, classes: int) -> list[list[Matches]]:
    """Of each class the matches in each picture. answered: (rows, answers, 6); true: (rows, boxes, 5)"""
    return [[match(a, t, label) for a, t in zip(answered, true, strict=True)] for label in range(classes)]


def mean_average_precision(matches: list[list[Matches]]) -> tuple[float, float]:
    """The mean over classes at overlap 0.5, and over all thresholds; classes without a true box are left out."""
    by_class = np.array([average_precision(found) for found in matches])
    known = by_class[~np.isnan(by_class[:, 0])]
    return (float(known[:, 0].mean()), float(known.mean())) if len(known) else (0.0, 0.0)
