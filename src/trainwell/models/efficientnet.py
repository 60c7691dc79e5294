"""A picture to class scores: depth, width and resolution scaled together. Tan & Le 2019, arXiv:1905.11946."""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from trainwell.nn.conv import DropPath, SamePadded, SqueezeExcite, collect

# of B0: expansion, kernel, stride, channels, blocks
STAGES = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)]
STAGES += [(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]
# width, depth, dropout
SIZES = {"b0": (1.0, 1.0, 0.2), "b1": (1.0, 1.1, 0.2), "b2": (1.1, 1.2, 0.3), "b3": (1.2, 1.4, 0.3)}
SIZES |= {"b4": (1.4, 1.8, 0.4), "b5": (1.6, 2.2, 0.4), "b6": (1.8, 2.6, 0.5), "b7": (2.0, 3.1, 0.5)}


def rounded(channels: float) -> int:
    """The nearest multiple of eight that is not more than a tenth below."""
    whole = max(8, int(channels + 4) // 8 * 8)
    return whole + 8 if whole < 0.9 * channels else whole


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by itself, gate, narrow by 1x1. Sandler et al. 2018, arXiv:1801.04381.

    x: (batch, before, height, width) -> (batch, after, height / stride, width / stride)
    """

    def __init__(
        self, before: int, after: int, expansion: int, kernel: int, stride: int, unit: Callable, drop_path: float
    ) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = unit(before, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = unit(inner, inner, kernel, stride=stride, groups=inner)
        self.squeeze = SqueezeExcite(inner, max(1, before // 4))
        self.project = unit(inner, after, 1, activation=nn.Identity)
        self.drop_path = DropPath(drop_path) if before == after and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return y if self.drop_path is None else x + self.drop_path(y)


class EfficientNet(nn.Module):
    """Picture to class scores by seven stages of gated inverted residuals, B0 to B7.

    `stem_stride` 2 is published, 1 suits pictures under 64 pixels. `padding` "same" and `eps` 1e-3 are what weights
    that came from TensorFlow expect. `width` and `depth` replace the size's multipliers.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        size: str = "b0",
        width: float | None = None,
        depth: float | None = None,
        stem_stride: int = 2,
        padding: str = "symmetric",
        eps: float = 1e-5,
        dropout: float | None = None,
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        if size not in SIZES or padding not in ("symmetric", "same"):
            raise ValueError(f"size {size!r}, padding {padding!r}: expected b0 to b7, and symmetric or same")
        width, depth = width or SIZES[size][0], depth or SIZES[size][1]
        unit = partial(_unit, same=padding == "same", eps=eps)
        before = rounded(32 * width)
        self.stem = unit(channels, before, 3, stride=stem_stride)
        self.stages = nn.ModuleList()
        total, number = sum(math.ceil(depth * blocks) for *_, blocks in STAGES), 0
        for expansion, kernel, stride, after, blocks in STAGES:
            layers = []
            for block in range(math.ceil(depth * blocks)):
                step, rate = (1 if block else stride), drop_path * number / total
                layers.append(InvertedResidual(before, rounded(after * width), expansion, kernel, step, unit, rate))
                before, number = rounded(after * width), number + 1
            self.stages.append(nn.Sequential(*layers))
        self.top = unit(before, rounded(1280 * width), 1)
        self.dropout = nn.Dropout(SIZES[size][2] if dropout is None else dropout)
        self.head = nn.Linear(rounded(1280 * width), classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] ** 2 // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each of the seven stages."""
        return collect(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.top(self.features(x)[-1]).mean((2, 3))))


def _unit(
    before: int, after: int, kernel: int, *, stride=1, groups=1, activation=nn.SiLU, same: bool, eps: float
) -> nn.Sequential:
    convolution = (SamePadded if same else nn.Conv2d)(
        before, after, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(after, eps=eps), activation())
