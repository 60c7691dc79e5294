"""Directions of pictures to how well same is told from different, with intervals, and each one's nearest neighbours."""

import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from trainwell.data import Source
from trainwell.data.image import PictureError, open_picture
from trainwell.explain.draw import as_jpeg
from trainwell.tasks.likeness import (
    compared,
    error_curve,
    nearest_right,
    neighbour_right,
    pairs,
)

RESAMPLES = 40
SHOWN, NEAR, SIDE = 10, 6, 72  # pictures that a page asks about, neighbours of each, pixels of a side
RIGHT, WRONG = "#0072b2", "#d55e00"  # Okabe and Ito 2008
POINTS = 200
STRICT = 0.01  # false alarms that a lock would bear


def measure_likeness(embedding: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Equal error rate, nearest neighbours and found pairs, their intervals by resampling classes, and the ROC.

    embedding: (rows, width) of length one; target: (rows,). Pictures of one class err together, so classes are drawn.
    """
    rows = compared(len(target))
    embedding, target = embedding[rows], np.unique(target[rows], return_inverse=True)[1]
    score, same = pairs(embedding, target)
    order = np.argsort(-score, kind="stable")  # once: what is sorted already sorts in no time
    first, second = (each[order] for each in np.triu_indices(len(target), 1))
    score, same = score[order], same[order]
    classes, random = int(target.max()) + 1, np.random.default_rng(0)
    right, drawn = neighbour_right(embedding, target), []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(0, classes, classes), minlength=classes)[target]
        weight = np.where(same, times[first], times[first] * times[second]).astype(float)
        near = float(np.nansum(times * right) / max(1, times[np.isfinite(right)].sum()))
        drawn.append((*_rates(score, same, weight), near))
    whole = (*_rates(score, same), nearest_right(embedding, target))
    low, high = np.nanpercentile(np.array(drawn), [2.5, 97.5], axis=0)
    alarms, misses, at = error_curve(score, same)
    even = int(np.argmax(alarms >= misses))
    step = np.round(alarms * POINTS) + np.round((1 - misses) * POINTS)
    places = np.flatnonzero(np.diff(step, append=-1))  # the last pair before either share moves on by a step
    names = ("equal_error_rate", "found_at_1_percent_alarms", "nearest_right")
    return {
        "part": "test",
        "rows": len(target),
        "goal": "equal_error_rate",
        "metrics": {
            name: {"value": whole[i], "low": float(low[i]), "high": float(high[i])} for i, name in enumerate(names)
        },
        "pairs": {"same": int(same.sum()), "different": int((~same).sum()), "classes": classes},
        "same_from": float(at[even]),
        "roc": {
            "false_positive": [0.0, *alarms[places].tolist()],
            "true_positive": [0.0, *(1 - misses[places]).tolist()],
            "auc": float(np.trapezoid(1 - misses, alarms)),
        },
    }


def _rates(score: np.ndarray, same: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    """The equal error rate, and the share of same pairs that pass where one in a hundred different pairs does."""
    if same.all() or not same.any():
        return float("nan"), float("nan")
    alarms, misses, _ = error_curve(score, same, weight)
    allowed, even = int(np.searchsorted(alarms, STRICT, side="right")), int(np.argmax(alarms >= misses))
    return float((alarms[even] + misses[even]) / 2), float(1 - misses[allowed - 1]) if allowed else 0.0


def likeness_sentence(evaluation: dict[str, Any]) -> str:
    """The result in words: how often same and different are confused, and on what."""
    rate, counts = evaluation["metrics"]["equal_error_rate"], evaluation["pairs"]
    return (
        f"Tells same from different with {100 * rate['value']:.1f} % errors of either kind "
        f"[{100 * rate['low']:.1f}, {100 * rate['high']:.1f}], on {evaluation['rows']:,} held-out pictures of "
        f"{counts['classes']:,} classes that it never saw ({counts['same']:,} same and {counts['different']:,} "
        f"different pairs); two pictures are taken for the same from a likeness of {evaluation['same_from']:.2f} on."
    )


def neighbours(
    source: Source, rows: np.ndarray, embedding: np.ndarray, target: np.ndarray, column: str
) -> list[dict[str, Any]]:
    """Pictures, and beside each the held-out ones most like it, framed by whether they show the same: JPEG strips."""
    kept = compared(len(target))
    rows, embedding, target = rows[kept], embedding[kept], target[kept]
    alike = embedding @ embedding.T
    np.fill_diagonal(alike, -2)
    first = np.unique(target, return_index=True)[1]
    chosen = first[np.unique(np.linspace(0, len(first) - 1, SHOWN).round().astype(int))]
    strips = []
    for place in chosen.tolist():
        near = np.argsort(-alike[place], kind="stable")[:NEAR]
        strip = Image.new("RGB", ((SIDE + 6) * (NEAR + 1) + 12, SIDE + 6), "white")
        right = 0
        for number, other in enumerate([place, *near.tolist()]):
            same = bool(target[other] == target[place])
            right += same and number > 0
            frame = Image.new("RGB", (SIDE + 6, SIDE + 6), "white" if not number else RIGHT if same else WRONG)
            shown = _small(source, int(rows[other]), column)
            if shown is not None:
                frame.paste(shown, (3, 3))
            strip.paste(frame, ((SIDE + 6) * number + (12 if number else 0), 0))
        strips.append({"picture": as_jpeg(strip), "text": f"row {rows[place]}: {right} of {len(near)} the same"})
    return strips


def _small(source: Source, row: int, column: str) -> Image.Image | None:
    """A picture of a source in a square of the strip."""
    if column in source.arrays:
        array = source.arrays[column][row]
        return Image.fromarray(array.squeeze().astype(np.uint8)).convert("RGB").resize((SIDE, SIDE))
    try:
        return open_picture(source.frame[column][row], (SIDE, SIDE), "RGB")
    except PictureError:
        return None


def pixels_alike(encoded: dict[str, Any]) -> list[dict[str, Any]]:
    """What a simple answer gives: pictures alike by their pixels, each shifted to a mean of zero."""
    began = time.perf_counter()
    x = F.interpolate(encoded["inputs"][0].float(), (28, 28), mode="bilinear", antialias=True).flatten(1)
    embedding = F.normalize(x - x.mean(1, keepdim=True), dim=1).numpy()
    target = encoded["target"].numpy()
    score, same = pairs(embedding, target)
    even, found = _rates(score, same)
    metrics = {
        "equal_error_rate": even,
        "found_at_1_percent_alarms": found,
        "nearest_right": nearest_right(embedding, target),
    }
    seconds = time.perf_counter() - began
    return [{"name": "the likeness of the pixels", "kind": "pixels", "seconds": seconds, "metrics": metrics}]


def nearest_others(embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the other row most like it, and how alike: both (rows,); -1 for rows that could not be read.

    embedding: (rows, width) of length one, NaN for a row that could not be read
    """
    known = np.isfinite(embedding[:, 0])
    clean = torch.from_numpy(np.where(known[:, None], embedding, 0.0))
    nearest, alike = np.full(len(clean), -1), np.full(len(clean), np.nan)
    for rows in torch.arange(len(clean)).split(1000):
        scores = clean[rows] @ clean.T
        scores[:, ~torch.from_numpy(known)] = -2
        scores[torch.arange(len(rows)), rows] = -2
        best = scores.max(1)
        nearest[rows], alike[rows] = best.indices.numpy(), best.values.numpy()
    found = known & (alike > -1.5)
    return np.where(found, nearest, -1), np.where(found, alike, np.nan)
