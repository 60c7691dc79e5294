"""A picture to the code of a trained autoencoder, and a diffusion network on such codes.

Rombach et al. 2021, arXiv:2112.10752.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LatentDiffusion(nn.Module):
    """A frozen variational autoencoder around a network that learns to denoise its codes, as `DiffusionMLP` can.

    x: (batch, latent) codes, time: (batch,), classes: (batch,) long or None -> (batch, latent)
    `initialize` measures the codes of training pictures, (batch, channels, height, width) in [0, 1] or bytes, so that
    the network sees codes of mean 0 and deviation 1.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, autoencoder: Any, denoiser: Any) -> None:
        super().__init__()
        self.autoencoder, self.denoiser = autoencoder.requires_grad_(False).eval(), denoiser
        self.code_shape, self.classes = (autoencoder.latent,), denoiser.classes
        self.register_buffer("center", torch.zeros(self.code_shape))
        self.register_buffer("scale", torch.ones(self.code_shape))

    def train(self, mode: bool = True) -> "LatentDiffusion":
        super().train(mode)
        self.autoencoder.eval()
        return self

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Measures mean and deviation of the codes. x: (batch, channels, height, width)"""
        codes = self.autoencoder.encode(x.float() / 255 if x.dtype == torch.uint8 else x.float())[0]
        self.center.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0).clamp_min(1e-3))

    def to_latent(self, x: Tensor) -> Tensor:
        """Pictures in [0, 1] to codes: (batch, channels, height, width) -> (batch, latent)"""
        return (self.autoencoder.encode(x)[0] - self.center) / self.scale

    def from_latent(self, code: Tensor) -> Tensor:
        """Codes to pictures in [0, 1]: (batch, latent) -> (batch, channels, height, width)"""
        return F.sigmoid(self.autoencoder.decode(code * self.scale + self.center))

    def forward(self, x: Tensor, time: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.denoiser(x, time, classes)
