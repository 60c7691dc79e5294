"""Three picture networks: numerals by layers with batch norm, objects by a residual net, patches by a transformer."""

import copy
import math
from itertools import pairwise
from typing import Any

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy, momentum
from benchmarks.doctor.harness.pictures import rows_of
from benchmarks.doctor.infirmary.attention import Added, Block
from torch import Tensor, nn
from torch.nn import functional as F


class Layers(nn.Module):
    """Two hidden layers with batch norm."""

    def __init__(self, width: int = 96, dropout: float = 0.0, narrow: int = 0, **options: Any) -> None:
        super().__init__()
        sizes = (784, width, width)
        self.trunk = nn.Sequential(nn.Flatten(), *(
            layer for before, after in pairwise(sizes)
            for layer in (nn.Linear(before, after), nn.BatchNorm1d(after, **options), nn.ReLU(), nn.Dropout(dropout))
        ))  # fmt: skip
        self.squeeze = nn.Sequential(nn.Linear(width, narrow), nn.Linear(narrow, width)) if narrow else nn.Identity()
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.squeeze(self.trunk(x)))


class Residual(nn.Module):
    """Two convolutions beside a shortcut; nought: the branch begins as nothing."""

    def __init__(self, before: int, width: int, stride: int, nought: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(before, width, 1, stride)
        if nought:
            nn.init.zeros_(self.branch[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.branch(x))


class Objects(nn.Module):
    """A convolution, three residual blocks and a head on the mean of their places."""

    def __init__(self, widths: tuple[int, ...] = (12, 16, 24, 32), nought: bool = False) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1), nn.ReLU(),
            *(Residual(before, after, 1 + (place > 0), nought)
              for place, (before, after) in enumerate(pairwise(widths))),
        )  # fmt: skip
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).mean((2, 3)))


