"""Boxes answered and true boxes to average precision with intervals, what is found by class, and drawn pictures."""

import time
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from trainwell.data import Source
from trainwell.data.image import PictureError, open_picture
from trainwell.explain.draw import as_jpeg, draw_boxes
from trainwell.tasks.average_precision import Matches, curve, matches_of, mean_average_precision

RESAMPLES = 100
SHOWN, SIDE = 8, 440  # pictures that a page draws; pixels of their longer side
POINTS = 101  # of a curve
LOOK = 16  # pixels a side of the small picture by which likeness is judged


def measure_boxes(answers: np.ndarray, target: np.ndarray, classes: list[str], threshold: float) -> dict[str, Any]:
    """Mean average precision with intervals, and what is found of each class where answers below `threshold` are hid.

    answers: (rows, answers, 6) of class, score and four sides; target: (rows, boxes, 5)
    """
    found = matches_of(answers.astype(np.float64), target, len(classes))
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(target), len(target))
        drawn.append(mean_average_precision([[each[row] for row in rows] for each in found]))
    value, (low, high) = mean_average_precision(found), np.percentile(drawn, [2.5, 97.5], axis=0)
    metrics = {
        name: {"value": value[place], "low": float(low[place]), "high": float(high[place])}
        for place, name in enumerate(("map50", "map"))
    }
    single = [mean_average_precision([each]) for each in found]
    return {
        "part": "test",
        "rows": len(target),
        "goal": "map50",
        "metrics": metrics,
        "threshold_shown": threshold,
        "by_class": [
            {"class": name, "map50": single[i][0], "map": single[i][1], **_found(found[i], threshold)}
            for i, name in enumerate(classes)
        ],
        "precision_recall": [
            {"class": name, **_curve(found[i])} for i, name in enumerate(classes) if sum(m.truth for m in found[i])
        ],
    }


def _found(matches: list[Matches], threshold: float) -> dict[str, Any]:
    """Precision, recall and F1 at an overlap of one half of the answers that are shown."""
    shown = sum(int((each.scores >= threshold).sum()) for each in matches)
    right = sum(int(each.right[0][each.scores >= threshold].sum()) for each in matches)
    truth = sum(each.truth for each in matches)
    precision, recall = right / max(1, shown), right / max(1, truth)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "rows": truth,
    }


def _curve(matches: list[Matches]) -> dict[str, list[float]]:
    precision, recall, _ = curve(matches)
    best = np.maximum.accumulate(precision[0, ::-1])[::-1] if precision.shape[1] else np.zeros(0)
    places = np.searchsorted(recall[0], np.linspace(0, 1, POINTS))
    known = places < len(best)
    return {"recall": np.linspace(0, 1, POINTS)[known].tolist(), "precision": best[places[known]].tolist()}


def detections(source: Source, rows: np.ndarray, answers: np.ndarray, transform: Any, threshold: float) -> list[dict]:
    """Some pictures with true boxes and answers drawn, spread over the rows: {"picture": JPEG, "text"} each."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(int))
    boxes = transform.in_pictures(source, rows[chosen], answers[chosen])
    drawn = []
    for row, found in zip(rows[chosen].tolist(), boxes, strict=True):
        truth = source.frame["boxes"][row].to_list()
        shown = [box for box in found if box["score"] >= threshold]
        try:
            picture = open_picture(source.frame["image"][row], None, "RGB")
        except PictureError:
            continue
        image = as_jpeg(draw_boxes(picture, shown, transform.classes, truth, side=SIDE))
        text = f"row {row}: {len(shown)} shown, {len(truth)} true"
        drawn.append({"picture": image, "text": text})
    return drawn


def outlined(pictures: Tensor, target: Tensor) -> Tensor:
    """Pictures with the edges of their boxes painted white, as the report shows what was trained on.

    pictures: (batch, channels, height, width) bytes; target: (batch, boxes, 5) -> as the pictures
    """
    painted = pictures.clone()
    height, width = pictures.shape[-2:]
    line = max(1, round(max(height, width) / 150))
    for picture, boxes in zip(painted, target, strict=True):
        for sides in boxes[boxes[:, 0] >= 0, 1:].round().long().tolist():
            left, right = (max(0, min(each, width - line)) for each in sides[::2])
            top, bottom = (max(0, min(each, height - line)) for each in sides[1::2])
            picture[:, top : bottom + line, left : left + line] = 255
            picture[:, top : bottom + line, right : right + line] = 255
            picture[:, top : top + line, left : right + line] = 255
            picture[:, bottom : bottom + line, left : right + line] = 255
    return painted


def nearest_boxes(
    source: Source, known: np.ndarray, judged: dict[str, Any], transform: Any, classes: list[str]
) -> list[dict[str, Any]]:
    """What a simple answer gives: the boxes of the training picture that looks most like each picture."""
    began = time.perf_counter()
    learned = transform.encode(source, known)
    looks = [F.adaptive_avg_pool2d(each["inputs"][0].float(), LOOK).flatten(1) for each in (judged, learned)]
    nearest = (looks[0] @ looks[1].T * 2 - looks[1].square().sum(1)).argmax(1)
    boxes = learned["target"][nearest].numpy()
    scores = np.where(boxes[..., :1] >= 0, 1.0, 0.0)
    answers = np.concatenate([boxes[..., :1], scores, boxes[..., 1:]], -1)
    half, whole = mean_average_precision(matches_of(answers, judged["target"].numpy(), len(classes)))
    name = "copying the likest picture"
    seconds = time.perf_counter() - began
    return [{"name": name, "kind": "nearest", "seconds": seconds, "metrics": {"map50": half, "map": whole}}]
