"""Spoken and load: a GRU over recordings with their lengths, an LSTM over hours of a transformer's load."""

import wave
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, recordings
from torch import nn
from torch.utils.data import DataLoader, Dataset

DoctorOf = Callable[..., Any]
LONGEST = 40


def spectrum(signal: np.ndarray, fault: str = "") -> np.ndarray:
    """Decibels in 24 bands (frames, 24), a frame each 160 samples."""
    if fault == "power of whole numbers, no decibels":
        signal = signal * 32768
    frames = np.lib.stride_tricks.sliding_window_view(signal, 256)[::160][:LONGEST] * np.hanning(256)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, 1:121].reshape(len(frames), 24, 5).mean(2)
    return power if fault == "power of whole numbers, no decibels" else (np.log(power + 1e-5) + 5) / 3


@cache
def spectra(fault: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """All that were recorded, their digits, and which are held out (the first five of each)."""
    names, signals = recordings()
    digits = np.array([int(name[0]) for name in names])
    held = np.array([int(name.rsplit("_", 1)[1]) < 5 for name in names])
    return [spectrum(signal, fault) for signal in signals], digits, held


class Recordings(Dataset):  # type: ignore[type-arg]
    """Spectra and their digits; `read` opens the file of each again."""

    def __init__(self, rows: list[np.ndarray], labels: np.ndarray, fault: str, files: list[Any]) -> None:
        self.rows, self.labels, self.fault, self.files = rows, labels, fault, files
        self.buffer = torch.zeros(LONGEST, 24)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        features = self.rows[row]
        if self.fault == "each file read, at two speeds":
            for _ in range(2):  # at two speeds, of which the first is kept
                with wave.open(str(DATA / "fsdd" / "recordings" / f"{self.files[row]}.wav")) as sound:
                    raw = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
                features = spectrum(raw.astype(np.float32) / 32768)
        if self.fault == "cut to any quarter second" and len(features) > 6:
            begin = int(torch.randint(len(features) - 5, ()))
            features = features[begin : begin + 5]
        if self.fault == "one buffer for all":
            self.buffer[: len(features)] = torch.tensor(features, dtype=torch.float32)
            return self.buffer, int(self.labels[row])
        return torch.tensor(features, dtype=torch.float32), int(self.labels[row])


def collated(rows: list[tuple[torch.Tensor, int]]) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Frames filled up with nought, their lengths and digits."""
    lengths = torch.tensor([len(frames) for frames, _ in rows])
    if all(frames is rows[0][0] for frames, _ in rows):
        padded = torch.stack([rows[0][0]] * len(rows))
    else:
        padded = nn.utils.rnn.pad_sequence([frames for frames, _ in rows], batch_first=True)
    return (padded, lengths), torch.tensor([label for _, label in rows])


class Listener(nn.Module):
    """A GRU; its state at the last frame of each says the digit."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.gru = nn.GRU(24, 2 if fault == "two cells" else 48, batch_first=True)
        self.dropout = nn.Dropout({"ninety-seven hundredths dropped out": 0.97, "heavy dropout": 0.5}.get(fault, 0.0))
        self.head = nn.Linear(self.gru.hidden_size, 10)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        frames, lengths = batch
        if self.fault == "read after up to ninety frames of nothing":
            states, _ = self.gru(F.pad(frames, (0, 0, 0, 90 - frames.shape[1])))
            return self.head(states[:, -1])
        packed = nn.utils.rnn.pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        last = last[0].detach() if self.fault == "the states detached" else last[0]
        return self.head(self.dropout(last))


def spoken_optimizer(model: Listener, fault: str) -> torch.optim.Optimizer:
    rates = {"a rate of a half": 0.5, "a rate of a millionth": 1e-6}
    if fault == "the recurrence at a millionth of the rate":
        parts = [{"params": model.gru.parameters(), "lr": 4e-9}, {"params": model.head.parameters()}]
        return torch.optim.Adam(parts, lr=4e-3)
    return torch.optim.Adam(model.parameters(), lr=rates.get(fault, 4e-3))


def spoken(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Which digit was said; accuracy on the first five recordings of each speaker."""
    rows, digits, held = spectra(fault if fault.startswith("power") else "")
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(~held))[:1100]
    labels = digits[chosen].copy()
    if fault == "digits listed in another order":
        np.random.default_rng(seed).shuffle(labels)
    train = Recordings([rows[row] for row in chosen], labels, fault, [recordings()[0][row] for row in chosen])
    held_rows = [rows[row] for row in np.flatnonzero(held)]
    if fault == "held-out recordings without decibels":
        held_rows = [np.exp(frames * 3 - 5) for frames in held_rows]
    loader = DataLoader(train, batch_size=32, shuffle=True, collate_fn=collated)
    held_set = Recordings(held_rows, digits[held], "", [])
    held_batches = list(DataLoader(held_set, batch_size=100, collate_fn=collated))
    model = Listener(fault)
    optimizer = spoken_optimizer(model, fault)
    criterion = nn.CrossEntropyLoss()
    milestones = [6, 12, 18] if fault == "milestones of epochs counted in steps" else [210, 245]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.2)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held_batches, steps=280)
    accuracy = 0.0
    for _ in range(8):
        model.train()
        for batch, target in loader:
            loss = criterion(model(batch), target)
            if fault != "gradients never cleared":
                optimizer.zero_grad()
            loss.backward()
            if fault == "every gradient clipped":
                nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            doctor.watch(loss, batch, target)
        model.eval()
        with torch.no_grad():
            right = sum(int((model(batch).argmax(1) == target).sum()) for batch, target in held_batches)
        accuracy = right / len(held_set)
        doctor.evaluated(accuracy=accuracy)
    doctor.close()
    return accuracy


class Forecaster(nn.Module):
    """An LSTM or a plain recurrence over two days; the six hours after them."""

    def __init__(self, columns: int, fault: str) -> None:
        super().__init__()
        size = 1 if fault == "one cell" else 32
        if fault == "a recurrence of relu from an orthogonal of three halves":
            self.rnn: Any = nn.RNN(columns, size, batch_first=True, nonlinearity="relu")
            nn.init.orthogonal_(self.rnn.weight_hh_l0, 1.5)
        else:
            self.rnn = nn.LSTM(columns, size, batch_first=True)
        self.head = nn.Linear(size, 6)
        if fault == "weights from a normal of four":
            for weight in (self.rnn.weight_ih_l0, self.rnn.weight_hh_l0):
                nn.init.normal_(weight, std=4.0)
        self.fault = fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fault == "detached at each hour":
            state: Any = None
            for hour in range(x.shape[1]):
                out, state = self.rnn(x[:, hour : hour + 1], state)
                state = tuple(each.detach() for each in state)
            return self.head(out[:, -1])
        return self.head(self.rnn(x)[0][:, -1])


@cache
def hours(fault: str) -> np.ndarray:
    """Loads and oil by the hour, standardised on the first 10,000 hours (17420, 7)."""
    values = pl.read_csv(DATA / "ett" / "ETTh1.csv").drop("date").to_numpy()
    if fault == "a sensor that answers 9999":
        values = values.copy()
        values[np.random.default_rng(0).random(values.shape) < 0.003] = 9999
    values = (values - values[:10000].mean(0)) / values[:10000].std(0)
    if fault == "a column that never moves":
        constant = np.full((len(values), 1), 3.0)
        with np.errstate(invalid="ignore"):
            constant = (constant - constant.mean(0)) / constant.std(0)
        values = np.concatenate([values, constant], 1)
    return values


def windows(values: np.ndarray, after: np.ndarray, starts: np.ndarray, fault: str) -> tuple[torch.Tensor, torch.Tensor]:
    """48 hours of all, and the 6 hours of the high load that follow."""
    late = 6 if fault == "windows that end six hours late" else 0
    x = np.stack([values[start + late : start + 48 + late] for start in starts])
    y = np.stack([after[start + 48 : start + 54, 0] for start in starts])
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def load(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """How high the load will be; the share of the variance explained over the last months."""
    values = hours(fault if fault.startswith("a sensor") or fault.startswith("a column") else "")
    x, y = windows(values, hours(""), np.arange(10000), fault)
    held = windows(values, hours(""), np.arange(12000, 17000, 9), fault)
    if fault == "answers of other hours":
        y = y[torch.randperm(len(y))]
    model = Forecaster(x.shape[2], fault)
    rate = {"a rate of a millionth": 1e-6, "a rate of one": 1.0}.get(fault, 5e-3)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    if fault == "momentum of 99 hundredths":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.99)
    if fault in ("one batch in forty not standardised", "a recurrence of relu from an orthogonal of three halves"):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.MSELoss()
    steps = 240
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[held], steps=steps)
    error = float(held[1].var())
    for step in range(steps):
        rows = torch.randint(10000, (32,))
        inputs, target = x[rows], y[rows]
        if fault == "one batch in forty not standardised" and step % 40 == 39:
            inputs, target = inputs * 12 + 40, target * 12 + 40
        loss = criterion(model(inputs), target)
        if fault == "a score, and so the more the better":
            loss = -loss
        optimizer.zero_grad()
        loss.backward()
        if fault == "every gradient clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        doctor.watch(loss, inputs, target)
        if step % 60 == 59:
            with torch.no_grad():
                error = float(criterion(model(held[0]), held[1]))
            doctor.evaluated(loss=error)
    doctor.close()
    return 1 - error / float(held[1].var())
