"""Columns of a table to whether one alone gives the answer away, and so the answer may be in it."""

import itertools

import numpy as np
import polars as pl

from trainwell.audit.columns import said
from trainwell.audit.view import View
from trainwell.data.values import as_text
from trainwell.doctor.finding import Finding

SURE = 0.99  # of the answer, told by one column alone: share of right classes by class, or of the spread explained
NEXT = 0.97  # what the next best column stays below: where several tell it, the answer is plainly easy
HIGH, LOW = 0.9, 0.75  # the same of a column that is worth a question
LEVELS = 50
ROWS = 5_000


def telling_columns(view: View) -> list[Finding]:
    """One column that tells the answer of rows that it was not fitted on, where no other does."""
    answers = view.labels if view.labels is not None else view.amounts
    if not view.table or answers is None or view.rows < 100 or len(view.inputs) < 2:
        return []
    rows = np.flatnonzero(~np.isnan(answers.astype(np.float64)))[:: max(1, view.rows // ROWS)]
    answers = answers[rows]
    counts = np.bincount(answers) if view.labels is not None else np.zeros(0)
    if view.labels is not None and (len(counts) > LEVELS or np.sort(counts)[-2:].min() < 10):
        return []
    skills = {column.name: _skill(view, column.name, rows, answers) for column in view.inputs}
    best = max(skills, key=lambda name: skills[name])
    others = max(skill for name, skill in skills.items() if name != best)
    what = "of each class's rows are told" if view.labels is not None else "of the answers' spread is explained"
    text = f"By {best!r} alone {skills[best]:.1%} {what}, of rows not fitted on; by the next best {others:.0%}."
    if skills[best] >= SURE and others <= NEXT:
        return [_leak(best, text)]
    ranges = _ranges(view, rows, answers)
    if not ranges and skills[best] > HIGH and others < LOW:
        cause = "If it is known only with the answer, or after it, it must not be learned from."
        return [said("data-leakage", f"column {best!r}", "note", text, cause, 0.5)]
    return ranges


def _leak(name: str, text: str) -> Finding:
    cause = "The answer, or what follows from it, is among the inputs: leave it out unless it is known beforehand."
    return said("data-leakage", f"column {name!r}", "critical", text, f"{cause} --types {name}=ignored does.", 0.85)


def _skill(view: View, name: str, rows: np.ndarray, answers: np.ndarray) -> float:
    """How well a small tree on one column answers rows of the other half, both ways: recall over the classes, or the
    share of the spread that is explained."""
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    values = _coded(view, name)[rows]
    classes = view.labels is not None
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    scores = []
    for part in (half, ~half):
        numbers = _by_answer(values[part], answers[part], values) if values.dtype == np.int64 else values
        tree = kind(max_leaf_nodes=64, min_samples_leaf=3, random_state=0)
        told = tree.fit(numbers[part, None], answers[part]).predict(numbers[~part, None])
        scores.append((balanced_accuracy_score if classes else r2_score)(answers[~part], told))
    ranked = 0.0 if classes or values.dtype == np.int64 else _rank_correlation(values, answers) ** 2
    return max(ranked, float(np.mean(scores)))


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, which a tree of few rows falls short of where one is made from the other."""
    ranks = [np.searchsorted(np.sort(each), each) for each in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if all(each.std() for each in ranks) else 0.0


def _coded(view: View, name: str) -> np.ndarray:
    """Numbers with what is missing far below, or whole numbers for the levels of a text."""
    series = view.series(name)
    if series.dtype.is_numeric():
        values = view.finite(name)
        low = np.nanmin(values) if not np.isnan(values).all() else 0.0
        return np.where(np.isnan(values), low - 1.0 - np.abs(low), values)
    levels = (series.cast(pl.String) if series.dtype.is_temporal() else as_text(series)).fill_null("")
    return levels.cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)


def _by_answer(levels: np.ndarray, answers: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Each level as the mean answer of the rows fitted on, that of all for a level not among them."""
    size = int(every.max()) + 1
    sums, counts = np.bincount(levels, answers, size), np.bincount(levels, minlength=size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), answers.mean())[every]


def _ranges(view: View, rows: np.ndarray, answers: np.ndarray) -> list[Finding]:
    """A column of few levels, of which each has a stretch of the numbers to answer for itself.

    Levels that were measured overlap in what they go with; those made from the answer do not.
    """
    if view.labels is not None or len(np.unique(answers)) < 20:
        return []
    for column in view.inputs:
        levels = _coded(view, column.name)[rows]
        kinds, counts = np.unique(levels, return_counts=True)
        if not 2 <= len(kinds) <= min(LEVELS, len(np.unique(answers)) // 3) or counts.min() < 10:
            continue
        spans = sorted((answers[levels == kind].min(), answers[levels == kind].max()) for kind in kinds)
        if all(low > high for (_, high), (low, _) in itertools.pairwise(spans)):
            text = f"Each of the {len(kinds)} levels of {column.name!r} has a stretch of the answers for itself."
            return [_leak(column.name, text)]
    return []


RULES = (telling_columns,)
