"""Scaled outputs to a mean and a variance for each number. Nix & Weigend 1994, doi:10.1109/ICNN.1994.374138."""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from trainwell.tasks.mixed import Normals, log_normal
from trainwell.tasks.spread import QUANTILES, Spread

ONE = math.log(math.e - 1)  # whose softplus is 1: an untrained model begins near the spread of all training rows


class Gaussian(Spread):
    """A number with its own uncertainty for each row: a normal distribution whose width follows the inputs.

    A model gives mean and raw deviation of each target. A row's cost is minus its log density, weighed by its variance
    to the power of `beta`, through which no gradient goes: with 0 the likelihood, with which rows that are hard at
    first stay unlearned; with 1 the means learn as by the squared error. Seitzer et al. 2022, arXiv:2203.09168.
    No deviation falls below `least` of the target's own.
    """

    each = 2

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
        beta: float = 0.5,
        least: float = 0.01,
        quantiles: tuple[float, ...] = QUANTILES,
    ) -> None:
        super().__init__(center, scale, log, low, high, folds, ranks, quantiles=quantiles)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta weighs by a power from 0 to 1, found {beta:g}")
        self.beta, self.least = beta, positive(least)

    @classmethod
    def asks(cls, outputs: int, **arguments: Any) -> int:
        return 2 * outputs

    def cost(self, output: Tensor, target: Tensor) -> Tensor:
        mean, raw = output.unflatten(-1, (-1, 2)).unbind(-1)
        deviation = F.softplus(raw + ONE) + self.least
        lost = -log_normal(target, mean, deviation)
        return (lost * deviation.detach().pow(2 * self.beta)).mean(1)

    def mixed(self, output: Tensor, weights: Tensor) -> Normals:
        mean, raw = output.unbind(-1)
        return Normals(weights[:, :, None].expand_as(mean), mean, F.softplus(raw + ONE) + self.least)

    def unpack(self, packed: Tensor) -> Normals:
        return Normals.of(packed)

    def scored(self, mixed: Normals, target: Tensor) -> Tensor:
        return -(mixed.log_density(target) + self.slope(target)).mean(1)


def positive(least: float) -> float:
    """The least deviation, which must be more than nothing lest a density grow without end; else ValueError."""
    if not 0 < least < 1:
        raise ValueError(f"least is a share of the target's deviation between 0 and 1, found {least:g}")
    return least
