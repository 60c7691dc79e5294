"""A picture's code to a draw from it and to what the code costs: the parts that all autoencoders share."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Reconstruction(NamedTuple):
    """What a plain autoencoder answers.

    output: (batch, ...) as the input; code: (batch, latent)
    """

    output: Tensor
    code: Tensor


class Variational(NamedTuple):
    """What a variational autoencoder answers.

    output: (batch, ...) as the input; code, mean, log_variance: (batch, latent); seen: () long, rows it has trained on
    """

    output: Tensor
    code: Tensor
    mean: Tensor
    log_variance: Tensor
    seen: Tensor


def draw(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A draw from a diagonal normal that lets gradients through. Kingma & Welling 2013, arXiv:1312.6114.

    mean, log_variance, noise: (..., latent) -> (..., latent)
    """
    return mean + (0.5 * log_variance).exp() * noise


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """How far each dimension's normal lies from the standard one, in nats. Kingma & Welling 2013, appendix B.

    mean, log_variance: (batch, latent) -> (batch, latent)
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def log_normal(x: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | float = 0.0) -> Tensor:
    """The log density of a diagonal normal, summed over the last axis, in nats.

    x: (..., latent) -> (...)
    """
    log_variance = torch.as_tensor(log_variance, dtype=x.dtype, device=x.device)
    each = (x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)
    return -0.5 * each.sum(-1)


def free_nats(kl: Tensor, free: float) -> Tensor:
    """The KL that is charged when each dimension may use `free` nats on the mean over the batch for nothing.

    kl: (batch, latent) -> (), summed over the batch. Kingma et al. 2016, arXiv:1606.04934, equation 15.
    """
    return kl.mean(0).clamp_min(free).sum() * len(kl) if free else kl.sum()


def between(first: Tensor, second: Tensor, count: int) -> Tensor:
    """Codes on the great circle from one code to another, which keeps their length likely. Shoemake 1985.

    first, second: (latent,) -> (count, latent)
    """
    share = torch.linspace(0, 1, count, device=first.device)[:, None]
    cosine = torch.dot(first, second) / (first.norm() * second.norm()).clamp_min(1e-12)
    angle = cosine.clamp(-1, 1).acos()
    if angle < 1e-4:
        return torch.lerp(first, second, share)
    return (((1 - share) * angle).sin() * first + (share * angle).sin() * second) / angle.sin()
