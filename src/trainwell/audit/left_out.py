"""Points and labels to each row's class by what was learned from the other rows, and how far that can be trusted."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

TREES, LEAF, MOST = 150, 3, 30  # columns looked at in a branch, at most; else half of them
PENALTIES = np.geomspace(1e-3, 30, 12)  # of the mean eigenvalue
LEAST = 1e-4


def by_forest(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Shares of the trees that did not learn from a row, for each class (Breiman 2001, Random forests).

    points: (rows, features), labels: (rows,) -> (rows, classes)
    """
    from sklearn.ensemble import RandomForestClassifier

    looked = max(1, min(MOST, points.shape[1] // 2))
    trees = RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features=looked, oob_score=True, random_state=0)
    trees.fit(points, labels)
    return shares(np.nan_to_num(trees.oob_decision_function_))


def by_ridge(kernel: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Kernel ridge regression to one-hot classes, each row by the fit without it, with the penalty that is best so.

    No fit is made twice: a row's answer without it follows from its own weight in the fit (Allen 1974; Cawley & Talbot
    2003). kernel: (rows, rows), labels: (rows,) -> (rows, classes)
    """
    classes = np.eye(int(labels.max()) + 1)[labels]
    common = classes.mean(0)
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0)
    along = vectors.T @ (classes - common)
    best, least = classes, np.inf
    for penalty in PENALTIES * float(values.mean()):
        kept = values / (values + penalty)
        own = ((vectors**2) * kept).sum(1)[:, None]
        without = ((vectors * kept) @ along - own * (classes - common)) / np.maximum(1 - own, 1e-9)
        error = float(((without + common - classes) ** 2).mean())
        if error < least:
            best, least = without + common, error
    return shares(best)


def shares(scores: np.ndarray) -> np.ndarray:
    """Scores of each row above zero and with sum one."""
    scores = np.clip(scores, LEAST, None)
    return scores / scores.sum(1, keepdims=True)


def alike(points: np.ndarray) -> np.ndarray:
    """Gaussian kernel, as wide as the middle distance. points: (rows, features) -> (rows, rows)"""
    squares = (points**2).sum(1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    middle = float(np.median(distances))
    return np.exp(-distances / (middle or 1.0))


@dataclass
class Told:
    """Each row's class as the other rows tell it, beside the label that it has.

    shares: (rows, classes), labels: (rows,), kinds: (classes,), what each class is called elsewhere
    """

    shares: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray

    @cached_property
    def wrong(self) -> np.ndarray:
        """Rows with another label than their likeliest class."""
        return self.shares.argmax(1) != self.labels

    @cached_property
    def commonest(self) -> float:
        """Share of the commonest label."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    @cached_property
    def relative(self) -> np.ndarray:
        """Shares over what is usual of rows with that label: the thresholds of confident learning (Northcutt, Jiang &
        Chuang 2021, section 3.1), so that a rare or often mistaken class is not told too seldom."""
        kinds = range(self.shares.shape[1])
        usual = [float(self.shares[self.labels == kind, kind].mean()) for kind in kinds]
        return self.shares / np.array(usual)

    def clearest(self, share: float) -> np.ndarray:
        """The rows whose class is told most surely, so many of all."""
        return np.argsort(-self.shares.max(1), kind="stable")[: max(20, int(share * len(self.labels)))]


def chance_of_order(scores: np.ndarray, theirs: np.ndarray) -> float:
    """How likely a row that is theirs has a higher score than one that is not (Mann & Whitney 1947); 1 where all or
    none are. scores, theirs: (rows,)"""
    from scipy.stats import rankdata

    own = int(theirs.sum())
    if not 0 < own < len(theirs):
        return 1.0
    ranks: Any = rankdata(scores)
    return float((ranks[theirs].sum() - own * (own + 1) / 2) / (own * (len(theirs) - own)))
