"""Each vector of a sequence through a small network of its own: plain, gated and squared-ReLU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.activation import TanhGELU, activation


class SquaredReLU(nn.Module):
    """max(x, 0) squared. So et al. 2021 (Primer), arXiv:2109.08668.

    x: (...) -> (...)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class FeedForward(nn.Module):
    """Widen, activate, narrow. Vaswani et al. 2017, arXiv:1706.03762.

    x: (batch, time, width) -> (batch, time, width)
    """

    def __init__(
        self, width: int, hidden: int, activation: nn.Module | None = None, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=bias)
        self.activation = activation or nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.dropout(self.activation(self.up(x))))


class GatedFeedForward(nn.Module):
    """Widen twice, let one activated half gate the other, narrow. Shazeer 2020, arXiv:2002.05202.

    With SiLU this is SwiGLU, with GELU it is GEGLU. x: (batch, time, width) -> (batch, time, width)
    """

    def __init__(
        self, width: int, hidden: int, activation: nn.Module | None = None, *, bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.activation = activation or nn.SiLU()
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.dropout(self.activation(self.gate(x)) * self.up(x)))


def feed_forward_activation(name: str) -> nn.Module:
    """The activation of this name: those of `activation`, "relu2" and "gelu_tanh" (GELU by its tanh formula).

    Raises ValueError for an unknown name.
    """
    if name == "relu2":
        return SquaredReLU()
    return TanhGELU() if name == "gelu_tanh" else activation(name)


def cap(logits: Tensor, limit: float) -> Tensor:
    """Squeeze scores smoothly into (-limit, limit). Gemma Team 2024, arXiv:2408.00118. logits: (...) -> (...)"""
    return limit * torch.tanh(logits / limit)
