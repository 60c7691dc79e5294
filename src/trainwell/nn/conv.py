"""Feature maps to feature maps: convolution with norm and activation, residual blocks, squeeze, whitening."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = Callable[..., nn.Module]  # a class, or a partial of one, that is called with the number of channels


class ConvNormAct(nn.Sequential):
    """Convolution, norm and activation; the map keeps its size at stride 1 and is halved, rounded up, at stride 2.

    x: (batch, before, height, width) -> (batch, after, height / stride, width / stride)
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: Layer = nn.BatchNorm2d,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__(
            nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), norm(after), activation()
        )


class PaddedShortcut(nn.Module):
    """A shortcut without weights: every stride-th pixel, and zero channels on both sides (option A of He et al. 2015).

    x: (batch, before, height, width) -> (batch, after, height / stride, width / stride)
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = (after - before) // 2
        self.last = after - before - self.first
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.first, self.last))


class Residual(nn.Module):
    """Adds what the body computes to its input and rectifies the sum. He et al. 2015, arXiv:1512.03385.

    x: (batch, before, height, width) -> (batch, after, height / stride, width / stride)
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.body(x) + self.shortcut(x))


def projection(before: int, after: int, stride: int) -> nn.Module:
    """The shortcut of a residual block: nothing where the shape stays, else a 1x1 convolution (option B)."""
    if before == after and stride == 1:
        return nn.Identity()
    return ConvNormAct(before, after, 1, stride=stride, activation=nn.Identity)


def basic_block(before: int, width: int, stride: int, shortcut: Layer = projection) -> Residual:
    """Two 3x3 convolutions around a shortcut.

    x: (batch, before, height, width) -> (batch, width, height / stride, width / stride)
    """
    body = nn.Sequential(ConvNormAct(before, width, stride=stride), ConvNormAct(width, width, activation=nn.Identity))
    return Residual(body, shortcut(before, width, stride))


def bottleneck_block(before: int, width: int, stride: int, shortcut: Layer = projection) -> Residual:
    """A 3x3 convolution, which carries the stride, between two 1x1 ones that narrow and widen.

    x: (batch, before, height, width) -> (batch, 4 * width, height / stride, width / stride)
    """
    body = nn.Sequential(
        ConvNormAct(before, width, 1),
        ConvNormAct(width, width, stride=stride),
        ConvNormAct(width, 4 * width, 1, activation=nn.Identity),
    )
    return Residual(body, shortcut(before, 4 * width, stride))


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the means of all channels. Hu et al. 2017, arXiv:1709.01507.

    x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    def __init__(self, channels: int, squeezed: int, activation: Callable[[], nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class FittingMaxPool2d(nn.MaxPool2d):
    """Max pooling that lets maps smaller than its window pass as they are, so that small pictures stay pictures.

    x: (batch, channels, height, width) -> (batch, channels, height / stride, width / stride)
    """

    def __init__(self, window: int, stride: int) -> None:
        super().__init__(window, stride)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        return x if min(x.shape[-2:]) < self.window else super().forward(x)


class FittingAvgPool2d(nn.AvgPool2d):
    """Average pooling that lets maps smaller than its window pass as they are.

    x: (batch, channels, height, width) -> (batch, channels, height / stride, width / stride)
    """

    def __init__(self, window: int, stride: int) -> None:
        super().__init__(window, stride)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        return x if min(x.shape[-2:]) < self.window else super().forward(x)


class SamePadded(nn.Conv2d):
    """Convolution padded as TensorFlow pads: the odd pixel of padding goes after, not before.

    x: (batch, in_channels, height, width) -> (batch, out_channels, height / stride, width / stride)
    """

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads = [total // 2, total - total // 2, *pads]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class DropPath(nn.Module):
    """Drops a whole residual branch for a random part of the batch while training. Huang et al. 2016, arXiv:1603.09382.

    x: (batch, ...) -> (batch, ...)
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)


class PatchWhitening(nn.Module):
    """A fixed convolution whose outputs are uncorrelated and of one variance on real pictures, and their negatives.

    The filters are the principal directions of the training pictures' patches, divided by their deviations
    (Page 2019, "How to train your ResNet 8"; Jordan 2024, arXiv:2404.00498). Only the bias is learned.
    Before `initialize` has seen pictures the filters are random and orthogonal.

    x: (batch, channels, height, width) -> (batch, 2 * channels * patch**2, height - patch + 1, width - patch + 1)
    """

    weight: Tensor

    def __init__(self, channels: int, patch: int = 2, *, floor: float = 5e-4) -> None:
        super().__init__()
        self.channels, self.patch, self.floor = channels, patch, floor
        self.filters = channels * patch**2
        square = torch.linalg.qr(torch.randn(self.filters, self.filters)).Q
        self.register_buffer("weight", self._both_signs(square))
        self.bias = nn.Parameter(torch.zeros(2 * self.filters))

    def _both_signs(self, square: Tensor) -> Tensor:
        return torch.cat([square, -square]).view(-1, self.channels, self.patch, self.patch)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Sets the filters from pictures, (batch, channels, height, width); more than 5,000 change little."""
        patches = F.unfold(x[:5000].float(), self.patch).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        self.weight.copy_(self._both_signs(vectors.T / (values.clamp_min(0) + self.floor).sqrt()[:, None]))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


@torch.no_grad()
def dirac_(convolution: nn.Conv2d) -> None:
    """Makes the first outputs of a convolution copies of its inputs and leaves the rest as they are, in place."""
    shared = min(convolution.in_channels, convolution.out_channels)
    nn.init.dirac_(convolution.weight[:shared])


def require_size(x: Tensor, least: int) -> None:
    """Raises ValueError where a picture has a side of fewer pixels than the network can work with."""
    if min(x.shape[-2:]) < least:
        raise ValueError(f"picture of {x.shape[-2]} x {x.shape[-1]} pixels: this network needs at least {least} a side")


def collect(stages: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> list[Tensor]:
    """The output of each stage in turn, every stage fed with the one before."""
    outputs = []
    for stage in stages:
        x = stage(x)
        outputs.append(x)
    return outputs
