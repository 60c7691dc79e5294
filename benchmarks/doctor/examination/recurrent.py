"""Rows of a digit read one by one, words of two languages, and spots on the sun: recurrent networks."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

DoctorOf = Callable[..., Any]


class Scan(nn.Module):
    """Reads a picture from top to bottom; the last state tells the digit."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, hidden = fault, 2 if fault == "two cells" else 48
        self.cell = nn.LSTMCell(14, hidden)
        self.lstm = nn.LSTM(14, hidden, batch_first=fault != "batch_first forgotten")
        self.head = nn.Linear(hidden, 10)
        if fault == "detached at every row":
            del self.lstm
        else:
            del self.cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fault == "detached at every row":
            state = (torch.zeros(len(x), 48), torch.zeros(len(x), 48))
            for row in x.unbind(1):
                state = self.cell(row, tuple(each.detach() for each in state))
            return self.head(state[0])
        output, _ = self.lstm(x)
        return self.head(output[:, -1])


def scan_optimizer(model: Scan, fault: str) -> torch.optim.Optimizer:
    if fault == "the recurrence at a hundred-thousandth of the rate":
        return torch.optim.Adam(
            [{"params": model.lstm.parameters(), "lr": 3e-8}, {"params": model.head.parameters()}], lr=3e-3
        )
    if fault == "maximize=True":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, maximize=True)
    return torch.optim.Adam(model.parameters(), lr=1e-6 if fault == "a rate of a millionth" else 3e-3)


def scan(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits as sequences of fourteen rows; accuracy."""
    images, labels = parquet("mnist", "train", 7000)
    x = F.avg_pool2d(torch.tensor(images, dtype=torch.float32)[:, None], 2)[:, 0] / 255
    y = torch.tensor(labels)
    train = torch.arange(5500)
    if fault == "sorted by digit":
        train = train[y[train].argsort(stable=True)]
    answers = y[train]
    if fault == "answers shuffled apart from their pictures":
        answers = answers[torch.randperm(len(answers))]
    model, criterion = Scan(fault), nn.CrossEntropyLoss()
    optimizer = scan_optimizer(model, fault)
    clip = 0.05 if fault == "every gradient clipped" else 5.0
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, 1.0, 300 if fault == "warmed up for half the time" else 1)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(x[5500:6500], y[5500:6500])])
    first = copy.deepcopy(optimizer.state_dict())
    for _ in range(7):
        order = torch.arange(5500) if fault == "sorted by digit" else torch.randperm(5500)
        for rows in order.split(64):
            optimizer.zero_grad()
            loss = criterion(model(x[train[rows]]), answers[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            warm.step()
            doctor.watch(loss, x[train[rows]], answers[rows])
            if fault == "the first state of the optimizer loaded at every step":
                optimizer.load_state_dict(first)
        with torch.no_grad():
            output = model(x[5500:6500])
        correct = float((output.argmax(1) == y[5500:6500]).float().mean())
        doctor.evaluated(loss=float(criterion(output, y[5500:6500])), accuracy=correct)
    doctor.close()
    return correct


LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß"


@cache
def words_of(language: str) -> list[str]:
    """All words of at least three letters in the captions, in the order of the alphabet."""
    text = (DATA / "multi30k-en-de" / f"train.{language}.txt").read_text(encoding="utf-8").lower()
    cleaned = "".join(letter if letter in LETTERS else " " for letter in text)
    return sorted({word for word in cleaned.split() if len(word) > 2})


def word_rows(fault: str, seed: int) -> tuple[list[str], torch.Tensor, list[str], torch.Tensor]:
    """Words to learn from with their language (German is one), and held-out ones."""
    english, german = ([*words_of(language)] for language in ("en", "de"))
    draw = np.random.default_rng(seed)
    draw.shuffle(english)
    draw.shuffle(german)
    first = english[:100] if fault == "English hardly there" else english[:5000]
    second = german[:5000]
    if fault == "a hundred words of each":
        first, second = first[:100], second[:100]
    train, test = [*first, *second], [*english[5000:6000], *german[5000:6000]]
    labels = torch.tensor([0.0] * len(first) + [1.0] * len(second))
    return train, labels, test, torch.tensor([0.0] * 1000 + [1.0] * 1000)


def encode(words: list[str], fault: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of letters (rows, letters), nought is padding; and lengths (rows,)."""
    known = LETTERS.upper() if fault == "a vocabulary of capitals" else LETTERS
    length = 40 if fault == "read after forty places of padding" else max(len(word) for word in words)
    rows = torch.zeros(len(words), length, dtype=torch.long)
    for row, word in enumerate(words):
        numbers = [known.find(letter) + 1 for letter in word]
        if fault == "a vocabulary of capitals":
            numbers = [31] * len(word)
        rows[row, : len(word)] = torch.tensor(numbers)
    return rows, torch.tensor([len(word) for word in words])


class Speller(nn.Module):
    """Letters, packed, through an LSTM; its last state tells the language."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.table = nn.Embedding(32, 16, padding_idx=0, sparse=fault == "a sparse table")
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        letters = self.table(rows)
        if self.fault == "read after forty places of padding":
            output, _ = self.lstm(letters)
            return self.head(output[:, -1]).squeeze(1)
        if self.fault == "the state begun anew at every letter":
            output, _ = self.lstm(letters.reshape(-1, 1, 16))
            output = output.reshape(len(rows), -1, 32)
            return self.head(output[torch.arange(len(rows)), lengths - 1]).squeeze(1)
        packed = pack_padded_sequence(letters, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        return self.head(last[0]).squeeze(1)


def jumble(word: str, often: float) -> str:
    """The letters of a word in another order, as often as that."""
    return "".join(np.random.permutation([*word])) if np.random.rand() < often else word


def speller_optimizers(model: Speller, fault: str) -> list[torch.optim.Optimizer]:
    if fault == "a sparse table":
        rest = [*model.lstm.parameters(), *model.head.parameters()]
        return [torch.optim.Adam(rest, lr=5e-3), torch.optim.SparseAdam([*model.table.parameters()], lr=5e-3)]
    if fault == "a rate of one":
        return [torch.optim.Adam(model.parameters(), lr=1.0)]
    if fault == "one word a batch":
        return [torch.optim.Adam(model.parameters(), lr=2e-2)]
    return [torch.optim.Adam(model.parameters(), lr=5e-3)]


def words(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """English or German, by the letters of one word; the mean of both recalls."""
    train, labels, test, answers = word_rows(fault, seed)
    held, held_lengths = encode(test, fault)
    model, criterion = Speller(fault), nn.BCEWithLogitsLoss()
    optimizers = speller_optimizers(model, fault)
    doctor = doctor_of(model, optimizers if len(optimizers) > 1 else optimizers[0], loss=criterion)
    size = {"one word a batch": 1, "eight words a batch": 8}.get(fault, 64)
    epochs = {"a hundred words of each": 250, "one word a batch": 1, "eight words a batch": 1}.get(fault, 4)
    steps = 0
    for _ in range(epochs):
        for number, rows in enumerate(torch.randperm(len(train)).split(size)):
            chosen = [train[row] for row in rows]
            if fault == "letters in any order":
                chosen = [jumble(word, 1.0) for word in chosen]
            if steps == 700:
                break
            steps += 1
            letters, lengths = encode(chosen, fault)
            loss = criterion(model(letters, lengths), labels[rows])
            if fault != "gradients cleared once an epoch" or number == 0:
                for each in optimizers:
                    each.zero_grad()
            loss.backward()
            for each in optimizers:
                each.step()
            doctor.watch(loss, (letters, lengths), labels[rows])
    doctor.close()
    with torch.no_grad():
        right = ((model(held, held_lengths) > 0) == (answers > 0.5)).float()
    return float((right[:1000].mean() + right[1000:].mean()) / 2)


class Forecaster(nn.Module):
    """A recurrence over three years; its last state tells the month to come."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.rnn: nn.Module = nn.GRU(1, 24, batch_first=True)
        if fault == "a recurrence of relu that grows":
            self.rnn = nn.RNN(1, 24, nonlinearity="relu", batch_first=True)
            nn.init.eye_(self.rnn.weight_hh_l0)
            self.rnn.weight_hh_l0.data.mul_(1.6)
        if fault in ("counts as they are through tanh", "tanh"):
            self.rnn = nn.RNN(1, 24, batch_first=True)
        self.head = nn.Linear(24, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][:, -1])


