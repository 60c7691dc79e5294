"""Class scores for every pixel to a mask: cross-entropy and Dice, and the mean intersection over union."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single


class Segment(Task):
    """One class for every pixel; pixels whose target is no class count neither in the loss nor in the metrics.

    A model gives (batch, classes, height, width); the target is (batch, height, width). The loss is the cross-entropy
    of pixels plus `dice` times one minus each picture's Dice overlap, the mean over the classes that it shows
    (Milletari et al. 2016, arXiv:1606.04797). `class_weights` weigh pixels by their class; `mirror` averages the
    answer with that to the mirrored picture.
    """

    def __init__(
        self,
        classes: int,
        *,
        dice: float = 1.0,
        class_weights: list[float] | None = None,
        label_smoothing: float = 0.0,
        mirror: bool = False,
        goal: Literal["miou", "pixel_accuracy"] = "miou",
    ) -> None:
        if class_weights is not None and len(class_weights) != classes:
            raise ValueError(f"{len(class_weights)} class_weights for {classes} classes")
        self.classes, self.dice, self.label_smoothing, self.mirror = classes, dice, label_smoothing, mirror
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.goal = (goal, "max")

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores: (batch, classes, height, width)."""
        logits = at_least_single(model(*batch["inputs"]))
        wanted = (self.classes, *batch["inputs"][0].shape[-2:])
        if logits.dim() != 4 or tuple(logits.shape[1:]) != wanted:
            raise InputError(f"model: gives {tuple(logits.shape[1:])} a picture, masks ask for {wanted}; try unet")
        return logits

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        logits, target = self.logits(model, batch), batch["target"].long()
        known = (target >= 0) & (target < self.classes)
        safe = torch.where(known, target, 0)
        weight = known.to(logits)
        if self.class_weights is not None:
            weight = weight * self.class_weights.to(logits)[safe]
        each = nn.functional.cross_entropy(logits, safe, reduction="none", label_smoothing=self.label_smoothing)
        count = weight.sum()
        total = (each * weight).sum()
        if self.dice:
            # A picture counts by its pixels, so that sums over batches, pieces and ranks stay what they are.
            total = total + self.dice * (1 - overlap(logits.softmax(1), safe, known)) @ weight.sum((1, 2))
        return Loss(total, count)

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"mask": (batch, height, width) uint8 classes, "confidence": the probability of each of them}."""
        probability = self.logits(model, batch).softmax(1)
        if self.mirror:
            pictures, *rest = batch["inputs"]
            flipped = self.logits(model, {**batch, "inputs": (pictures.flip(-1), *rest)}).softmax(1)
            probability = (probability + flipped.flip(-1)) / 2
        confidence, mask = probability.max(1)
        return {"mask": mask.to(torch.uint8), "confidence": confidence}

    def metrics(self) -> Metrics:
        return Overlaps(self.classes)


def overlap(probability: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Twice what answer and truth share over what they hold, the mean over the classes in each picture's truth.

    probability: (batch, classes, height, width), target: (batch, height, width), known: which pixels count -> (batch,)
    """
    places, counted = target.flatten(1), known.flatten(1).to(probability)
    right = probability.flatten(2).gather(1, places[:, None])[:, 0] * counted
    empty = probability.new_zeros(probability.shape[:2])
    shared, held = empty.scatter_add(1, places, right), empty.scatter_add(1, places, counted)
    both = (probability.flatten(2) @ counted[:, :, None])[:, :, 0] + held
    shown = held > 0
    return ((2 * shared + 1) / (both + 1) * shown).sum(1) / shown.sum(1).clamp_min(1)


def pixel_counts(mask: Tensor, target: Tensor, classes: int) -> Tensor:
    """How often each class was answered for each true one, over pixels of a known class.

    mask, target: (...) -> (classes, classes) int64, truth by row
    """
    target = target.long()
    known = (target >= 0) & (target < classes)
    place = target[known] * classes + mask[known].long()
    return torch.bincount(place, minlength=classes * classes).view(classes, classes)


def class_overlaps(counts: Tensor) -> Tensor:
    """The intersection over union of each class, NaN for one that neither answer nor truth has.

    counts: (..., classes, classes), truth by row -> (..., classes)
    """
    right = counts.diagonal(dim1=-2, dim2=-1).double()
    either = counts.sum(-1) + counts.sum(-2) - right
    return torch.where(either > 0, right / either.clamp_min(1), torch.nan)


class Overlaps:
    """Mean intersection over union and pixel accuracy over all pixels seen, not the mean of batches or pictures."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        self.counts += pixel_counts(prediction["mask"], batch["target"], self.classes).cpu()

    def compute(self) -> dict[str, float]:
        if not self.counts.sum():
            return {"miou": 0.0, "pixel_accuracy": 0.0}
        accuracy = self.counts.diagonal().sum() / self.counts.sum()
        return {"miou": float(class_overlaps(self.counts).nanmean()), "pixel_accuracy": float(accuracy)}
