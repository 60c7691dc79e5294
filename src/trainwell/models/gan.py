"""Noise to vectors or pictures by a generator, and those to a score by a discriminator that learns to tell them apart.

Goodfellow et al. 2014, arXiv:1406.2661; DCGAN: Radford et al. 2015, arXiv:1511.06434; the discriminator hears of the
class by projection: Miyato & Koyama 2018, arXiv:1802.05637.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainwell.nn.init import initialize_for
from trainwell.nn.pyramid import Grow, Shrink, dense
from trainwell.nn.waves import Waves

NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": nn.Identity,
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "spectral": nn.Identity,  # on the weights instead; Miyato et al. 2018, arXiv:1802.05957
}


class Generator(nn.Module):
    """Noise, joined by a learned vector for the class, through a body; the end is squashed to [-1, 1] for pictures.

    noise: (batch, latent), classes: (batch,) long or None -> (batch, features) or (batch, channels, height, width)
    bits: of the noise, of which only the sign is read
    """

    def __init__(self, body: nn.Module, latent: int, classes: int, end: nn.Module, bits: int = 0) -> None:
        super().__init__()
        self.body, self.end, self.bits = body, end, bits
        self.label = nn.Embedding(classes, latent) if classes else None
        if self.label is not None:  # of length one, as long vectors let the generator pass over the noise
            nn.init.normal_(self.label.weight, std=latent**-0.5)

    def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        if self.bits:
            noise = torch.cat([noise[:, : self.bits].sign(), noise[:, self.bits :]], 1)
        if self.label is not None:
            if classes is None:
                raise ValueError("a conditional generator has to be told the classes to draw")
            noise = torch.cat([noise, self.label(classes)], 1)
        return self.end(self.body(noise))


class Discriminator(nn.Module):
    """Features of a body to one score, to which the class adds its own weighing of the features.

    x: (batch, ...), classes: (batch,) long or None -> (batch,)
    """

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, 1)
        self.label = nn.Embedding(classes, features) if classes else None
        if self.label is not None:  # drawn from N(0, 1) it would drown the head
            nn.init.normal_(self.label.weight, std=0.02)

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        features = self.body(x)
        score = self.head(features)[:, 0]
        if self.label is not None:
            if classes is None:
                raise ValueError("a conditional discriminator has to be told the classes that it judges")
            score = score + (features * self.label(classes)).sum(1)
        return score


class GAN(nn.Module):
    """Vectors from noise: dense layers on both sides. `generator` and `discriminator` learn in turn.

    noise: (batch, latent), classes: (batch,) long or None -> (batch, features)
    waves: frequencies in cycles a unit at which the discriminator also sees the features as sines and cosines.
    bits: of the noise, of which only the sign is read: separate heaps of data then need no steep way between them.
    `turns` counts the batches of training, so that a critic's extra steps go on where they stopped.
    Raises ValueError for an unknown norm.
    """

    turns: Tensor

    def __init__(
        self,
        features: int,
        classes: int = 0,
        *,
        latent: int = 16,
        widths: Sequence[int] = (128, 128, 128),
        norm: str = "none",
        waves: Sequence[float] = (),
        bits: int = 0,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= bits <= latent:
            raise ValueError(f"bits {bits} of a noise of {latent}: expected 0 to {latent}")
        classes = classes if conditional else 0
        generator = dense(latent * (2 if classes else 1), widths, features, nn.SiLU)
        seen = Waves(features, waves)
        layers = dense(seen.outputs, widths[:-1], widths[-1], nn.SiLU)
        body = nn.Sequential(nn.Flatten(), seen, layers, nn.SiLU())
        self._assemble(
            Generator(generator, latent, classes, nn.Identity(), bits), Discriminator(body, widths[-1], classes)
        )
        self.latent, self.classes = latent, classes
        _normalize(self.discriminator, norm)

    def _assemble(self, generator: Generator, discriminator: Discriminator) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.register_buffer("turns", torch.zeros((), dtype=torch.long))

    def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.generator(noise, classes)


class DCGAN(GAN):
    """Pictures from noise: doubling convolutions against halving ones.

    Weights are drawn from N(0, 0.02) as published, but for a discriminator without batch norm as He et al. 2015 do.

    noise: (batch, latent), classes: (batch,) long or None -> (batch, channels, height, width) in [-1, 1]
    norm: of the discriminator, "batch" as published, "spectral", "instance" or "none"; with a penalty, no batch norm.
    Raises ValueError for an unknown norm and for pictures under 8 pixels a side.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        classes: int = 0,
        *,
        latent: int = 100,
        maps: int = 64,
        norm: str = "none",
        conditional: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        if norm not in NORMS:
            raise ValueError(f"no norm {norm!r} for a discriminator; choose one of {', '.join(NORMS)}")
        classes = classes if conditional else 0
        noise = latent * (2 if classes else 1)
        grow = Grow(noise, channels, height, width, maps=maps, norm=nn.BatchNorm2d, activation=nn.ReLU)
        leaky = partial(nn.LeakyReLU, 0.2)
        shrink = Shrink(channels, height, width, maps=maps, norm=NORMS[norm], activation=leaky)
        self._assemble(Generator(grow, latent, classes, nn.Tanh()), Discriminator(shrink, shrink.features, classes))
        self.latent, self.classes = latent, classes
        self.apply(_draw_small)
        if norm != "batch":  # weights so small fade a signal that no norm lifts again
            initialize_for(self.discriminator.body, "leaky_relu")
        _normalize(self.discriminator, norm)


def _draw_small(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def _normalize(discriminator: nn.Module, norm: str) -> None:
    if norm not in NORMS:
        raise ValueError(f"no norm {norm!r} for a discriminator; choose one of {', '.join(NORMS)}")
    if norm == "spectral":
        weighted: list[Any] = [
            each for each in discriminator.modules() if isinstance(each, nn.Conv2d | nn.Linear | nn.Embedding)
        ]
        for each in weighted:
            spectral_norm(each)
