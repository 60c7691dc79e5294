"""Scores and boxes at many places to the boxes of things: learned by the places that suit each box best."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.boxes import generalized_overlap, overlap, without_doubles
from trainwell.tasks.average_precision import matches_of, mean_average_precision
from trainwell.tasks.task import Batch, Loss, Metrics, Task

ALIGNED = (0.5, 6.0)  # powers of score and overlap in how well a place suits a box


class Detect(Task):
    """Boxes around things of several classes.

    A model gives scores: (batch, places, classes), boxes: (batch, places, 4) and places: (places, 3), as FCOS does;
    targets are (batch, boxes, 5) of class, left, top, right and bottom in pixels, class -1 where there is no box. Each
    true box is taught to the `candidates` places inside it that suit it best by score and overlap (task-aligned
    assignment, Feng et al. 2021, arXiv:2108.07755); scores learn that overlap by the quality focal loss (Li et al.
    2020, arXiv:2006.04388) and boxes by the generalized overlap, `box_weight` times as strong. An answer less sure than
    `threshold` is not shown; `doubles` is the overlap from which on the less sure of two answers is dropped.
    """

    goal = ("map50", "max")

    def __init__(
        self,
        classes: int,
        *,
        candidates: int = 10,
        box_weight: float = 2.0,
        focus: float = 2.0,
        threshold: float = 0.3,
        doubles: float = 0.6,
        answers: int = 100,
    ) -> None:
        self.classes, self.candidates, self.box_weight, self.focus = classes, candidates, box_weight, focus
        self.threshold, self.doubles, self.answers = threshold, doubles, answers

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        found = model(*batch["inputs"])
        logits, boxes, target = found.scores.float(), found.boxes, _padded(batch["target"].float())
        quality, owner = self.assign(logits.detach().sigmoid(), boxes.detach(), found.places, target)
        focus = (quality - logits.sigmoid()).abs() ** self.focus
        scores = (focus * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")).sum()
        weight = quality.amax(-1)
        taught = weight > 0
        true = target[..., 1:].gather(1, owner[..., None].expand(-1, -1, 4))
        distance = 1 - generalized_overlap(boxes[taught], true[taught])
        where = (distance * weight[taught]).sum()
        count = weight.sum().clamp_min(1.0)
        logs = {"scores": (scores / count).detach(), "boxes": (where / count).detach()}
        return Loss(scores + self.box_weight * where, count, logs)

    def assign(self, scores: Tensor, boxes: Tensor, places: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What each place is to learn: its quality for each class, and which true box it belongs to.

        scores: (batch, places, classes); boxes: (batch, places, 4); places: (places, 3); target: (batch, boxes, 5) ->
        quality (batch, places, classes), owner (batch, places) long
        """
        count, classes = scores.shape[1:]
        real, label = target[..., 0] >= 0, target[..., 0].long().clamp_min(0)
        true = target[:, :, None, 1:]  # (batch, boxes, 1, 4)
        middle = places[:, :2]
        inside = ((middle > true[..., :2]) & (middle < true[..., 2:])).all(-1)
        # A box between the places has its nearest one, so that nothing is too small to be learned.
        far = (middle - (true[..., :2] + true[..., 2:]) / 2).square().sum(-1) + places[:, 2]
        nearest = torch.zeros_like(inside).scatter_(2, far.argmin(-1, keepdim=True), True)
        inside = (inside | nearest & ~inside.any(-1, keepdim=True)) & real[..., None]
        shared = overlap(boxes[:, None], true) * inside
        own = scores.transpose(1, 2).gather(1, label[..., None].expand(-1, -1, count))
        suits = (own ** ALIGNED[0] * shared ** ALIGNED[1] + 1e-12) * inside
        few = min(self.candidates, count)
        chosen = torch.zeros_like(suits).scatter_(2, suits.topk(few, -1).indices, 1.0) * inside
        # A place that several boxes want goes to the one that it overlaps most.
        owner = (shared + chosen).argmax(1)
        chosen = chosen * F.one_hot(owner, target.shape[1]).transpose(1, 2)
        suits = suits * chosen
        best = (shared * chosen).amax(-1, keepdim=True).clamp_min(0.05)
        reach = suits / suits.amax(-1, keepdim=True).clamp_min(1e-12) * best
        quality = reach.gather(1, owner[:, None])[:, 0]
        kinds = F.one_hot(label.gather(1, owner), classes)
        return quality[..., None] * kinds, owner

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"boxes": (batch, answers, 6)}: class, score, left, top, right, bottom, surest first; class -1 fills up."""
        found = model(*batch["inputs"])
        height, width = batch["inputs"][0].shape[-2:]
        scores, boxes = found.scores.float().sigmoid(), found.boxes.float()
        top, place = scores.flatten(1).topk(min(3 * self.answers, scores[0].numel()))
        label = place % self.classes
        boxes = boxes.gather(1, (place // self.classes)[..., None].expand(-1, -1, 4))
        boxes = torch.stack([boxes[..., 0].clamp(0, width), boxes[..., 1].clamp(0, height),
                             boxes[..., 2].clamp(0, width), boxes[..., 3].clamp(0, height)], -1)  # fmt: skip
        kept = without_doubles(boxes, label, most=self.doubles)
        top = torch.where(kept, top, -1.0)
        top, order = top.topk(min(self.answers, top.shape[1]))
        chosen = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        kind = torch.where(top >= 0, label.gather(1, order), -1)
        answer = torch.cat([kind[..., None].float(), top[..., None], chosen], -1)
        answer = torch.where(top[..., None] >= 0, answer, answer.new_tensor([-1.0, 0, 0, 0, 0, 0]))
        return {"boxes": F.pad(answer, (0, 0, 0, self.answers - answer.shape[1]), value=-1.0)}

    def metrics(self) -> Metrics:
        return Precision(self.classes)


def _padded(target: Tensor) -> Tensor:
    """At least one row of boxes, (batch, boxes, 5), of class -1 where there was none."""
    return target if target.shape[1] else F.pad(target, (0, 0, 0, 1), value=-1.0)


class Precision:
    """Average precision over all batches at once: "map50" at an overlap of one half, "map" over 0.5 to 0.95."""

    def __init__(self, classes: int) -> None:
        self.matches: list[list[Any]] = [[] for _ in range(classes)]

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        answered = prediction["boxes"].cpu().numpy().astype(np.float64)
        found = matches_of(answered, batch["target"].cpu().numpy(), len(self.matches))
        for every, new in zip(self.matches, found, strict=True):
            every += new

    def compute(self) -> dict[str, float]:
        half, whole = mean_average_precision(self.matches)
        return {"map50": half, "map": whole}
