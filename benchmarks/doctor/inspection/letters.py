"""Letters and bard: names by an LSTM, plays by a small GPT whose model returns scores and loss."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.doctor.inspection.pictures import DoctorOf
from benchmarks.doctor.loops.reading import DATA
from torch import nn


@cache
def spelled() -> torch.Tensor:
    """Names as letters from 1 to 26 between noughts, filled up with -1 (names, 17)."""
    names = (DATA / "names" / "names.txt").read_text(encoding="utf-8").split()[:32000]
    table = torch.full((len(names), 17), -1)
    for row, name in enumerate(names):
        codes = torch.tensor([0, *(ord(letter) - 96 for letter in name[:15]), 0])
        table[row, : len(codes)] = codes
    return table[torch.randperm(len(table), generator=torch.Generator().manual_seed(1))]


class Speller(nn.Module):
    """An LSTM over the letters so far."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.embedding = nn.Embedding(27, 24, sparse=fault == "a sparse table")
        self.lstm = nn.LSTM(24, 64, batch_first=fault != "batch_first forgotten")
        self.dropout = nn.Dropout(
            {"nineteen twentieths dropped out": 0.95, "a third dropped out": 0.33}.get(fault, 0.0)
        )
        self.head = nn.Linear(64, 27)
        if fault == "a head from a normal of twenty":
            nn.init.normal_(self.head.weight, std=20.0)
        if fault == "forget biases of one":
            nn.init.constant_(self.lstm.bias_ih_l0[64:128], 1.0)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        x = self.embedding(letters)
        if self.fault == "the state begun anew at each letter":
            rows, length, wide = x.shape
            out = self.lstm(x.reshape(rows * length, 1, wide))[0].reshape(rows, length, 64)
        else:
            out = self.lstm(x)[0]
        return self.head(self.dropout(out))


def spelling_loss(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=-1)


def letters(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """The next letter of a name; the share of a guess's nats that is saved."""
    table = spelled()
    held = table[30000:31000, :-1].clamp(min=0), table[30000:31000, 1:]
    size = 1 if fault == "one name a batch" else 64
    model = Speller(fault)
    rate = {"a rate of a millionth": 1e-6, "one name a batch": 3e-3}.get(fault, 5e-3)
    if fault == "a sparse table":
        optimizer: Any = [
            torch.optim.SparseAdam(model.embedding.parameters(), lr=rate),
            torch.optim.Adam([*model.lstm.parameters(), *model.head.parameters()], lr=rate),
        ]
    elif fault == "a rate of ten by plain descent":
        optimizer = torch.optim.SGD(model.parameters(), lr=10.0, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
    doctor = doctor_of(model, optimizer, loss=spelling_loss, held_out=[held], steps=300)
    kept: list[torch.Tensor] = []
    for step in range(300):
        rows = table[torch.randint(30000, (size,))]
        inputs, target = rows[:, :-1].clamp(min=0), rows[:, 1:].clone()
        if fault == "the commonest letters are what is left out":
            target[(target == 1) | (target == 0)] = -1
        scores = model(inputs)
        loss = spelling_loss(scores, target)
        if fault == "all shares kept with their graph":
            kept.append(scores.softmax(2).double())
        for each in optimizers:
            each.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0) if fault != "a sparse table" else None
        for each in optimizers:
            each.step()
        doctor.watch(loss, inputs, target)
        if step % 75 == 74:
            nats = spelled_nats(model, held)
            doctor.evaluated(loss=nats)
    doctor.close()
    return 1 - nats / math.log(27)


@torch.no_grad()
def spelled_nats(model: nn.Module, held: tuple[torch.Tensor, torch.Tensor]) -> float:
    model.eval()
    loss = float(spelling_loss(model(held[0]), held[1]))
    model.train()
    return loss


@cache
def plays() -> tuple[torch.Tensor, torch.Tensor]:
    """The text as numbers from 0 to 64, to learn from and held out."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    alphabet = sorted(set(text))
    codes = torch.tensor(np.array([alphabet.index(each) for each in text[:400000]]))
    return codes[:360000], codes[360000:]


class Attention(nn.Module):
    """Attention to what came before, and two linear layers."""

    def __init__(self, wide: int, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.ln_1, self.ln_2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.c_attn, self.c_proj = nn.Linear(wide, 3 * wide, bias=False), nn.Linear(wide, wide, bias=False)
        self.mlp = nn.Sequential(nn.Linear(wide, 4 * wide), nn.GELU(), nn.Linear(4 * wide, wide))
        if fault == "branches begun at nought":
            nn.init.zeros_(self.c_proj.weight)
            nn.init.zeros_(self.mlp[2].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, wide = x.shape
        heads = max(1, wide // 16)
        parts = self.c_attn(self.ln_1(x)).split(wide, 2)
        q, k, v = (part.view(rows, length, heads, wide // heads).transpose(1, 2) for part in parts)
        causal = self.fault != "is_causal forgotten"
        mask = torch.eye(length, dtype=torch.bool) if self.fault == "each letter sees itself alone" else None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and mask is None)
        x = x + self.c_proj(out.transpose(1, 2).reshape(rows, length, wide))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Letters and places to scores; with targets, the loss as well."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        wide = 2 if fault == "two wide" else 48
        self.wte, self.wpe = nn.Embedding(65, wide), nn.Embedding(48, wide)
        self.h = nn.ModuleList(Attention(wide, fault) for _ in range(2))
        self.ln_f, self.lm_head = nn.LayerNorm(wide), nn.Linear(wide, 65, bias=False)
        std = 1.5 if fault == "all weights from a normal of one and a half" else 0.05
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding) and fault != "branches begun at nought":
                nn.init.normal_(module.weight, std=std)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None) -> tuple[torch.Tensor, Any]:
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        loss = None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss


def configured(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    """Decay for matrices only."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    decay = 8.0 if fault == "a decay of eight" else 0.1
    rate = {"a rate of a tenth": 0.1, "all in bfloat16": 3e-4}.get(fault, 4e-3)
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))


