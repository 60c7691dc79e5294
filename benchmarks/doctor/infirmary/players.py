"""Two pairs of players: one that puts houses on the map, and one that paints small grey photos."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
from benchmarks.doctor.harness.players import Pair, losses, put
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Players(Pair):
    """A pair, and how many turns the generator has a step and what spreads its noise."""

    answers: int = 1
    spread: float = 1.0


def placer(noise: int) -> nn.Module:
    return nn.Sequential(nn.Linear(noise, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


def surveyor() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))


def painter(noise: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(noise, 32 * 16), nn.BatchNorm1d(32 * 16), nn.ReLU(), nn.Unflatten(1, (32, 4, 4)),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 1, 3, 1, 1), nn.Tanh(),
    )  # fmt: skip


def viewer() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(),
        nn.Linear(512, 1),
    )  # fmt: skip


@cache
def map_of_houses() -> tuple[Tensor, Tensor]:
    """Longitude and latitude, standardised, and whether a house lies in the south."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv", n_rows=20640)
    x = torch.tensor(frame.select("longitude", "latitude").to_numpy(), dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0)
    return x, (x[:, 1] < 0).long()


@cache
def small_photos() -> tuple[Tensor, Tensor]:
    pictures, classes = parquet("cifar10", "train", 4000)
    grey = torch.tensor(pictures, dtype=torch.float32).mean(3)[:, None]
    return F.avg_pool2d(grey, 4) / 127.5 - 1, torch.tensor(classes)


def play(pair: Players, doctor_of: Callable[..., Any]) -> float:
    """Turn by turn, the discriminator first."""
    g, d = pair.generator(pair.noise), pair.discriminator()
    first = torch.optim.Adam(g.parameters(), pair.rate * pair.rates[0], pair.betas)
    second = torch.optim.Adam(d.parameters(), pair.rate * pair.rates[1], pair.betas)
    doctor = doctor_of(nn.ModuleDict({"generator": g, "discriminator": d}),
                       {"generator": first, "discriminator": second})  # fmt: skip

    def noise(count: int) -> Tensor:
        return pair.spread * torch.randn(count, pair.noise)

    for step in range(pair.steps):
        for _ in range(pair.turns):
            real = pair.real[torch.randint(0, len(pair.real), (64,))]
            second.zero_grad()
            d_loss = losses(pair, d(real), d(g(noise(64)).detach()))
            d_loss.backward()
            second.step()
            if pair.kind == "wasserstein":
                with torch.no_grad():
                    for each in d.parameters():
                        each.clamp_(-0.1, 0.1)
        for _ in range(pair.answers):
            first.zero_grad()
            g_loss = losses(pair, d(g(noise(64))))
            g_loss.backward()
            first.step()
        doctor.watch({"generator": g_loss, "discriminator": d_loss}, real)
        if step % 50 == 49:
            with torch.no_grad():
                doctor.generated(g(noise(256)), pair.real[torch.randint(0, len(pair.real), (256,))])
    doctor.close()
    with torch.no_grad():
        return likeness(g(noise(1000)))


def likeness(fake: Tensor) -> float:
    """One less the Fréchet distance to all real rows, which is one for their mean; in 20 components at most."""
    real = (small_photos() if fake.ndim == 4 else map_of_houses())[0].flatten(1).numpy()
    drawn, mean = fake.flatten(1).numpy(), real.mean(0)
    axes = np.linalg.svd(real[:4000] - mean, full_matrices=False)[2][:20].T
    a, b = (real - mean) @ axes, (drawn - mean) @ axes
    c, e = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.clip(np.linalg.eigvals(c @ e).real, 0, None)).sum()
    return float(1 - (((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(e) - 2 * root) / np.trace(c))


FAULTS: dict[str, dict[str, Callable[[Any], None]]] = {
    "map": {
        "noise of nought": put(spread=0.0),
        "twenty answers a step, three times the rate": put(answers=20, rates=(3.0, 1.0)),
        "discriminator at thirty times the rate": put(rates=(1.0, 30.0)),
        "generator at a two-hundredth of the rate": put(rates=(0.005, 1.0)),
        # Healthy, and only awkward.
        "a Wasserstein loss": put(kind="wasserstein", rate=2e-3, turns=3, betas=(0.0, 0.9)),
        "real ones at nine tenths": put(smoothing=0.1),
    },
    "stamps": {
        "noise of nought": put(spread=0.0),
        "generator at a hundredth of the rate": put(rates=(0.01, 1.0)),
        # Healthy, and only awkward.
        "more momentum, which swings": put(betas=(0.6, 0.999)),
    },
}  # fmt: skip


def run(name: str, doctor_of: Callable[..., Any], fault: str) -> float:
    if name == "map":
        pair = Players(placer, surveyor, *map_of_houses(), noise=8, rate=2e-3, steps=500)
    else:
        pair = Players(painter, viewer, *small_photos(), noise=24, rate=2e-3, steps=300)
    if fault:
        FAULTS[name][fault](pair)
    return play(pair, doctor_of)
