"""Two players on pictures and on rows of a table, and autoencoders with a divergence, full and of convolutions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.judge.tables import layers
from benchmarks.doctor.loops.reading import DATA, characters, parquet
from torch import nn

DoctorOf = Callable[..., Any]
Losses = tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]


def likeness(fake: torch.Tensor, real: torch.Tensor, scale: float) -> float:
    """1 where both have one mean and covariance, less with Frechet's distance between them."""
    fake, real = fake.double().flatten(1), real.double().flatten(1)
    axes = torch.linalg.svd(real - real.mean(0), full_matrices=False)[2][:20].T
    fake, real = fake @ axes, real @ axes
    ours, theirs = torch.cov(fake.T), torch.cov(real.T)
    roots = torch.linalg.eigvals(ours @ theirs).real.clamp(min=0).sqrt().sum()
    distance = (fake.mean(0) - real.mean(0)).square().sum() + ours.trace() + theirs.trace() - 2 * roots
    return float(1 / (1 + distance / (scale * theirs.trace())))


def player_losses(fault: str) -> Losses:
    """Of the judge, from its answers to real and to made rows, and of the maker from the answers to made ones."""
    if fault == "the distance of Wasserstein":
        return (lambda real, fake: fake.mean() - real.mean()), (lambda fake: -fake.mean())
    if fault == "shares given to a loss of scores":
        return (
            lambda real, fake: bce(real.sigmoid(), 1.0) + bce(fake.sigmoid(), 0.0),
            lambda fake: bce(fake.sigmoid(), 1.0),
        )
    if fault == "a maker that is paid for being found out less":
        return (lambda real, fake: bce(real, 1.0) + bce(fake, 0.0)), (lambda fake: -bce(fake, 0.0))
    return (lambda real, fake: bce(real, 0.9) + bce(fake, 0.0)), (lambda fake: bce(fake, 1.0))


def bce(answers: torch.Tensor, wanted: float) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(answers, torch.full_like(answers, wanted))


RATES = {  # of the maker and of the judge
    "a maker that is paid for being found out less": (1e-4, 3e-3),
    "a judge that hardly learns": (1e-3, 1e-7),
    "a judge far ahead": (1e-5, 5e-3),
    "the distance of Wasserstein": (1e-3, 1e-3),
    "a maker at fifty times the rate": (5e-2, 1e-3),
}


def duel(doctor_of: DoctorOf, parts: dict[str, nn.Module], real: torch.Tensor, fault: str, steps: int) -> torch.Tensor:
    """Train both players and return 1,500 rows of the maker's."""
    maker, judge = parts["generator"], parts["discriminator"]
    rates = RATES.get(fault, (1e-3, 1e-3))
    optimizers = {
        "generator": torch.optim.Adam(maker.parameters(), lr=rates[0], betas=(0.5, 0.99)),
        "discriminator": torch.optim.Adam(judge.parameters(), lr=rates[1], betas=(0.5, 0.99)),
    }
    judged, made = player_losses(fault)
    doctor = doctor_of(nn.ModuleDict(parts), optimizers)

    def noise(count: int) -> torch.Tensor:
        return torch.randn(count, 16) * (0.02 if fault == "hardly any noise" else 1.0)

    turns = 6 if fault == "six turns for the maker" else 1
    for step in range(steps):
        rows = real[torch.randint(len(real), (64,))]
        fake = maker(noise(64))
        loss = judged(judge(rows), judge(fake.detach()))
        optimizers["discriminator"].zero_grad()
        loss.backward()
        optimizers["discriminator"].step()
        if fault == "the distance of Wasserstein":
            for weight in judge.parameters():
                weight.data.clamp_(-0.1, 0.1)
        for _ in range(turns):
            fake = maker(noise(64))
            own = made(judge(fake.detach() if fault == "made rows cut off before the judge" else fake))
            optimizers["generator"].zero_grad()
            own.backward()
            optimizers["generator"].step()
        doctor.watch({"generator": own, "discriminator": loss}, rows)
        if step % 50 == 49:
            with torch.no_grad():
                doctor.generated(maker(noise(256)), real[:256])
    doctor.close()
    with torch.no_grad():
        out: torch.Tensor = maker(noise(1500))
    return out