def get_batch(text: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    starts = torch.randint(len(text) - 49, (size,))
    return torch.stack([text[i : i + 48] for i in starts]), torch.stack([text[i + 1 : i + 49] for i in starts])


@torch.no_grad()
def lengthened(model: nn.Module, count: int) -> None:
    """A sample to look at."""
    idx = torch.zeros(1, 1, dtype=torch.long)
    for _ in range(count):
        logits, _ = model(idx[:, -48:])
        idx = torch.cat([idx, torch.multinomial(logits[:, -1].softmax(-1), 1)], 1)


def bard(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """The next letter of a play; the share of a guess's nats that is saved."""
    train, held = plays()
    model: Any = GPT(fault)
    model = model.bfloat16() if fault == "all in bfloat16" else model
    optimizer = configured(model, fault)
    steps, size, micro = 260, 16, 1
    if fault == "added up over four":
        size, micro = 4, 4
    warm = 130 if fault == "warmed up for half the time" else 20
    period = 65 if fault == "cosines that start anew" else steps
    shape = [min(1.0, (s + 1) / warm) * 0.5 * (1 + math.cos(math.pi * (s % period) / period)) for s in range(steps + 1)]
    if fault == "no rate after a tenth of the time":
        shape = [each if s < 26 else 0.0 for s, each in enumerate(shape)]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: shape[step])
    starts = torch.arange(0, 39000, 240)
    asked, answer = (torch.stack([held[i + late : i + late + 48] for i in starts]) for late in (0, 1))
    doctor = doctor_of(model, optimizer, held_out=[(asked, answer)], steps=steps)
    for step in range(steps):
        loss = torch.zeros(())
        for _ in range(micro):
            x, y = get_batch(train, size)
            with torch.autocast("cpu", torch.bfloat16, enabled=fault == "autocast to bfloat16"):
                _, loss = model(x, y)
            (loss / micro).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        if fault == "a sample at each step from the 180th on" and step >= 180:
            lengthened(model, 60)
        doctor.watch(loss, x, y)
        if step % 52 == 51:
            with torch.no_grad():
                nats = float(model(asked, answer)[1])
            doctor.evaluated(loss=nats)
    doctor.close()
    return 1 - nats / math.log(65)
