"""Clean inputs to damaged ones that a denoising network learns to mend. Vincent et al. 2010, JMLR 11:3371."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def gaussian(x: Tensor, noise: Tensor, amount: float) -> Tensor:
    """Adds normal noise of this deviation. x, noise: (batch, ...) -> (batch, ...)"""
    return x + amount * noise


def mask(x: Tensor, noise: Tensor, amount: float) -> Tensor:
    """Sets this share of the entries to zero. x, noise: (batch, ...) -> (batch, ...)"""
    return x * (_uniform(noise) >= amount)


def salt(x: Tensor, noise: Tensor, amount: float) -> Tensor:
    """Sets half of this share of the entries to zero and half to one. x, noise: (batch, ...) -> (batch, ...)"""
    place = _uniform(noise)
    return torch.where(place < amount / 2, 0.0, torch.where(place > 1 - amount / 2, 1.0, x))


def _uniform(noise: Tensor) -> Tensor:
    """Normal noise to uniform noise on (0, 1), by the normal's distribution function."""
    return 0.5 * (1 + torch.erf(noise / math.sqrt(2)))


CORRUPTIONS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"gaussian": gaussian, "mask": mask, "salt": salt}
