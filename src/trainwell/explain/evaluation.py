"""Answers and the truth to numbers with 95 % intervals, and what they are made of: confusion, calibration."""

import math
from typing import Any, cast

import numpy as np
import torch

from trainwell.data.schema import Schema
from trainwell.explain.bootstrap import interval, wilson
from trainwell.explain.detections import measure_boxes
from trainwell.explain.forecasts import measure_forecasts
from trainwell.explain.language import measure_language
from trainwell.explain.likeness import measure_likeness
from trainwell.explain.segments import measure_segments
from trainwell.explain.spreads import measure_spreads
from trainwell.tasks import Classify, Detect, Forecast, Language, Likeness, Ordinal, Regress, Segment, Spread, Task
from trainwell.tasks.classify import label_accuracy, label_log_loss, log_loss
from trainwell.tasks.ordinal import rank_mae, weighted_kappa
from trainwell.tasks.regress import mae, r2, rmse


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
        found = _numbers(answers["number"].astype(np.float64), truth)
        if isinstance(task, Spread):
            spread = measure_spreads(answers, target, task)
            return {**found, **spread, "metrics": {**spread["metrics"], **found["metrics"]}}
        return found
    if len(schema.targets) > 1:
        return _labels(answers["probability"], target, schema)
    probability, right = answers["probability"], target.astype(np.int64)
    answer = cast(Classify, task).decide(probability)
    found = _classes(probability, answer, right, schema)
    if isinstance(task, Ordinal):
        ranks = {
            "rank_mae": interval(rank_mae, answer, right),
            "weighted_kappa": interval(weighted_kappa, answer, right),
        }
        off = np.bincount(answer - right + len(schema.classes) - 1, minlength=2 * len(schema.classes) - 1)
        kept = np.flatnonzero(off)
        edges = np.arange(kept[0], kept[-1] + 2) - len(schema.classes) + 0.5
        found |= {"goal": "rank_mae", "metrics": {**ranks, **found["metrics"]}}
        found["residuals"] = {"edges": edges.tolist(), "counts": off[kept[0] : kept[-1] + 1].tolist(), "unit": "ranks"}
    return found


def _classes(probability: np.ndarray, answer: np.ndarray, target: np.ndarray, schema: Schema) -> dict[str, Any]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = list(range(len(schema.classes)))
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
        "calibration": calibration(probability[np.arange(len(answer)), answer], answer == target),
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


def _numbers(number: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
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
