"""Data and noise to a mixture at any time, and the mixture with a network's answer back to both.

Time runs from 0, data, to 1, noise: x_t = signal(t) * data + spread(t) * noise.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable  # a recipe's value is checked to be one
class Path(Protocol):
    """A way from data to noise."""

    def signal(self, time: Tensor) -> Tensor: ...

    def spread(self, time: Tensor) -> Tensor: ...

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of data and of noise in what a network that predicts velocity is taught."""

    def times(self, uniform: Tensor) -> Tensor:
        """Times to train at, from numbers spread evenly over (0, 1)."""

    def grid(self, steps: int) -> Tensor:
        """Falling times to sample at, (steps + 1,), the last 0."""


class Variance:
    """A path that keeps the variance: spread squared is 1 - signal squared. A subclass has `signal`."""

    def signal(self, time: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no signal")

    def spread(self, time: Tensor) -> Tensor:
        return (1 - self.signal(time).square()).sqrt()

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Salimans & Ho 2022, arXiv:2202.00512: signal * noise - spread * data."""
        return -self.spread(time), self.signal(time)

    def times(self, uniform: Tensor) -> Tensor:
        return uniform

    def grid(self, steps: int) -> Tensor:
        return torch.linspace(1, 0, steps + 1)


class Linear(Variance):
    """The path of DDPM: the variance that each of `count` steps adds grows linearly. Ho et al. 2020, arXiv:2006.11239.

    Time t is step round(t * count); step 0 is the data.
    """

    def __init__(self, count: int = 1000, *, first: float = 1e-4, last: float = 0.02) -> None:
        self.count = count
        self.added = torch.linspace(first, last, count, dtype=torch.float64)
        kept = torch.cat([torch.ones(1, dtype=torch.float64), (1 - self.added).cumprod(0)])
        self.signals, self.spreads = kept.sqrt().float(), (1 - kept).sqrt().float()

    def place(self, time: Tensor) -> Tensor:
        """The number of the step at this time: (batch,) in [0, 1] -> (batch,) long."""
        return (time * self.count).round().long().clamp(0, self.count)

    def signal(self, time: Tensor) -> Tensor:
        return self.signals.to(time.device)[self.place(time)]

    def spread(self, time: Tensor) -> Tensor:
        return self.spreads.to(time.device)[self.place(time)]

    def times(self, uniform: Tensor) -> Tensor:
        return ((uniform * self.count).floor() + 1).clamp_max(self.count) / self.count

    def grid(self, steps: int) -> Tensor:
        return torch.linspace(self.count, 0, steps + 1).round() / self.count


class Cosine(Variance):
    """The signal falls as a cosine, so that the middle of the path is not all noise.

    Nichol & Dhariwal 2021, arXiv:2102.09672.
    least: of the signal, at time 1, so that the data can still be computed from the noise
    """

    def __init__(self, *, offset: float = 0.008, least: float = 0.004) -> None:
        self.offset, self.least = offset, least

    def signal(self, time: Tensor) -> Tensor:
        angle = (time + self.offset) / (1 + self.offset) * math.pi / 2
        start = math.cos(self.offset / (1 + self.offset) * math.pi / 2)
        return (angle.cos() / start).clamp(self.least, 1)


class Flow:
    """Straight lines from data to noise, as flow matching takes them. Lipman et al. 2022, arXiv:2210.02747.

    Training times are the logistic function of a normal of this center and deviation (Esser et al. 2024,
    arXiv:2403.03206), or spread evenly where the deviation is 0. A center below 0 trains more on little noise, which
    fine structure in few dimensions asks for.
    """

    def __init__(self, *, center: float = 0.0, deviation: float = 1.0) -> None:
        self.center, self.deviation = center, deviation

    def signal(self, time: Tensor) -> Tensor:
        return 1 - time

    def spread(self, time: Tensor) -> Tensor:
        return time

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The line's direction: noise - data."""
        return -torch.ones_like(time), torch.ones_like(time)

    def times(self, uniform: Tensor) -> Tensor:
        if not self.deviation:
            return uniform
        return torch.sigmoid(self.center + self.deviation * torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)))

    def grid(self, steps: int) -> Tensor:
        return torch.linspace(1, 0, steps + 1)


PATHS: dict[str, type] = {"flow": Flow, "linear": Linear, "cosine": Cosine}
PREDICTIONS = ("velocity", "noise", "data")


def across(values: Tensor, x: Tensor) -> Tensor:
    """One number a row, shaped to multiply x: (batch,) -> (batch, 1, ...)."""
    return values.to(x.dtype).view(-1, *[1] * (x.dim() - 1))


def mix(path: Path, data: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """The data as it is at this time. data, noise: (batch, ...), time: (batch,) -> (batch, ...)"""
    return across(path.signal(time), data) * data + across(path.spread(time), noise) * noise


def shares(path: Path, prediction: str, time: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of data and of noise in what the network is taught; raises ValueError for an unknown prediction."""
    if prediction not in PREDICTIONS:
        raise ValueError(f"no prediction {prediction!r}; choose one of {', '.join(PREDICTIONS)}")
    zero, one = torch.zeros_like(time), torch.ones_like(time)
    return {"velocity": path.velocity, "noise": lambda t: (zero, one), "data": lambda t: (one, zero)}[prediction](time)


def taught(path: Path, prediction: str, data: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """What the network should answer. data, noise: (batch, ...), time: (batch,) -> (batch, ...)"""
    of_data, of_noise = shares(path, prediction, time)
    return across(of_data, data) * data + across(of_noise, noise) * noise


def separate(path: Path, prediction: str, mixed: Tensor, answer: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """The data and the noise that a mixture and the network's answer about it amount to: two equations solved for two.

    mixed, answer: (batch, ...), time: (batch,) -> two of (batch, ...)
    """
    signal, spread = path.signal(time), path.spread(time)
    of_data, of_noise = shares(path, prediction, time)
    determinant = across(signal * of_noise - spread * of_data, mixed)
    data = (across(of_noise, mixed) * mixed - across(spread, mixed) * answer) / determinant
    noise = (across(signal, mixed) * answer - across(of_data, mixed) * mixed) / determinant
    return data, noise
