"""Numerals, snapshots and patches: a plain network in a Trainer, a small ResNet in a script, a small ViT."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import parquet
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

DoctorOf = Callable[..., Any]


@dataclass(frozen=True)
class Config:
    """What numerals and patches are trained with."""

    rate: float = 3e-3
    steps: int = 240
    batch: int = 64
    decay: float = 1e-2
    dropout: float = 0.0
    channels: int = 8
    warm: int = 20
    smoothing: float = 0.0
    accumulate: int = 1


NUMERALS: dict[str, dict[str, Any]] = {
    "one channel": {"channels": 1},
    "a rate of a third": {"rate": 0.3, "decay": 0.0},
    "heavy dropout": {"dropout": 0.5},
    "added up over four": {"batch": 16, "accumulate": 4},
    "smooth labels": {"smoothing": 0.1},
    "three times as wide": {"channels": 24},
    "warmed up for half the time": {"warm": 120},
}


def convolutions(config: Config, fault: str) -> nn.Sequential:
    """Two to nine convolutions and a head."""
    act = nn.Sigmoid if fault == "nine sigmoid convolutions" else nn.ReLU
    wide = config.channels
    parts: list[nn.Module] = [nn.Conv2d(1, wide, 3, 2, 1), act(), nn.Conv2d(wide, 2 * wide, 3, 2, 1), act()]
    if fault == "nine sigmoid convolutions":
        for _ in range(7):
            parts += [nn.Conv2d(2 * wide, 2 * wide, 3, 1, 1), act()]
    model = nn.Sequential(*parts, nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(2 * wide * 49, 10))
    if fault == "the first filters frozen":
        model[0].requires_grad_(False)
    return model


class Trainer:
    """Trains a network on numerals; whoever wants another loop overrides a method."""

    def __init__(self, doctor_of: DoctorOf, config: Config, fault: str, held: tuple[torch.Tensor, ...]) -> None:
        self.config, self.fault, self.held = config, fault, held
        self.model = convolutions(config, fault)
        self.criterion: nn.Module = nn.CrossEntropyLoss(label_smoothing=config.smoothing)
        if fault == "scores given to a likelihood":
            self.criterion = nn.NLLLoss()
        maximize = fault == "maximize=True"
        if fault == "nine sigmoid convolutions":
            self.optimizer: Any = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        else:
            kwargs = {"lr": config.rate, "weight_decay": config.decay, "maximize": maximize}
            self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], **kwargs)
        rise = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.05, total_iters=config.warm)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.steps - config.warm, 1e-5)
        self.scheduler = torch.optim.lr_scheduler.SequentialLR(self.optimizer, [rise, fall], [config.warm])
        self.first = {name: each.clone() for name, each in self.model.state_dict().items()}
        self.doctor = doctor_of(self.model, self.optimizer, loss=self.criterion, held_out=[held], steps=config.steps)

    def training_step(self, step: int, x: torch.Tensor, y: torch.Tensor) -> None:
        if self.fault == "one batch in fifty not divided by 255" and step % 50 == 49:
            x = x * 1000
        loss = self.criterion(self.model(x), y) / self.config.accumulate
        loss.backward()
        if (step + 1) % self.config.accumulate == 0:
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad()
            self.doctor.watch(loss * self.config.accumulate, x, y)

    def fit(self, loader: Any) -> float:
        step = 0
        while step < self.config.steps * self.config.accumulate:
            for x, y in loader:
                if step == self.config.steps * self.config.accumulate:
                    break
                if self.fault == "resumed from the checkpoint of epoch nought" and step == 228:
                    self.model.load_state_dict(self.first)
                self.training_step(step, x, y)
                step += 1
                if step % 60 == 0:
                    self.doctor.evaluated(accuracy=self.score())
        self.doctor.close()
        return self.score()

    @torch.no_grad()
    def score(self) -> float:
        self.model.eval()
        accuracy = float((self.model(self.held[0]).argmax(1) == self.held[1]).float().mean())
        self.model.train()
        return accuracy


class Opened(Dataset):  # type: ignore[type-arg]
    """Pictures that are packed as PNG, and opened, enlarged and made small again for each row."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.packed, self.y = [], y
        for picture in ((x[:, 0] + 0.5) * 255).byte().numpy():
            file = io.BytesIO()
            Image.fromarray(picture).resize((64, 64)).save(file, "PNG")
            self.packed.append(file.getvalue())

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        picture = Image.open(io.BytesIO(self.packed[row])).resize((28, 28))
        return torch.tensor(np.asarray(picture) / 255 - 0.5, dtype=torch.float32)[None], self.y[row]


