"""Networks of one kind next to each other, each with an answer of its own, as for the quantiles of a forecast."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class SideBySide(nn.Module):
    """Asks every network the same and stacks what they give.

    x: what each network takes -> (batch, networks, ...), the rest as each gives it
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *inputs: Any) -> Tensor:
        return torch.stack([network(*inputs) for network in self.networks], 1)
