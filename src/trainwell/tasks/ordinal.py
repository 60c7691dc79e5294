"""Scores for steps of an order to probabilities of its classes: each step conditional, or a cumulative link."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.classify import Classify
from trainwell.tasks.task import Batch, Gathered, Metrics, at_least_single


def conditional(scores: Tensor) -> Tensor:
    """Logits of being above each class, given not to be below it, to log probabilities of the classes.

    By the chain rule the probability to be above falls from class to class. CORN, Shi et al. 2021, arXiv:2111.08851.
    scores: (..., classes - 1) -> (..., classes)
    """
    above = F.logsigmoid(scores).cumsum(-1)
    before = torch.cat([torch.zeros_like(above[..., :1]), above], -1)
    return before + torch.cat([F.logsigmoid(-scores), torch.zeros_like(scores[..., :1])], -1)


def cumulative(scores: Tensor) -> Tensor:
    """A logit of being above the first class, and raw steps down to the later ones, to log probabilities of classes.

    McCullagh 1980's cumulative logits, with thresholds that the inputs move without their order changing.
    scores: (..., classes - 1) -> (..., classes)
    """
    steps = F.softplus(scores[..., 1:])
    logits = scores[..., :1] - torch.cat([torch.zeros_like(scores[..., :1]), steps.cumsum(-1)], -1)
    first, last = F.logsigmoid(-logits[..., :1]), F.logsigmoid(logits[..., -1:])
    # sigmoid(a) - sigmoid(b) is sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which neither end of the line rounds to zero
    between = F.logsigmoid(logits[..., :-1]) + F.logsigmoid(-logits[..., 1:])
    return torch.cat([first, between + torch.log(-torch.expm1(-steps.clamp_min(1e-6))), last], -1)


LINKS: dict[str, Callable[[Tensor], Tensor]] = {"corn": conditional, "cumulative": cumulative}


class Ordinal(Classify):
    """One of several classes in an order, such as grades: a miss by one rank is less than a miss by three.

    A model gives a score for each step from one class to the next, (batch, classes - 1), or with members between.
    `order` names the classes from the lowest to the highest; numbers have their own. The answer is the median class,
    which is off by the fewest ranks. `link` is how scores become probabilities: corn, Shi et al. 2021, or cumulative,
    McCullagh 1980.
    """

    def __init__(
        self,
        outputs: int,
        labels: int = 0,
        folds: int = 0,
        temperature: float = 1.0,
        *,
        order: list[Any] | None = None,
        link: Literal["corn", "cumulative"] = "corn",
        label_smoothing: float = 0.0,
        goal: Literal["log_loss", "accuracy", "rank_mae"] = "log_loss",
        mirror: bool = False,
    ) -> None:
        if labels:
            raise InputError(f"task: ordinal answers one target, found {labels} labels; give one with --target")
        super().__init__(outputs, 0, folds, temperature, label_smoothing=label_smoothing, mirror=mirror)
        if order is not None and len(order) != outputs:
            raise ValueError(f"the order names {len(order)} classes, the target has {outputs}")
        self.link, self.classes, self.outputs = LINKS[link], outputs, outputs - 1
        self.goal = (goal, "max" if goal == "accuracy" else "min")

    @classmethod
    def asks(cls, outputs: int, **arguments: Any) -> int:
        return outputs - 1

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The log probabilities of the classes: (batch, classes) or (batch, members, classes)."""
        scores = at_least_single(model(*batch["inputs"]))
        scores = scores[:, None] if scores.dim() == 1 else scores
        if scores.shape[-1] != self.outputs:
            raise InputError(
                f"model: gives {scores.shape[-1]} scores a row, {self.classes} classes in an order ask for "
                f"{self.outputs}, one for each step"
            )
        return self.link(scores)

    def decide(self, probability: np.ndarray) -> np.ndarray:
        """The median class: (rows, classes) -> (rows,)"""
        return np.minimum((probability.cumsum(1) < 0.5 - 1e-7).sum(1), probability.shape[1] - 1)

    def metrics(self) -> Metrics:
        whole = super().metrics()
        assert isinstance(whole, Gathered)

        def of_answers(measure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
            return lambda prediction, target: measure(self.decide(prediction["probability"]), target)

        whole.functions |= {"accuracy": of_answers(share_right), "rank_mae": of_answers(rank_mae)}
        return whole


def share_right(answer: np.ndarray, target: np.ndarray) -> float:
    """The share of rows whose answer is the right class."""
    return float((answer == target).mean())


def rank_mae(answer: np.ndarray, target: np.ndarray) -> float:
    """By how many ranks the answers are off on average."""
    return float(np.abs(answer.astype(float) - target).mean())


def weighted_kappa(answer: np.ndarray, target: np.ndarray) -> float:
    """Agreement beyond chance, misses weighed by their squared ranks; 1 is perfect. Cohen 1968, doi:10.1037/h0026256.

    With these weights it is one minus the mean squared miss over that of answers paired with other rows' truths.
    """
    answer, target = answer.astype(float), target.astype(float)
    missed = ((answer - target) ** 2).mean()
    chance = answer.var() + target.var() + (answer.mean() - target.mean()) ** 2
    return float(1 - missed / chance) if chance > 0 else float(missed == 0)
