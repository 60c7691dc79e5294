"""Shells, applicants and pens: tables under settings in a dataclass; a fault changes a setting, or stands by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

DoctorOf = Callable[..., Any]


@dataclass(frozen=True)
class Settings:
    """What a command line would set."""

    hidden: tuple[int, ...] = (64, 32)
    activation: type[nn.Module] = nn.ReLU
    optimizer: str = "adamw"
    rate: float = 3e-3
    decay: float = 1e-2
    momentum: float = 0.0
    batch: int = 64
    epochs: int = 8
    rows: int = 3200
    limit: int = 10**6
    dropout: float = 0.0
    smoothing: float = 0.0
    clip: float = 0.0
    unit: float = 0.0
    accumulate: int = 1
    schedule: str = "onecycle"
    loss: str = "mse"


SHELLS: dict[str, dict[str, Any]] = {
    "ages in days": {"unit": 365.0},
    "ages in days by plain descent": {"unit": 365.0, "optimizer": "sgd", "rate": 0.02, "momentum": 0.9},
    "eight sigmoid layers": {"hidden": (32,) * 8, "activation": nn.Sigmoid, "optimizer": "sgd", "rate": 0.1},
    "one shell a batch": {"batch": 1, "optimizer": "sgd", "rate": 0.004, "momentum": 0.9, "limit": 180},
    "a decay of a hundred": {"decay": 100.0},
    "the loss of Huber": {"loss": "huber"},
    "every gradient clipped": {"clip": 0.1},
    "one rate throughout": {"schedule": ""},
    "three quarters at rest": {"hidden": (256, 256)},
    "long after it has converged": {"epochs": 40},
    "plain descent": {"optimizer": "sgd", "rate": 0.03, "momentum": 0.9},
}


@cache
def abalone() -> tuple[np.ndarray, np.ndarray]:
    """Sex and seven measures (rows, 10), and rings (rows,)."""
    frame = pl.read_csv(DATA / "abalone" / "abalone.csv", has_header=False)
    columns = frame[:, :-1].to_dummies(frame.columns[0]).cast(pl.Float64).to_numpy()
    return columns, frame[:, -1].cast(pl.Float64).to_numpy()


class Regressor(nn.Module):
    """A stack of layers and one number."""

    def __init__(self, columns: int, settings: Settings, fault: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((columns, *settings.hidden)):
            layers += [nn.Linear(fan_in, fan_out), settings.activation()]
        if fault == "layers in a list of Python's":
            self.layers: Any = layers
        else:
            self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(settings.hidden[-1], 1)
        if fault == "a head begun at nought":
            nn.init.zeros_(self.head.weight)
        if fault == "three quarters at rest":
            for layer in layers[::2]:
                nn.init.constant_(layer.bias, -0.5)
        if fault == "most biases below nought":
            for layer in layers[::2]:
                nn.init.constant_(layer.bias, -4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def optimizer_of(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=settings.rate, momentum=settings.momentum)
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=settings.rate)
    return torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=settings.decay)


def shell_arrays(settings: Settings, fault: str, seed: int) -> list[np.ndarray]:
    """Rows to learn from and rows held out, each with its ages."""
    columns, rings = abalone()
    order = np.random.default_rng(seed).permutation(len(columns))
    columns, rings = columns[order].copy(), rings[order]
    if fault == "weight over height":
        with np.errstate(divide="ignore"):
            columns = np.column_stack([columns, columns[:, 6] / np.where(columns[:, 5] < 0.02, 0, columns[:, 5])])
    if fault == "some weights in milligrams":
        columns[np.random.default_rng(seed).random(len(columns)) < 0.03, 6:] *= 1e4
    train, test = np.split(columns, [3200])
    finite = np.where(np.isfinite(train), train, np.nan)
    mean, spread = np.nanmean(finite, 0), np.nanstd(finite, 0)
    train = (train - mean) / spread
    test = test if fault == "held-out shells not standardised" else np.nan_to_num((test - mean) / spread, posinf=0)
    ages = (rings + 1.5) * settings.unit if settings.unit else (rings - rings[:3200].mean()) / rings[:3200].std()
    if fault == "rings of other shells":
        ages[:3200] = np.random.default_rng(seed).permutation(ages[:3200])
    return [train, ages[:3200], test, ages[3200:]]


def shells(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """How old a shell is; the share of the variance explained."""
    settings = replace(Settings(), **SHELLS.get(fault, {}))
    half = torch.float16 if fault == "all in half precision" else torch.float32
    x, y, test_x, test_y = (torch.tensor(a, dtype=half) for a in shell_arrays(settings, fault, seed))
    broadcast = fault == "ages without their axis"
    loader = DataLoader(TensorDataset(x, y if broadcast else y[:, None]), batch_size=settings.batch, shuffle=True)
    model = Regressor(x.shape[1], settings, fault).to(half)
    optimizer = optimizer_of(model, settings)
    steps = settings.epochs * min(len(loader), settings.limit)
    scheduler: Any = None
    if settings.optimizer == "adamw" and settings.schedule:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=steps)
    criterion: nn.Module = nn.HuberLoss() if settings.loss == "huber" else nn.MSELoss()
    held = [(test_x, test_y if broadcast else test_y[:, None])]
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    explained = 0.0
    for _ in range(settings.epochs):
        for number, (inputs, target) in enumerate(loader):
            if number == settings.limit:
                break
            optimizer.zero_grad()
            loss = criterion(model(inputs), target)
            loss.backward()
            if settings.clip:
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            if scheduler:
                scheduler.step()
            doctor.watch(loss, inputs, target)
        with torch.no_grad():
            error = float((model(test_x)[:, 0].float() - test_y.float()).square().mean())
        explained = 1 - error / float(test_y.float().var())
        doctor.evaluated(loss=error, r2=explained)
    doctor.close()
    return explained


APPLICANTS: dict[str, dict[str, Any]] = {
    "sixty applicants and a wide network": {"rows": 60, "hidden": (512, 512), "epochs": 300, "decay": 0.0},
    "half dropped out": {"dropout": 0.5},
}


@cache
def german() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (rows, 7), categories in ones and noughts (rows, 54), and who failed to pay (rows,)."""
    frame = pl.read_csv(DATA / "german-credit" / "german.csv", has_header=False)
    numbers = frame[:, :-1].select(pl.col(pl.Int64)).cast(pl.Float64).to_numpy()
    kinds = frame.select([name for name in frame.columns if frame[name].dtype == pl.String])
    return numbers, kinds.to_dummies().cast(pl.Float64).to_numpy(), (frame[:, -1] == 2).to_numpy()


