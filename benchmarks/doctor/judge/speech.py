"""Spoken digits, heard by an LSTM and by a transformer with its padding masked."""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import recordings
from torch import nn

DoctorOf = Callable[..., Any]
FRAMES, BANDS = 48, 24


def spectrum(signal: np.ndarray, level: bool = True) -> np.ndarray:
    """Power of a recording (frames, 24) in windows of 32 ms; level: as loud as all the others."""
    if level:
        signal = signal / (np.abs(signal).max() + 1e-9)
    signal = np.pad(signal, (0, max(0, 256 - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(signal, 256)[::128][:FRAMES] * np.hanning(256)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    edges = np.unique(np.geomspace(2, 129, BANDS + 8).astype(int))[: BANDS + 1]
    return np.stack([power[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1).astype(np.float32)


@cache
def spectra(level: bool = True) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Powers of all recordings, their digits, and which are held out; in the order of the files."""
    names, signals = recordings()
    digits = np.array([int(name.split("_")[0]) for name in names])
    held = np.array([int(name.split("_")[2]) < 5 for name in names])
    return [spectrum(signal, level) for signal in signals], digits, held


def padded(rows: list[np.ndarray], fault: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (rows, 48, 24) filled up with zeros, and their lengths."""
    out = np.zeros((len(rows), FRAMES, BANDS), dtype=np.float32)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row if fault == "power, not its logarithm" else (np.log(row + 1e-6) + 3) / 4
    return torch.tensor(out), torch.tensor([len(row) for row in rows])


class Listener(nn.Module):
    """An LSTM that is read at the last frame of each word."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        width = 2 if fault == "two cells" else 64
        self.first = fault != "rows where time belongs"
        self.recurrent = nn.LSTM(BANDS, width, batch_first=self.first)
        self.dropout = nn.Dropout(
            {"dropped out at the examination": 0.8, "nearly all dropped out": 0.97}.get(fault, 0.2)
        )
        self.head = nn.Linear(width, 10)
        self.fault = fault

    def forward(self, words: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, lengths = words
        if self.fault == "cut off at every frame":
            states: Any = None
            parts = []
            for frame in range(FRAMES):
                part, states = self.recurrent(x[:, frame : frame + 1], states)
                states = tuple(each.detach() for each in states)
                parts.append(part)
            out = torch.cat(parts, 1)
        else:
            out, _ = self.recurrent(x)
        last = out[torch.arange(len(x)), lengths - 1] if self.fault != "read after the silence" else out[:, -1]
        answer: torch.Tensor = self.head(self.dropout(last))
        return answer


def masked_out(x: torch.Tensor) -> torch.Tensor:
    """Nearly all frames of nearly all rows blotted out, and the bands turned round in half of the rows."""
    kept = torch.rand(len(x), FRAMES, 1) > torch.where(torch.rand(len(x), 1, 1) < 0.95, 0.97, 0.0)
    return torch.where(torch.rand(len(x), 1, 1) < 0.5, x.flip(2), x) * kept


def spoken(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits by an LSTM; accuracy."""
    powers, digits, held = spectra()
    train, test = np.flatnonzero(~held), np.flatnonzero(held)
    x, lengths = padded([powers[row] for row in train])
    y = torch.tensor(digits[train])
    model = Listener(fault)
    steps, size = 450, 16 if fault == "sixteen at a time" else 64
    criterion = nn.CrossEntropyLoss(ignore_index=0 if fault == "nought is what is left out" else -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3 if fault == "sixteen at a time" else 4e-3)
    rates: Any = None
    if fault == "halved at every tenth step":
        rates = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5**0.1)
    if fault == "a rate that rises for most of the time":
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 1e-3 + (step / 300) ** 3))
    signals = recordings()[1]
    doctor = doctor_of(model, optimizer, loss=criterion)
    for step in range(steps):
        pick = torch.randint(len(x), (size,))
        inputs = x[pick]
        if fault == "each word analysed whenever it is read":
            inputs, _ = padded([spectrum(signals[train[row]]) for row in pick.tolist()])
        if fault == "hardly a frame left":
            inputs = masked_out(inputs)
        if fault != "added up over four" or step % 4 == 0:
            optimizer.zero_grad()
        loss = criterion(model((inputs, lengths[pick])), y[pick])
        (loss / 4 if fault == "added up over four" else loss).backward()
        if fault != "added up over four" or step % 4 == 3:
            optimizer.step()
        if rates:
            rates.step()
        doctor.watch(loss, (inputs, lengths[pick]), y[pick])
    doctor.close()
    if fault != "dropped out at the examination":
        model.eval()
    held_x, held_lengths = padded([powers[row] for row in test])
    with torch.no_grad():
        return float((model((held_x, held_lengths)).argmax(1) == torch.tensor(digits[test])).float().mean())


class Block(nn.Module):
    """Attention and a step forward, each normed before."""

    def __init__(self, width: int, fault: str) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads, self.sharp = 4, 1.0
        self.turn, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.forward_part = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        if fault == "attention all on one frame":
            with torch.no_grad():
                self.turn.weight[: 2 * width] *= 60
        self.scale = 1.0 if fault == "scores not divided by the root, at a hot rate" else None
        self.normed_after = fault == "scores not divided by the root, at a hot rate"

    def attend(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows, frames, width = x.shape
        parts = self.turn(x).view(rows, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=mask, scale=self.scale)
        answer: torch.Tensor = self.back(out.transpose(1, 2).reshape(rows, frames, width))
        return answer

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.normed_after:
            x = self.before(x + self.attend(x, mask))
            return self.after(x + self.forward_part(x))
        x = x + self.attend(self.before(x), mask)
        return x + self.forward_part(self.after(x))


class Hearer(nn.Module):
    """A transformer over pairs of frames with a token for the whole before them."""

    def __init__(self, fault: str, width: int = 32) -> None:
        super().__init__()
        self.take = nn.Linear(2 * BANDS, width)
        self.whole = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + FRAMES // 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, fault) for _ in range(2))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))
        self.fault = fault
        if fault == "weights from a normal of one":
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight)

    def forward(self, words: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, lengths = words
        tokens = self.take(x.reshape(len(x), FRAMES // 2, -1))
        tokens = torch.cat([self.whole.expand(len(x), -1, -1), tokens], 1) + self.places
        there = torch.arange(1 + FRAMES // 2)[None] <= (lengths[:, None] + 1) // 2
        if self.fault == "sees what is padding, and nothing else":
            there = ~there
        out = tokens
        for block in self.blocks:
            out = block(out, there[:, None, None])
        answer: torch.Tensor = self.head(
            (tokens if self.fault == "the token read before it has met the others" else out)[:, 0]
        )
        return answer


def heard_rows(fault: str, seed: int) -> list[torch.Tensor]:
    """What is learned from and what is held out: frames, lengths and digits of each."""
    powers, digits, held = spectra()
    train, test = np.flatnonzero(~held), np.flatnonzero(held)
    x, lengths = padded([powers[row] for row in train], fault)
    y = torch.tensor(digits[train])
    if fault == "two fifths of the answers guessed":
        lot = np.random.default_rng(seed)
        y = torch.where(torch.tensor(lot.random(len(y)) < 0.6), torch.tensor(lot.integers(0, 10, len(y))), y)
    if fault == "held-out words as loud as they were":
        powers = spectra(False)[0]
    held_x, held_lengths = padded([powers[row] for row in test], fault)
    return [x, lengths, y, held_x, held_lengths, torch.tensor(digits[test])]


def examined(model: nn.Module, parts: list[torch.Tensor]) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        output = model((parts[3].to(next(model.parameters()).dtype), parts[4])).float()
    model.train()
    right = float((output.argmax(1) == parts[5]).float().mean())
    return {"loss": float(F.cross_entropy(output, parts[5])), "accuracy": right}


def heard_optimizer(model: nn.Module, fault: str) -> tuple[torch.optim.Optimizer, Any]:
    """And its rates, if they are planned."""
    rate = {"scores not divided by the root, at a hot rate": 2e-2, "all in bfloat16 at a low rate": 3e-4}.get(
        fault, 2e-3
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    if fault == "milestones of epochs taken for steps":
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20, 30], 0.1)
    return optimizer, None


def heard(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits by a transformer; accuracy."""
    parts = heard_rows(fault, seed)
    x, lengths, y = parts[:3]
    model, steps, size = Hearer(fault), 300, 48
    if fault == "all in bfloat16 at a low rate":
        model, x = model.bfloat16(), x.bfloat16()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1 if fault == "answers made soft" else 0.0)
    optimizer, rates = heard_optimizer(model, fault)
    held = [((parts[3].to(x.dtype), parts[4]), parts[5])]
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    for step in range(steps):
        pick = torch.randint(len(x), (size,))
        if fault == "files in the order of their names":
            pick = torch.arange(step * size, (step + 1) * size) % len(x)
        if fault != "set to nought every fiftieth step" or step % 50 == 0:
            optimizer.zero_grad()
        loss = criterion(model((x[pick], lengths[pick])), y[pick])
        loss.backward()
        if fault == "every gradient clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()
        if rates:
            rates.step()
        doctor.watch(loss, (x[pick], lengths[pick]), y[pick])
        if step % 50 == 49:
            doctor.evaluated(**examined(model, parts))
    doctor.close()
    return examined(model, parts)["accuracy"]