class Patches(nn.Module):
    """Sixteen patches of seven by seven as the words of a transformer."""

    def __init__(self, width: int = 48, depth: int = 2, dropout: float = 0.0, post: bool = False) -> None:
        super().__init__()
        self.patch = nn.Linear(49, width)
        self.places = nn.Parameter(0.02 * torch.randn(16, width))
        self.blocks = nn.ModuleList([Block(width, 4, dropout, post) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(F.unfold(x, 7, stride=7).transpose(1, 2)) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def digits() -> Case:
    return Case(lambda _: Layers(), rows_of("mnist", "train", 8000), rows_of("mnist", "test", 1000),
                nn.CrossEntropyLoss(), accuracy, optimizer=momentum, rate=0.05, steps=350, told=True)  # fmt: skip


def objects() -> Case:
    return Case(lambda _: Objects(), rows_of("cifar10", "train", 8000), rows_of("cifar10", "test", 1000),
                nn.CrossEntropyLoss(), accuracy, rate=4e-3, decay=0.02, steps=350,
                schedule=lambda step: 0.02 + 0.49 * (1 + math.cos(math.pi * min(1, step / 350))))  # fmt: skip


def patches() -> Case:
    return Case(lambda _: Patches(), rows_of("mnist", "train", 8000), rows_of("mnist", "test", 1000),
                nn.CrossEntropyLoss(), accuracy, rate=3e-3, decay=0.01, steps=400, schedule=of.warm(40),
                told=True)  # fmt: skip


def squared(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(torch.sigmoid(output), F.one_hot(target, 10).float())


def low_head(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.weight.mul_(0.1)
        model.head.bias.fill_(-12)


def steep_head(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.bias.copy_(torch.linspace(80, -80, 10))


def inverted(x: Tensor) -> Tensor:
    """White on black becomes black on white."""
    return x.min() + x.max() - x


def patched(x: Tensor, y: Tensor) -> Rows:
    """Twelve of sixteen patches come from another picture, and the label stays."""
    other = x[torch.randperm(len(x))]
    mine = (torch.rand(len(x), 1, 4, 4) < 0.25).repeat_interleave(7, 2).repeat_interleave(7, 3)
    return torch.where(mine, x, other), y


def shaken(x: Tensor, y: Tensor) -> Rows:
    """Moved by two pixels at most, with some noise and a hole."""
    x = x.roll(torch.randint(-2, 3, (2,)).tolist(), (2, 3)) + 0.3 * torch.randn_like(x)
    top, left = torch.randint(0, 23, (2,)).tolist()
    x[:, :, top : top + 5, left : left + 5] = 0
    return x, y


def mirrored(x: Tensor, y: Tensor) -> Rows:
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x), y


def from_one(y: Tensor) -> Tensor:
    """Numbered from one, where the tenth is left out."""
    return torch.where(y == 9, -100, y + 1)


def ascending(model: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, maximize=True)


def learned(case: Case, steps: int) -> nn.Module:
    """A network that has learned from the rows for a while."""
    model = case.build(case)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(0, len(case.train[0]), (64,))
        optimizer.zero_grad()
        case.loss(model(case.train[0][rows]), case.train[1][rows]).backward()
        optimizer.step()
    return model


def still_trunk(case: Case) -> None:
    """A learned trunk is held still under a new head."""
    model = learned(case, 400)
    model.head.reset_parameters()
    of.frozen(model, "trunk")
    case.build = lambda _: copy.deepcopy(model)


def low_rank(case: Case) -> None:
    """Go on from learned weights with low-rank additions alone."""
    model = learned(case, 250)
    for block in model.blocks:
        block.qkv, block.out, block.wide, block.narrow = map(Added, (block.qkv, block.out, block.wide, block.narrow))
    for name, each in model.named_parameters():
        each.requires_grad_("down" in name or "up" in name)
    case.build = lambda _: copy.deepcopy(model)


FAULTS: dict[str, dict[str, Change]] = {
    "digits": {
        "four numerals with six pictures each": of.scarce((2, 4, 6, 8), 6),
        "black on white in validation": of.held(inverted),
        "squared error of sigmoids at their end": of.both(of.put(loss=squared), of.touch(low_head)),
        "zero_grad forgotten": of.put(clear=False),
        "running statistics never updated": of.put(build=lambda _: Layers(momentum=0.0)),
        "features through one number": of.put(build=lambda _: Layers(narrow=1)),
        "rate divided by two thousand": of.times(1 / 2000),
        "clipped at a hundred-thousandth": of.put(clip=1e-5),
        "two pictures a batch": of.put(batch=2),
        "slow rows": of.put(dataset=of.Slow, steps=150),
        # Healthy, and only awkward.
        "smoothed labels": of.put(loss=nn.CrossEntropyLoss(label_smoothing=0.15)),
        "half dropped": of.put(build=lambda _: Layers(dropout=0.5)),
        "moved, with noise and a hole": of.put(augment=shaken, steps=700),
        "twenty to one": of.scarce((3,), 40),
        "a plateau before the rate is cut": of.put(rate=0.8, schedule=lambda step: 1.0 if step < 250 else 0.02),
    },
    "objects": {
        "softmax before cross-entropy": of.behind(nn.Softmax(1)),
        "an optimizer that maximizes": of.put(optimizer=ascending),
        "only the head in the optimizer": of.put(optimizer=of.only("head")),
        "inputs all zero": of.inputs(torch.zeros_like),
        "one channel before the head": of.put(build=lambda _: Objects((12, 16, 24, 1))),
        "rate times two hundred": of.times(200),
        "two photos a batch": of.put(batch=2),
        "scores kept with their graphs": of.then(of.keep),
        # Healthy, and only awkward.
        "branches begun as nothing": of.put(
            build=lambda _: Objects(nought=True), steps=500,
            schedule=lambda step: 0.51 + 0.49 * math.cos(math.pi * min(1, step / 500))),
        "mirrored": of.put(augment=mirrored),
        "a learned trunk held still": still_trunk,
        "batches of sixteen": of.put(batch=16, steps=1000, rate=2e-3,
                                     schedule=lambda step: 0.51 + 0.49 * math.cos(math.pi * min(1, step / 1000))),
    },
    "patches": {
        "nine labels in ten shuffled": of.shuffled(0.9),
        "patches of other pictures": of.put(augment=patched),
        "numbered from one": of.labels(from_one),
        "head begun at eighty": of.touch(steep_head),
        "patch layer at a thousand times the rate": of.put(optimizer=of.groups("patch", 1000)),
        "rate times a thousand for three steps": of.thrown(0.96, 1000),
        "norms behind, four blocks, no warm-up, ten times the rate": of.both(
            of.put(build=lambda _: Patches(depth=4, post=True), schedule=None), of.times(10)),
        # Healthy, and only awkward.
        "weights of low rank added": low_rank,
        "a tenth dropped": of.put(build=lambda _: Patches(dropout=0.1)),
        "bfloat16": of.put(bfloat16=True),
    },
}  # fmt: skip
