"""Networks of one kind next to each other, each with an answer of its own, as for the quantiles of a forecast."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

FURTHER = 10.0  # times the rate


class SideBySide(nn.Module):
    """Asks every network the same and stacks what they give.

    x: what each network takes -> (batch, networks, ...), the rest as each gives it
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def initialize(self, *inputs: Any, **more: Any) -> None:
        """Let the first network begin from the data, if it does so, and the others where it begins."""
        first = self.networks[0]
        starts = getattr(first, "initialize", None)
        if callable(starts):
            starts(*inputs, **(more if "target" in inspect.signature(starts).parameters else {}))
            for network in self.networks[1:]:
                network.load_state_dict(first.state_dict())

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Where all begin at the first one's answer, the others have further to go and learn faster."""
        fits = callable(getattr(self.networks[0], "initialize", None))
        rates = [lr, *[lr * FURTHER if fits else lr] * (len(self.networks) - 1)]
        return [
            {"params": list(network.parameters()), "lr": rate, "weight_decay": weight_decay}
            for network, rate in zip(self.networks, rates, strict=True)
        ]

    def forward(self, *inputs: Any) -> Tensor:
        return torch.stack([network(*inputs) for network in self.networks], 1)
