"""Distributions of a row's members and parts to one: its density, its share below a value, its quantiles."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

STEPS = 60  # of the search for a quantile at most; halving alone brings a bracket to the last bit of float32 in 30
CLOSE = 2e-6  # share by which a quantile may miss its level


class Mixed(ABC):
    """A mixture of distributions for each number: averaged as shares and densities, never as parameters.

    share: (batch, parts, targets), summing to one over the parts. Numbers are scaled, as the task's targets are.
    """

    share: Tensor

    @abstractmethod
    def of_parts(self, levels: Tensor) -> Tensor:
        """Each part's own quantiles: (levels,) -> (batch, parts, levels, targets)"""

    @abstractmethod
    def below(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The share of the mixture below each value, and its density there.

        x: (batch, values, targets) -> (batch, values, targets) both
        """

    @abstractmethod
    def middle(self) -> Tensor:
        """The one number that answers: (batch, targets)"""

    @abstractmethod
    def packed(self) -> Tensor:
        """All that it is made of in one tensor, (batch, parts, ..., targets), as the class's `of` takes it."""

    def quantile(self, levels: Tensor) -> Tensor:
        """The values with these shares below them: (levels,) -> (batch, levels, targets), rising.

        The mixture's quantile lies between the least and the largest of its parts' own. Within that bracket Newton's
        step is taken, and half the bracket where it leaves it.
        """
        levels = levels.to(self.share)
        each, used = self.of_parts(levels), (self.share > 0)[:, :, None]
        if each.shape[1] == 1:
            return each[:, 0]
        low = torch.where(used, each, torch.inf).amin(1)
        high = torch.where(used, each, -torch.inf).amax(1)
        x = (each * self.share[:, :, None]).sum(1).clamp(low, high)
        wanted = levels[:, None]
        for step in range(STEPS):
            share, density = self.below(x)
            off = share - wanted
            low, high = torch.where(off < 0, x, low), torch.where(off > 0, x, high)
            if bool(((off.abs() < CLOSE) | (high - low < CLOSE * (1 + x.abs()))).all()):
                break
            newton = x - off / density.clamp_min(1e-30)
            inside = (newton > low) & (newton < high)
            if step % 4 == 3:  # Newton alone may creep along a stretch without density
                inside = torch.zeros_like(inside)
            x = torch.where(inside, newton, (low + high) / 2)
        return x.cummax(1).values


class Normals(Mixed):
    """Normal distributions, mixed. share, mean, deviation: (batch, parts, targets)"""

    def __init__(self, share: Tensor, mean: Tensor, deviation: Tensor) -> None:
        self.share, self.mean, self.deviation = share, mean, deviation

    @classmethod
    def of(cls, packed: Tensor) -> "Normals":
        """What was packed: (batch, parts, 3, targets)"""
        return cls(*packed.unbind(2))

    def packed(self) -> Tensor:
        return torch.stack([self.share, self.mean, self.deviation], 2)

    def of_parts(self, levels: Tensor) -> Tensor:
        return self.mean[:, :, None] + self.deviation[:, :, None] * torch.special.ndtri(levels)[:, None]

    def below(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = (x[:, None] - self.mean[:, :, None]) / self.deviation[:, :, None]
        share = self.share[:, :, None]
        density = torch.exp(-z.square() / 2) / (self.deviation[:, :, None] * math.sqrt(2 * math.pi))
        return (share * torch.special.ndtr(z)).sum(1), (share * density).sum(1)

    def log_density(self, x: Tensor) -> Tensor:
        """x: (batch, targets) -> (batch, targets), in nats, of scaled numbers."""
        return torch.logsumexp(self.share.log() + log_normal(x[:, None], self.mean, self.deviation), 1)

    def middle(self) -> Tensor:
        """The mean: (batch, targets)"""
        return (self.share * self.mean).sum(1)


class Knots(Mixed):
    """Quantiles at given levels, joined by straight lines on normal probability paper and drawn on beyond the outer.

    knots: (batch, parts, levels, targets), rising; share: (batch, parts, targets)
    """

    def __init__(self, share: Tensor, knots: Tensor, levels: Tensor) -> None:
        self.share, self.knots = share, knots
        self.scores = torch.special.ndtri(levels.double()).to(knots)

    @classmethod
    def of(cls, packed: Tensor, levels: Tensor) -> "Knots":
        """What was packed: (batch, parts, 1 + levels, targets)"""
        return cls(packed[:, :, 0], packed[:, :, 1:], levels)

    def packed(self) -> Tensor:
        return torch.cat([self.share[:, :, None], self.knots], 2)

    def of_parts(self, levels: Tensor) -> Tensor:
        score = torch.special.ndtri(levels)
        right = torch.searchsorted(self.scores, score).clamp(1, len(self.scores) - 1)
        part = (score - self.scores[right - 1]) / (self.scores[right] - self.scores[right - 1])
        return torch.lerp(self.knots[:, :, right - 1], self.knots[:, :, right], part[:, None])

    def below(self, x: Tensor) -> tuple[Tensor, Tensor]:
        knots = self.knots.movedim(2, -1).contiguous()  # (batch, parts, targets, levels)
        values = x.movedim(1, -1)[:, None].expand(*knots.shape[:-1], -1).contiguous()
        right = torch.searchsorted(knots, values).clamp(1, knots.shape[-1] - 1)
        left = knots.gather(-1, right - 1)
        width = (knots.gather(-1, right) - left).clamp_min(1e-6)  # knots meet where many targets are equal
        slope = (self.scores[right] - self.scores[right - 1]) / width
        z = self.scores[right - 1] + (values - left) * slope
        density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * slope
        share = self.share[..., None]
        return (share * torch.special.ndtr(z)).sum(1).movedim(-1, 1), (share * density).sum(1).movedim(-1, 1)

    def middle(self) -> Tensor:
        """The median: (batch, targets)"""
        return self.quantile(torch.tensor([0.5]))[:, 0]


def log_normal(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """The logarithm of the normal density: (...) each -> (...)"""
    return -((x - mean) / deviation).square() / 2 - deviation.log() - math.log(2 * math.pi) / 2
