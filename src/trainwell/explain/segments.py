"""Answered masks and true ones to overlaps with intervals, by class, beside simple answers, and drawn on pictures."""

import base64
import io
import time
import warnings
from typing import Any

import numpy as np
import torch

from trainwell.data import Source
from trainwell.tasks.segment import class_overlaps, pixel_counts

RESAMPLES = 400
SHOWN, SIDE = 6, 240  # pictures that a page shows; pixels of their longer side there
STRENGTH = 0.6  # of a class's colour over the picture
PICTURES, PIXELS = 200, 80  # that a linear model learns from, pixels of each
# Okabe and Ito 2008 first, which colour-blind people tell apart, then lighter and darker ones.
COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#f0e442", "#0072b2", "#999999", "#882255", "#44aa99"]
COLOURS += [
    "#ddcc77",
    "#332288",
    "#aa4499",
    "#88ccee",
    "#117733",
    "#661100",
    "#6699cc",
    "#aa4466",
    "#4477aa",
    "#bbbbbb",
]


def by_picture(mask: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was answered for each true one, picture by picture: (rows, classes, classes)."""
    pairs = zip(torch.from_numpy(np.ascontiguousarray(mask)), torch.from_numpy(target), strict=True)
    return np.stack([pixel_counts(answer, truth, classes).numpy() for answer, truth in pairs])


def measure_segments(answers: dict[str, np.ndarray], target: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Mean overlap, pixel accuracy and the overlap of each class, over all pixels of all pictures at once.

    answers: "mask" (rows, height, width) class codes; target: the same, with further codes for pixels of no class.
    Intervals resample pictures, as the pixels of one picture err together. Efron 1979.
    """
    counts = by_picture(answers["mask"].astype(np.uint8), target, len(classes))
    random = np.random.default_rng(0)
    draws = [counts[random.integers(0, len(counts), len(counts))].sum(0) for _ in range(RESAMPLES)]
    total = counts.sum(0)
    overlaps, drawn = _overlaps(total), _overlaps(np.stack(draws))
    accuracy = [_accuracy(each) for each in draws]
    return {
        "part": "test",
        "rows": len(target),
        "goal": "miou",
        "metrics": {
            "miou": _between(_mean(overlaps), [_mean(each) for each in drawn]),
            "pixel_accuracy": _between(_accuracy(total), accuracy),
        },
        "by_class_overlap": [_by_class(classes, place, total, overlaps, drawn) for place in range(len(classes))],
    }


def _overlaps(counts: np.ndarray) -> np.ndarray:
    return class_overlaps(torch.from_numpy(counts)).numpy()


def _mean(overlaps: np.ndarray) -> float:
    return float(np.nanmean(overlaps)) if np.isfinite(overlaps).any() else 0.0


def _accuracy(counts: np.ndarray) -> float:
    return float(np.trace(counts) / max(1, counts.sum()))


def _between(value: float, values: Any) -> dict[str, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5]) if np.isfinite(values).any() else (value, value)
    return {"value": value, "low": float(low), "high": float(high)}


def _by_class(
    classes: list[str], place: int, total: np.ndarray, overlaps: np.ndarray, drawn: np.ndarray
) -> dict[str, Any]:
    """The row of one class: its overlap, its share of the pixels, and what it is most taken for."""
    held, wrong = total[place].sum(), total[place].copy()
    wrong[place] = 0
    taken = int(wrong.argmax())
    row: dict[str, Any] = {"class": classes[place], "share": float(held / max(1, total.sum()))}
    row["recall"] = float(total[place, place] / held) if held else None
    row["overlap"] = _between(float(overlaps[place]), drawn[:, place]) if np.isfinite(overlaps[place]) else None
    if held and wrong[taken]:
        row["taken_for"], row["taken_share"] = classes[taken], float(wrong[taken] / held)
    return row


