"""A picture to a vector by convolutions that halve it, and a vector back to a picture by those that double it."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from trainwell.nn.conv import Layer

LEAST = 4  # pixels: a map is halved while both its sides stay at least this long


def halvings(height: int, width: int) -> int:
    """How often a picture of this size is halved; raises ValueError if it is too small for once."""
    count = 0
    while min(height, width) // 2 ** (count + 1) >= LEAST:
        count += 1
    if not count:
        raise ValueError(f"pictures of {height} x {width} pixels are too small to halve; enlarge them to 8 x 8 or more")
    return count


def stage_maps(first: int, stages: int, *, most: int = 8) -> list[int]:
    """Feature maps at each stage: doubled at every halving, up to `most` times the first."""
    return [min(first * 2**stage, first * most) for stage in range(stages)]


def smallest(height: int, width: int) -> tuple[int, int]:
    """The size of the last map of a `Shrink`, the first of a `Grow`."""
    scale = 2 ** halvings(height, width)
    return -(-height // scale), -(-width // scale)


class Shrink(nn.Sequential):
    """Convolutions of kernel 4 that halve the picture, each with norm and activation; flattened at the end.

    The first has no norm, as Radford et al. 2015 (arXiv:1511.06434) found best. Zeros fill odd sizes up.
    x: (batch, channels, height, width) -> (batch, features)
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        maps: int,
        norm: Layer = nn.Identity,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        counts = stage_maps(maps, halvings(height, width))
        rows, columns = smallest(height, width)
        scale = 2 ** len(counts)
        layers: list[nn.Module] = []
        if (rows * scale, columns * scale) != (height, width):
            layers.append(nn.ZeroPad2d((0, columns * scale - width, 0, rows * scale - height)))
        for stage, (before, after) in enumerate(zip([channels, *counts[:-1]], counts, strict=True)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), norm(after) if stage else nn.Identity(), activation()]
        super().__init__(*layers, nn.Flatten())
        self.features = counts[-1] * rows * columns


class Grow(nn.Module):
    """A linear layer and transposed convolutions of kernel 4 that double the map until it is the picture.

    x: (batch, features) -> (batch, channels, height, width)
    """

    def __init__(
        self,
        features: int,
        channels: int,
        height: int,
        width: int,
        *,
        maps: int,
        norm: Layer = nn.Identity,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        counts: Sequence[int] = stage_maps(maps, halvings(height, width))[::-1]
        self.size, self.start = (height, width), (counts[0], *smallest(height, width))
        self.expand = nn.Linear(features, counts[0] * self.start[1] * self.start[2])
        layers: list[nn.Module] = [norm(counts[0]), activation()]
        for before, after in pairwise(counts):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), norm(after), activation()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(counts[-1], channels, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        picture = self.layers(self.expand(x).unflatten(1, self.start))
        return picture[..., : self.size[0], : self.size[1]]


def dense(features: int, widths: Sequence[int], outputs: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers of these widths with activations between them, for vectors.

    x: (batch, features) -> (batch, outputs)
    """
    layers: list[nn.Module] = []
    for before, after in zip([features, *widths[:-1]], widths, strict=True):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-1] if widths else features, outputs))