def mnist(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = parquet("mnist", "train", 4000)
    order = np.random.default_rng(seed).permutation(len(labels))
    return torch.tensor(pictures[order] / 255 - 0.5, dtype=torch.float32)[:, None], torch.tensor(labels[order])


def numerals(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Handwritten digits by a plain network; accuracy."""
    config = replace(Config(), **NUMERALS.get(fault, {}))
    x, y = mnist(seed)
    held_x, held_y = x[3200:], y[3200:]
    x, y = x[:3200], y[:3200]
    if fault == "five numerals hardly there":
        keep = torch.cat([(y < 5).nonzero()[:, 0], *((y == n).nonzero()[:4, 0] for n in range(5, 10))])
        x, y = x[keep], y[keep]
    if fault == "sorted by numeral":
        order = y.argsort()
        x, y = x[order], y[order]
    if fault == "held-out ink turned to paper":
        held_x = -held_x
    if fault == "any half of another numeral pasted in":
        other = x[torch.randperm(len(x))]
        left = torch.rand(len(x)) < 0.5
        x = x.clone()
        x[left, :, :, :15], x[~left, :, :, 13:] = other[left, :, :, :15], other[~left, :, :, 13:]
    if fault == "shifted and noisy":
        x = torch.cat([torch.roll(x, (dy, dx), (2, 3)) for dy, dx in ((1, 0), (0, 1), (-1, -1))])
        x, y = x + 0.2 * torch.randn_like(x), y.repeat(3)
    slow = fault == "each numeral opened from a large file"
    data: Any = Opened(x, y) if slow else TensorDataset(x, y)
    loader = DataLoader(data, batch_size=config.batch, shuffle=fault != "sorted by numeral")
    return Trainer(doctor_of, config, fault, (held_x, held_y)).fit(loader)


class Block(nn.Module):
    """Two convolutions with batch norm, and what came in beside them."""

    def __init__(self, wide_in: int, wide: int, stride: int, zero: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide_in, wide, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(wide), nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(wide_in, wide, 1, stride, bias=False) if stride > 1 else nn.Identity()
        if zero:
            nn.init.zeros_(self.bn2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.short(x))


def resnet(fault: str) -> nn.Sequential:
    zero = fault == "branches begun at nought"
    stem = [nn.Conv2d(3, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU()]
    body = [Block(12, 12, 1, zero), Block(12, 24, 2, zero), Block(24, 32, 2, zero)]
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4))


def four_kinds(fault: str, seed: int) -> list[torch.Tensor]:
    """Cars, frogs, ships and horses at 16 x 16, to learn from and held out."""
    parts: list[torch.Tensor] = []
    mean, spread = torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26])
    for part, count in (("train", 5000), ("test", 2000)):
        pictures, labels = parquet("cifar10", part, count)
        kinds = [1, 6, 8, 7]
        keep = np.isin(labels, kinds)
        x = torch.tensor(pictures[keep] / 255, dtype=torch.float32).permute(0, 3, 1, 2)
        x = F.avg_pool2d(x, 2)
        if fault != "held-out photos in bytes" or part == "train":
            x = (x - mean[:, None, None]) / spread[:, None, None]
        else:
            x = x * 255
        parts += [x, torch.tensor([kinds.index(label) for label in labels[keep]])]
    order = torch.randperm(len(parts[1]), generator=torch.Generator().manual_seed(seed))
    parts[0], parts[1] = parts[0][order], parts[1][order]
    if fault == "eighty photos":
        parts[0], parts[1] = parts[0][:80], parts[1][:80]
    return parts


def snapshot_rate(optimizer: Any, steps: int, fault: str) -> Any:
    """How the rate goes."""
    sched = torch.optim.lr_scheduler
    if fault == "steps given as samples":
        return sched.OneCycleLR(optimizer, 0.1, total_steps=steps * 1000, div_factor=1e4)
    if fault == "rates that cycle":
        return sched.CyclicLR(optimizer, 0.01, 0.1, step_size_up=20)
    if fault == "cosines that start anew":
        return sched.CosineAnnealingWarmRestarts(optimizer, 50)
    peak = 100.0 if fault == "a peak of a hundred" else 0.1
    return sched.OneCycleLR(optimizer, peak, total_steps=steps)


def snapshots(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Cars, frogs, ships and horses by a small ResNet; accuracy."""
    x, y, held_x, held_y = four_kinds(fault, seed)
    model = resnet(fault)
    if fault == "no layer of the body handed over":
        optimizer = torch.optim.SGD(model[-1].parameters(), lr=0.1, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    small = fault == "two photos a batch"
    size, steps = (2 if small else 40 if len(x) == 80 else 64), (300 if small else 240 if len(x) == 80 else 200)
    scheduler = snapshot_rate(optimizer, steps, fault)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    held = list(DataLoader(TensorDataset(held_x, held_y), batch_size=200))
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held)
    step = 0
    model.train(fault != "set to eval before the loop")
    while step < steps:
        for rows in torch.randperm(len(x)).split(size)[: steps - step]:
            flip = (torch.rand(len(rows)) < 0.5)[:, None, None, None]
            inputs = torch.where(flip, x[rows].flip(3), x[rows])
            with torch.autocast("cpu", torch.bfloat16, enabled=fault == "autocast to bfloat16"):
                scores = model(inputs)
            loss = criterion(scores.float(), y[rows])
            loss.backward()
            optimizer.step()
            if fault != "gradients never cleared":
                optimizer.zero_grad()
            scheduler.step()
            doctor.watch(loss, inputs, y[rows])
            step += 1
        if step % 200 < 60 or len(x) > 80:
            doctor.evaluated(accuracy=photo_score(model, held, fault))
    doctor.close()
    return photo_score(model, held, "")


@torch.no_grad()
def photo_score(model: nn.Module, held: list[Any], fault: str) -> float:
    model.eval()
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in held)
    model.train(fault != "set to eval before the loop")
    return right / sum(len(y) for _, y in held)
