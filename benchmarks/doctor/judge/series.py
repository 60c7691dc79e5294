"""Recurrent networks: the oil of a transformer station a few hours ahead, and first names letter by letter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA
from torch import nn

DoctorOf = Callable[..., Any]
HOURS = 24


def meters(fault: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns (hours, 7) for learning and for holding out, and the oil's temperature (hours,), all standardised."""
    frame = pl.read_csv(DATA / "ett" / "ETTh1.csv")
    values = frame.drop("date").to_numpy().astype(np.float32)
    mean, spread = values[:10000].mean(0), values[:10000].std(0)
    oil = (values[:, 6] - mean[6]) / spread[6]
    learned = (values - mean) / spread
    held = learned.copy()
    if fault == "held-out hours measured from their own mean":
        held = (values - values[10000:].mean(0)) / values[10000:].std(0)
    if fault == "a meter that stands still":
        learned[:, 6] = held[:, 6] = 1.0
    return learned, held, oil


class Forecaster(nn.Module):
    """A GRU over a day, and what it says of four hours on, beside what is."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.plain = fault == "a plain recurrence that grows"
        self.recurrent: Any = nn.RNN(7, 32, batch_first=True) if self.plain else nn.GRU(7, 32, batch_first=True)
        self.head = nn.Linear(32, 1)
        self.fault = fault
        if self.plain:
            self.recurrent = nn.RNN(7, 32, batch_first=True, nonlinearity="relu")
            nn.init.orthogonal_(self.recurrent.weight_hh_l0, gain=1.4)
        if fault == "gates begun at their ends":
            nn.init.normal_(self.recurrent.weight_hh_l0, std=8.0)
            nn.init.normal_(self.recurrent.weight_ih_l0, std=20.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.recurrent(x)
        answer: torch.Tensor = self.head(out[:, -1])[:, 0]
        return answer.sigmoid() if self.fault == "answers between nought and one" else answer


def grid_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault == "a plain recurrence that grows":
        return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    if fault == "momentum of ninety-nine hundredths at a high rate":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.99)
    return torch.optim.Adam(model.parameters(), lr=3e-3)


def grid(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Oil four hours ahead; the share of the variance explained."""
    learned, held, oil = meters(fault)
    rows = torch.randint(HOURS, 10000, (6000,))
    ends = torch.arange(10100, 17000, 7)
    days = torch.tensor(learned).unfold(0, HOURS, 1).transpose(1, 2)
    held_x = torch.tensor(held).unfold(0, HOURS, 1).transpose(1, 2)[ends - HOURS].contiguous()
    y, held_y = torch.tensor(oil)[rows + 3], torch.tensor(oil)[ends + 3]
    model, criterion, steps = Forecaster(fault), nn.MSELoss(), 400
    optimizer = grid_optimizer(model, fault)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(held_x, held_y)], steps=steps)
    store: list[torch.Tensor] = []
    for step in range(steps):
        pick = torch.randint(len(rows), (64,))
        inputs, target = days[rows[pick] - HOURS].contiguous(), y[pick]
        if fault == "in bfloat16 where it can be":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output = model(inputs)
            loss = criterion(output.float(), target)
        else:
            loss = criterion(model(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, inputs, target)
        if fault == "every forecast drawn anew at each step":
            store.append(inputs[:48])
            if step > 200:
                torch.cat(store).cumsum(1).sort(1)
        if fault == "taken up again with an empty optimizer" and step == 320:
            optimizer.load_state_dict(torch.optim.Adam(model.parameters(), lr=0.1).state_dict())
        if step % 50 == 49:
            with torch.no_grad():
                doctor.evaluated(loss=float(criterion(model(held_x), held_y)))
    doctor.close()
    with torch.no_grad():
        return float(1 - F.mse_loss(model(held_x), held_y) / held_y.var())


class Speller(nn.Module):
    """Letters to letters by a GRU."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.table = nn.Embedding(27, 16, sparse=fault == "a table learned row by row")
        self.recurrent = nn.GRU(16, 64, batch_first=True)
        self.head = nn.Linear(64, 27)
        if fault == "a head twenty times as wide":
            nn.init.normal_(self.head.weight, std=6.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.recurrent(self.table(x))[0]).transpose(1, 2)
        return answer


def name_rows() -> torch.Tensor:
    """Names between ends (rows, 14), filled up with -1; every tenth letter row is a name of the file."""
    words = (DATA / "names" / "names.txt").read_text(encoding="utf-8").split()
    rows = torch.full((len(words), 14), -1)
    for index, word in enumerate(words):
        codes = [0, *(ord(letter) - 96 for letter in word[:12]), 0]
        rows[index, : len(codes)] = torch.tensor(codes)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]


def speller_optimizers(model: Speller, fault: str) -> list[torch.optim.Optimizer]:
    if fault == "a table learned row by row":
        others = [*model.recurrent.parameters(), *model.head.parameters()]
        return [torch.optim.SparseAdam(model.table.parameters(), lr=5e-3), torch.optim.Adam(others, lr=5e-3)]
    if fault in ("one batch in ninety weighed too much", "gradients clipped always"):
        return [torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)]
    return [torch.optim.Adam(model.parameters(), lr=5e-3)]


def spellings(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """First names; the mean probability of the right letter, in geometry."""
    rows = name_rows()
    train, held = rows[:28000], rows[28000:30000]
    if fault == "two hundred names":
        train = train[:200]
    model, criterion = Speller(fault), nn.CrossEntropyLoss(ignore_index=-1)
    optimizers = speller_optimizers(model, fault)
    doctor = doctor_of(model, optimizers if len(optimizers) > 1 else optimizers[0], loss=criterion)
    for step in range(450):
        batch = train[torch.randint(len(train), (64,))]
        x, y = batch[:, :-1].clamp(min=0), batch[:, 1:]
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = criterion(model(x), y)
        if fault == "one batch in ninety weighed too much" and step % 90 == 80:
            loss = loss * 300
        loss.backward()
        if fault == "gradients clipped always":
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for optimizer in optimizers:
            optimizer.step()
        doctor.watch(loss, x, y)
    doctor.close()
    with torch.no_grad():
        return float(torch.exp(-criterion(model(held[:, :-1].clamp(min=0)), held[:, 1:])))
