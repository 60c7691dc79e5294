"""Places in a sequence to what a network reads: sinusoids, learned vectors, rotations, attention biases."""

import math

import torch
from torch import Tensor, nn


def positions_of(mask: Tensor) -> Tensor:
    """Place of each token among the real tokens of its row, counted from zero; padding on either side gets zero.

    mask: (batch, time) bool, True at tokens -> (batch, time) long
    """
    return (mask.long().cumsum(dim=1) - 1).clamp_min(0)


def sinusoids(length: int, width: int, base: float = 10000.0) -> Tensor:
    """Sines in the even and cosines in the odd columns, wavelengths from 2 pi to base times 2 pi places.

    Vaswani et al. 2017, arXiv:1706.03762. -> (length, width) float
    """
    angle = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(0, width, 2) / width)  # (length, width / 2)
    table = torch.zeros(length, width)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()[:, : width // 2]
    return table


class SinusoidalPosition(nn.Module):
    """Vectors of fixed sinusoids for places 0 to context - 1. Vaswani et al. 2017, arXiv:1706.03762.

    positions: (batch, time) long -> (batch, time, width)
    """

    table: Tensor

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoids(context, width), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.table[positions]


class LearnedPosition(nn.Embedding):
    """A learned vector for each place 0 to context - 1. Gehring et al. 2017, arXiv:1705.03122.

    positions: (batch, time) long -> (batch, time, width)
    """


class Rotary(nn.Module):
    """Angles that turn queries and keys by their place. Su et al. 2021, arXiv:2104.09864.

    Channel i of the first half turns together with channel i of the second half, by place times base ** (-2 i / width).
    positions: (batch, time) long -> two of (batch, 1, time, width): cosines and sines, for `rotate`
    """

    frequencies: Tensor

    def __init__(self, width: int, *, base: float = 10000.0) -> None:
        super().__init__()
        self.base = base
        frequencies = base ** (-torch.arange(0, width, 2).float() / width)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angle = positions.unsqueeze(-1).float() * self.frequencies.float()  # bfloat16 cannot count past 256
        angle = torch.cat((angle, angle), dim=-1).unsqueeze(1)
        kind = self.frequencies.dtype
        return angle.cos().to(kind), angle.sin().to(kind)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each channel pair by the angles of `Rotary`, so that dot products depend on distance alone.

    x: (batch, heads, time, width) -> (batch, heads, time, width)
    """
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class Alibi(nn.Module):
    """A penalty on attention that grows with distance, steeper for some heads. Press et al. 2021, arXiv:2108.12409.

    queries: (batch, queries) long, keys: (batch, keys) long -> (batch, heads, queries, keys)
    """

    slopes: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", alibi_slopes(heads), persistent=False)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        distance = (queries.unsqueeze(-1) - keys.unsqueeze(-2)).abs()
        return -self.slopes.view(-1, 1, 1) * distance.unsqueeze(1)


def alibi_slopes(heads: int) -> Tensor:
    """Slopes 2 ** (-8 / n), 2 ** (-16 / n), ... for n a power of two; other counts take every second of the next one.

    -> (heads,) float
    """
    near = 2 ** math.floor(math.log2(heads))
    slopes = 2.0 ** (-8.0 / near * torch.arange(1, near + 1))
    between = 2.0 ** (-4.0 / near * torch.arange(1, 2 * near + 1, 2))
    return torch.cat((slopes, between))[:heads]


class RelativeBias(nn.Module):
    """A learned bias on attention for each head and bucket of distance. Raffel et al. 2020 (T5), arXiv:1910.10683.

    Half of the buckets hold one distance each, the others widen by a constant factor up to `furthest` places.
    queries: (batch, queries) long, keys: (batch, keys) long -> (batch, heads, queries, keys)
    """

    def __init__(self, heads: int, *, buckets: int = 32, furthest: int = 128, both_ways: bool = True) -> None:
        super().__init__()
        self.bias = nn.Embedding(buckets, heads)
        self.buckets, self.furthest, self.both_ways = buckets, furthest, both_ways

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        return self.bias(self.bucket(keys.unsqueeze(-2) - queries.unsqueeze(-1))).permute(0, 3, 1, 2)

    def bucket(self, offset: Tensor) -> Tensor:
        """The bucket of each offset (key place minus query place). offset: (...) long -> (...) long"""
        buckets, ahead = self.buckets, torch.zeros_like(offset)
        if self.both_ways:
            buckets //= 2
            ahead = (offset > 0).long() * buckets
            distance = offset.abs()
        else:
            distance = (-offset).clamp_min(0)
        exact = buckets // 2
        scale = (buckets - exact) / math.log(self.furthest / exact)
        wide = exact + (torch.log(distance.clamp_min(1).float() / exact) * scale).long()
        return ahead + torch.where(distance < exact, distance, wide.clamp_max(buckets - 1))
