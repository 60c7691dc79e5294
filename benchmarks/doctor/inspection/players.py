"""Stamps and spots: two players over small pictures of numerals, and over where Californian homes stand."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.inspection.pictures import DoctorOf, mnist
from benchmarks.doctor.loops.reading import DATA
from torch import nn


def covered(fake: torch.Tensor, real: torch.Tensor, near: int = 10) -> float:
    """The share of real rows with a fake nearer than their `near`-th real neighbour (Naeem et al. 2020)."""
    radius = torch.cdist(real, real).kthvalue(near + 1, dim=1).values
    return float((torch.cdist(real, fake).min(1).values < radius).float().mean())


@cache
def stamped(seed: int) -> torch.Tensor:
    """Numerals at 14 x 14 between -1 and 1 (4000, 196)."""
    return (F.avg_pool2d(mnist(seed)[0], 2) * 2).flatten(1)


class Painter(nn.Module):
    def __init__(self, noise: int) -> None:
        super().__init__()
        parts = [nn.Linear(noise, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 256), nn.BatchNorm1d(256)]
        self.main = nn.Sequential(*parts, nn.ReLU(), nn.Linear(256, 196), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.main(z)


class Critic(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        first, second = nn.Linear(196, 192), nn.Linear(192, 96)
        act = nn.LeakyReLU(0.2)
        self.main = nn.Sequential(first, act, nn.Dropout(dropout), second, act, nn.Dropout(dropout), nn.Linear(96, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x)[:, 0]


STAMP_RATES = {
    "a painter at two hundred times the rate": (0.2, 2e-3),
    "a critic at sixty times the rate": (1e-3, 0.12),
}


def stamps(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Numerals at 14 x 14 out of noise; the share of real ones that is covered."""
    real = stamped(seed)
    held, real = real[3200:], real[:3200]
    if fault == "real numerals to 255":
        real = (real + 1) * 127.5
    noise = 32
    painter, critic = Painter(noise), Critic(0.3)
    rate_painter, rate_critic = STAMP_RATES.get(fault, (1e-3, 2e-3))
    optimizer_g = torch.optim.Adam(painter.parameters(), lr=rate_painter, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=rate_critic, betas=(0.5, 0.999))
    model = nn.ModuleDict({"generator": painter, "discriminator": critic})
    doctor = doctor_of(model, {"generator": optimizer_g, "discriminator": optimizer_d})
    smooth = 0.9 if fault == "one-sided smoothing" else 1.0
    score = F.binary_cross_entropy_with_logits
    for step in range(500):
        rows = real[torch.randint(len(real), (64,))]
        z = torch.randn(64, noise)
        if fault == "one seed for all noise":
            z = torch.randn(4, noise, generator=torch.Generator().manual_seed(3)).repeat(16, 1)
        fake = painter(z)
        for _ in range(8 if fault == "eight turns of the critic at ten times the rate" else 1):
            on_real, on_fake = critic(rows), critic(fake.detach())
            loss_d = score(on_real, torch.full((64,), smooth)) + score(on_fake, torch.zeros(64))
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
        on_fake = critic(fake)
        loss_g = score(on_fake, torch.ones(64))
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        doctor.watch({"generator": loss_g, "discriminator": loss_d}, rows)
        if step % 50 == 49:
            doctor.generated(fake.detach(), rows)
    doctor.close()
    with torch.no_grad():
        z = torch.randn(len(held), noise)
        if fault == "one seed for all noise":
            z = torch.randn(4, noise, generator=torch.Generator().manual_seed(3)).repeat(len(held) // 4, 1)
        return covered(painter(z), held)


@cache
def places() -> torch.Tensor:
    """Longitude and latitude of blocks of homes, standardised (20640, 2)."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").select("longitude", "latitude")
    values = frame.to_numpy()
    values = np.random.default_rng(0).permutation((values - values.mean(0)) / values.std(0))
    return torch.tensor(values, dtype=torch.float32)


def layers(sizes: tuple[int, ...], act: Callable[[], nn.Module]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        parts += [nn.Linear(fan_in, fan_out), act()]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


def spots(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Where homes stand, out of noise; the share of real places that is covered."""
    real, held = places()[:18000], places()[18000:19000]
    maker, judge = layers((4, 64, 64, 2), nn.ReLU), layers((2, 64, 64, 1), lambda: nn.LeakyReLU(0.2))
    rate_maker, rate_judge = {
        "a judge that hardly learns": (5e-4, 1e-8),
        "a maker at a hundred times the rate": (0.05, 2e-3),
    }.get(fault, (5e-4, 2e-3))
    wasserstein = fault == "the distance of Wasserstein"
    optimizers: Any = [
        torch.optim.Adam(maker.parameters(), lr=rate_maker, betas=(0.5, 0.9)),
        torch.optim.Adam(judge.parameters(), lr=rate_judge, betas=(0.5, 0.9)),
    ]
    doctor = doctor_of(nn.ModuleList([maker, judge]), optimizers)
    turns = 3 if wasserstein else 1
    for step in range(900):
        for _ in range(turns):
            rows = real[torch.randint(len(real), (128,))]
            fake = maker(torch.randn(128, 4))
            if wasserstein:
                loss_d = judge(fake.detach()).mean() - judge(rows).mean() + 1.0 * penalty(judge, rows, fake.detach())
            else:
                loss_d = F.softplus(-judge(rows)).mean() + F.softplus(judge(fake.detach())).mean()
            optimizers[1].zero_grad()
            loss_d.backward()
            optimizers[1].step()
        for _ in range(8 if fault == "eight turns of the maker" else 1):
            fake = maker(torch.randn(128, 4))
            loss_g = -judge(fake).mean() if wasserstein else F.softplus(-judge(fake)).mean()
            if fault == "a maker that learns to be found out":
                loss_g = -loss_g
            optimizers[0].zero_grad()
            loss_g.backward()
            optimizers[0].step()
        doctor.watch({"maker": loss_g, "judge": loss_d}, rows)
        if step % 60 == 59:
            doctor.generated(fake.detach(), rows)
    doctor.close()
    with torch.no_grad():
        return covered(maker(torch.randn(1000, 4)), held)


def penalty(judge: nn.Module, rows: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """How far the judge's slope between real and fake is from one."""
    share = torch.rand(len(rows), 1)
    between = (share * rows + (1 - share) * fake).requires_grad_()
    slope = torch.autograd.grad(judge(between).sum(), between, create_graph=True)[0]
    return (slope.norm(dim=1) - 1).square().mean()
