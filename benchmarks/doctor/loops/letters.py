"""Hand-written trainings on letters, as somebody's script would have them, each with the mistakes that it may hold."""

import math
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset


class Round(nn.Module):
    """Attention to what came before, then two layers, each normed first. x: (rows, time, width) -> the same"""

    def __init__(self, width: int, drop: float, ahead: int = 0) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(width), nn.LayerNorm(width)
        self.three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop, self.ahead = nn.Dropout(drop), ahead

    def forward(self, x: Tensor) -> Tensor:
        rows, time, width = x.shape
        q, k, v = (each.view(rows, time, 4, -1).transpose(1, 2) for each in self.three(self.one(x)).chunk(3, 2))
        seen = torch.ones(time, time).tril(self.ahead).bool()
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).reshape(rows, time, width)
        x = x + self.drop(self.out(mixed))
        return x + self.drop(self.wide(self.two(x)))


class Scribe(nn.Module):
    """A small GPT that reckons its loss itself. tokens, wanted: (rows, time) -> scores, loss"""

    def __init__(self, fault: str) -> None:
        super().__init__()
        drop = 0.9 if fault == "nine tenths dropped" else 0.0
        ahead = 1 if fault == "a mask that begins one letter late" else 0
        self.letters, self.places = nn.Embedding(65, 64), nn.Embedding(64, 64)
        self.drop = nn.Dropout(drop)
        self.rounds = nn.Sequential(Round(64, drop, ahead), Round(64, drop, ahead))
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 65, bias=False)
        self.head.weight = self.letters.weight
        for each in self.modules():
            if isinstance(each, nn.Linear | nn.Embedding):
                nn.init.normal_(each.weight, std=1.0 if fault == "a deviation of one everywhere" else 0.05)

    def forward(self, tokens: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.drop(self.letters(tokens) + self.places.weight[: tokens.shape[1]])
        scores = self.head(self.norm(self.rounds(x)))
        return scores, None if wanted is None else F.cross_entropy(scores.flatten(0, 1), wanted.flatten())


def shakespeare(doctor: Any, seed: int, fault: str = "") -> float:
    """Letters of plays: rates by hand with a warm-up, tied weights, two batches a step, clipping; losses alone told."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    letters = sorted(set(text))
    tokens = torch.tensor([letters.index(each) for each in text])
    train, held = tokens[:1_000_000], tokens[-20_000:]
    top = 0.3 if fault == "three tenths for three thousandths" else 3e-3
    steps, warm = 300, 30_000 if fault == "a warm-up a hundred times too long" else 30

    def made() -> tuple[Scribe, torch.optim.Optimizer]:
        model = Scribe(fault)
        matrices = [each for each in model.parameters() if each.dim() > 1]
        others = [each for each in model.parameters() if each.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        return model, torch.optim.AdamW(groups, lr=top, betas=(0.9, 0.95))

    model, optimizer = made()
    watcher = doctor(model, optimizer)
    for step in range(steps):
        rate = top * min((step + 1) / warm, 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
        if fault == "a rate thrown up for a moment" and 270 <= step < 273:
            rate = 100 * top
        for group in optimizer.param_groups:
            group["lr"] = rate
        if fault == "loaded by names that are not there" and step == 240:
            saved = {f"module.{name}": value for name, value in model.state_dict().items()}
            model.load_state_dict(Scribe(fault).state_dict())
            model.load_state_dict(saved, strict=False)
        for _ in range(2):
            starts = torch.randint(len(train) - 65, (8,)).tolist()
            x = torch.stack([train[i : i + 64] for i in starts])
            y = torch.stack([train[i + 1 : i + 65] for i in starts])
            _, loss = model(x, y)
            (loss / 2).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        watcher.watch(loss)
    watcher.close()
    model.eval()
    with torch.no_grad():
        _, loss = model(held[:-32].view(-1, 64), held[1:-31].view(-1, 64))
    return 1 - float(loss) / math.log(65)


class Names(Dataset):
    """Names as letters from 1 to 26, 0 before and behind."""

    def __init__(self, names: list[str]) -> None:
        self.rows = [torch.tensor([0, *(ord(each) - 96 for each in name), 0]) for name in names]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Tensor:
        return self.rows[place]


class Caller(nn.Module):
    """A recurrent layer over letters. x: (rows, time) -> (rows, time, 27)"""

    def __init__(self, width: int, noisy: bool = False) -> None:
        super().__init__()
        self.letters, self.recurrent = nn.Embedding(28, 24), nn.GRU(24, width, batch_first=True)
        self.head = nn.Linear(width, 27)
        self.drop = nn.Dropout(0.5 if noisy else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.recurrent(self.letters(x))[0]))


def names(doctor: Any, seed: int, fault: str = "") -> float:
    """First names letter by letter: own rows, rows filled up in collate, what is filled left out of the loss."""
    rows = (DATA / "names" / "names.txt").read_text().split()
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    train, held = Names(rows[:16000]), Names(rows[-2000:])
    spare = -100

    def collate(batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        x = pad_sequence([row[:-1] for row in batch], batch_first=True, padding_value=27)
        y = pad_sequence([row[1:] for row in batch], batch_first=True, padding_value=spare)
        return x, y

    loader = DataLoader(train, batch_size=40, shuffle=True, collate_fn=collate)
    model = Caller(2 if fault == "a state of two numbers" else 64, fault == "half dropped")
    criterion: Any = nn.CrossEntropyLoss(ignore_index=spare)
    if fault == "the minus of the likelihood forgotten":

        def criterion(scores: Tensor, target: Tensor) -> Tensor:
            chosen = scores.log_softmax(1).gather(1, target.clamp(min=0)[:, None]).squeeze(1)
            return chosen[target != spare].mean()

    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    watcher = doctor(model, optimizer, loss=lambda output, target: criterion(output.flatten(0, 1), target.flatten()))
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        watcher.watch(loss, x, y)
    watcher.close()
    model.eval()
    with torch.no_grad():
        x = pad_sequence([row[:-1] for row in held.rows], batch_first=True, padding_value=27)
        y = pad_sequence([row[1:] for row in held.rows], batch_first=True, padding_value=spare)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=spare)
    return 1 - float(loss) / math.log(27)


class Spelling(nn.Module):
    """Reads a name and spells another. x, said: (rows, time) -> (rows, time, 28)"""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.letters = nn.Embedding(28, 32)
        self.encoder, self.decoder = nn.GRU(32, 96, batch_first=True), nn.GRU(32, 96, batch_first=True)
        self.head, self.fault = nn.Linear(192, 28), fault

    def forward(self, x: Tensor, said: Tensor) -> Tensor:
        read, last = self.encoder(self.letters(x))
        if self.fault == "what was read is not passed on":
            read, last = torch.zeros_like(read), torch.zeros_like(last)
        states, _ = self.decoder(self.letters(said), last)
        scores = states @ read.transpose(1, 2)
        scores = scores.masked_fill((x == 0)[:, None], -1e9)
        weights = scores.softmax(0 if self.fault == "attention over the names of a batch" else 2)
        return self.head(torch.cat([states, weights @ read], 2))


def backwards(doctor: Any, seed: int, fault: str = "") -> float:
    """Names spelled backwards: a reader and a speller with an optimizer each; judged by what it spells by itself."""
    rows = (DATA / "names" / "names.txt").read_text().split()
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows)) if len(rows[place]) <= 7]
    coded = [[ord(each) - 96 for each in name] for name in rows[:13000]]
    x = torch.tensor([name + [0] * (8 - len(name)) for name in coded])
    y = torch.tensor([name[::-1] + [27] * (8 - len(name)) for name in coded])
    said = torch.cat([torch.full((len(y), 1), 27), y[:, :-1]], 1)
    if fault == "the speller hears what it is to say":
        said = y
    model = Spelling(fault)
    reading = torch.optim.Adam(model.encoder.parameters(), lr=4e-3)
    spelling = torch.optim.Adam(
        [*model.letters.parameters(), *model.decoder.parameters(), *model.head.parameters()], lr=4e-3
    )
    criterion = nn.CrossEntropyLoss()
    watcher = doctor(model, [reading, spelling], loss=lambda output, target: criterion(output.transpose(1, 2), target))
    for _ in range(450):
        picked = torch.randint(12000, (64,))
        loss = criterion(model(x[picked], said[picked]).transpose(1, 2), y[picked])
        reading.zero_grad()
        spelling.zero_grad()
        loss.backward()
        if fault != "the reader's optimizer never steps":
            reading.step()
        spelling.step()
        watcher.watch(loss, (x[picked], said[picked]), y[picked])
    watcher.close()
    model.eval()
    held, spelled = x[-1000:], torch.full((1000, 1), 27)
    with torch.no_grad():
        for _ in range(8):
            spelled = torch.cat([spelled, model(held, spelled)[:, -1].argmax(1, keepdim=True)], 1)
    wanted = y[-1000:]
    return float((spelled[:, 1:] == wanted)[wanted != 27].float().mean())
