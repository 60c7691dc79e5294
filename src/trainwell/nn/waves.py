"""Numbers to themselves with sines and cosines of them: a network then draws fine structure from few steps.

Tancik et al. 2020, arXiv:2006.10739; Rahaman et al. 2018, arXiv:1806.08734, on why plain layers learn it late.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Waves(nn.Module):
    """Each number, and its sine and cosine at each frequency, in cycles a unit.

    x: (batch, features) -> (batch, features * (1 + 2 * frequencies))
    """

    angular: Tensor

    def __init__(self, features: int, frequencies: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("angular", 2 * math.pi * torch.tensor(list(frequencies)), persistent=False)
        self.outputs = features * (1 + 2 * len(self.angular))

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.angular):
            return x
        angle = (x.float()[..., None] * self.angular).flatten(1)
        return torch.cat([x, angle.sin(), angle.cos()], 1)