def sunspot_windows(fault: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of 36 months (rows, 36, 1) and the month after each (rows, 1)."""
    counts = pl.read_csv(DATA / "monthly-sunspots" / "monthly-sunspots.csv")["Sunspots"].to_numpy()
    draw = np.random.default_rng(0)
    series = np.log1p(counts) if fault != "counts as they are through tanh" else counts
    if fault != "counts as they are through tanh":
        series = (series - series[:2200].mean()) / series[:2200].std()
    values = torch.tensor(series, dtype=torch.float32)
    windows = values.unfold(0, 37, 1)
    if fault == "months without a count at minus 9999":
        known = np.where(draw.random(len(series)) < 0.02, -9999.0, series)
        known = (known - known[:2200].mean()) / known[:2200].std()
        return torch.tensor(known, dtype=torch.float32).unfold(0, 37, 1)[:, :36, None], windows[:, 36:]
    inputs = windows[:, 1:] if fault == "a window that ends a month too late" else windows[:, :36]
    target = windows[:, 36:]
    if fault == "counts as they are through tanh":
        target = (target - 50) / 40
    return inputs[:, :, None], target


def sunspots(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """How many spots the sun will have next month; the share of the variance explained."""
    x, y = sunspot_windows(fault)
    held_x, held_y = x[2200:], y[2200:]
    if fault == "held-out months scaled by their own extremes":
        held_x = (held_x - held_x.min()) / (held_x.max() - held_x.min())
    model, criterion = Forecaster(fault), nn.MSELoss()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if fault == "momentum of 99 hundredths":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.99)
    if fault == "a recurrence of relu that grows":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(held_x, held_y)], steps=500)
    weight = 0.3 if fault == "a penalty on the weights that outweighs the loss" else 0.0
    series: list[float] = []
    for step in range(500):
        rows = torch.randint(2160, (32,))
        optimizer.zero_grad()
        output = model(x[rows])
        penalty = sum(each.square().sum() for each in model.parameters()) if weight else 0.0
        loss = criterion(output, y[rows]) + weight * penalty
        loss.backward()
        optimizer.step()
        series.append(float(loss.detach()))
        if fault == "all forecasts so far drawn from step 350 on" and step > 350:
            with torch.no_grad():
                [model(x[:2160]) for _ in range(1)]
        doctor.watch(loss, x[rows], y[rows])
        if step % 50 == 49:
            with torch.no_grad():
                doctor.evaluated(loss=float(criterion(model(held_x), held_y)))
    doctor.close()
    with torch.no_grad():
        return float(1 - F.mse_loss(model(held_x), held_y) / held_y.var())
