"""A vector or a picture to a normal over codes, and a code back: variational autoencoders.

Kingma & Welling 2013, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from trainwell.nn.activation import activation as activation_module
from trainwell.nn.latent import Variational, draw
from trainwell.nn.pyramid import Grow, Shrink, dense

WIDEST = 8.0  # log variances stay within plus and minus this, so that an early step cannot overflow


class VAE(nn.Module):
    """Features to a normal over `latent` codes, a draw from it, and back; pictures are flattened.

    x: (batch, features), noise: (batch, latent) or None -> output (batch, features), code, mean and log_variance
    (batch, latent), seen (). Without noise the draw is random while training and the mean otherwise.
    Raises ValueError for an unknown activation.
    """

    seen: Tensor

    def __init__(
        self, features: int, *, latent: int = 20, widths: Sequence[int] = (400,), activation: str = "relu"
    ) -> None:
        super().__init__()
        bend = partial(activation_module, activation)
        encoder = dense(features, widths, 2 * latent, bend)
        decoder = dense(latent, list(widths)[::-1], features, bend)
        self._assemble(nn.Sequential(nn.Flatten(), encoder), decoder, latent)

    def _assemble(self, encoder: nn.Module, decoder: nn.Module, latent: int) -> None:
        self.encoder, self.decoder, self.latent = encoder, decoder, latent
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))  # kept with the weights, so warm-up resumes

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code: x as in forward -> two of (batch, latent)."""
        mean, log_variance = self.encoder(x).float().chunk(2, 1)
        return mean, log_variance.clamp(-WIDEST, WIDEST)

    def decode(self, code: Tensor) -> Tensor:
        """code: (batch, latent) -> the shape of the input, before the likelihood's own activation."""
        return self.decoder(code)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Variational:
        mean, log_variance = self.encode(x)
        code = mean
        if self.training:
            self.seen += len(x)
            noise = torch.randn_like(mean) if noise is None else noise
        if noise is not None:
            code = draw(mean, log_variance, noise)
        return Variational(self.decode(code), code, mean, log_variance, self.seen.clone())


class ConvVAE(VAE):
    """Picture to a normal over `latent` codes by halving convolutions, and back by doubling ones.

    x: (batch, channels, height, width), noise: (batch, latent) or None -> output of the shape of x, the rest as `VAE`
    Raises ValueError for pictures under 8 pixels a side.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        latent: int = 32,
        maps: int = 32,
        hidden: int = 256,
        activation: str = "silu",
    ) -> None:
        nn.Module.__init__(self)
        bend = partial(activation_module, activation)
        shrink = Shrink(channels, height, width, maps=maps, activation=bend)
        encoder = dense(shrink.features, (hidden,), 2 * latent, bend)
        first = nn.Sequential(nn.Linear(latent, hidden), bend())
        grow = Grow(hidden, channels, height, width, maps=maps, activation=bend)
        self._assemble(nn.Sequential(shrink, encoder), nn.Sequential(first, grow), latent)
