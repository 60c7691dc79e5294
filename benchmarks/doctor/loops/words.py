"""Hand-written trainings on words, as somebody's script would have them, each with the mistakes that it may hold."""

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.loops.reading import DATA, reviews, sentences
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


class Tagger(nn.Module):
    """Words and shapes to tags, losses included. words, shapes, labels: (rows, time) -> a dict of logits and loss"""

    def __init__(self, words: int, tags: int, weights: Tensor, ignored: int) -> None:
        super().__init__()
        self.words, self.shapes = nn.Embedding(words, 48, padding_idx=0), nn.Embedding(6, 8)
        self.recurrent = nn.LSTM(56, 48, batch_first=True, bidirectional=True)
        self.head, self.ignored = nn.Linear(96, tags), ignored
        self.register_buffer("weights", weights)

    def forward(self, words: Tensor, shapes: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.head(self.recurrent(torch.cat([self.words(words), self.shapes(shapes)], 2))[0])
        answer = {"logits": logits}
        if labels is not None:
            answer["loss"] = F.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), weight=self.weights, ignore_index=self.ignored
            )
        return answer


def shape(word: str) -> int:
    return (
        1 + (word[0] == "@") + 2 * word[0].isupper() if word[0].isalpha() or word[0] == "@" else 4 + word[0].isdigit()
    )


