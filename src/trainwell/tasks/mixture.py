"""Scaled outputs to a mixture of normal distributions for each number. Bishop 1994, report NCRG/94/004."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.tasks.gaussian import ONE, Gaussian
from trainwell.tasks.mixed import Normals, log_normal
from trainwell.tasks.spread import QUANTILES


class Mixture(Gaussian):
    """A number that may be one of several things: a density of `parts` normal ones, whose shares follow the inputs.

    A model gives share, mean and deviation of each part, raw, for each target; the parts' means begin apart. A row's
    cost is minus its log density. No deviation falls below `least` of the target's own.
    """

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
        parts: int = 5,
        least: float = 0.01,
        quantiles: tuple[float, ...] = QUANTILES,
    ) -> None:
        if parts < 1:
            raise ValueError(f"a mixture of {parts} parts is none; give 1 or more, such as parts=5")
        self.each = 3 * parts
        super().__init__(center, scale, log, low, high, folds, ranks, least=least, quantiles=quantiles)
        self.apart = torch.special.ndtri((torch.arange(parts, dtype=torch.float64) + 0.5) / parts)

    @classmethod
    def asks(cls, outputs: int, **arguments: Any) -> int:
        return 3 * arguments["parts"] * outputs

    def each_part(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log share, mean and deviation of each part: (..., targets, 3 * parts) -> (..., targets, parts) each."""
        share, mean, raw = output.unflatten(-1, (3, -1)).unbind(-2)
        return share.log_softmax(-1), mean + self.apart.to(mean), F.softplus(raw + ONE) + self.least

    def cost(self, output: Tensor, target: Tensor) -> Tensor:
        share, mean, deviation = self.each_part(output.unflatten(-1, (-1, self.each)))
        return -torch.logsumexp(share + log_normal(target[..., None], mean, deviation), -1).mean(1)

    def mixed(self, output: Tensor, weights: Tensor) -> Normals:
        share, mean, deviation = (each.movedim(-1, 2).flatten(1, 2) for each in self.each_part(output))
        parts = share.shape[1] // weights.shape[1]
        return Normals(share.exp() * weights.repeat_interleave(parts, 1)[:, :, None], mean, deviation)
