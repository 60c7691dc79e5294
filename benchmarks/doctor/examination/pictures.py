"""Handwritten digits and photographs: convolutions; a fault stands where it is made, by its name."""

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, parquet
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

DoctorOf = Callable[..., Any]


@cache
def encoded() -> list[bytes]:
    frame = pl.read_parquet(DATA / "mnist" / "train.parquet", n_rows=7000)
    return [each["bytes"] for each in frame["image"]]


class Ink(Dataset):  # type: ignore[type-arg]
    """MNIST with the usual transform."""

    def __init__(self, rows: range, fault: str = "") -> None:
        images, labels = parquet("mnist", "train", 7000)
        self.rows, self.fault = rows, fault
        x = torch.tensor(images[rows.start : rows.stop], dtype=torch.float32)[:, None]
        self.x = x if fault == "pixels to 255" else (x / 255 - 0.1307) / 0.3081
        self.labels = torch.tensor(labels[rows.start : rows.stop])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.x[index]
        if self.fault == "each picture opened, enlarged and turned":
            opened = Image.open(io.BytesIO(encoded()[self.rows[index]]))
            opened = opened.resize((140, 140), Image.Resampling.LANCZOS).rotate(3, Image.Resampling.BICUBIC)
            pixels = np.asarray(opened.resize((28, 28), Image.Resampling.LANCZOS), dtype=np.float32)
            x = (torch.tensor(pixels)[None] / 255 - 0.1307) / 0.3081
        if self.fault == "flipped both ways" and torch.rand(()) < 0.5:
            x = x.flip(1, 2) if torch.rand(()) < 0.5 else x.flip(2)
        if self.fault == "most of the picture erased":
            top, left = torch.randint(0, 11, (2,)).tolist()
            x = x.clone()
            x[:, top : top + 18, left : left + 18] = torch.randn(18, 18)
        if self.fault == "shifted and noisy":
            x = torch.roll(x, torch.randint(-3, 4, (2,)).tolist(), (1, 2)) + 0.3 * torch.randn_like(x)
        return x, self.labels[index]


class InkNet(nn.Module):
    """The network of PyTorch's MNIST example, smaller."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.conv1, self.conv2 = nn.Conv2d(1, 12, 3, 2), nn.Conv2d(12, 16, 3, 2)
        strong = fault in ("never set to eval", "heavy dropout")
        self.dropout = nn.Dropout(0.7 if strong else 0.25)
        self.fc1, self.fc2 = nn.Linear(16 * 36, 64), nn.Linear(64, 10)
        if fault == "weights of one":
            for parameter in self.parameters():
                nn.init.ones_(parameter)
        if fault == "a bias far below nought":
            nn.init.constant_(self.conv2.bias, -8.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(1)
        x = self.fc2(self.dropout(F.relu(self.fc1(self.dropout(x)))))
        if self.fault == "scores given to a likelihood":
            return x
        return F.log_softmax(x, dim=1)


def ink_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault == "gradients never cleared":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return torch.optim.Adam(model.parameters(), lr=0.1 if fault == "a rate of a tenth" else 1e-3)


def ink(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits, as in PyTorch's own example; accuracy."""
    model = InkNet(fault)
    optimizer = ink_optimizer(model, fault)
    slow = fault == "each picture opened, enlarged and turned"
    loader = DataLoader(Ink(range(0, 2400 if slow else 5000), fault), batch_size=16 if slow else 32, shuffle=True)
    held = DataLoader(Ink(range(5000, 6000)), batch_size=250)
    doctor = doctor_of(model, optimizer, loss=F.nll_loss, held_out=[next(iter(held))])
    correct, step, seen = 0.0, 0, []
    for _ in range(1 if slow else 3):
        model.train()
        for data, target in loader:
            step += 1
            if fault == "one batch in sixty a thousand times as bright" and step % 60 == 50:
                data = data * 1000
            if fault != "gradients never cleared":
                optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
            doctor.watch(loss, data, target)
            if fault == "all pictures so far averaged, from the third pass on":
                seen.append(data)
                if step > 370:
                    torch.cat(seen).std(0)
        if fault != "never set to eval":
            model.eval()
        with torch.no_grad():
            outputs = [(model(data), target) for data, target in held]
        correct = float(torch.cat([output.argmax(1) == target for output, target in outputs]).float().mean())
        doctor.evaluated(loss=float(sum(F.nll_loss(*each) for each in outputs)) / len(outputs), accuracy=correct)
    doctor.close()
    return correct


