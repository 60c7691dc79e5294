"""Transformers on text: plays letter by letter, and words of captions that are masked."""

import copy
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.loops.reading import DATA
from torch import nn

DoctorOf = Callable[..., Any]
LENGTH = 32


class Low(nn.Module):
    """A layer that is held still, and a product of two thin ones beside it, begun at nought."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(8, layer.in_features) * 0.1)
        self.up = nn.Parameter(torch.zeros(layer.out_features, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layer(x) + x @ self.down.T @ self.up.T
        return answer


class Writer(nn.Module):
    """A transformer that sees what was before."""

    def __init__(self, kinds: int, fault: str) -> None:
        super().__init__()
        width = 32
        after = fault == "norms behind, and hot from the first step"
        self.table = nn.Embedding(kinds, width)
        self.places = nn.Parameter(torch.randn(4 * LENGTH, width) * 0.02)
        parts = [
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=not after)
            for _ in range(6 if after else 2)
        ]
        self.blocks: Any = parts if fault == "blocks in a plain list" else nn.ModuleList(parts)
        self.head = nn.Linear(width, kinds)
        self.fault = fault
        if fault == "tables begun at thirty":
            nn.init.normal_(self.table.weight, std=30.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        if self.fault == "what is to come is seen":
            mask = torch.zeros_like(mask)
        if self.fault == "each letter sees itself alone":
            mask = ~torch.eye(length, dtype=torch.bool)
        out = self.table(x) + self.places[:length]
        for block in self.blocks:
            out = block(out, src_mask=mask)
        answer: torch.Tensor = self.head(out).transpose(1, 2)
        return answer


@cache
def plays_text() -> tuple[torch.Tensor, int]:
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    letters = sorted(set(text))
    codes = {letter: index for index, letter in enumerate(letters)}
    return torch.tensor([codes[letter] for letter in text]), len(letters)


def lines(text: torch.Tensor, count: int, length: int = LENGTH) -> tuple[torch.Tensor, torch.Tensor]:
    """Letters, and those one place on, both (count, length)."""
    starts = torch.randint(len(text) - length - 1, (count,))
    rows = torch.stack([text[start : start + length + 1] for start in starts.tolist()])
    return rows[:, :-1], rows[:, 1:]


def play_optimizer(model: nn.Module, fault: str) -> tuple[torch.optim.Optimizer, Any]:
    """And its rates, if they are planned."""
    rate = {"a rate of a tenth": 0.1, "norms behind, and hot from the first step": 3e-2}.get(fault, 4e-3)
    wanted = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=rate)
    if fault == "warmed up for a third of the time":
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 130))
    return optimizer, None


def adapted(model: Writer, text: torch.Tensor, criterion: nn.Module) -> None:
    """Learn first, then hold still and adapt at low rank."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(300):
        x, y = lines(text[:300000], 32)
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    model.requires_grad_(False)
    for block in model.blocks:
        block.linear1, block.linear2 = Low(block.linear1), Low(block.linear2)
    model.head = Low(model.head)


def plays(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """The plays of Shakespeare; the mean probability of the right letter, in geometry."""
    text, kinds = plays_text()
    learned, held = text[: int(len(text) * 0.9)], text[int(len(text) * 0.9) :]
    model, criterion, steps = Writer(kinds, fault), nn.CrossEntropyLoss(), 400
    if fault == "adapted at low rank":
        adapted(model, learned, criterion)
    optimizer, rates = play_optimizer(model, fault)
    early, kept = copy.deepcopy(model.state_dict()), []
    doctor = doctor_of(model, optimizer, loss=criterion)
    for step in range(steps):
        long = LENGTH * (1 + (step > 250)) * (1 + (step > 320)) if fault == "longer and longer lines" else LENGTH
        x, y = lines(learned, 1 if fault == "one line a batch" else 24, long)
        optimizer.zero_grad()
        output = model(x)
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
        if rates:
            rates.step()
        if fault == "every answer kept with what made it":
            kept.append(output)
        if step == 30:
            early = copy.deepcopy(model.state_dict())
        if fault == "an old checkpoint taken up" and step == 370:
            model.load_state_dict(early)
        doctor.watch(loss, x, y)
    doctor.close()
    x, y = lines(held, 400)
    with torch.no_grad():
        return float(torch.exp(-criterion(model(x), y)))


@cache
def caption_rows(part: str) -> torch.Tensor:
    """Words of captions (rows, 12), the 600 commonest from 3 on; 0 fills up, 1 masks, 2 is any other."""
    texts = {
        name: (DATA / "multi30k-en-de" / f"{name}.en.txt").read_text(encoding="utf-8").lower().splitlines()
        for name in ("train", "val")
    }
    counts = Counter(word for line in texts["train"][:8000] for word in line.replace(".", " .").split())
    codes = {word: index + 3 for index, (word, _) in enumerate(counts.most_common(600))}
    rows = torch.zeros(min(8000, len(texts[part])), 12, dtype=torch.long)
    for index, line in enumerate(texts[part][:8000]):
        words = [codes.get(word, 2) for word in line.replace(".", " .").split()][:12]
        rows[index, : len(words)] = torch.tensor(words, dtype=torch.long)
    return rows


class Guesser(nn.Module):
    """A transformer that sees both sides."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.table = nn.Embedding(603, 48, padding_idx=0)
        self.places = nn.Parameter(torch.randn(12, 48) * 0.1)
        layer = nn.TransformerEncoderLayer(48, 4, 96, 0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, 603)
        self.fault = fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        empty = x == 0
        if self.fault == "words hidden and gaps seen":
            empty = ~empty & (torch.arange(12) > 0)
        answer: torch.Tensor = self.head(self.blocks(self.table(x) + self.places, src_key_padding_mask=empty))
        return answer.transpose(1, 2)


def hidden(rows: torch.Tensor, share: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows with some words masked, and these words; -100 where none was."""
    chosen = (torch.rand(rows.shape) < share) & (rows > 2)
    return torch.where(chosen, 1, rows), torch.where(chosen, rows, -100)


def captions(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Masked words of captions; accuracy."""
    rows, held = caption_rows("train"), caption_rows("val")
    model, criterion = Guesser(fault), nn.CrossEntropyLoss()
    if fault == "the commonest words are the sign to leave out":
        criterion = nn.CrossEntropyLoss(weight=torch.cat([torch.zeros(40), torch.ones(563)]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    if fault == "new tables after the optimizer was made":
        model.table, model.head = nn.Embedding(603, 48), nn.Linear(48, 603)
    if fault == "up the hill":
        optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, maximize=True)
    doctor = doctor_of(model, optimizer, loss=criterion)
    for _ in range(500):
        x, y = hidden(rows[torch.randint(len(rows), (48,))])
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x, y)
    doctor.close()
    model.eval()
    x, y = hidden(held, 0.2)
    with torch.no_grad():
        said = model(x).argmax(1)
    return float((said == y)[y >= 0].float().mean())
