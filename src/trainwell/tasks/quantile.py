"""Scaled outputs to quantiles of each number that cannot cross. Koenker & Bassett 1978, doi:10.2307/1913643."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.tasks.loss import pinball
from trainwell.tasks.mixed import Knots
from trainwell.tasks.spread import QUANTILES, Spread


class Quantile(Spread):
    """Quantiles of a number for each row, such as those of an interval that holds it nine times of ten.

    A model gives the lowest quantile of each target and how far each further one lies above the one before, raw: no
    two cross. A row's cost is the pinball loss, averaged over its quantiles.
    """

    score = "pinball"

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
        self.each = len(quantiles)
        super().__init__(center, scale, log, low, high, folds, ranks, quantiles=quantiles)
        # An untrained model begins near the quantiles of all training rows, were they normal.
        scores = torch.special.ndtri(self.levels)
        self.lowest, steps = scores[0], scores.diff()
        self.steps = steps + torch.log(-torch.expm1(-steps))  # whose softplus the steps are

    @classmethod
    def asks(cls, outputs: int, **arguments: Any) -> int:
        return len(arguments["quantiles"]) * outputs

    def rising(self, output: Tensor) -> Tensor:
        """Raw outputs to quantiles that rise: (..., quantiles) -> (..., quantiles)"""
        first = output[..., :1] + self.lowest.to(output)
        return torch.cat([first, first + F.softplus(output[..., 1:] + self.steps.to(output)).cumsum(-1)], -1)

    def cost(self, output: Tensor, target: Tensor) -> Tensor:
        quantiles = self.rising(output.unflatten(-1, (-1, self.each)))
        return pinball(target[..., None] - quantiles, self.levels.to(output)).mean((1, 2))

    def mixed(self, output: Tensor, weights: Tensor) -> Knots:
        knots = self.rising(output).movedim(-1, 2)  # (batch, members, quantiles, targets)
        return Knots(weights[:, :, None].expand(-1, -1, knots.shape[-1]), knots, self.levels)

    def number(self, mixed: Knots) -> Tensor:
        """The median: (batch, targets)"""
        return mixed.quantile(self.told(torch.tensor([0.5], dtype=torch.float64)))[:, 0]

    def unpack(self, packed: Tensor) -> Knots:
        return Knots.of(packed, self.levels)

    def scored(self, mixed: Knots, target: Tensor) -> Tensor:
        quantiles, truth = self.unscale(mixed.quantile(self.told(self.levels))), self.unscale(target)
        return pinball(truth[:, None] - quantiles, self.levels.to(quantiles)[:, None]).mean((1, 2))