def photo_arrays(fault: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Learned and held-out photos, normalised, of four kinds: planes, cars, frogs and ships."""
    images, labels = parquet("cifar10", "train", 9000)
    kinds = [0, 1, 6, 8]
    keep = np.isin(labels, kinds)
    x = torch.tensor(images[keep], dtype=torch.float32).permute(0, 3, 1, 2) / 255
    x = (F.avg_pool2d(x, 2) - 0.48) / 0.25
    y = torch.tensor(np.searchsorted(kinds, labels[keep]))
    train, test = torch.arange(2400), torch.arange(2400, 3200)
    if fault == "test photos among those learned":
        train = torch.arange(2000, 3200)
    if fault == "frogs and ships hardly there":
        rare = (y[train] >= 2).nonzero()[:, 0]
        train = torch.cat([train[y[train] < 2], train[rare[:24]]])
    if fault == "sorted by folder":
        train = train[y[train].argsort(stable=True)]
    if fault == "two hundred photos":
        train = train[:200]
    held = x[test]
    if fault == "held-out photos blue first":
        held = held.flip(1)
    if fault == "held-out photos not normalised":
        held = held * 0.25 + 0.48
    return x[train], y[train], held, y[test]


def photo_model(fault: str, width: int = 16) -> nn.Sequential:
    width = 1 if fault == "one channel" else width
    kinds = 4
    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(8 * width, kinds),
    )  # fmt: skip
    if fault == "a trunk that is frozen":
        for parameter in model[:4].parameters():
            parameter.requires_grad = False
    return model


def photo_optimizer(model: nn.Sequential, fault: str) -> torch.optim.Optimizer:
    if fault == "only the head handed over":
        return torch.optim.SGD(model[-1].parameters(), lr=0.02, momentum=0.9)
    if fault == "a rate of a millionth":
        return torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    if fault == "a rate of fifty":
        return torch.optim.SGD(model.parameters(), lr=50.0, momentum=0.9)
    parameters = [each for each in model.parameters() if each.requires_grad]
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.9, weight_decay=5e-4)


def photo_rates(optimizer: torch.optim.Optimizer, steps: int, fault: str) -> Any:
    schedules = torch.optim.lr_scheduler
    if fault == "rates that cycle":
        return schedules.CyclicLR(optimizer, 0.002, 0.05, step_size_up=40)
    if fault == "cosines that start anew":
        return schedules.CosineAnnealingWarmRestarts(optimizer, 100)
    if fault in ("a rate of a millionth", "a rate of fifty", "a trunk that is frozen"):
        return schedules.ConstantLR(optimizer, 1.0)
    return schedules.OneCycleLR(optimizer, 0.05, steps)


def photos(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Photographs of four kinds with one cycle of the rate; the mean of the recalls."""
    x, y, held, answers = photo_arrays(fault)
    model = photo_model(fault)
    optimizer = photo_optimizer(model, fault)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1 if fault == "smooth labels" else 0.0)
    steps, size = 400, 2 if fault == "two photos a batch" else 32
    scheduler = photo_rates(optimizer, steps + 1, fault)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(held, answers)], steps=steps)
    step = 0
    if fault == "set to eval before the loop":
        model.eval()
    while step < steps:
        order = torch.arange(len(x)) if fault == "sorted by folder" else torch.randperm(len(x))
        for rows in order.split(size):
            if step == steps or len(rows) < 2:
                break
            step += 1
            inputs = x[rows].flip(3) if fault not in PLAIN and step % 2 else x[rows]
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(inputs), y[rows])
            loss.backward()
            optimizer.step()
            scheduler.step()
            doctor.watch(loss, inputs, y[rows])
            if fault == "a checkpoint under other names" and step == 320:
                states = {f"module.{name}": value for name, value in model.state_dict().items()}
                for layer in model:
                    if hasattr(layer, "reset_parameters"):
                        layer.reset_parameters()
                model.load_state_dict(states, strict=False)
            if step % 50 == 0:
                recall = photo_recall(model, held, answers, doctor, fault)
    doctor.close()
    return recall


PLAIN = ("test photos among those learned", "two hundred photos")


def photo_recall(model: nn.Module, held: torch.Tensor, answers: torch.Tensor, doctor: Any, fault: str) -> float:
    """The mean of the recalls on what is held out, which the doctor is told with the loss."""
    model.eval()
    with torch.no_grad():
        output = model(held)
        if fault == "left in training, examined kind by kind":
            model.train()
            output = torch.zeros_like(output)
            for kind in range(4):
                output[answers == kind] = model(held[answers == kind])
    right = (output.argmax(1) == answers).float()
    doctor.evaluated(loss=float(F.cross_entropy(output, answers)), accuracy=float(right.mean()))
    if fault != "set to eval before the loop":
        model.train()
    return float(np.mean([float(right[answers == kind].mean()) for kind in range(4)]))
