"""Two players: DCGAN's tutorial on small digits, and a map of California drawn from noise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import nn

DoctorOf = Callable[..., Any]


def likeness(fake: torch.Tensor, real: torch.Tensor) -> float:
    """One less the sliced distance of Wasserstein over that of a single mean row from the real ones."""
    draw = torch.Generator().manual_seed(0)
    size = min(len(fake), len(real))
    fake, real = fake[:size].flatten(1), real[:size].flatten(1)
    directions = F.normalize(torch.randn(real.shape[1], 200, generator=draw), dim=0)
    distance, most = ((each @ directions).sort(0).values for each in (fake, real.mean(0).expand_as(real)))
    truth = (real @ directions).sort(0).values
    return float(1 - (distance - truth).abs().mean() / (most - truth).abs().mean())


class Maker(nn.Module):
    """Noise to a picture of 16 by 16 between minus one and one."""

    def __init__(self, noise: int, width: int = 16) -> None:
        super().__init__()
        self.noise = noise
        self.main = nn.Sequential(
            nn.ConvTranspose2d(noise, 2 * width, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip
        self.main.apply(begin)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.main(z[:, :, None, None])


def begin(module: nn.Module) -> None:
    """The tutorial's weights_init."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def picture_judge(width: int = 16) -> nn.Sequential:
    judge = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2, True),
        nn.Conv2d(2 * width, 1, 4, 1, 0, bias=False), nn.Flatten(0),
    )  # fmt: skip
    return judge.apply(begin)


def rates(fault: str) -> tuple[float, float]:
    """Of maker and judge."""
    return {
        "a maker at a hundred times the rate": (0.05, 5e-4), "a judge at a rate thirty times as high": (5e-4, 0.015),
        "both at two hundred times the rate": (0.2, 0.2),
    }.get(fault, (5e-4, 5e-4))  # fmt: skip


def dcgan(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits drawn from noise; how like they are to real ones."""
    images, _ = parquet("mnist", "train", 7000)
    real = F.interpolate(torch.tensor(images[:4000], dtype=torch.float32)[:, None], (16, 16), mode="area") / 127.5 - 1
    if fault == "real pictures between nought and 255":
        real = (real + 1) * 127.5
    nz = 16
    net_g, net_d = Maker(nz), picture_judge()
    rate_g, rate_d = rates(fault)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=rate_d, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=rate_g, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    truth = 0.9 if fault == "one-sided smoothing" else 1.0
    doctor = doctor_of(
        nn.ModuleDict({"generator": net_g, "discriminator": net_d}),
        {"generator": optimizer_g, "discriminator": optimizer_d},
    )
    for step in range(500):
        data = real[torch.randint(len(real), (32,))]
        optimizer_d.zero_grad()
        fake = net_g(torch.randn(32, nz))
        error_d = criterion(net_d(data), torch.full((32,), truth)) + criterion(net_d(fake.detach()), torch.zeros(32))
        error_d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        if fault == "fakes detached before the maker's turn":
            fake = fake.detach() + 0 * net_g.main[0].weight.sum()
        error_g = criterion(net_d(fake), torch.ones(32))
        if fault == "a maker that learns to be found out":
            error_g = criterion(net_d(fake), torch.zeros(32))
        error_g.backward()
        optimizer_g.step()
        doctor.watch({"generator": error_g, "discriminator": error_d}, data)
        if step % 50 == 49:
            with torch.no_grad():
                doctor.generated(net_g(torch.randn(128, nz)), real[:128])
    doctor.close()
    with torch.no_grad():
        return likeness(net_g(torch.randn(1500, nz)), real[:1500])


def dots(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Where Californians live, drawn from noise by plain layers; how like the map is."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").select("longitude", "latitude", "median_income")
    table = np.random.default_rng(seed).permutation(frame.to_numpy().astype(np.float32))
    real = torch.tensor((table - table.mean(0)) / table.std(0))
    noise = 1 if fault == "noise of one number" else 8
    maker = nn.Sequential(nn.Linear(noise, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    judge = nn.Sequential(nn.Linear(3, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    made_rate, judged_rate = {
        "a judge that hardly learns": (1e-3, 1e-7), "a maker at fifty times the rate": (5e-2, 3e-3),
        "the distance of Wasserstein": (1e-3, 1e-3),
    }.get(fault, (1e-3, 3e-3))  # fmt: skip
    wasserstein = fault == "the distance of Wasserstein"
    optimizers = {
        "generator": torch.optim.Adam(maker.parameters(), lr=made_rate, betas=(0.0, 0.999)),
        "discriminator": torch.optim.Adam(judge.parameters(), lr=judged_rate, betas=(0.0, 0.999)),
    }
    doctor = doctor_of(nn.ModuleDict({"generator": maker, "discriminator": judge}), optimizers)
    for step in range(600 if wasserstein else 900):
        for _ in range(3 if wasserstein else 1):
            rows, fake = real[torch.randint(15000, (128,))], maker(torch.randn(128, noise)).detach()
            loss = F.softplus(-judge(rows)).mean() + F.softplus(judge(fake)).mean()
            if wasserstein:
                loss = judge(fake).mean() - judge(rows).mean() + 1 * slope(judge, rows, fake)
            optimizers["discriminator"].zero_grad()
            loss.backward()
            optimizers["discriminator"].step()
        for _ in range(8 if fault == "eight turns of the maker" else 1):
            score = judge(maker(torch.randn(128, noise)))
            own = F.softplus(-score).mean()
            if wasserstein:
                own = -score.mean()
            optimizers["generator"].zero_grad()
            own.backward()
            optimizers["generator"].step()
        doctor.watch({"generator": own, "discriminator": loss}, rows)
        if step % 60 == 59:
            with torch.no_grad():
                doctor.generated(maker(torch.randn(256, noise)), real[:256])
    doctor.close()
    with torch.no_grad():
        return likeness(maker(torch.randn(4000, noise)), real[15000:19000])


def slope(judge: nn.Module, rows: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Gulrajani et al. 2017: how far the judge's slope between both is from one."""
    share = torch.rand(len(rows), 1)
    between = (share * rows + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()
