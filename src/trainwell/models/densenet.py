"""A picture to class scores: every layer reads all layers before it. Huang et al. 2016, arXiv:1608.06993."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.conv import FittingAvgPool2d, collect

STAGES = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
NARROW = 4  # the first convolution of a layer makes this many times the growth


class DenseLayer(nn.Module):
    """Norm, ReLU and 1x1 convolution, then norm, ReLU and 3x3 convolution, whose maps are appended to the input.

    x: (batch, before, height, width) -> (batch, before + growth, height, width)
    """

    def __init__(self, before: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, NARROW * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(NARROW * growth)
        self.conv2 = nn.Conv2d(NARROW * growth, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(F.relu(self.norm1(x)))
        new = self.conv2(F.relu(self.norm2(new)))
        return torch.cat([x, self.dropout(new)], dim=1)


def transition(before: int, after: int) -> nn.Sequential:
    """Between stages: half the channels and half the size.

    x: (batch, before, height, width) -> (batch, after, height / 2, width / 2)
    """
    return nn.Sequential(
        nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, 1, bias=False), FittingAvgPool2d(2, 2)
    )


class DenseNet(nn.Module):
    """Picture to class scores by stages of densely connected layers.

    `layers` counts the layers of each stage in place of the published counts of `depth`. `stem_stride` is how much the
    stem shrinks the picture: 4 is published, 1 suits pictures under 64 pixels.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 121,
        layers: Sequence[int] | None = None,
        growth: int = 32,
        stem_stride: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth {depth}: expected one of {sorted(STAGES)}")
        if stem_stride not in (1, 2, 4):
            raise ValueError(f"stem_stride {stem_stride}: expected 1, 2 or 4")
        before = 2 * growth
        kernel, step = (3, 1) if stem_stride == 1 else (7, 2)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, before, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(before), nn.ReLU()
        )
        if stem_stride == 4:
            self.stem.append(nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList()
        for number, count in enumerate(layers or STAGES[depth]):
            stage = nn.Sequential()
            if number:
                stage.append(transition(before, before // 2))
                before //= 2
            for _ in range(count):
                stage.append(DenseLayer(before, growth, dropout))
                before += growth
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(before)
        self.head = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each dense stage; the last is normalized and rectified."""
        outputs = collect(self.stages, self.stem(x))
        return [*outputs[:-1], F.relu(self.norm(outputs[-1]))]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1].mean((2, 3)))