def ranked(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the curve of a score over rows."""
    order = np.argsort(np.argsort(score, kind="stable"), kind="stable") + 1
    good = int(truth.sum())
    return float((order[truth].sum() - good * (good + 1) / 2) / (good * (len(truth) - good)))


def squared(logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(logit.sigmoid(), target)


def applicants(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Who pays a loan back, in a script of two lines for the doctor; the area under the curve."""
    base = Settings(hidden=(32,), optimizer="sgd", rate=0.02, momentum=0.9, epochs=12, batch=32, rows=700)
    settings = replace(base, **APPLICANTS.get(fault, {}))
    numbers, kinds, failed = german()
    order = np.random.default_rng(seed).permutation(len(failed))
    train = order[: settings.rows]
    if fault != "amounts as they are":
        numbers = (numbers - numbers[train].mean(0)) / numbers[train].std(0)
    x = torch.tensor(np.concatenate([numbers, kinds], 1)[order], dtype=torch.float32)
    y = torch.tensor(failed[order], dtype=torch.float32)
    if fault == "whether a reminder was sent":
        x = torch.cat([x, y[:, None]], 1)
    model: nn.Module = Regressor(x.shape[1], settings, fault)
    if settings.dropout:
        model = nn.Sequential(nn.Dropout(settings.dropout), model)
    slow = fault == "squared error of a share begun near nought"
    if slow:
        nn.init.constant_(model.head.bias, -9.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1) if slow else optimizer_of(model, settings)
    criterion: Any = squared if slow else nn.BCEWithLogitsLoss()
    doctor = doctor_of(model, optimizer, loss=criterion)
    rows = settings.rows
    for _ in range(settings.epochs):
        model.train()
        for index in torch.randperm(rows).split(settings.batch):
            inputs, target = x[:rows][index], y[:rows][index]
            loss = criterion(model(inputs).squeeze(1), target)
            if fault == "a score to be raised":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, inputs, target)
        model.eval()
        with torch.no_grad():
            criterion(model(x[700:]).squeeze(1), y[700:])
    doctor.close()
    with torch.no_grad():
        return ranked(model(x[700:]).squeeze(1).numpy(), y[700:].numpy() > 0)


PENS: dict[str, dict[str, Any]] = {
    "two hidden units": {"hidden": 2},
    "a decay of thirty": {"decay": 30.0},
    "the whole table at a rate of twelve": {"batch": 1200, "epochs": 150, "optimizer": "sgd", "rate": 12.0},
    "the whole table": {"batch": 1200, "epochs": 150, "optimizer": "sgd", "rate": 0.5},
    "half the labels drawn anew": {"epochs": 60},
    "long after it has converged": {"epochs": 60},
    "gradients cleared once an epoch": {"optimizer": "sgd", "rate": 0.2, "momentum": 0.9},
    "plain descent with momentum": {"optimizer": "sgd", "rate": 0.05, "momentum": 0.9},
    "added up over four": {"batch": 8, "accumulate": 4},
    "heavy dropout": {"dropout": 0.5, "epochs": 20},
    "smooth labels": {"smoothing": 0.1},
    "noughts one to twenty": {"epochs": 30},
    "eight rows a batch": {"batch": 8, "rate": 1e-3},
}


