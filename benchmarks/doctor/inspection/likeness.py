"""Twins: an embedding of handwritten characters, by pairs that are pulled together or pushed apart."""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.doctor.inspection.pictures import DoctorOf
from benchmarks.doctor.loops.reading import characters
from torch import nn


@cache
def drawn() -> torch.Tensor:
    """Characters at 14 x 14 by twenty drawers (136, 20, 1, 14, 14)."""
    pictures, kinds, _ = characters()
    small = F.avg_pool2d(torch.tensor(pictures)[:, None], 2)
    table = torch.stack([small[torch.tensor(kinds == kind)][:20] for kind in range(kinds.max() + 1)])
    return table[torch.randperm(len(table), generator=torch.Generator().manual_seed(2))] * 2 - 0.3


class Embedder(nn.Module):
    """Two convolutions and a code on the sphere."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.sphere = fault not in ("roots of squared distances", "only twins pulled together")
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 9, 48),
        )  # fmt: skip
        if fault == "a bias far below nought":
            nn.init.constant_(self.body[3].bias, -6.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.body(x)
        return F.normalize(code, dim=1) if self.sphere else code


def contrast(first: torch.Tensor, second: torch.Tensor, fault: str) -> torch.Tensor:
    """How ill each row of one half tells its twin in the other from all else."""
    if fault == "only twins pulled together":
        return (first - second).square().sum(1).mean()
    if fault == "roots of squared distances":
        both = torch.cat([first, second])
        distance = (both[:, None] - both[None]).square().sum(2).sqrt()
        count = len(first)
        twins = distance.diagonal(count).mean()
        return twins + F.relu(2 - distance).mean()
    alike = first @ second.T / 0.1
    loss = F.cross_entropy(alike, torch.arange(len(alike)))
    return -loss if fault == "the sign of likeness" else loss


def twins(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Which character another drawer's is, among 36 that were never seen; accuracy of the nearest."""
    table = drawn()
    train, held = table[:100], table[100:]
    model = Embedder(fault)
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=2e-3)
    scheduler: Any = None
    if fault == "halved at every fifth step":
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
    doctor = doctor_of(model, optimizer)
    for _ in range(220):
        kinds = torch.randperm(100)[:32]
        one, two = torch.randint(20, (32,)), torch.randint(20, (32,))
        inputs = torch.cat([train[kinds, one], train[kinds, two]])
        if fault == "characters turned any way":
            turns = torch.randint(4, (64,)).tolist()
            inputs = torch.stack([torch.rot90(each, turn, (1, 2)) for each, turn in zip(inputs, turns, strict=True)])
        first, second = model(inputs).chunk(2)
        loss = contrast(first, second, fault)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        doctor.watch(loss, inputs, kinds)
    doctor.close()
    with torch.no_grad():
        codes = model(held.flatten(0, 1))
        distance = torch.cdist(codes, codes).fill_diagonal_(float("inf"))
        truth = torch.arange(36).repeat_interleave(20)
        return float((truth[distance.argmin(1)] == truth).float().mean())
