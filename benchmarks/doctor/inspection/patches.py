"""Patches: a small ViT on numerals, in a script of two lines for the doctor."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.doctor.inspection.pictures import DoctorOf, mnist
from torch import nn


class Layer(nn.Module):
    """Attention and two linear layers, with norms before or behind."""

    def __init__(self, wide: int, fault: str) -> None:
        super().__init__()
        self.fault, self.heads = fault, 4
        self.qkv, self.out = nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)
        self.norm1, self.norm2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.mlp = nn.Sequential(nn.Linear(wide, 2 * wide), nn.GELU(), nn.Linear(2 * wide, wide))
        if fault == "queries and keys begun at four":
            nn.init.normal_(self.qkv.weight[: 2 * wide], std=4.0)
        if fault == "branches begun at nought":
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.mlp[2].weight)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        if self.fault == "rows taken for patches":
            x = x.transpose(0, 1)
        rows, length, wide = x.shape
        q, k, v = (each.view(rows, length, self.heads, -1).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(rows, length, wide)
        mixed = self.out(mixed)
        return mixed.transpose(0, 1) if self.fault == "rows taken for patches" else mixed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fault.startswith("norms behind"):
            x = self.norm1(x + self.attend(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Sixteen patches of seven by seven, a place for the answer, and some layers."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        wide, self.fault = 48, fault
        self.patch = nn.Conv2d(1, wide, 7, 7)
        self.token = nn.Parameter(torch.zeros(1, 1, wide))
        self.place = nn.Parameter(0.02 * torch.randn(1, 17, wide))
        if fault == "places from a normal of sixty":
            nn.init.normal_(self.place, std=60.0)
        self.layers = nn.Sequential(*(Layer(wide, fault) for _ in range(4 if "four" in fault else 2)))
        self.norm, self.head = nn.LayerNorm(wide), nn.Linear(wide, 10)
        if fault == "squared error of sigmoids begun wide":
            nn.init.normal_(self.head.weight, std=4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.norm(self.layers(x))[:, 0])


def rotated(x: torch.Tensor) -> torch.Tensor:
    """Each picture turned by none to three quarters, and mirrored or not."""
    turns = torch.randint(4, (len(x),))
    x = torch.stack([torch.rot90(each, int(turn), (1, 2)) for each, turn in zip(x, turns, strict=True)])
    return torch.where((torch.rand(len(x)) < 0.5)[:, None, None, None], x.flip(3), x)


def groups(model: Transformer, fault: str) -> list[dict[str, Any]]:
    """No decay for norms and biases; a rate of its own for the layers, where a fault gives one."""
    if fault == "all but the head left frozen":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("head"))
    named = [(name, parameter) for name, parameter in model.named_parameters()]
    if fault == "all but the head at a hundred-thousandth of the rate":
        slow = [parameter for name, parameter in named if not name.startswith("head")]
        return [{"params": slow, "lr": 2e-8}, {"params": list(model.head.parameters())}]
    flat = [parameter for _, parameter in named if parameter.ndim < 2]
    return [
        {"params": [parameter for _, parameter in named if parameter.ndim > 1], "weight_decay": 0.05},
        {"params": flat, "weight_decay": 0.0},
    ]


def patches(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Handwritten digits by a small ViT; accuracy."""
    x, y = mnist(seed)
    model = Transformer(fault)
    rate = {"norms behind, four layers, no warm-up": 1e-2}.get(fault, 2e-3)
    steps, warm, size = 240, 24, 64
    if fault == "norms behind, four layers, no warm-up":
        warm = 0
    optimizer = torch.optim.AdamW(groups(model, fault), lr=rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (warm + 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    smoothing = 0.1 if fault == "smooth labels" else 0.0
    doctor = doctor_of(model, optimizer)
    for _ in range(steps):
        rows = torch.randint(3200, (size,))
        inputs, labels = x[rows], y[rows]
        if fault == "turned and mirrored":
            inputs = rotated(inputs)
        scores = model(inputs)
        loss = F.cross_entropy(scores, labels, label_smoothing=smoothing)
        if fault == "squared error of sigmoids begun wide":
            loss = F.mse_loss(scores.sigmoid(), F.one_hot(labels, 10).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        doctor.watch(loss, inputs, labels)
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(x[3200:]).argmax(1) == y[3200:]).float().mean())
