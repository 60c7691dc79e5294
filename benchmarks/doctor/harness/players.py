"""Two pairs of players: a convolutional one that paints numerals, and one of plain layers that sketches small ones."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.loops.reading import parquet
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F


def start(model: nn.Module) -> nn.Module:
    """Weights from a normal of .02 in convolutions, as DCGAN has them."""
    for name, each in model.named_parameters():
        if each.ndim == 4:
            nn.init.normal_(each, 0, 0.02)
        if name.endswith("bias") and each.ndim == 1:
            nn.init.zeros_(each)
    return model


def painter(noise: int) -> nn.Module:
    return start(nn.Sequential(
        nn.Linear(noise, 32 * 49), nn.Unflatten(1, (32, 7, 7)), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh(),
    ))  # fmt: skip


def critic() -> nn.Module:
    return start(nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(),
        nn.Linear(32 * 49, 1),
    ))  # fmt: skip


def sketcher(noise: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(noise, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64), nn.Tanh()
    )


def judge() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )


@dataclass
class Pair:
    """One training of two players."""

    generator: Callable[[int], nn.Module]
    discriminator: Callable[[], nn.Module]
    real: Tensor
    classes: Tensor
    noise: int = 32
    rate: float = 1e-3
    rates: tuple[float, float] = (1.0, 1.0)  # of the generator and the discriminator
    steps: int = 400
    turns: int = 1  # of the discriminator a step
    kind: str = "non-saturating"
    betas: tuple[float, float] = (0.5, 0.999)
    smoothing: float = 0.0
    constant: bool = False


@cache
def sketches() -> tuple[Tensor, Tensor]:
    pictures, classes = load_digits(return_X_y=True)
    return torch.tensor(pictures, dtype=torch.float32) / 8 - 1, torch.tensor(classes)


@cache
def paintings() -> tuple[Tensor, Tensor]:
    pictures, classes = parquet("mnist", "train", 4000)
    return torch.tensor(pictures, dtype=torch.float32)[:, None] / 127.5 - 1, torch.tensor(classes)


def losses(pair: Pair, judged: Tensor, drawn: Tensor | None = None) -> Tensor:
    """The generator's loss of its drawings' scores, or the discriminator's of real and drawn ones."""
    if pair.kind == "wasserstein":
        return -judged.mean() if drawn is None else drawn.mean() - judged.mean()
    if drawn is not None:
        real = F.binary_cross_entropy_with_logits(judged, torch.full_like(judged, 1 - pair.smoothing))
        return real + F.binary_cross_entropy_with_logits(drawn, torch.zeros_like(drawn))
    if pair.kind == "saturating":
        return -F.binary_cross_entropy_with_logits(judged, torch.zeros_like(judged))
    return F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))


def play(pair: Pair, doctor_of: Callable[..., Any]) -> float:
    """Turn by turn."""
    g, d = pair.generator(pair.noise), pair.discriminator()
    optimizers = {
        name: torch.optim.Adam(model.parameters(), pair.rate * factor, pair.betas)
        for name, model, factor in zip(("generator", "discriminator"), (g, d), pair.rates, strict=True)
    }
    doctor = doctor_of(nn.ModuleDict({"generator": g, "discriminator": d}), optimizers)

    def noise(count: int) -> Tensor:
        return torch.zeros(count, pair.noise) if pair.constant else torch.randn(count, pair.noise)

    for step in range(pair.steps):
        for _ in range(pair.turns):
            real = pair.real[torch.randint(0, len(pair.real), (64,))]
            optimizers["discriminator"].zero_grad()
            d_loss = losses(pair, d(real), d(g(noise(64)).detach()))
            d_loss.backward()
            optimizers["discriminator"].step()
            if pair.kind == "wasserstein":
                with torch.no_grad():
                    for each in d.parameters():
                        each.clamp_(-0.05, 0.05)
        optimizers["generator"].zero_grad()
        fake = g(noise(64))
        g_loss = losses(pair, d(fake))
        g_loss.backward()
        optimizers["generator"].step()
        doctor.watch({"generator": g_loss, "discriminator": d_loss}, real)
        if step % 50 == 49:
            with torch.no_grad():
                shown = pair.real[torch.randint(0, len(pair.real), (256,))]
                doctor.generated(g(noise(256)), shown)
    doctor.close()
    with torch.no_grad():
        return likeness(g(noise(1000)))


def likeness(fake: Tensor) -> float:
    """One less the Fréchet distance to all real pictures, a grey mean picture being nought; in 30 components."""
    real = (paintings() if fake.ndim == 4 else sketches())[0].flatten(1).numpy()
    drawn = fake.flatten(1).numpy()
    mean = real.mean(0)
    axes = np.linalg.svd(real - mean, full_matrices=False)[2][:30].T
    a, b = (real - mean) @ axes, (drawn - mean) @ axes
    c, e = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.clip(np.linalg.eigvals(c @ e).real, 0, None)).sum()
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(e) - 2 * root
    return float(1 - distance / np.trace(c))


def one_digit(pair: Pair) -> None:
    pair.real = pair.real[pair.classes == 1]


def put(**fields: Any) -> Callable[[Pair], None]:
    def change(pair: Pair) -> None:
        for name, value in fields.items():
            setattr(pair, name, value)

    return change


STEADY = put(smoothing=0.1)
FAULTS: dict[str, dict[str, Callable[[Pair], None]]] = {
    "paintings": {
        "one digit alone": one_digit,
        "discriminator at twenty times the rate": put(rates=(1.0, 20.0)),
        "generator at a hundredth of the rate": put(rates=(0.01, 1.0)),
        # Healthy, and only awkward.
        "real ones at nine tenths": STEADY,
    },
    "sketches": {
        "one digit alone": one_digit,
        "noise of nought": put(constant=True),
        "generator at a fiftieth of the rate, saturating loss": put(rates=(0.02, 1.0), kind="saturating"),
        # Healthy, and only awkward.
        "a Wasserstein loss": put(kind="wasserstein", rate=5e-3, turns=3, betas=(0.0, 0.9)),
        "more momentum, which swings": put(betas=(0.6, 0.999)),
    },
}


def run(name: str, doctor_of: Callable[..., Any], fault: str) -> float:
    if name == "paintings":
        pair = Pair(painter, critic, *paintings(), rate=3e-3, steps=200)
    else:
        pair = Pair(sketcher, judge, *sketches(), noise=16, rate=1e-2, steps=500, turns=2)
    if fault:
        FAULTS[name][fault](pair)
    return play(pair, doctor_of)
