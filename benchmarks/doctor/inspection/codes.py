"""Ink, days and squeeze: two variational autoencoders and a plain one."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.doctor.inspection.pictures import DoctorOf, mnist
from benchmarks.doctor.inspection.recurrent import hours
from benchmarks.doctor.loops.reading import parquet
from torch import nn


class Variational(nn.Module):
    """Rows to means and log variances of a code, and back."""

    def __init__(self, columns: int, code: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(columns, 128), nn.ReLU(), nn.Linear(128, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, columns))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, spread = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * spread).exp() if self.training else mean
        return self.decoder(z), mean, spread


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """From a normal of one, in nats a row."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)


@cache
def inked(seed: int) -> torch.Tensor:
    return (F.avg_pool2d(mnist(seed)[0] + 0.5, 2).flatten(1) > 0.4).float()


def ink(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Numerals in black and white; the share of nats that is saved against the mean picture."""
    x = inked(seed)
    held, x = x[3200:], x[:3200]
    model = Variational(196, 12)
    rate = {"a rate of a tenth": 0.1}.get(fault, 2e-3)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    doctor = doctor_of(model, optimizer)
    mean_picture = x.mean(0).clamp(1e-3, 1 - 1e-3)
    steps = 600

    def nats(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if fault == "sigmoid before the loss of scores" and model.training:
            scores = scores.sigmoid()
        return F.binary_cross_entropy_with_logits(scores, rows, reduction="none").sum(1)

    for step in range(steps):
        rows = x[torch.randint(len(x), (64,))]
        scores, mean, log_variance = model(rows)
        kl = divergence(mean, log_variance).mean()
        weight = min(1.0, step / 150) if fault == "a divergence that comes slowly" else 1.0
        recon = nats(scores, rows).mean()
        if fault == "means of pixels beside sums of codes":
            recon = recon / 196
        loss = recon + weight * kl
        if fault == "the divergence subtracted":
            loss = recon - kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows, kl=kl.item())
    doctor.close()
    model.eval()
    with torch.no_grad():
        scores, mean, log_variance = model(held)
        bound = (nats(scores, held) + 0.0).mean()
        against = F.binary_cross_entropy(mean_picture.expand_as(held), held, reduction="none").sum(1).mean()
        return 1 - float(bound / against)


@cache
def day_rows() -> torch.Tensor:
    """Days from any hour on: a high and a low load, 24 hours each (2400, 48)."""
    values = hours("")[:, [0, 2]]
    starts = np.random.default_rng(5).permutation(len(values) - 24)[:2400]
    return torch.tensor(np.stack([values[start : start + 24].T.ravel() for start in starts]), dtype=torch.float32)


def days(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """A day's loads; the share of the variance that the decoder brings back from the mean code."""
    x = day_rows()
    held, x = x[2000:], x[:2000]
    model = Variational(48, 8)
    rate = {"a rate of a fifth": 0.2}.get(fault, 3e-3)
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=rate)
    scheduler: Any = None
    if fault == "a plateau asked at every step":
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    doctor = doctor_of(model, optimizer, steps=500, held_out=[held])
    kept: list[torch.Tensor] = []
    for step in range(500):
        rows = x[torch.randint(len(x), (64,))]
        answer, mean, log_variance = model(rows)
        squared = (answer - rows).square().sum(1).mean() / (2 * 0.3**2)
        kl = divergence(mean, log_variance).mean()
        loss = squared + (500.0 if fault == "a divergence that weighs five hundred times" else 1.0) * kl
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        optimizer.step()
        if scheduler:
            scheduler.step(float(loss))
        if fault == "all codes so far drawn from step 350 on":
            kept.append(mean.detach())
            if step >= 350:
                codes = torch.cat(kept)
                np.histogram2d(*codes[:, :2].T.numpy(), bins=60)
                torch.pca_lowrank(codes[:8000], 2)
        doctor.watch(loss, rows, kl=kl.item())
        if step % 100 == 99:
            doctor.evaluated(loss=days_error(model, held))
    doctor.close()
    return 1 - days_error(model, held) / float(held.var())


@torch.no_grad()
def days_error(model: nn.Module, held: torch.Tensor) -> float:
    model.eval()
    error = float((model(held)[0] - held).square().mean())
    model.train()
    return error


@cache
def grey() -> torch.Tensor:
    """Photos in grey at 16 x 16, between 0 and 1 (3000, 1, 16, 16)."""
    photos = torch.tensor(parquet("cifar10", "train", 5000)[0][:3000] / 255, dtype=torch.float32)
    return F.avg_pool2d(photos.mean(3)[:, None], 2)


class Squeezer(nn.Module):
    """Photos to forty-eight numbers and back, by linear layers."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        deep = fault == "ten layers from a normal of a hundredth"
        down = [256, *(64,) * 4, 48] if deep else [256, 160, 48]
        code = 1 if fault == "a code of one number" else 48
        sizes = [*down[:-1], code, *down[-2::-1]]
        parts: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        parts[len(down) * 2 - 3] = nn.Identity()
        parts[-1] = nn.Sigmoid() if "sigmoid" in fault else nn.Identity()
        if fault == "zeros kept by relu at the end":
            parts[-1] = nn.ReLU()
        self.main = nn.Sequential(*parts)
        for layer in self.main[::2]:
            if deep:
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)
            if fault == "begun very small":
                nn.init.normal_(layer.weight, std=0.02)
            if fault == "biases of minus three":
                nn.init.constant_(layer.bias, -3.0)
            if fault == "weights of He three times over by plain descent":
                nn.init.normal_(layer.weight, std=3.0 * (2 / layer.in_features) ** 0.5)
        if fault == "squared error of a sigmoid begun far down":
            nn.init.constant_(self.main[-2].bias, -12.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x.flatten(1)).view_as(x)


def squeeze(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Photos through forty-eight numbers; the share of the variance brought back."""
    photos = grey()[torch.randperm(3000, generator=torch.Generator().manual_seed(seed))]
    standard = (photos - photos[:2500].mean()) / photos[:2500].std()
    x = photos if "sigmoid" in fault else standard
    if fault == "photos in bytes":
        x = photos * 255
    held, x = x[2500:], x[:2500]
    model = Squeezer(fault)
    if fault == "all in half precision":
        x, held, model = x.half(), held.half(), model.half()
    optimizer: Any = torch.optim.AdamW(
        model.parameters(), lr=2e-3, weight_decay=40.0 if fault == "a decay of forty" else 0.01
    )
    if fault in ("weights of He three times over by plain descent", "squared error of a sigmoid begun far down"):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if fault == "plain descent with much momentum":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.99)
    if fault == "plain descent":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    criterion = nn.MSELoss()
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(held, held)])
    shown: list[torch.Tensor] = []
    for epoch in range({"begun very small": 36, "all in half precision": 5}.get(fault, 12)):
        for index in torch.randperm(len(x)).split(64):
            rows = x[index]
            answer = model(rows + 0.3 * torch.randn_like(rows) if fault == "noise to take away" else rows)
            loss = criterion(answer, rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if fault == "all that was brought back kept for a film":
                shown.append(answer.repeat(1, 4, 1, 1))
            doctor.watch(loss, rows, rows)
        if epoch % 3 == 2:
            with torch.no_grad():
                doctor.evaluated(loss=float(criterion(model(held), held)))
    doctor.close()
    with torch.no_grad():
        return 1 - float(criterion(model(held), held)) / float(held.var())