def segment_cases(
    transform: Any, source: Source, rows: np.ndarray, answers: dict[str, np.ndarray], target: np.ndarray
) -> dict[str, Any]:
    """Pictures with truth and answer drawn over them, those with the least overlap first, and the classes' colours.

    rows: the source's row numbers, in the order of answers and target
    """
    counts = by_picture(answers["mask"].astype(np.uint8), target, len(transform.classes))
    score = np.array([_mean(each) for each in _overlaps(counts)])
    order = np.argsort(score, kind="stable")
    middle, half = len(order) // 2, SHOWN // 2
    chosen = list(dict.fromkeys([*order[:half], *order[middle : middle + half]]))
    shown = transform.encode(source, rows[chosen], with_target=False)["inputs"][0].numpy()
    drawn = []
    for at, pixels in zip(chosen, shown, strict=True):
        cell = source.frame[transform.pictures.column][int(rows[at])]
        wrong = (answers["mask"][at] != target[at]) & (target[at] < len(transform.classes))
        drawn.append(
            {
                "row": int(rows[at]),
                "name": cell.rpartition("/")[2] if isinstance(cell, str) else f"row {int(rows[at])}",
                "overlap": float(score[at]),
                "worst": bool(at in order[:half]),
                "picture": encoded(pixels.transpose(1, 2, 0)),
                "truth": encoded(overlaid(pixels, target[at], len(transform.classes))),
                "answer": encoded(overlaid(pixels, answers["mask"][at], len(transform.classes))),
                "mistakes": encoded(overlaid(pixels, np.where(wrong, answers["mask"][at], 255), 255)),
            }
        )
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(transform.classes))]
    return {"cases": drawn, "colours": colours}


def colour_of(place: int) -> tuple[int, int, int]:
    """Red, green and blue bytes of a class."""
    text = COLOURS[place % len(COLOURS)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def overlaid(pixels: np.ndarray, codes: np.ndarray, classes: int) -> np.ndarray:
    """A picture under its classes' colours; pixels of no class stay as they are.

    pixels: (channels, height, width) bytes, codes: (height, width) -> (height, width, 3) bytes
    """
    grey = pixels.mean(0, keepdims=True).repeat(3, 0).transpose(1, 2, 0)
    table = np.array([colour_of(place) for place in range(256)], dtype=np.float64)
    mixed = (1 - STRENGTH) * grey + STRENGTH * table[codes]
    return np.where((codes < classes)[..., None], mixed, grey).astype(np.uint8)


def encoded(array: np.ndarray) -> str:
    """A base64 PNG in 128 colours, of a page's size. array: (height, width, 1 or 3) bytes"""
    from PIL import Image

    image = Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0]).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def simple_segments(source: Source, transform: Any, train: np.ndarray, judged: dict[str, Any]) -> list[dict[str, Any]]:
    """What simple answers give on the same pixels: one class, the commonest at each place, a linear model of pixels."""
    classes, target = list(transform.classes), judged["target"].numpy()
    chosen = np.random.default_rng(0).permutation(train)[:PICTURES]
    learned = transform.encode(source, np.sort(chosen))
    known = learned["target"].numpy()
    votes = np.stack([(known == place).sum(0) for place in range(len(classes))])
    commonest = int(votes.sum((1, 2)).argmax())
    began = time.perf_counter()
    linear = _linear_answer(learned["inputs"][0].numpy(), known, judged["inputs"][0].numpy())
    took = time.perf_counter() - began
    rows = []
    for name, kind, mask, seconds in (
        (classes[commonest], "constant", np.full_like(target, commonest), 0.0),
        ("the commonest by place", "place", np.broadcast_to(votes.argmax(0), target.shape), 0.0),
        ("linear model of pixels", "linear", linear, took),
    ):
        found = measure_segments({"mask": np.asarray(mask)}, target, classes)["metrics"]
        rows.append(
            {"name": name, "kind": kind, "seconds": seconds, "metrics": {k: v["value"] for k, v in found.items()}}
        )
    return rows


def _linear_answer(pictures: np.ndarray, known: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Logistic regression from a pixel's colours and place, their squares and products, to its class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    height, width = known.shape[1:]
    down, across = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")

    def features(picture: np.ndarray) -> np.ndarray:
        return np.stack([*(picture / 255.0), down, across], -1).reshape(height * width, -1)

    random = np.random.default_rng(0)
    x, y = [], []
    for picture, mask in zip(pictures, known, strict=True):
        places = random.choice(height * width, min(PIXELS, height * width), replace=False)
        places = places[mask.ravel()[places] <= known[known < 255].max()]
        x.append(features(picture)[places])
        y.append(mask.ravel()[places])
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a linear model cut short is still a simple answer
        model.fit(np.concatenate(x), np.concatenate(y))
    return np.stack([model.predict(features(picture)).reshape(height, width) for picture in judged]).astype(np.uint8)
