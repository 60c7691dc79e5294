"""A window of a series to its future by linear maps and a network of patches, whose mean is the forecast.

Their errors differ, so the mean errs less than each: Bates & Granger 1969. Patches: Nie et al. 2022, arXiv:2211.14730.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.models.linear_blend import LinearBlend
from trainwell.models.patchtst import PatchTST

FASTER = 10.0  # times the rate of the maps, which begin near their best while the patches begin at nothing


class PatchBlend(LinearBlend):
    """Linear maps of several lookbacks and, on the shortest of them, a PatchTST; each learns by itself.

    x: (batch, lookback, channels) -> (batch, members, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        lookback: int = 512,
        shares: Sequence[float] = (0.66, 1.0),
        width: int = 16,
        depth: int = 3,
        heads: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(channels, horizon, lookback=lookback, shares=shares)
        self.patched = PatchTST(
            channels, horizon, lookback=min(self.lengths), width=width, depth=depth, heads=heads, dropout=dropout
        )

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The maps at the rate that is asked for, the patches at ten times it."""
        found = {"params": list(self.maps.parameters()), "lr": lr, "weight_decay": weight_decay}
        return [found, {**found, "params": list(self.patched.parameters()), "lr": FASTER * lr}]

    def forward(self, x: Tensor) -> Tensor:
        patched = self.patched(x[:, -self.patched.lookback :])
        return torch.cat((super().forward(x), patched.unsqueeze(1)), dim=1)
