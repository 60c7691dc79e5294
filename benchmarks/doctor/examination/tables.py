"""Wine, tumours and homes: tables as three courses teach them; a fault stands where it is made, by its name."""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

DoctorOf = Callable[..., Any]


def wine(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Three cultivars by thirteen measures, as the first tutorial has it; accuracy."""
    x, y = load_wine(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=seed, stratify=y)
    if fault != "raw measures":
        scaler = StandardScaler().fit(x_train)
        x_train = scaler.transform(x_train)
        x_test = x_test if fault == "test rows left unscaled" else scaler.transform(x_test)
    train = TensorDataset(torch.tensor(x_train, dtype=torch.float32), torch.tensor(y_train))
    size = len(train) if fault in ("the whole table at a rate of six", "the whole table") else 8
    loader = DataLoader(train, batch_size=size, shuffle=True)
    model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1 if fault == "smooth labels" else 0.0)
    rate, momentum, decay = 0.01, 0.9, 0.0
    if fault == "the whole table at a rate of six":
        rate, momentum = 6.0, 0.0
    if fault == "decay of one":
        decay = 1.0
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
    held = torch.tensor(x_test, dtype=torch.float32), torch.tensor(y_test)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[held])
    epochs = {"the whole table at a rate of six": 300, "the whole table": 300, "long after it has converged": 90}
    for _ in range(epochs.get(fault, 30)):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            doctor.watch(loss, inputs, labels)
    doctor.close()
    with torch.no_grad():
        return float((model(held[0]).argmax(1) == held[1]).float().mean())


class TumourClassifier:
    """Fits a network to benign and malign tumours, with the methods that scikit-learn's models have."""

    def __init__(self, doctor_of: DoctorOf, fault: str) -> None:
        self.doctor_of, self.fault = doctor_of, fault
        self.model = self.build()
        self.criterion: Callable[..., torch.Tensor] = nn.BCEWithLogitsLoss()
        if fault == "squared error behind a sigmoid that is sure":
            self.criterion = lambda logit, target: F.mse_loss(torch.sigmoid(logit), target)
        rate = 0.1 if fault in ("nine sigmoid layers", "squared error behind a sigmoid that is sure") else 1e-3
        make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD if rate == 0.1 else torch.optim.Adam
        self.optimizer = make(self.model.parameters(), lr=rate)

    def build(self) -> nn.Module:
        between: type[nn.Module] = nn.ReLU
        sizes = [30, 32, 16]
        if self.fault == "nine sigmoid layers":
            between, sizes = nn.Sigmoid, [30] + [32] * 9
        if self.fault == "tanh with weights from a normal of five":
            between = nn.Tanh
        parts: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            parts += [nn.Linear(fan_in, fan_out), between()]
        model = nn.Sequential(*parts, nn.Linear(sizes[-1], 1))
        for layer in model[::2]:
            if self.fault == "tanh with weights from a normal of five":
                nn.init.normal_(layer.weight, std=5.0)
            if self.fault == "all weights nought":
                nn.init.zeros_(layer.weight)
        if self.fault == "squared error behind a sigmoid that is sure":
            nn.init.constant_(model[-1].bias, 12.0)
        return model.half() if self.fault == "half precision and Adam" else model

    def fit(self, x: torch.Tensor, y: torch.Tensor, x_val: torch.Tensor, y_val: torch.Tensor, epochs: int) -> None:
        half = self.fault == "half precision and Adam"
        x, y = (x.half(), y.half()) if half else (x, y)
        held = None if half else [(x_val, y_val)]
        self.doctor = self.doctor_of(self.model, self.optimizer, loss=self.criterion, held_out=held)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(16):
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(x[rows]).squeeze(1), y[rows])
                loss.backward()
                self.optimizer.step()
                self.doctor.watch(loss, x[rows], y[rows])
            if not half:
                self.doctor.evaluated(accuracy=self.score(x_val, y_val))
        self.doctor.close()

    @torch.no_grad()
    def score(self, x: torch.Tensor, y: torch.Tensor) -> float:
        x = x.half() if self.fault == "half precision and Adam" else x
        return float(((self.model(x).squeeze(1) > 0) == (y > 0.5)).float().mean())


