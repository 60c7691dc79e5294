"""Answers and the truth to numbers with 95 % intervals, and what they are made of: confusion, calibration."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from trainwell.data.schema import Schema
from trainwell.explain.detections import measure_boxes
from trainwell.explain.forecasts import measure_forecasts
from trainwell.explain.language import measure_language
from trainwell.explain.likeness import measure_likeness
from trainwell.explain.segments import measure_segments
from trainwell.tasks import Detect, Forecast, Language, Likeness, Regress, Segment, Task
from trainwell.tasks.classify import label_accuracy, label_log_loss, log_loss
from trainwell.tasks.regress import mae, r2, rmse

RESAMPLES = 200  # of the bootstrap; the ends of a 95 % interval move by some 3 % of its width
CELLS = 4_000_000  # of answers that are resampled in all, so that many rows take seconds; 40 resamples at least
Measure = Callable[[np.ndarray, np.ndarray], float]


def measure(answers: dict[str, np.ndarray], target: np.ndarray, schema: Schema, task: Task) -> dict[str, Any]:
    """What a page and a terminal say of answers on rows with known truth.

    answers: "probability" (rows, classes), "number" (rows, targets) or, of a forecast, "scaled" windows; target: as the
    transform encodes it.
    """
    if isinstance(task, Language):
        return measure_language(answers)
    if isinstance(task, Segment):
        return measure_segments(answers, target, schema.classes)
    if isinstance(task, Detect):
        return measure_boxes(answers["boxes"], target, schema.classes, task.threshold)
    if isinstance(task, Likeness):
        return measure_likeness(answers["embedding"], target)
    if isinstance(task, Forecast):
        return measure_forecasts(answers, target, task)
    if isinstance(task, Regress):
        truth = task.unscale(torch.as_tensor(target).view(len(target), -1)).numpy()
        return _numbers(answers["number"].astype(np.float64), truth, schema)
    if len(schema.targets) > 1:
        return _labels(answers["probability"], target, schema)
    return _classes(answers["probability"], target.astype(np.int64), schema)


def interval(function: Measure, answer: np.ndarray, truth: np.ndarray, seed: int = 0) -> dict[str, float]:
    """A number and its 95 % percentile bootstrap interval over rows. Efron 1979."""
    random = np.random.default_rng(seed)
    values = []
    for _ in range(max(40, min(RESAMPLES, CELLS // max(1, answer.size)))):
        rows = random.integers(0, len(truth), len(truth))
        value = function(answer[rows], truth[rows])
        if math.isfinite(value):
            values.append(value)
    value = function(answer, truth)
    low, high = np.percentile(values, [2.5, 97.5]) if values else (value, value)
    return {"value": _finite(value), "low": _finite(low), "high": _finite(high)}


def wilson(right: int, rows: int) -> dict[str, float]:
    """A share and its 95 % score interval, which keeps within 0 and 1. Wilson 1927."""
    z, share = 1.959964, right / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return {"value": share, "low": middle - half, "high": middle + half}


def _classes(probability: np.ndarray, target: np.ndarray, schema: Schema) -> dict[str, Any]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    answer, labels = probability.argmax(1), list(range(len(schema.classes)))
    metrics = {"accuracy": wilson(int((answer == target).sum()), len(target))}
    metrics["balanced_accuracy"] = interval(_balanced, answer, target)
    metrics["log_loss"] = interval(lambda p, t: log_loss({"probability": p}, t), probability, target)
    metrics["f1"] = interval(_macro_f1, answer, target)
    if len(schema.classes) <= 50 and len(np.unique(target)) > 1:
        metrics["auroc"] = interval(_auroc, probability, target)
    precision, recall, f1, rows = precision_recall_fscore_support(target, answer, labels=labels, zero_division=0)
    result: dict[str, Any] = {
        "part": "test",
        "rows": len(target),
        "goal": "accuracy",
        "metrics": metrics,
        "confusion": {"labels": schema.classes, "counts": confusion_matrix(target, answer, labels=labels).tolist()},
        "by_class": [
            {"class": name, "precision": precision[i], "recall": recall[i], "f1": f1[i], "rows": int(rows[i])}
            for i, name in enumerate(schema.classes)
        ],
        "calibration": calibration(probability.max(1), answer == target),
    }
    if len(schema.classes) == 2 and len(np.unique(target)) == 2:
        result["roc"] = _roc(probability[:, 1], target)
    return result


def _labels(probability: np.ndarray, target: np.ndarray, schema: Schema) -> dict[str, Any]:
    answer, truth = probability > 0.5, target > 0.5
    return {
        "part": "test",
        "rows": len(target),
        "goal": "accuracy",
        "metrics": {
            "accuracy": interval(lambda p, t: label_accuracy({"probability": p}, t), probability, target),
            "every_label_right": wilson(int((answer == truth).all(1).sum()), len(target)),
            "f1": interval(_label_f1, answer, truth),
            "log_loss": interval(lambda p, t: label_log_loss({"probability": p}, t), probability, target),
        },
        "calibration": calibration(np.maximum(probability, 1 - probability).ravel(), (answer == truth).ravel()),
    }


def _numbers(number: np.ndarray, truth: np.ndarray, schema: Schema) -> dict[str, Any]:
    residual = (number - truth)[:, 0]
    chosen = np.random.default_rng(0).permutation(len(truth))[:1000]
    low, high = np.percentile(residual, [0.5, 99.5])
    counts, edges = np.histogram(np.clip(residual, low, high), bins=40)
    return {
        "part": "test",
        "rows": len(truth),
        "goal": "rmse",
        "metrics": {
            name: interval(function, number, truth) for name, function in (("rmse", rmse), ("mae", mae), ("r2", r2))
        },
        "scatter": {"truth": truth[chosen, 0].tolist(), "prediction": number[chosen, 0].tolist()},
        "residuals": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """How often answers of a given confidence are right, by equal bins, and the expected calibration error.

    Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    mean = np.bincount(place, weights=confidence, minlength=bins) / np.maximum(rows, 1)
    share = np.bincount(place, weights=right.astype(float), minlength=bins) / np.maximum(rows, 1)
    error = float((rows * np.abs(mean - share)).sum() / max(1, rows.sum()))
    return {
        "edges": edges.tolist(),
        "confidence": mean.tolist(),
        "accuracy": share.tolist(),
        "rows": rows.tolist(),
        "ece": error,
    }


