"""Directions of pictures to how alike they are: learned with a margin between classes, judged on classes never seen."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.tasks.task import Batch, Gathered, Loss, Metrics, Task

MOST = 1200  # rows whose pairs are all compared


class Likeness(Task):
    """Whether two pictures show the same thing, also of kinds that were not there in training.

    A model gives embedding: (batch, width) of length one and cosine: (batch, classes) to each class's direction, as
    Embedder does. The cross-entropy of `scale` times the cosines is lowered, the own class's being made harder by
    `margin`: added to the angle (arcface, Deng et al. 2018, arXiv:1801.07698, in radians) or taken off the cosine
    (cosface, Wang et al. 2018, arXiv:1801.09414).
    """

    goal = ("equal_error_rate", "min")

    def __init__(
        self,
        classes: int,
        *,
        loss: Literal["arcface", "cosface"] = "arcface",
        margin: float = 0.3,
        scale: float = 16.0,
    ) -> None:
        self.classes, self.margin, self.scale = classes, margin, scale
        self.harder = {"arcface": added_angle, "cosface": lowered}[loss]

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        cosine, target = model(*batch["inputs"]).cosine.float(), batch["target"]
        own = F.one_hot(target, self.classes).bool()
        scores = torch.where(own, self.harder(cosine, self.margin), cosine) * self.scale
        return Loss(F.cross_entropy(scores, target, reduction="sum"), len(target))

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"embedding": (batch, width)} of length one; the likeness of two is their product."""
        return {"embedding": model(*batch["inputs"]).embedding.float()}

    def metrics(self) -> Metrics:
        return Gathered(
            {
                "equal_error_rate": lambda said, target: equal_error_rate(*pairs(said["embedding"], target)),
                "nearest_right": lambda said, target: nearest_right(said["embedding"], target),
            }
        )


def added_angle(cosine: Tensor, margin: float) -> Tensor:
    """The cosine of the angle and the margin; where that would turn back up, the straight line on from there."""
    sine = (1 - cosine.square()).clamp_min(1e-7).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))


def lowered(cosine: Tensor, margin: float) -> Tensor:
    """The cosine less the margin."""
    return cosine - margin


def compared(rows: int, seed: int = 0) -> np.ndarray:
    """Which rows are compared with each other: all, or as many as MOST drawn at random, in their order."""
    if rows <= MOST:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])


def pairs(embedding: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How alike the two of each pair are, and whether they are of one class: (pairs,) floats and (pairs,) bool.

    embedding: (rows, width) of length one; target: (rows,)
    """
    rows = compared(len(target))
    embedding, target = embedding[rows], target[rows]
    first, second = np.triu_indices(len(rows), 1)
    return (embedding @ embedding.T)[first, second], target[first] == target[second]


def error_curve(score: np.ndarray, same: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """False alarms and misses where pairs from each score on are taken for the same: both (pairs,), and the scores.

    The surest score first; weight: how much each pair counts.
    """
    order = np.argsort(-score, kind="stable")
    weight = np.ones(len(score)) if weight is None else weight
    right, wrong = (weight * same)[order].cumsum(), (weight * ~same)[order].cumsum()
    return wrong / max(wrong[-1], 1e-12), 1 - right / max(right[-1], 1e-12), score[order]


def equal_error_rate(score: np.ndarray, same: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The share of errors at the score where as many different pairs pass as same pairs are refused; 0.5 is chance.

    NaN where there are no pairs of one of the two kinds.
    """
    if same.all() or not same.any():
        return float("nan")
    alarms, misses, _ = error_curve(score, same, weight)
    place = int(np.argmax(alarms >= misses))
    return float((alarms[place] + misses[place]) / 2)


def nearest_right(embedding: np.ndarray, target: np.ndarray) -> float:
    """How often the row most alike is of the same class, among rows that have another of their class."""
    rows = compared(len(target))
    right = neighbour_right(embedding[rows], target[rows])
    return float(np.nanmean(right)) if np.isfinite(right).any() else float("nan")


def neighbour_right(embedding: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 for each row whose most alike row is of the same class, else 0, NaN for the only one of a class: (rows,)."""
    alike = embedding @ embedding.T
    np.fill_diagonal(alike, -2)
    same = target[:, None] == target
    np.fill_diagonal(same, False)
    right = same[np.arange(len(target)), alike.argmax(1)].astype(float)
    return np.where(same.any(1), right, np.nan)
