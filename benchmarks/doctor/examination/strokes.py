"""Pairs of digits, views of one and noisy ones: plain layers with several answers, with none, and with the picture."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import parquet
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

DoctorOf = Callable[..., Any]


def pair_rows(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two digits side by side (rows, 392), between nought and one, and which of the ten are there (rows, 10)."""
    images, labels = parquet("mnist", "train", 7000)
    small = F.avg_pool2d(torch.tensor(images, dtype=torch.float32)[:, None] / 255, 2)[:, 0]
    draw = torch.Generator().manual_seed(seed)
    left, right = torch.randint(len(small), (2, count), generator=draw)
    kinds = torch.tensor(labels)
    y = F.one_hot(kinds[left], 10) | F.one_hot(kinds[right], 10)
    return torch.cat([small[left], small[right]], 2).flatten(1), y.float()


def pair_model(fault: str) -> nn.Sequential:
    between: type[nn.Module] = nn.Tanh if fault == "tanh begun wide" else nn.ReLU
    hidden = 2 if fault == "two hidden units" else 128
    model = nn.Sequential(
        nn.Linear(392, hidden), between(), nn.Dropout(0.5 if fault == "half dropped out" else 0.0),
        nn.Linear(hidden, hidden), between(), nn.Linear(hidden, 10),
    )  # fmt: skip
    if fault == "mostly dark":
        nn.init.constant_(model[0].bias, -0.08)
    for layer in (model[0], model[3]):
        if fault == "tanh begun wide":
            nn.init.normal_(layer.weight, std=2.0)
    if fault == "squared error of sigmoids begun wide":
        nn.init.normal_(model[-1].weight, std=8.0)
    return model


def pair_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(torch.sigmoid(output), target)


def pairs(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Which digits are in the picture, several at once; the mean of recall and precision, as F1."""
    x, y = pair_rows(seed, 9000)
    model = pair_model(fault)
    criterion = pair_loss if fault == "squared error of sigmoids begun wide" else nn.BCEWithLogitsLoss()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    if fault == "a rate that kills":
        optimizer = torch.optim.Adam(model.parameters(), lr=0.3)
    if fault == "squared error of sigmoids begun wide":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    milestones = [2, 4, 6] if fault == "milestones of epochs counted in steps" else [2000]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    accumulate = 4 if fault == "added up over four" else 1
    doctor = doctor_of(model, optimizer, loss=criterion, steps=700)
    for step in range(700 * accumulate):
        rows = torch.randint(8000, (64 // accumulate,))
        inputs, target = x[rows], y[rows]
        if fault == "present is two, absent is one":
            target = target + 1
        if fault == "made whole numbers after the division":
            inputs = inputs.to(torch.uint8).float()
        output = model(inputs)
        if fault == "sigmoid before the loss of scores":
            output = torch.sigmoid(output)
        loss = criterion(output, target)
        (loss / accumulate).backward()
        if (step + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            doctor.watch(loss, inputs, target)
    doctor.close()
    inputs = x[8000:].to(torch.uint8).float() if fault == "made whole numbers after the division" else x[8000:]
    with torch.no_grad():
        said = model(inputs) > 0
    both = float((said & (y[8000:] > 0)).sum())
    return 2 * both / float(said.sum() + y[8000:].sum())


def digit_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits of eight by eight pixels between nought and one, and what they are."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return torch.tensor(x, dtype=torch.float32)[order] / 16, torch.tensor(y)[order]


def view(x: torch.Tensor) -> torch.Tensor:
    """A digit with some pixels gone and a little noise."""
    return x * (torch.rand_like(x) > 0.3) + 0.1 * torch.randn_like(x)


def contrast(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Chen et al. 2020, one way: each view finds its own other among those of the batch."""
    return F.cross_entropy(first @ second.T / 0.2, torch.arange(len(first)))


def views(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Features without labels from two views of each digit; accuracy of its five neighbours."""
    x, y = digit_rows()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    doctor = doctor_of(model, optimizer)
    for _ in range(600):
        rows = x[torch.randint(1300, (96,))]
        first, second = F.normalize(model(view(rows)), dim=1), F.normalize(model(view(rows)), dim=1)
        loss = contrast(first, second)
        if fault == "likeness alone":
            loss = 1 - (first * second).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows)
    doctor.close()
    with torch.no_grad():
        features = F.normalize(model(x), dim=1).numpy()
    neighbours = KNeighborsClassifier(5).fit(features[:1300], y[:1300])
    return float(neighbours.score(features[1300:], y[1300:]))


class Denoiser(nn.Module):
    """An encoder to a few numbers and a decoder back."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        code = 1 if fault == "a code of one number" else 16
        sizes, between = [64, 48, code], nn.ReLU
        if fault == "six sigmoid layers each way":
            sizes, between = [64, *[48] * 6, code], nn.Sigmoid  # type: ignore[assignment]
        self.encoder, self.decoder = chain(sizes, between), chain(sizes[::-1], between)
        if fault == "biases of minus four":
            nn.init.constant_(self.encoder[0].bias, -4.0)
            nn.init.constant_(self.decoder[0].bias, -4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def chain(sizes: list[int], between: type[nn.Module]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        parts += [nn.Linear(fan_in, fan_out), between()]
    return nn.Sequential(*parts[:-1])


def denoise(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits without the noise that was laid on them; the share of the variance brought back."""
    x, _ = digit_rows()
    model, criterion = Denoiser(fault), nn.MSELoss()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    if fault in ("six sigmoid layers each way", "plain descent"):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    if fault == "the encoder not handed over":
        optimizer = torch.optim.Adam(model.decoder.parameters(), lr=2e-3)
    if fault == "the encoder at a hundred-thousandth of the rate":
        groups = [{"params": model.encoder.parameters(), "lr": 2e-8}, {"params": model.decoder.parameters()}]
        optimizer = torch.optim.Adam(groups, lr=2e-3)
    half = fault == "autocast to bfloat16"
    doctor = doctor_of(model, optimizer, loss=criterion)
    for _ in range(25):
        for rows in torch.randperm(1300).split(32):
            clean = x[rows]
            noisy = clean + 0.2 * torch.randn_like(clean)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = model(noisy)
                if fault == "a head of relu on what is below nought":
                    output = F.relu(output)
                target = clean * 2 - 1 if fault == "a head of relu on what is below nought" else clean
                loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, noisy, target)
    doctor.close()
    held, draw = x[1300:], torch.Generator().manual_seed(1)
    with torch.no_grad():
        output = model(held + 0.2 * torch.randn(held.shape, generator=draw))
    if fault == "a head of relu on what is below nought":
        output = (F.relu(output) + 1) / 2
    return float(1 - F.mse_loss(output, held) / (held - held.mean(0)).square().mean())