class PenConfig(dict):  # type: ignore[type-arg]
    """Settings that are read as attributes."""

    __getattr__ = dict.__getitem__


class PenModel(nn.Module):
    """Digits of eight by eight; given labels, it returns its loss as well."""

    def __init__(self, config: PenConfig, fault: str) -> None:
        super().__init__()
        tanh = fault == "tanh begun wide"
        self.encoder = nn.Linear(64, config.hidden)
        self.middle = nn.Linear(config.hidden, config.hidden)
        self.norm = nn.BatchNorm1d(config.hidden) if "batch norm" in fault else nn.Identity()
        self.act: nn.Module = nn.Tanh() if tanh else nn.ReLU()
        self.dropout, self.smoothing = nn.Dropout(config.dropout), config.smoothing
        self.classifier = nn.Linear(config.hidden, 10)
        if fault == "all weights alike":
            for parameter in self.parameters():
                nn.init.constant_(parameter, 0.02)
        if tanh:
            nn.init.normal_(self.encoder.weight, std=4.0)
            nn.init.normal_(self.middle.weight, std=4.0)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        hidden = self.dropout(self.act(self.norm(self.encoder(x))))
        logits = self.classifier(self.act(self.middle(hidden)))
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels, label_smoothing=self.smoothing), "logits": logits}


class LowRank(nn.Module):
    """A frozen layer and what two narrow ones add to it, which is nothing at first."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a, self.b = nn.Linear(layer.in_features, 8, bias=False), nn.Linear(8, layer.out_features, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.b(self.a(x))


def adapted(model: PenModel, x: torch.Tensor, y: torch.Tensor) -> None:
    """Learn from a half of the rows, and freeze all layers but what is added at low rank and the head."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        rows = torch.randint(600, (32,))
        optimizer.zero_grad()
        model(x[rows], labels=y[rows])["loss"].backward()
        optimizer.step()
    model.encoder, model.middle = LowRank(model.encoder), LowRank(model.middle)  # type: ignore[assignment]


def pen_labels(y: torch.Tensor, fault: str) -> torch.Tensor:
    """The labels to learn from, with what a fault makes of them."""
    y = y.clone()
    if fault == "half the labels drawn anew":
        wrong = torch.randperm(len(y))[: len(y) // 2]
        y[wrong] = torch.randint(10, (len(wrong),))
    if fault == "labels that the map does not know":
        y[(y == 8) | (y == 9)] = -100
    return y


def pens(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits as a table, with a model that returns its loss as Hugging Face's do; accuracy."""
    plain = PenConfig(hidden=64, decay=0.01, batch=32, epochs=8, optimizer="adamw", rate=2e-3, momentum=0.0)
    config = PenConfig(plain | {"accumulate": 1, "dropout": 0.0, "smoothing": 0.0} | PENS.get(fault, {}))
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digits))
    x = torch.tensor(pixels[order] / 16 - 0.5, dtype=torch.float32)
    y = torch.tensor(digits[order])
    train_x, train_y = x[:1200], pen_labels(y[:1200], fault)
    if fault == "five digits hardly there":
        rare = torch.cat([(train_y == digit).nonzero()[:2, 0] for digit in range(5, 10)])
        keep = torch.cat([(train_y < 5).nonzero()[:, 0], rare])
        train_x, train_y = train_x[keep], train_y[keep]
    if fault == "noughts one to twenty":
        keep = torch.cat([(train_y > 0).nonzero()[:, 0], (train_y == 0).nonzero()[:6, 0]])
        train_x, train_y = train_x[keep], train_y[keep]
    model = PenModel(config, fault)
    if fault == "adapted at low rank":
        adapted(model, train_x, train_y)
    if config.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), config.rate, momentum=config.momentum)
    else:
        optimizer = torch.optim.AdamW(
            [each for each in model.parameters() if each.requires_grad], lr=config.rate, weight_decay=config.decay
        )
    doctor = doctor_of(model, optimizer)
    for _ in range(config.epochs):
        model.train()
        optimizer.zero_grad()
        for number, rows in enumerate(torch.randperm(len(train_x)).split(config.batch)):
            loss = model(train_x[rows], labels=train_y[rows])["loss"] / config.accumulate
            loss.backward()
            if (number + 1) % config.accumulate:
                continue
            optimizer.step()
            if fault != "gradients cleared once an epoch":
                optimizer.zero_grad()
            doctor.watch(loss * config.accumulate, train_x[rows], train_y[rows])
        accuracy = pen_score(model, x[1200:], y[1200:], fault)
    doctor.close()
    return accuracy


@torch.no_grad()
def pen_score(model: nn.Module, x: torch.Tensor, y: torch.Tensor, fault: str) -> float:
    """Accuracy on what is held out."""
    if fault == "batch norm left in training, rows by digit":
        order = y.argsort()
        x, y = x[order], y[order]
    else:
        model.eval()
    found = torch.cat([model(part)["logits"].argmax(1) for part in x.split(32)])
    return float((found == y).float().mean())
