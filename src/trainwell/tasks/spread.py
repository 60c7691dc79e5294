"""Scaled outputs to a distribution for each number: the answer, its quantiles, and what the truth was worth."""

from abc import abstractmethod
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.tasks.members import member_weights, refuse_folds
from trainwell.tasks.mixed import Mixed
from trainwell.tasks.regress import Regress
from trainwell.tasks.task import Batch, Gathered, Metrics

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # the ends of the intervals of 50, 80 and 90 %, and the median
FEWEST, STEPS = 200, 20  # truths that tell how even they lie, at least; equal shares that are looked at
CENTRAL = (0.5, 0.8, 0.9)  # intervals that a page judges


class Spread(Regress):
    """What tasks share that answer each number with a distribution: gaussian, mixture and quantile.

    A model gives `each` numbers a target, (batch, targets * each), (batch, members, targets * each) for an ensemble,
    whose members learn each by itself and answer by the mixture of their distributions. `quantiles` are the shares
    that an answer tells values for; it tells them in the unit of the target. `ranks`, which a run finds after its
    training, are the levels below which held-out truths fell in so many equal shares: told quantiles are taken there.
    Kuleshov et al. 2018, arXiv:1807.00263.
    """

    score = "nll"  # what the truth is told to have cost, by row, in the target's unit

    def __init__(
        self,
        center: list[float],
        scale: list[float],
        log: list[bool],
        low: list[float],
        high: list[float],
        folds: int = 0,
        ranks: list[float] | None = None,
        *,
        quantiles: tuple[float, ...] = QUANTILES,
    ) -> None:
        super().__init__(center, scale, log, low, high, folds)
        self.ranks = ranks or None
        self.quantiles = checked(quantiles)
        self.levels = torch.tensor(self.quantiles, dtype=torch.float64)
        self.outputs = len(center) * self.each
        self.goal = (self.score, "min")

    @abstractmethod
    def mixed(self, output: Tensor, weights: Tensor) -> Mixed:
        """The distribution of each number: (batch, members, targets, each), (batch, members) -> its mixture."""

    @abstractmethod
    def unpack(self, packed: Tensor) -> Any:
        """The distributions whose `packed` stands among the answers as "parts"."""

    @abstractmethod
    def scored(self, mixed: Any, target: Tensor) -> Tensor:
        """What the truth costs by each number's distribution: (batch, targets), scaled, in -> (batch,), in units."""

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"number": (batch, targets), "quantiles": (batch, quantiles, targets)}, in the unit of the target.

        Where the truth is known also the score of each row, and "parts", the scaled distributions as they were mixed.
        """
        output = self.output(model, batch)
        refuse_folds(output, batch)
        output = output[:, None] if output.dim() == 2 else output
        mixed = self.mixed(output.unflatten(-1, (-1, self.each)), member_weights(output, batch, self.folds))
        number = self.number(mixed)
        number = number.maximum(self.low.to(number)).minimum(self.high.to(number))
        answer = {"number": self.unscale(number), "quantiles": self.unscale(mixed.quantile(self.told(self.levels)))}
        if "target" in batch:
            target = batch["target"].to(output)
            answer[self.score] = self.scored(mixed, target[:, None] if target.dim() == 1 else target)
            answer["parts"] = mixed.packed()
        return answer

    def number(self, mixed: Any) -> Tensor:
        """The one number that answers, scaled: (batch, targets)"""
        return mixed.middle()

    def told(self, levels: Tensor) -> Tensor:
        """The levels at which the distributions have the quantiles of these shares: (levels,) -> (levels,)"""
        if self.ranks is None:
            return levels
        return torch.from_numpy(np.interp(levels.numpy(), np.linspace(0, 1, len(self.ranks)), self.ranks))

    def held(self, below: np.ndarray) -> np.ndarray:
        """The shares below the truths by the distributions, to those by what is told of them: (...) -> (...)"""
        return below if self.ranks is None else np.interp(below, self.ranks, np.linspace(0, 1, len(self.ranks)))

    def slope(self, target: Tensor) -> Tensor:
        """The logarithm of how much a scaled number changes with the number itself: (batch, targets) -> the same."""
        log_scale = self.scale.log().to(target)
        number = target.double() * self.scale.to(target.device) + self.center.to(target.device)
        return -log_scale - torch.where(self.log.to(target.device), number, 0.0).to(target)

    def metrics(self) -> Metrics:
        whole = super().metrics()
        assert isinstance(whole, Gathered)
        return Scores(self.score, whole.functions)

    def central(self) -> list[float]:
        """The shares of the central intervals that its quantiles reach out to."""
        outer = 1 - 2 * max(self.quantiles[0], 1 - self.quantiles[-1])
        return [each for each in CENTRAL if each <= outer + 1e-9]


class Scores(Gathered):
    """The mean score of the rows whose truth was known to the answer, and the metrics of the numbers."""

    def __init__(self, score: str, functions: dict[str, Any]) -> None:
        super().__init__(functions)
        self.score = score
        self.scores: list[np.ndarray] = []

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        super().update({"number": prediction["number"]}, batch)
        if self.score in prediction:
            self.scores.append(prediction[self.score].detach().double().cpu().numpy())

    def compute(self) -> dict[str, float]:
        scores = {self.score: float(np.concatenate(self.scores).mean())} if self.scores else {}
        return {**scores, **super().compute()}


def ranks_of(below: np.ndarray) -> list[float] | None:
    """The levels below which truths fell in equal shares; None where chance explains how far they are from even.

    below: the share of its distribution below each truth. Chance is that of Kolmogorov and Smirnov at 5 %.
    """
    found = np.sort(below.ravel())
    even = (np.arange(len(found)) + 0.5) / max(1, len(found))
    if len(found) < FEWEST or np.abs(found - even).max() <= 1.36 / len(found) ** 0.5:
        return None
    ranks = np.quantile(found, np.linspace(0, 1, STEPS + 1))
    ranks[0], ranks[-1] = 0.0, 1.0
    rising = np.maximum.accumulate(ranks) + np.arange(STEPS + 1) * 1e-6  # truths heap where targets are equal
    return ((rising - rising[0]) / (rising[-1] - rising[0])).tolist()


def checked(quantiles: tuple[float, ...]) -> list[float]:
    """The quantiles as a list; raises ValueError for those that are no rising shares between 0 and 1, and for one."""
    found = list(quantiles)
    wrong = [each for each in found if not 0 < each < 1]
    if wrong:
        raise ValueError(f"{wrong[0]:g} is no share between 0 and 1; ask for quantiles such as [0.05, 0.5, 0.95]")
    if any(later <= before for before, later in pairwise(found)):
        raise ValueError(f"they do not rise; write them as {sorted(set(found))}")
    if len(found) < 2:
        raise ValueError("two or more are needed to tell an interval, such as [0.05, 0.95]")
    return found
