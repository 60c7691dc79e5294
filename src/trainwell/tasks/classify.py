"""Scores for classes to labels and probabilities: one of two or many, or several labels at once."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.loss import CLASS_LOSSES, LABEL_LOSSES
from trainwell.tasks.members import apart, member_weights, refuse_folds
from trainwell.tasks.task import Batch, Gathered, Loss, Metrics, Task, at_least_single


class Classify(Task):
    """One of the classes for each row, or with several targets any number of labels.

    A model gives (batch, classes) scores, (batch, members, classes) for an ensemble, or (batch, 1) for two classes.
    Answers are cooled or heated by `temperature`, which a run chooses after its training (Guo et al. 2017).
    `scores` says what they are: logits, or probabilities where the user's own model ends in a softmax or sigmoid.
    `mirror` averages the answer with that to the mirrored picture.
    Raises ValueError for a loss that does not fit the kind of target.
    """

    def __init__(
        self,
        outputs: int,
        labels: int = 0,
        folds: int = 0,
        temperature: float = 1.0,
        *,
        loss: str | None = None,
        label_smoothing: float = 0.0,
        class_weights: list[float] | None = None,
        goal: Literal["log_loss", "accuracy", "auroc"] = "log_loss",
        scores: Literal["logits", "probabilities"] = "logits",
        mirror: bool = False,
    ) -> None:
        self.outputs, self.labels, self.folds, self.scores = outputs, labels, folds, scores
        self.temperature, self.mirror = temperature, mirror
        table = LABEL_LOSSES if labels else CLASS_LOSSES
        loss = loss or next(iter(table))
        if loss not in table:
            raise ValueError(f"loss {loss!r} does not fit this target; choose one of {', '.join(table)}")
        if label_smoothing and loss != "cross_entropy":
            raise ValueError(f"label_smoothing belongs to cross_entropy, not to {loss}")
        self.row_loss, self.loss_name = table[loss], loss
        self.arguments: dict[str, float] = {"label_smoothing": label_smoothing} if label_smoothing else {}
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.goal = (goal, "min" if goal == "log_loss" else "max")

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores as logits: (batch, classes) or (batch, members, classes)."""
        scores = at_least_single(model(*batch["inputs"]))
        scores = scores[:, None] if scores.dim() == 1 else scores
        if scores.shape[-1] not in (1, self.outputs, self.labels):
            raise InputError(f"model: gives {scores.shape[-1]} scores a row, the target asks for {self.outputs}")
        if self.scores == "probabilities":
            scores = scores.clamp(1e-7, 1 - 1e-7)
            scores = scores.logit() if self.labels or scores.shape[-1] == 1 else scores.log()
        if scores.shape[-1] == 1 and not self.labels and self.loss_name != "perceptron":
            scores = torch.cat([torch.zeros_like(scores), scores], -1)  # one score for two classes: a sigmoid
        return scores

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        logits, target = self.logits(model, batch), batch["target"]
        arguments: dict[str, Any] = dict(self.arguments)
        if self.class_weights is not None:
            arguments["weight"] = self.class_weights.to(logits)
        if logits.dim() == 2 and self.loss_name == "cross_entropy" and "weight" not in batch:
            # The commonest case in one operation rather than two: on small networks this is what a step spends.
            return Loss(nn.functional.cross_entropy(logits, target, reduction="sum", **arguments), len(logits))
        if logits.dim() == 2:
            each = self.row_loss(logits, target, **arguments)
        else:
            rows = self.row_loss(*apart(logits, target), **arguments).view(logits.shape[:2])
            each = (rows * member_weights(logits, batch, self.folds)).sum(1)
        if "weight" in batch:
            return Loss((each * batch["weight"]).sum(), batch["weight"].sum())
        return Loss(each.sum(), len(each))

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"probability": (batch, classes)}; members are averaged as probabilities, and so are mirrored views."""
        probability = self.probability(model, batch)
        if self.mirror:
            probability = (probability + self.probability(model, mirrored(batch))) / 2
        if self.temperature != 1 and not self.labels:
            probability = (probability.clamp_min(1e-12).log() / self.temperature).softmax(-1)
        return {"probability": probability}

    def probability(self, model: nn.Module, batch: Batch) -> Tensor:
        """What one look at the batch says, before any temperature: (batch, classes)."""
        logits = self.logits(model, batch)
        refuse_folds(logits, batch)
        if logits.shape[-1] == 1 and not self.labels:
            logits = torch.cat([torch.zeros_like(logits), logits], -1)
        probability = logits.sigmoid() if self.labels else logits.softmax(-1)
        if logits.dim() == 3:
            probability = (probability * member_weights(logits, batch, self.folds)[:, :, None]).sum(1)
        return probability

    def decide(self, probability: np.ndarray) -> np.ndarray:
        """The class that is answered, the likeliest: (rows, classes) -> (rows,)"""
        return probability.argmax(1)

    def metrics(self) -> Metrics:
        if self.labels:
            return Gathered({"log_loss": label_log_loss, "accuracy": label_accuracy})
        functions = {"log_loss": log_loss, "accuracy": accuracy}
        return Gathered({**functions, "auroc": auroc} if self.goal[0] == "auroc" else functions)


def mirrored(batch: Batch) -> Batch:
    """The batch with its pictures, the inputs of (batch, channels, height, width), turned left to right.

    Raises InputError where none of its inputs is a picture.
    """
    if not any(each.dim() == 4 for each in batch["inputs"]):
        raise InputError(
            "task: mirror=true averages over mirrored pictures, and no input here is a picture; leave it out"
        )
    return {**batch, "inputs": tuple(each.flip(-1) if each.dim() == 4 else each for each in batch["inputs"])}


def log_loss(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The mean of minus the log probability of the right class, in nats."""
    right = np.take_along_axis(prediction["probability"], target[:, None].astype(np.int64), 1)[:, 0]
    return float(-np.log(np.maximum(right, 1e-7)).mean())


def accuracy(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The share of rows whose likeliest class is the right one."""
    return float((prediction["probability"].argmax(1) == target).mean())


def auroc(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The chance that a row of the class gets more of it than another row does, averaged over the classes present."""
    from sklearn.metrics import roc_auc_score

    probability = prediction["probability"]
    present = np.unique(target).astype(int)
    if not np.isfinite(probability).all():
        return float("nan")
    if len(present) < 2:
        return 0.5
    return float(np.mean([roc_auc_score(target == label, probability[:, label]) for label in present]))


def label_log_loss(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The mean binary cross-entropy over rows and labels, in nats."""
    probability = np.clip(prediction["probability"], 1e-7, 1 - 1e-7)
    return float(-(target * np.log(probability) + (1 - target) * np.log(1 - probability)).mean())


def label_accuracy(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The share of single labels that are right."""
    return float(((prediction["probability"] > 0.5) == (target > 0.5)).mean())