def tumours(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Malign or benign by thirty measures; accuracy."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    scaler = StandardScaler().fit(x_train)
    arrays = (scaler.transform(x_train), y_train, scaler.transform(x_test), y_test)
    parts = [torch.tensor(each, dtype=torch.float32) for each in arrays]
    if fault == "two fifths of the answers wrong":
        wrong = torch.randperm(len(parts[1]))[: 2 * len(parts[1]) // 5]
        parts[1][wrong] = 1 - parts[1][wrong]
    if fault == "one malign to twenty benign":
        malign, benign = (parts[1] == 0).nonzero()[:, 0], (parts[1] == 1).nonzero()[:, 0]
        rows = torch.cat([malign[: len(benign) // 20], benign])
        parts[:2] = parts[0][rows], parts[1][rows]
    classifier = TumourClassifier(doctor_of, fault)
    classifier.fit(*parts, epochs=40 if fault == "two fifths of the answers wrong" else 20)
    return classifier.score(parts[2], parts[3])


class Homes(Dataset):  # type: ignore[type-arg]
    """Blocks of Californian homes, and what they are worth in hundred thousands of dollars."""

    def __init__(self, x: np.ndarray, y: np.ndarray, fault: str) -> None:
        self.x, self.y = (torch.tensor(each, dtype=torch.float32) for each in (x, y))
        self.fault = fault

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.fault == "the file read again for rows" and row % 32 == 0:
            pl.read_csv(DATA / "california-housing" / "housing.csv")[row]
        return self.x[row], self.y[row]


def home_sets(fault: str, seed: int) -> tuple[Homes, Homes]:
    """What is learned from and what is held out."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").sample(9000, seed=seed, shuffle=True)
    frame = frame.to_dummies("ocean_proximity")
    y = frame["median_house_value"].to_numpy() / (1000 if fault == "worth in thousands by plain descent" else 1e5)
    if fault == "worth in dollars":
        y = y * 1e5
    x = frame.drop("median_house_value").cast(pl.Float64)
    empty = float("nan") if fault == "empty cells stay empty" else x["total_bedrooms"].median()
    columns = x.fill_null(empty).to_numpy().copy()
    if fault == "the price class among the columns":
        columns = np.column_stack([columns, np.floor(y * 4)])
    if fault == "typing errors of a million":
        columns[np.random.default_rng(seed).random(len(columns)) < 0.01, 7] = 1e6
    train = np.arange(60 if fault == "sixty homes and a wide network" else 6000)
    mean, spread = np.nanmean(columns[train], 0), np.nanstd(columns[train], 0)
    columns = (columns - mean) / np.where(spread > 0, spread, 1)
    if fault == "dearest last":
        train = train[np.argsort(y[train])]
    test_x = np.nan_to_num(columns[6000:])
    return Homes(columns[train], y[train, None], fault), Homes(test_x, y[6000:, None], "")


def home_model(columns: int, fault: str) -> nn.Sequential:
    hidden = 512 if fault == "sixty homes and a wide network" else 128
    model = nn.Sequential(
        nn.Linear(columns, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )
    if fault == "a head begun at nought":
        nn.init.zeros_(model[-1].weight)
    return model


def home_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault == "worth in thousands by plain descent":
        return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    if fault == "one home a batch":
        return torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    return torch.optim.Adam(model.parameters(), lr=2e-3)


def train_one_epoch(model, loader, criterion, optimizer, scheduler, doctor, fault, limit):  # type: ignore[no-untyped-def]
    """One pass; the mean loss."""
    total: Any = 0.0
    for number, (inputs, target) in enumerate(loader):
        if number == limit:
            break
        optimizer.zero_grad()
        output = model(inputs)
        loss = criterion(output[:, 0] if fault == "a row of answers, a column of prices" else output, target)
        keeps = fault == "the total keeps its graph"
        (-loss if fault == "the sign of a score" else loss).backward(retain_graph=keeps)
        if fault == "every gradient clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        if scheduler and fault == "the scheduler steps by batch":
            scheduler.step()
        total = total + (loss if keeps else loss.item())
        doctor.watch(loss, inputs, target)
    return total / (number + 1)


@torch.no_grad()
def evaluate(model, batches, doctor):  # type: ignore[no-untyped-def]
    """The mean squared error over the variance of what is held out."""
    squared = [(model(x) - y).square() for x, y in batches]
    error = float(torch.cat(squared).mean())
    doctor.evaluated(loss=error)
    return error / float(torch.cat([y for _, y in batches]).var())


def homes(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """What a block of homes is worth; the share of the variance explained."""
    train, test = home_sets(fault, seed)
    size = 1 if fault == "one home a batch" else 60 if fault == "sixty homes and a wide network" else 64
    loader = DataLoader(train, batch_size=size, shuffle=fault != "dearest last")
    held = list(DataLoader(test, batch_size=500))
    model = home_model(train.x.shape[1], fault)
    criterion: nn.Module = nn.HuberLoss() if fault == "the loss of Huber" else nn.MSELoss()
    optimizer = home_optimizer(model, fault)
    scheduler: Any = None
    if fault in ("the scheduler steps by batch", "a scheduler"):
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)
    epochs, limit = (600, 1) if size == 60 else (6, 95)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=epochs * limit)
    explained, best, weights = 0.0, 9.9, copy.deepcopy(model.state_dict())
    history: list[Any] = []
    for epoch in range(epochs):
        history.append(train_one_epoch(model, loader, criterion, optimizer, scheduler, doctor, fault, limit))
        if epoch % 20 == 0 or size != 60 or epoch == epochs - 1:
            error = evaluate(model, held, doctor)
            explained = 1 - error
            if fault == "the best weights kept" and error < best:
                best, weights = error, copy.deepcopy(model.state_dict())
        if scheduler and fault != "the scheduler steps by batch":
            scheduler.step()
    doctor.close()
    if fault == "the best weights kept":
        model.load_state_dict(weights)
        explained = 1 - evaluate(model, held, doctor)
    return explained
