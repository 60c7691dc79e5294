"""A noisy picture, a time and a class to the noise's direction: a compact U-Net for diffusion.

Ho et al. 2020, arXiv:2006.11239; scale and shift by the time as in Dhariwal & Nichol 2021, arXiv:2105.05233.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.attention import SelfAttention
from trainwell.nn.norm import GroupNorm
from trainwell.nn.time import Condition

ATTENTION = 8  # pixels: pixels of maps of at most this side attend to each other


def group_norm(channels: int) -> GroupNorm:
    """Group norm with up to 8 groups of equal size, so that any width works."""
    return GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)


class ConditionedBlock(nn.Module):
    """Two convolutions around a shortcut; the condition scales and shifts the map between them. Starts as the shortcut.

    x: (batch, before, height, width), condition: (batch, width) -> (batch, after, height, width)
    """

    def __init__(self, before: int, after: int, condition: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(before), group_norm(after)
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.modulate = nn.Linear(condition, 2 * after)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = self.first(F.silu(self.norm1(x)))
        scale, shift = self.modulate(F.silu(condition))[:, :, None, None].chunk(2, 1)
        hidden = self.norm2(hidden) * (1 + scale) + shift
        return self.shortcut(x) + self.second(self.dropout(F.silu(hidden)))


class PixelAttention(nn.Module):
    """Every pixel of a small map looks at every other, around a shortcut.

    x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = group_norm(channels), SelfAttention(channels, heads)
        nn.init.zeros_(self.attention.output.weight)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.attention(self.norm(x).flatten(2).transpose(1, 2))
        return x + pixels.transpose(1, 2).unflatten(2, x.shape[-2:])


class DiffusionUNet(nn.Module):
    """Down through halved maps and up again, each map joined to the one of its size on the way down.

    x: (batch, channels, height, width), time: (batch,) in [0, 1], classes: (batch,) long, -1 for none, or None
    -> (batch, channels, height, width)
    patch: pixels a side that enter as one, which costs detail little and saves most of the time (Hoogeboom et al. 2023,
    arXiv:2301.11093). Pixels attend to each other at the narrowest stage if its sides are at most 8. Odd sizes are
    halved rounded up. Raises ValueError for a picture that the stages would halve to less than 2 pixels.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        classes: int = 0,
        *,
        maps: int = 48,
        stages: Sequence[int] = (1, 2),
        patch: int = 2,
        blocks: int = 1,
        dropout: float = 0.0,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        sides = [-(-side // (patch * 2 ** (len(stages) - 1))) for side in (height, width)]
        if min(sides) < 2:
            raise ValueError(
                f"{len(stages)} stages after patches of {patch} halve {height} x {width} pixels to less than 2; "
                "name fewer stages or a smaller patch"
            )
        self.classes, self.patch, self.blocks, self.size = classes if conditional else 0, patch, blocks, (height, width)
        counts, signal = [maps * times for times in stages], 4 * maps
        self.condition = Condition(signal, self.classes)
        self.enter = nn.Conv2d(channels * patch**2, maps, 3, padding=1)
        self.down, self.halving, skips, before = nn.ModuleList(), nn.ModuleList(), [maps], maps
        for stage, count in enumerate(counts):
            for _ in range(blocks):
                self.down.append(ConditionedBlock(before, count, signal, dropout))
                skips.append(before := count)
            if stage < len(counts) - 1:
                self.halving.append(nn.Conv2d(count, count, 3, 2, 1))
                skips.append(count)
        self.middle = nn.ModuleList(ConditionedBlock(before, before, signal, dropout) for _ in range(2))
        looks = max(sides) <= ATTENTION
        self.attend: nn.Module = PixelAttention(before, max(1, before // 32)) if looks else nn.Identity()
        self.up, self.doubling = nn.ModuleList(), nn.ModuleList()
        for stage, count in reversed(list(enumerate(counts))):
            for _ in range(blocks + 1):
                self.up.append(ConditionedBlock(before + skips.pop(), count, signal, dropout))
                before = count
            if stage:  # narrowed before it is doubled, where that is cheapest
                self.doubling.append(nn.Conv2d(count, before := counts[stage - 1], 3, padding=1))
        self.norm, self.leave = group_norm(before), nn.Conv2d(before, channels * patch**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, time: Tensor, classes: Tensor | None = None) -> Tensor:
        condition = self.condition(time, classes)
        spare = (0, -self.size[1] % self.patch, 0, -self.size[0] % self.patch)
        x = self.enter(F.pixel_unshuffle(F.pad(x, spare), self.patch))
        skips = [x]
        for number, block in enumerate(self.down, 1):
            x = block(x, condition)
            skips.append(x)
            if number % self.blocks == 0 and number < len(self.down):
                x = self.halving[number // self.blocks - 1](x)
                skips.append(x)
        x = self.middle[1](self.attend(self.middle[0](x, condition)), condition)
        for number, block in enumerate(self.up, 1):
            x = block(torch.cat([x, skips.pop()], 1), condition)
            if number % (self.blocks + 1) == 0 and skips:
                x = self.doubling[number // (self.blocks + 1) - 1](x)
                x = F.interpolate(x, size=skips[-1].shape[-2:], mode="nearest")
        x = F.pixel_shuffle(self.leave(F.silu(self.norm(x))), self.patch)
        return x[..., : self.size[0], : self.size[1]]