# These three are drawn hundreds of times for an interval: scikit-learn's, which agree, check their inputs each time and
# take a hundred times as long on few rows.
def _balanced(answer: np.ndarray, target: np.ndarray) -> float:
    """The mean over classes that occur of the share of each that is found."""
    rows, found = np.bincount(target), np.bincount(target[answer == target], minlength=int(target.max()) + 1)
    return float((found[rows > 0] / rows[rows > 0]).mean())


def _macro_f1(answer: np.ndarray, target: np.ndarray) -> float:
    """The mean over classes that occur or are answered of the harmonic mean of precision and recall."""
    classes = int(max(answer.max(), target.max())) + 1
    either = np.bincount(target, minlength=classes) + np.bincount(answer, minlength=classes)
    found = np.bincount(target[answer == target], minlength=classes)
    return float((2 * found[either > 0] / either[either > 0]).mean())


def _label_f1(answer: np.ndarray, truth: np.ndarray) -> float:
    """The mean over labels of the harmonic mean of precision and recall; 0 for a label never given nor true."""
    found, either = (answer & truth).sum(0), answer.sum(0) + truth.sum(0)
    return float((2 * found / np.maximum(either, 1)).mean())


def _auroc(probability: np.ndarray, target: np.ndarray) -> float:
    """One against the rest, averaged over the classes that both occur and do not."""
    if probability.shape[1] == 2:
        return _rank_share(probability[:, 1], target == 1)
    values = [_rank_share(probability[:, each], target == each) for each in range(probability.shape[1])]
    values = [each for each in values if math.isfinite(each)]
    return float(np.mean(values)) if values else math.nan


def _rank_share(score: np.ndarray, positive: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive row outranks another, ties by half. Mann & Whitney 1947."""
    ups = int(positive.sum())
    downs = len(positive) - ups
    if not ups or not downs:
        return math.nan
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return float((rank[place[positive]].sum() - ups * (ups + 1) / 2) / (ups * downs))


def _roc(score: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(target, score)
    chosen = np.unique(np.linspace(0, len(false_positive) - 1, 200).round().astype(int))
    return {
        "false_positive": false_positive[chosen].tolist(),
        "true_positive": true_positive[chosen].tolist(),
        "auc": _rank_share(score, target == 1),
    }


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