def tags(doctor: Any, seed: int, fault: str = "") -> float:
    """Names in short messages: a model that gives a dict with its loss, batches as dicts, rare tags weighed."""
    train, held = sentences("wnut17-ner/wnut17train.conll"), sentences("wnut17-ner/emerging.dev.conll")
    kinds = ["O", "B", "I"]
    counts = Counter(word.lower() for words, _ in train for word in words)
    known = {word: i + 2 for i, (word, count) in enumerate(counts.most_common(4000)) if count > 1}
    ignored = 0 if fault == "the number of no name is the one left out" else -100

    def collate(batch: list[tuple[list[str], list[str]]], side: str = "right") -> dict[str, Tensor]:
        cut = fault == "numbers of words and shapes cut off at a small table"
        words = [[min(known.get(w.lower(), 1), 3 if cut else 4002) for w in each] for each, _ in batch]
        shapes = [[min(shape(word), 0 if cut else 5) for word in each] for each, _ in batch]
        labels = [[kinds.index(tag[0]) for tag in each] for _, each in batch]
        return {
            "words": pad_sequence([torch.tensor(each) for each in words], batch_first=True),
            "shapes": pad_sequence([torch.tensor(each) for each in shapes], batch_first=True),
            "labels": pad_sequence([torch.tensor(each) for each in labels], True, ignored, side),
        }

    side = "left" if fault == "words filled up behind, tags in front" else "right"
    loader = DataLoader(train, batch_size=24, shuffle=True, collate_fn=partial(collate, side=side))
    weights = torch.tensor([1.0, 1.0, 1.0] if fault == "all tags weigh the same" else [0.1, 1.0, 1.0])
    model = Tagger(4002, 3, weights, ignored)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watcher = doctor(model, optimizer)
    for _ in range(2):
        model.train()
        for batch in loader:
            loss = model(**batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            watcher.watch(loss, batch)
    watcher.close()
    model.eval()
    batch = collate(held)
    with torch.no_grad():
        told = model(batch["words"], batch["shapes"])["logits"].argmax(2)
    real = batch["words"] > 0
    recalls = [float((told == kind)[real & (batch["labels"] == kind)].float().mean()) for kind in range(3)]
    return sum(recalls) / 3


class Bag(nn.Module):
    """The mean of a review's words. words: (all words,), starts: (rows,) -> (rows,)"""

    def __init__(self, words: int, drop: float) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(words, 32), nn.Linear(32, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, words: Tensor, starts: Tensor) -> Tensor:
        return self.head(self.drop(self.bag(words, starts))).squeeze(1)


def praise(doctor: Any, seed: int, fault: str = "") -> float:
    """Film reviews: bags of words of many lengths laid end to end; judged after each epoch."""
    texts, labels = reviews()
    order = np.random.default_rng(seed).permutation(2000)
    train, held = order[:1600], order[1600:]
    if fault == "the split drawn a second time":
        held = np.random.default_rng(seed + 1).permutation(2000)[1600:]
    counts = Counter(word for place in train for word in sorted(set(texts[place])))
    known = {word: i + 1 for i, (word, _) in enumerate(counts.most_common(6000))}
    rows = [([known.get(word, 0) for word in texts[i]], labels[i]) for i in range(2000)]

    def collate(batch: list[tuple[list[int], int]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        y = torch.tensor([float(label) for _, label in batch])
        if fault == "rows of a batch sorted, answers not":
            batch = sorted(batch, key=lambda row: -len(row[0]))
        return laid_out(batch)[0], y

    loader = DataLoader([rows[i] for i in train], batch_size=32, shuffle=True, collate_fn=collate)
    model = Bag(6001, 0.0)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    if fault == "a decay of a tenth in Adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.1)
    if fault == "plain steps at Adam's rate":
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)  # type: ignore[assignment]
    watcher = doctor(model, optimizer, loss=criterion)
    held_x, held_y = next(iter(DataLoader([rows[i] for i in held], batch_size=400, collate_fn=laid_out)))
    for _ in range(4):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(*x), y)
            loss.backward()
            optimizer.step()
            watcher.watch(loss, x, y)
        model.eval()
        with torch.no_grad():
            scores = model(*held_x)
        accuracy = float(((scores > 0) == (held_y > 0)).float().mean())
        watcher.evaluated(loss=float(criterion(scores, held_y)), accuracy=accuracy)
    watcher.close()
    return accuracy


def laid_out(batch: list[tuple[list[int], int]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    starts = np.cumsum([0, *(len(words) for words, _ in batch)])[:-1]
    words = torch.tensor([word for words, _ in batch for word in words])
    return (words, torch.tensor(starts)), torch.tensor([float(label) for _, label in batch])


class Guesser(nn.Module):
    """Words both ways round, losses included. words, padding, labels: (rows, time) -> loss, logits"""

    def __init__(self, words: int, fault: str) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, 64), nn.Embedding(16, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 128, 0.0, batch_first=True, norm_first=True)
        self.rounds = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(64), enable_nested_tensor=False)
        self.head = nn.Linear(64, words)
        nn.init.normal_(self.words.weight, std=0.5)
        if fault == "a head from a normal three wide":
            nn.init.normal_(self.head.weight, std=3.0)
        if fault == "queries and keys thirty times as large":
            for each in self.rounds.layers:
                each.self_attn.in_proj_weight.data[:128] *= 30

    def forward(self, words: Tensor, padding: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        x = self.rounds(self.words(words) + self.places.weight[: words.shape[1]], src_key_padding_mask=padding)
        logits = self.head(x)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100), logits


def captions(doctor: Any, seed: int, fault: str = "") -> float:
    """Words left out of captions: one in six hidden, loss from the model, a warm-up by batch, clipping."""
    lines = (DATA / "multi30k-en-de" / "train.en.txt").read_text(encoding="utf-8").lower().split("\n")[:20000]
    split = [line.rstrip(" .").split()[:16] for line in lines if line]
    known = {word: i + 2 for i, (word, _) in enumerate(Counter(w for each in split for w in each).most_common(600))}
    rows = torch.zeros(len(split), 16, dtype=torch.long)
    for row, each in zip(rows, split, strict=True):
        row[: len(each)] = torch.tensor([known.get(word, 1) for word in each])
    train, held = rows[:-1000], rows[-1000:]

    def hidden(words: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The words with 602 for the hidden ones, and those alone."""
        chosen = (torch.rand(words.shape, generator=generator) < 0.15) & (words > 1)
        return words.masked_fill(chosen, 602), words.masked_fill(~chosen, -100)

    model = Guesser(603, fault)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.1 if fault == "a rate of a tenth" else 2e-3, weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 50))
    watcher = doctor(model, optimizer)
    model.train()
    for _ in range(450):
        words = train[torch.randint(len(train), (48,))]
        padding = words == 0
        if fault == "padding shown and words hidden":
            padding = words != 0
        x, y = hidden(words)
        if fault == "the hidden words left in place":
            x = words
        loss, _ = model(x, padding, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        watcher.watch(loss, (x, padding, y))
    watcher.close()
    model.eval()
    x, y = hidden(held, torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, logits = model(x, held == 0, y)
    return float((logits.argmax(2) == y)[y >= 0].float().mean()) if bool(logits.isfinite().all()) else 0.0
