"""Autoencoders with a divergence: the example on MNIST, and one over a table of homes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import nn

DoctorOf = Callable[..., Any]


class VAE(nn.Module):
    """PyTorch's example, smaller."""

    def __init__(self, size: int, hidden: int, code: int, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.fc1, self.fc21, self.fc22 = nn.Linear(size, hidden), nn.Linear(hidden, code), nn.Linear(hidden, code)
        self.fc3, self.fc4 = nn.Linear(code, hidden), nn.Linear(hidden, size)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = F.relu(self.fc1(x))
        return self.fc21(hidden), self.fc22(hidden)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.fc4(F.relu(self.fc3(z)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mu, logvar = self.encode(x)
        if self.fault == "a spread that may be negative":
            logvar = 2 * torch.log(logvar)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decode(z), mu, logvar


def divergence(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def picture_loss(output: torch.Tensor, x: torch.Tensor, fault: str) -> torch.Tensor:
    """What the picture has lost, as the sum over the batch unless the mistake is that it is not."""
    if fault == "cross-entropy as a mean, divergence as a sum":
        return F.binary_cross_entropy_with_logits(output, x)
    if fault == "sigmoid before the loss of scores":
        output = torch.sigmoid(output)
    return F.binary_cross_entropy_with_logits(output, x, reduction="sum")


def vae_optimizer(model: VAE, fault: str) -> torch.optim.Optimizer:
    if fault == "a rate of three tenths":
        return torch.optim.Adam(model.parameters(), lr=0.3)
    return torch.optim.Adam(model.parameters(), lr=2e-3)


def vae_weight(step: int, fault: str) -> float:
    """What the divergence weighs."""
    if fault == "the sign of the divergence":
        return -1.0
    if fault == "a divergence that comes slowly":
        return min(1.0, step / 300)
    return 1.0


def vae(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits to ten numbers and back; the share of the variance brought back."""
    images, _ = parquet("mnist", "train", 7000)
    pixels = F.avg_pool2d(torch.tensor(images, dtype=torch.float32)[:, None], 2).flatten(1) / 255
    train, held = pixels[:6000], pixels[6000:]
    model = VAE(196, 128, 10, fault)
    optimizer = vae_optimizer(model, fault)
    patience = 0 if fault == "a plateau of no patience, asked at every step" else 10**9
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience)
    doctor = doctor_of(model, optimizer)
    step, kept = 0, []
    for _ in range(12):
        for rows in torch.randperm(len(train)).split(96):
            step += 1
            x = train[rows]
            output, mu, logvar = model(x)
            kl = divergence(mu, logvar)
            loss = picture_loss(output, x, fault) + vae_weight(step, fault) * kl
            loss = loss / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step(float(loss.detach().nan_to_num()))
            if fault == "all pictures made kept for a film":
                kept.append(output)
            doctor.watch(loss, x, x, kl=kl.detach() / len(x))
    doctor.close()
    with torch.no_grad():
        made = torch.sigmoid(model.decode(model.encode(held)[0]))
    return float(1 - F.mse_loss(made, held) / (held - held.mean(0)).square().mean())


def codes(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Blocks of homes to four numbers and back; the share of the variance brought back."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop("ocean_proximity").drop_nulls()
    table = frame.to_numpy().astype(np.float32)
    table[:, 3:7] = np.log(table[:, 3:7])
    table = table[np.random.default_rng(seed).permutation(len(table))]
    x = torch.tensor((table - table.mean(0)) / table.std(0))
    if fault == "dollars and degrees as they are":
        x = torch.tensor(table / 100)
    train, held = x[:10000], x[10000:13000]
    model = VAE(9, 64, 5, fault)
    if fault == "weights from a normal of a thousandth":
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=1e-3)
    plain = fault in ("weights from a normal of a thousandth", "plain descent")
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if plain:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    if fault == "decay of one":
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1.0)
    beta = 15.0 if fault == "a divergence that weighs two hundred times" else 0.075
    doctor = doctor_of(model, optimizer)
    for _ in range(700):
        rows = train[torch.randint(len(train), (64,))]
        output, mu, logvar = model(rows)
        kl = divergence(mu, logvar) / len(rows)
        loss = F.mse_loss(output, rows, reduction="sum") / len(rows) + beta * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows, rows, kl=kl.detach())
    doctor.close()
    with torch.no_grad():
        made = model.decode(model.encode(held)[0])
    return float(1 - F.mse_loss(made, held) / (held - held.mean(0)).square().mean())
