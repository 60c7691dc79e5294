"""Articles and translate: an encoder that guesses how German begins, and a translator with both halves."""

import math
from collections import Counter
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.inspection.pictures import DoctorOf
from benchmarks.doctor.loops.reading import DATA
from torch import nn

FIRST = ("ein", "eine", "zwei", "drei", "mehrere", "der", "die", "vier")
PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3


@cache
def captions(language: str) -> list[list[str]]:
    text = (DATA / "multi30k-en-de" / f"train.{language}.txt").read_text(encoding="utf-8")
    return [line.lower().replace(".", " .").replace(",", " ,").split() for line in text.split("\n")[:14000]]


@cache
def vocabulary(language: str, size: int) -> dict[str, int]:
    counts = Counter(word for line in captions(language)[:12000] for word in line)
    return {word: number + 4 for number, (word, _) in enumerate(counts.most_common(size - 4))}


def encoded(lines: list[list[str]], words: dict[str, int], length: int) -> torch.Tensor:
    """Numbers of words, filled up with nought (lines, length)."""
    table = torch.full((len(lines), length), PAD)
    for row, line in enumerate(lines):
        codes = [words.get(word, UNKNOWN) for word in line[:length]]
        table[row, : len(codes)] = torch.tensor(codes)
    return table


class Encoder(nn.Module):
    """A bidirectional encoder whose mean over words says the class."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.embedding = nn.Embedding(1000, 40, padding_idx=PAD)
        self.place = nn.Parameter(0.02 * torch.randn(20, 40))
        dropout = {"heavy dropout": 0.4}.get(fault, 0.1)
        layer = nn.TransformerEncoderLayer(40, 4, 80, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(40, len(FIRST))
        if fault == "words from a normal of fifty":
            nn.init.normal_(self.embedding.weight, std=50.0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        empty = tokens == PAD
        if self.fault == "the mask says which to keep":
            empty = (tokens != PAD) & (torch.arange(tokens.shape[1]) > 0)
        x = self.encoder(self.embedding(tokens) + self.place, src_key_padding_mask=empty)
        kept = (~empty)[..., None]
        return self.head((x * kept).sum(1) / kept.sum(1))


def guesses(fault: str, seed: int) -> tuple[torch.Tensor, ...]:
    """English captions and how the German one begins, to learn from and held out."""
    pairs = [(en, de[0]) for en, de in zip(captions("en"), captions("de"), strict=True) if de and de[0] in FIRST]
    lines = [" ".join(en) if fault == "lines looked up, not words" else en for en, _ in pairs]
    table = [[line] if isinstance(line, str) else line for line in lines]
    x = encoded(table, vocabulary("en", 1000), 20)
    y = torch.tensor([FIRST.index(first) for _, first in pairs])
    order = torch.randperm(11000, generator=torch.Generator().manual_seed(seed))
    train_x, train_y = x[order], y[order]
    if fault == "answers of other captions":
        train_y = train_y[torch.randperm(len(train_y))]
    if fault == "all but the first two hardly there":
        keep = torch.cat([(train_y < 2).nonzero()[:, 0], *((train_y == kind).nonzero()[:3, 0] for kind in range(2, 8))])
        train_x, train_y = train_x[keep], train_y[keep]
    if fault == "a hundred and fifty captions":
        train_x, train_y = train_x[:150], train_y[:150]
    if fault == "sorted by answer":
        train_x, train_y = train_x[train_y.argsort()], train_y.sort().values
    return train_x, train_y, x[11000:12000], y[11000:12000]


def articles(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Ein or eine, zwei or der: how a caption begins in German; accuracy."""
    x, y, held_x, held_y = guesses(fault, seed)
    model = Encoder(fault)
    rate = {"a rate of two": 2.0}.get(fault, 3e-3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    criterion = nn.CrossEntropyLoss(
        label_smoothing=0.1 if fault == "smooth labels" else 0.0,
        ignore_index=1 if fault == "eine is left out" else -100,
    )
    steps = 300
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    held = [(held_x, held_y)]
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    accuracy, step, average = 0.0, 0, {name: each.clone() for name, each in model.state_dict().items()}
    while step < steps:
        order = torch.arange(len(x)) if fault == "sorted by answer" else torch.randperm(len(x))
        for rows in order.split(40)[: steps - step]:
            model.train()
            inputs = x[rows]
            if fault == "words at random in the place of most":
                drawn = (torch.rand(inputs.shape) < 0.7) & (inputs > 0)
                inputs = torch.where(drawn, torch.randint(4, 1000, inputs.shape), inputs)
            loss = criterion(model(inputs), y[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            if fault == "an average of the weights":
                for name, each in model.state_dict().items():
                    average[name].lerp_(each, 0.05)
            doctor.watch(loss, inputs, y[rows])
            step += 1
            if step % 30 == 0:
                accuracy = judged(model, held, doctor)
    doctor.close()
    if fault == "an average of the weights":
        model.load_state_dict(average)
        accuracy = judged(model, held, doctor)
    return accuracy


@torch.no_grad()
def judged(model: nn.Module, held: list[Any], doctor: Any) -> float:
    model.eval()
    scores = model(held[0][0])
    accuracy = float((scores.argmax(1) == held[0][1]).float().mean())
    doctor.evaluated(loss=float(nn.functional.cross_entropy(scores, held[0][1])), accuracy=accuracy)
    return accuracy


class Translator(nn.Module):
    """English words in, German words out."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, wide = fault, 48
        before = not fault.startswith("norms behind")
        layers = 3 if fault.startswith("norms behind") else 1
        self.source, self.target = nn.Embedding(400, wide), nn.Embedding(400, wide)
        self.place = nn.Parameter(0.1 * torch.randn(13, wide))
        self.transformer = nn.Transformer(wide, 4, layers, layers, 96, 0.0, batch_first=True, norm_first=before)
        self.head = nn.Linear(wide, 400)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        if self.fault == "no mask over German to come":
            causal = torch.zeros_like(causal)
        empty = torch.zeros(source.shape).masked_fill(source == PAD, float("-inf"))
        memory = self.transformer.encoder(self.source(source) + self.place[: source.shape[1]], None, empty)
        x = self.target(target) + self.place[: target.shape[1]]
        return self.head(self.transformer.decoder(x, memory, causal, memory_key_padding_mask=empty))


@cache
def parallel() -> tuple[torch.Tensor, torch.Tensor]:
    """Captions of at most twelve words in both tongues, German between BEGIN and END."""
    pairs = [(en, de) for en, de in zip(captions("en"), captions("de"), strict=True) if 3 < len(en) < 13 > len(de)]
    english = encoded([en for en, _ in pairs], vocabulary("en", 400), 12)
    words = vocabulary("de", 400) | {"<begin>": BEGIN, "<end>": END}
    return english, encoded([["<begin>", *de[:12], "<end>"] for _, de in pairs], words, 14)


def translate(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """German word by word, with what went before given; the share of a guess's nats that is saved."""
    english, german = parallel()
    count = len(english) - 500
    model = Translator(fault)
    rate = {"a rate of a fifth": 0.2, "norms behind, no warm-up": 1e-2}.get(fault, 4e-3)
    warm, steps = (1 if "no warm-up" in fault else 20), 240
    criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1 if fault == "smooth labels" else 0.0)

    def made() -> tuple[Any, Any]:
        fresh = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98))
        return fresh, torch.optim.lr_scheduler.LambdaLR(
            fresh, lambda step: min((step + 1) / warm, math.sqrt(warm / (step + 1)) if warm > 1 else 1.0)
        )

    optimizer, scheduler = made()
    doctor = doctor_of(model, optimizer, loss=criterion, steps=steps)
    for step in range(steps):
        if fault == "resumed late at forty times the rate" and step == 225:
            for group in optimizer.param_groups:
                group["initial_lr"] = rate * 40
            scheduler.base_lrs = [rate * 40 for _ in scheduler.base_lrs]
            optimizer.state.clear()
        rows = torch.randint(count, (32,))
        source, target = english[rows], german[rows]
        scores = model(source, target[:, :-1])
        loss = criterion(scores.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        spiked = fault == "the rate sixty times as high at every 47th step" and step % 47 == 46
        for group in optimizer.param_groups:
            group["lr"] *= 60 if spiked else 1
        optimizer.step()
        scheduler.step()
        doctor.watch(loss, (source, target[:, :-1]), target[:, 1:])
    doctor.close()
    model.eval()
    with torch.no_grad():
        scores = model(english[count:], german[count:, :-1]).flatten(0, 1)
        loss = nn.functional.cross_entropy(scores, german[count:, 1:].flatten(), ignore_index=PAD)
    return 1 - float(loss) / math.log(400)