def forger(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits of 14 by 14 made from noise; their likeness to held-out ones."""
    pictures, _ = parquet("mnist", "train", 5000)
    real = torch.tensor(pictures).float().view(-1, 14, 2, 14, 2).mean((2, 4)).flatten(1) / 127.5 - 1
    maker = nn.Sequential(*layers([16, 128, 128, 196], lambda: nn.LeakyReLU(0.2)), nn.Tanh())
    judge = layers([196, 128, 64, 1], lambda: nn.LeakyReLU(0.2))
    made = duel(doctor_of, {"generator": maker, "discriminator": judge}, real[:4000], fault, 1000)
    return likeness(made, real[4000:], 1.0)


def rows(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Rows of a table of houses made from noise; their likeness to held-out ones."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop("ocean_proximity").drop_nulls()
    values = frame.to_numpy().astype(np.float32)
    values[:, 3:7] = np.log(values[:, 3:7])
    order = np.random.default_rng(seed).permutation(len(values))
    real = torch.tensor((values - values.mean(0)) / values.std(0))[torch.tensor(order)].clamp(-4, 4)
    judge = layers([9, 64, 64, 1], lambda: nn.LeakyReLU(0.2))
    made = duel(doctor_of, {"generator": layers([16, 64, 64, 9]), "discriminator": judge}, real[:15000], fault, 900)
    return likeness(made, real[15000:], 1.0)


class Sketcher(nn.Module):
    """An autoencoder that draws its code from a normal; the last mean and log-variance are kept."""

    def __init__(self, size: int, codes: int, curved: bool, fault: str) -> None:
        super().__init__()
        self.codes, self.fault = codes, fault
        if curved:
            self.inner: nn.Module = nn.Sequential(
                nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(16 * 49, 2 * codes),
            )  # fmt: skip
            self.outer: nn.Module = nn.Sequential(
                nn.Linear(codes, 16 * 49), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)),
                nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1),
            )  # fmt: skip
        else:
            self.inner = layers([size, 128, 64, 2 * codes])
            self.outer = layers([codes, 64, 128, size])
        self.mean = self.spread = torch.zeros(0)
        if fault == "biases far below nought":
            for layer in (self.inner[0], self.inner[2], self.outer[0]):
                nn.init.constant_(layer.bias, -4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean, self.spread = self.inner(x).chunk(2, 1)
        code = self.mean
        if self.training:
            code = code + torch.exp(self.spread / 2) * torch.randn_like(code)
        answer: torch.Tensor = self.outer(code)
        return answer.sigmoid() if self.fault == "shares given to a loss of scores" else answer

    def divergence(self) -> torch.Tensor:
        """Nats a row."""
        return 0.5 * (self.mean.square() + self.spread.exp() - 1 - self.spread).sum(1).mean()


def bound(model: Sketcher, fault: str, step: list[int]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """What was lost of the pixels, and the divergence; step: how many were taken."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        each = F.binary_cross_entropy_with_logits(output, target, reduction="none").flatten(1)
        pixels = each.mean() if fault == "pixels by their mean, codes by their sum" else each.sum(1).mean()
        weight = {"a divergence that weighs forty times": 40.0, "a divergence with the wrong sign": -1.0}.get(
            fault, 1.0
        )
        if fault == "a divergence that comes slowly":
            weight = min(1.0, step[0] / 300)
        return pixels + weight * model.divergence()

    return loss


def explained(model: Sketcher, held: torch.Tensor) -> float:
    """The share of the pixels' variance that is drawn again."""
    model.eval()
    with torch.no_grad():
        drawn = model(held)
        shares = drawn if model.fault == "shares given to a loss of scores" else drawn.sigmoid()
    model.train()
    return float(1 - (shares - held).square().mean() / (held - held.mean(0)).square().mean())


def sketch_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=60.0 if fault == "a decay of sixty" else 0)


def drawing(
    doctor_of: DoctorOf, model: Sketcher, learned: torch.Tensor, held: torch.Tensor, fault: str, told: bool
) -> float:
    """Train, told or not what is held out; the share that is drawn again."""
    step, steps = [0], 500
    criterion = bound(model, fault, step)
    optimizer = sketch_optimizer(model, fault)
    more = {"held_out": [(held, held)], "steps": steps} if told else {}
    doctor = doctor_of(model, optimizer, loss=criterion, **more)
    if fault == "three pictures that hold what is no number":
        learned = torch.cat([torch.full_like(learned[:3], torch.nan), learned[3:]])
    for step[0] in range(steps):
        x = learned[torch.randint(len(learned), (64,))]
        if fault == "set to nought every hundredth step":
            if step[0] % 100 == 0:
                optimizer.zero_grad()
        else:
            optimizer.zero_grad()
        loss = criterion(model(x), x)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x, x, kl=model.divergence().detach())
        if told and step[0] % 50 == 49:
            with torch.no_grad():
                doctor.evaluated(loss=float(criterion(model(held), held)))
    doctor.close()
    return explained(model, held)


def sketches(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits drawn again from eight numbers each; the share of their variance."""
    pictures, _ = parquet("mnist", "train", 5000)
    x = torch.tensor(pictures).float().flatten(1) / 255
    return drawing(doctor_of, Sketcher(784, 8, False, fault), x[:4000], x[4000:], fault, True)


def glyphs(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Drawn characters again from 32 numbers each, by convolutions; the share of their variance."""
    ink, _, _ = characters()
    order = torch.tensor(np.random.default_rng(seed).permutation(len(ink)))
    x = torch.tensor(ink[:, None]).float()[order]
    return drawing(doctor_of, Sketcher(784, 32, True, fault), x[:2200], x[2200:], fault, False)
