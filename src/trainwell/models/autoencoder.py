"""A vector or a picture to a short code and back: autoencoders.

Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647. Denoising (Vincent et al. 2008) and sparse ones
(Ng 2011) are these with a corruption or a penalty in the task.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from trainwell.nn.activation import activation as activation_module
from trainwell.nn.latent import Reconstruction
from trainwell.nn.pyramid import Grow, Shrink, dense


class Autoencoder(nn.Module):
    """Features through a narrow layer and back; pictures are flattened.

    x: (batch, features) -> output (batch, features), code (batch, latent)
    Raises ValueError for an unknown activation.
    """

    def __init__(
        self, features: int, *, latent: int = 32, widths: Sequence[int] = (256, 128), activation: str = "relu"
    ) -> None:
        super().__init__()
        self.latent = latent
        bend = partial(activation_module, activation)
        self.encoder = dense(features, widths, latent, bend)
        self.decoder = dense(latent, list(widths)[::-1], features, bend)

    def encode(self, x: Tensor) -> Tensor:
        """x: (batch, features) -> (batch, latent)"""
        return self.encoder(x.flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        """code: (batch, latent) -> (batch, features), before the likelihood's own activation"""
        return self.decoder(code)

    def forward(self, x: Tensor) -> Reconstruction:
        code = self.encode(x)
        return Reconstruction(self.decode(code), code)


class ConvAutoencoder(nn.Module):
    """Picture through halving convolutions to a code, and back through doubling ones.

    x: (batch, channels, height, width) -> output of the same shape, code (batch, latent)
    Raises ValueError for pictures under 8 pixels a side.
    """

    def __init__(
        self, channels: int, height: int, width: int, *, latent: int = 32, maps: int = 32, activation: str = "silu"
    ) -> None:
        super().__init__()
        self.latent = latent
        bend = partial(activation_module, activation)
        shrink = Shrink(channels, height, width, maps=maps, activation=bend)
        self.encoder = nn.Sequential(shrink, nn.Linear(shrink.features, latent))
        self.decoder = Grow(latent, channels, height, width, maps=maps, activation=bend)

    def encode(self, x: Tensor) -> Tensor:
        """x: (batch, channels, height, width) -> (batch, latent)"""
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        """code: (batch, latent) -> (batch, channels, height, width), before the likelihood's own activation"""
        return self.decoder(code)

    def forward(self, x: Tensor) -> Reconstruction:
        code = self.encode(x)
        return Reconstruction(self.decode(code), code)
