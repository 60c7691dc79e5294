"""A small picture to class scores in few passes over the data: the airbench network. Jordan 2024, arXiv:2404.00498."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.conv import PatchWhitening, collect, dirac_, require_size
from trainwell.nn.norm import FixedScaleBatchNorm2d

LEAST_POOLED = 6  # pixels: maps smaller than this are not halved any more, so that 8 x 8 pictures keep a 3 x 3 map


class Group(nn.Module):
    """Convolution, pooling and further convolutions, each with norm and GELU; from three on with a shortcut.

    x: (batch, before, height, width) -> (batch, after, height / 2, width / 2), or of the same size under 6 pixels
    """

    def __init__(self, before: int, after: int, convolutions: int) -> None:
        super().__init__()
        pairs = list(pairwise([before] + [after] * convolutions))
        self.convolutions = nn.ModuleList()
        for inside, outside in pairs:
            convolution = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
            dirac_(convolution)
            self.convolutions.append(convolution)
        self.norms = nn.ModuleList(FixedScaleBatchNorm2d(after) for _ in pairs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolutions[0](x)
        if min(x.shape[-2:]) >= LEAST_POOLED:
            x = F.max_pool2d(x, 2)
        first = x = F.gelu(self.norms[0](x))
        for convolution, norm in zip(self.convolutions[1:-1], self.norms[1:-1], strict=True):
            x = F.gelu(norm(convolution(x)))
        if len(self.convolutions) > 1:
            x = self.norms[-1](self.convolutions[-1](x))
            x = F.gelu(x + first if len(self.convolutions) > 2 else x)
        return x


class SpeedNet(nn.Module):
    """Picture to class scores by a fixed whitening convolution and groups of two convolutions.

    `initialize` sets the whitening filters from training pictures. The norms' biases may learn at a rate of their own
    (`bias_rate` times the others'; 64 as published with SGD, 1 with Adam). `scale` multiplies the scores.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        widths: Sequence[int] = (64, 256, 256),
        convolutions: int = 2,
        patch: int = 2,
        scale: float = 1 / 9,
        bias_rate: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch, self.scale, self.bias_rate = patch, scale, bias_rate
        self.whiten = PatchWhitening(channels, patch)
        befores = [2 * self.whiten.filters, *widths[:-1]]
        self.groups = nn.ModuleList(Group(a, b, convolutions) for a, b in zip(befores, widths, strict=True))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def initialize(self, x: Tensor) -> None:
        """Sets the whitening filters from training pictures, (batch, channels, height, width)."""
        self.whiten.initialize(x)

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimizer groups: norm biases at their own rate with the same decay a step, everything else at `lr`."""
        biases = [norm.bias for norm in self.modules() if isinstance(norm, FixedScaleBatchNorm2d)]
        known = {id(p) for p in biases}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        rate = self.bias_rate
        return [
            {"params": others, "lr": lr, "weight_decay": weight_decay},
            {"params": biases, "lr": lr * rate, "weight_decay": weight_decay / rate},
        ]

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each group."""
        require_size(x, self.patch)
        return collect(self.groups, F.gelu(self.whiten(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)[-1].amax((2, 3)))) * self.scale
