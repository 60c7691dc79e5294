"""A small language model of plays, and captions with a word hidden: transformers."""

import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA
from torch import nn

DoctorOf = Callable[..., Any]
BLOCK, WIDTH, HEADS = 32, 64, 4


@cache
def plays() -> tuple[torch.Tensor, int]:
    """Shakespeare's letters as numbers, and how many distinct ones there are."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    letters = {letter: number for number, letter in enumerate(sorted(set(text)))}
    return torch.tensor([letters[letter] for letter in text]), len(letters)


class Block(nn.Module):
    """Attention and two layers, each behind a norm and beside a short cut."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        for layer in (self.qkv, self.proj, self.mlp[0], self.mlp[2]):
            nn.init.normal_(layer.weight, std=1.0 if fault == "all weights from a normal of one" else 0.05)
        if fault == "queries and keys begun at three":
            nn.init.normal_(self.qkv.weight[: 2 * WIDTH], std=3.0)
        if fault == "branches begun at nought":
            nn.init.zeros_(self.proj.weight)
            nn.init.zeros_(self.mlp[2].weight)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        q, k, v = (each.view(rows, length, HEADS, -1).transpose(1, 2) for each in self.qkv(x).split(WIDTH, dim=2))
        score = q @ k.transpose(-2, -1) / math.sqrt(WIDTH / HEADS)
        mask = torch.tril(torch.ones(length, length))
        if self.fault == "the mask is all ones":
            mask = torch.ones(length, length)
        if self.fault == "the mask is the diagonal":
            mask = torch.eye(length)
        if self.fault == "the mask leaves the first letter nothing":
            mask = torch.tril(mask, -1)
        attention = F.softmax(score.masked_fill(mask == 0, float("-inf")), dim=-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(rows, length, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fault == "norms behind, no warm-up, a rate of three hundredths":
            x = self.ln1(x + self.attend(x))
            return self.ln2(x + self.mlp(x))
        x = x + self.attend(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class LowRank(nn.Module):
    """A held layer beside which a product of two thin ones learns, the second begun at nought."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Linear(layer.in_features, 8, bias=False)
        self.b = nn.Linear(8, layer.out_features, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.b(self.a(x))


class LanguageModel(nn.Module):
    """nanoGPT's model, two blocks of width 64."""

    def __init__(self, size: int, fault: str) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(size, WIDTH), nn.Embedding(BLOCK, WIDTH)
        blocks = [Block(fault) for _ in range(2)]
        self.blocks = blocks if fault == "blocks in a list of Python's" else nn.ModuleList(blocks)
        self.ln_f, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, size, bias=False)
        std = 0.02
        if fault == "all weights from a normal of one":
            std = 1.0
        nn.init.normal_(self.wte.weight, std=40.0 if fault == "tables from a normal of forty" else std)
        nn.init.normal_(self.wpe.weight, std=40.0 if fault == "tables from a normal of forty" else std)
        nn.init.normal_(self.head.weight, std=4.0 if fault == "a head from a normal of four" else std)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        x = self.wte(index) + self.wpe(torch.arange(index.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))


def get_batch(data: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    starts = torch.randint(len(data) - BLOCK - 1, (size,)).tolist()
    x = torch.stack([data[start : start + BLOCK] for start in starts])
    return x, torch.stack([data[start + 1 : start + BLOCK + 1] for start in starts])


STEPS = 600


def get_lr(step: int, fault: str) -> float:
    top = 3e-3
    if fault == "norms behind, no warm-up, a rate of three hundredths":
        return 3e-2
    if fault == "all in bfloat16":
        return 3e-4
    if fault == "the rate thirty times as high at every 75th step" and step % 75 == 70:
        return top * 30
    warm = 300 if fault == "warmed up for half the time" else 40
    if step < warm:
        return top * (step + 1) / warm
    if fault == "cosines that start anew":
        return top * (0.55 + 0.45 * math.cos(math.pi * (step % 150) / 150))
    return top * (0.55 + 0.45 * math.cos(math.pi * (step - warm) / (STEPS - warm)))


def likelihood(model: nn.Module, data: torch.Tensor) -> tuple[float, float]:
    """The probability of a held-out letter, geometric mean; and the loss."""
    state = torch.get_rng_state()
    torch.manual_seed(5)
    x, y = get_batch(data, 200)
    torch.set_rng_state(state)
    with torch.no_grad():
        loss = float(F.cross_entropy(model(x).float().flatten(0, 1), y.flatten()))
    return math.exp(-loss), loss


def gpt_criterion(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def gpt(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """The next letter of a play, with nanoGPT's loop; the probability of a held-out letter."""
    data, size = plays()
    train, held = data[:1000000], data[1000000:]
    model = LanguageModel(size, fault)
    if fault == "all in bfloat16":
        model = model.bfloat16()
    if fault == "adapted at low rank":
        for block in model.blocks:
            block.qkv, block.mlp[0] = LowRank(block.qkv), LowRank(block.mlp[0])
    learned = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    doctor = doctor_of(model, optimizer, loss=gpt_criterion, held_out=[get_batch(held, 32)], steps=STEPS)
    kept: list[Any] = []
    for step in range(STEPS):
        rate = get_lr(step, fault)
        if fault == "resumed without its optimizer and its schedule" and step >= 520:
            if step == 520:
                optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
            rate = 3e-2
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        pieces = 4 if fault == "added up over four" else 1
        for _ in range(pieces):
            x, y = get_batch(train, 16 // pieces)
            with torch.autocast("cpu", torch.bfloat16, enabled=fault == "autocast to bfloat16"):
                output = model(x)
            loss = gpt_criterion(output.float(), y)
            (loss / pieces).backward()
        nn.utils.clip_grad_norm_(learned, 1e9 if "75th" in fault or "no warm-up" in fault else 1.0)
        optimizer.step()
        if fault == "every answer kept with its graph":
            kept.append(output)
        doctor.watch(loss, x, y)
        if step % 100 == 99:
            doctor.evaluated(loss=likelihood(model, held)[1])
    doctor.close()
    return likelihood(model, held)[0]


HIDDEN = ("in", "the", "on", "and", "is", "with", "of", "at", "to", "are")


@cache
def captions() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Captions with one small word hidden (rows, 16), nought is padding; which word it was (rows,); how many words."""
    draw = np.random.default_rng(0)
    lines = (DATA / "multi30k-en-de" / "train.en.txt").read_text(encoding="utf-8").lower().splitlines()[:14000]
    split = ["".join(each if each.isalpha() else " " for each in line).split()[:16] for line in lines]
    known = {word: number + 3 for number, (word, _) in enumerate(Counter(chain.from_iterable(split)).most_common(1500))}
    rows, answers = [], []
    for each in split:
        places = [place for place, word in enumerate(each) if word in HIDDEN]
        if not places:
            continue
        place = int(draw.choice(places))
        numbers = [known.get(word, 2) for word in each]
        numbers[place] = 1
        rows.append(numbers + [0] * (16 - len(numbers)))
        answers.append(HIDDEN.index(each[place]))
    return torch.tensor(rows), torch.tensor(answers), len(known) + 3


class Guesser(nn.Module):
    """PyTorch's encoder over a caption; the place of the gap tells the word."""

    def __init__(self, size: int, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.table, self.place = nn.Embedding(size, 48, padding_idx=0), nn.Parameter(0.1 * torch.randn(16, 48))
        nn.init.normal_(self.table.weight, std=0.1)
        drop = {"nine tenths dropped out": 0.9, "heavy dropout": 0.4}.get(fault, 0.1)
        behind = fault == "norms behind, one rate from the first step on"
        layer = nn.TransformerEncoderLayer(48, 4, 96, drop, batch_first=True, norm_first=not behind)
        self.encoder = nn.TransformerEncoder(layer, 3 if behind else 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, len(HIDDEN))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        mask = rows != 0 if self.fault == "the mask turned round" else rows == 0
        x = self.encoder(self.table(rows) + self.place, src_key_padding_mask=mask)
        if self.fault == "the last place read":
            return self.head(x[:, -1])
        return self.head(x[torch.arange(len(rows)), (rows == 1).long().argmax(1)])


def gap_rate(fault: str) -> float:
    return {
        "a rate of five hundredths": 0.05, "norms behind, one rate from the first step on": 0.01,
        "a rate of a ten-millionth": 1e-7,
    }.get(fault, 3e-3)  # fmt: skip


def gap_criterion(fault: str) -> nn.Module:
    if fault == "nought is left out":
        return nn.CrossEntropyLoss(ignore_index=0)
    return nn.CrossEntropyLoss(label_smoothing=0.1 if fault == "smooth labels" else 0.0)


def gaps(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Which of ten small words is hidden in a caption; accuracy."""
    rows, answers, size = captions()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    train, test = order[:11000], order[11000:12500]
    model, criterion = Guesser(size, fault), gap_criterion(fault)
    optimizer = torch.optim.AdamW(model.parameters(), lr=gap_rate(fault))
    steps = 450
    doctor = doctor_of(model, optimizer, loss=criterion)
    for _ in range(steps):
        pick = train[torch.randint(len(train), (32,))]
        inputs = rows[pick]
        output = model(inputs)
        if fault == "shares given to a loss of scores":
            output = torch.softmax(output, 1)
        loss = criterion(output, answers[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, inputs, answers[pick])
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(rows[test]).argmax(1) == answers[test]).float().mean())
