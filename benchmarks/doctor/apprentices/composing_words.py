"""Bags of words and words with tags: a fastText-like table, comments with several labels, a tagger of names."""

import math
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.apprentices.composing_data import (
    TURNED,
    DoctorOf,
    captions,
    chance,
    numbered,
    padded,
)
from benchmarks.doctor.loops.planted import SLOW, STEEP, Mistake
from benchmarks.doctor.loops.reading import reviews, sentences
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset


@cache
def filed() -> tuple[list[tuple[int, Tensor]], list[tuple[int, Tensor]]]:
    """Reviews as numbers of words with what they say, folder after folder; every fifth is held out."""
    texts, labels = reviews()
    number = numbered([text for place, text in enumerate(texts) if place % 5], 8000, 1)
    rows = [
        (label, torch.tensor([number.get(word, 0) for word in text[-400:]]))
        for label, text in zip(labels, texts, strict=True)
    ]
    return [row for place, row in enumerate(rows) if place % 5], rows[::5]


class TextClassification(nn.Module):
    """The mean of the words' vectors, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(8000, 64, mode="mean")
        self.fc = nn.Linear(64, 2)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        nn.init.zeros_(self.fc.bias)

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        return self.fc(self.embedding(text, offsets))


def bags_of_reviews(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Reviews by an EmbeddingBag with offsets and a rate that falls by epoch; score: accuracy."""
    train, test = filed()
    if name == "numbers of words folded into thirty":
        train, test = ([(label, text % 30) for label, text in part] for part in (train, test))

    def collate(batch: list[tuple[int, Tensor]], off: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.tensor([0] + [len(text) for _, text in batch])
        starts = lengths.cumsum(0)[:-1]
        return torch.tensor([each for each, _ in batch]).roll(off), torch.cat([text for _, text in batch]), starts

    off = 1 if name == "texts and labels one apart" else 0
    loader = DataLoader(train, batch_size=32, shuffle=name != "folder after folder",
                        collate_fn=lambda batch: collate(batch, off))  # fmt: skip
    model = TextClassification()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 400)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, gamma=0.2)
    doctor = doctor_of(model, optimizer)
    for _ in range(8):
        model.train()
        for label, text, offsets in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(text, offsets), label)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if name == "a rate that falls in a line":
                falling.step()
            if name == "epochs of the schedule counted in batches":
                scheduler.step()
            doctor.watch(loss, (text, offsets), label)
        if name != "a rate that falls in a line":
            scheduler.step()
    doctor.close()
    model.eval()
    with torch.no_grad():
        label, text, offsets = collate(test)
        return float((model(text, offsets).argmax(1) == label).float().mean())


LABELS = ("man", "woman", "dog", "water", "street", "red")


def counts(texts: list[list[str]], number: dict[str, int], size: int) -> Tensor:
    """Logarithms of how often each word stands in each text."""
    rows = torch.zeros(len(texts), size)
    for row, text in zip(rows, texts, strict=True):
        for word in text:
            if word in number:
                row[number[word]] += 1
    return rows.log1p()


class Comments(Dataset):
    """Counts of a text, made when asked for."""

    def __init__(self, texts: list[list[str]], y: Tensor, number: dict[str, int]) -> None:
        self.texts, self.y, self.number = texts, y, number

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        words = " ".join(self.texts[place]).split()
        row = [words.count(word) for word in self.number]
        return torch.tensor(row, dtype=torch.float32).log1p(), self.y[place]


def several_labels(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Six labels of a caption from its other words, as with toxic comments; score: mean of 2 AUC - 1."""
    known, new = captions("train", "en")[:5000], captions("val", "en")
    y, right = (torch.tensor([[float(each in text) for each in LABELS] for text in part]) for part in (known, new))
    number = {word: place for word, place in numbered(known, 806, 0).items()}
    ours = set() if name == "label words left among the columns" else set(LABELS)
    words = [word for word in number if word not in ours][:800]
    number = {word: place for place, word in enumerate(words)}
    again = numbered(new, 800, 0) if name == "the vectoriser fitted anew on held-out texts" else number
    far = counts(new, again, 800)
    kind = torch.float16 if name == "model.half()" else torch.float32
    far, right, y = far.to(kind), right.to(kind), y.to(kind)
    data: Any = TensorDataset(counts(known, number, 800).to(kind), y)
    if name == "texts counted word by word when asked for":
        data = Comments(known, y, number)
    model = nn.Sequential(nn.Linear(800, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 6))
    model.to(kind)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)

    def criterion(scores: Tensor, target: Tensor) -> Tensor:
        if name == "squared errors of sigmoids begun far down":
            return F.mse_loss(torch.sigmoid(scores), target)
        if name == "a focal loss":
            one = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
            return ((1 - (-one).exp()) ** 2 * one).mean()
        return F.binary_cross_entropy_with_logits(scores, target)

    if name == "squared errors of sigmoids begun far down":
        nn.init.constant_(model[3].bias, -14.0)
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(far, right)])
    for _ in range(5):
        model.train()
        for x, target in DataLoader(data, 64, shuffle=True):
            loss = criterion(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x, target)
    doctor.close()
    model.eval()
    with torch.no_grad():
        ranks = model(far).argsort(0).argsort(0).float() + 1
    ranks, right = ranks.nan_to_num(), right.float()
    many = right.sum(0)
    area = ((ranks * right).sum(0) - many * (many + 1) / 2) / (many * (len(right) - many))
    return float((2 * area - 1).mean())


class Tagger(nn.Module):
    """Words and their shapes through a BiLSTM to scores of none, beginning, inside: (rows, words, 3)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.words, self.shapes = nn.Embedding(3000, 48, padding_idx=0), nn.Embedding(8, 8, padding_idx=0)
        self.lstm = nn.LSTM(56, 48, batch_first=True, bidirectional=True)
        self.drop, self.tags = nn.Dropout(dropout), nn.Linear(96, 3)

    def forward(self, words: Tensor, shapes: Tensor, lengths: Tensor) -> Tensor:
        x = self.drop(torch.cat((self.words(words), self.shapes(shapes)), 2))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=words.shape[1])
        return self.tags(self.drop(out))


def shape_of(word: str) -> int:
    if word.startswith(("@", "#", "http")):
        return 1 + "@#h".index(word[0])
    return 4 if word.isupper() else 5 if word[:1].isupper() else 6 if word[:1].isalpha() else 7


@cache
def tagged() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Words, shapes and tags (rows, 24) of sentences, -1 behind the end, and their lengths; the last 600 held out."""
    found = [(words[:24], tags[:24]) for words, tags in sentences("wnut17-ner/wnut17train.conll") if len(words) > 2]
    found = [found[place] for place in torch.randperm(len(found), generator=chance()).tolist()]
    lower = [[word.lower() for word in words] for words, _ in found]
    words = padded(lower, numbered(lower[:-600], 3000, 2), 24, 1)
    shapes, tags = torch.zeros_like(words), torch.full_like(words, -1)
    for row, (each, marks) in enumerate(found):
        shapes[row, : len(each)] = torch.tensor([shape_of(word) for word in each])
        tags[row, : len(each)] = torch.tensor(["OBI".index(mark[0]) for mark in marks])
    return words, shapes, tags, torch.tensor([len(each) for each, _ in found])


def names_in_chat(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Beginnings and insides of names in short messages by a BiLSTM; score: mean recall of the three tags."""
    words, shapes, tags, lengths = tagged()
    model = Tagger(0.6 if name == "six tenths dropped" else 0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    weight = None if name == "all tags of one weight" else torch.tensor([0.08, 1.0, 1.0])
    left_out = 0 if name == "none is the tag left out" else -1
    known = 60 if name == "sixty messages" else len(words) - 600
    doctor = doctor_of(model, optimizer)
    for step in range(240):
        rows = torch.randint(known, (32,))
        target = tags[rows]
        if name == "messages in order of length, tags not":
            rows = rows[lengths[rows].argsort(descending=True)]
        if left_out == 0:
            target = target.clamp(min=0)
        out = model(words[rows], shapes[rows], lengths[rows])
        loss = F.cross_entropy(out.flatten(0, 1), target.flatten(), weight, ignore_index=left_out)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        told = {}
        if step % 40 == 39:
            model.eval()
            with torch.no_grad():
                out = model(words[-600:], shapes[-600:], lengths[-600:])
            cost = F.cross_entropy(out.flatten(0, 1), tags[-600:].flatten(), weight, ignore_index=-1)
            told["validation"] = float(cost)
            model.train()
        doctor.watch(loss, (words[rows], shapes[rows], lengths[rows]), target, **told)
    doctor.close()
    model.eval()
    with torch.no_grad():
        found = model(words[-600:], shapes[-600:], lengths[-600:]).argmax(2)
    recalls = [float((found[tags[-600:] == tag] == tag).float().mean()) for tag in range(3)]
    return math.fsum(recalls) / 3


PROGRAMS = (bags_of_reviews, several_labels, names_in_chat)
AWKWARD = (
    ("bags_of_reviews", "a rate that falls in a line"), ("several_labels", "a focal loss"),
    ("names_in_chat", "six tenths dropped"),
)  # fmt: skip
MISTAKES = (
    Mistake("bags_of_reviews", "texts and labels one apart", "label-noise", (*TURNED, "overfitting"), False),
    Mistake("bags_of_reviews", "folder after folder", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("bags_of_reviews", "numbers of words folded into thirty", "bad-features",
            ("underfitting", "plateau", "cannot-fit-one-batch"), False),
    Mistake("bags_of_reviews", "epochs of the schedule counted in batches", "learning-rate-too-low", SLOW),
    Mistake("several_labels", "squared errors of sigmoids begun far down", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", *STEEP)),
    Mistake("several_labels", "model.half()", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("several_labels", "label words left among the columns", "data-leakage", (), False, "too good"),
    Mistake("several_labels", "the vectoriser fitted anew on held-out texts", "preprocessing-mismatch",
            ("overfitting", "bad-features"), False),
    Mistake("several_labels", "texts counted word by word when asked for", "dataloader-starvation", (), False,
            "symptom"),
    Mistake("names_in_chat", "all tags of one weight", "class-imbalance"),
    Mistake("names_in_chat", "none is the tag left out", "targets-out-of-range",
            ("padding-or-mask-fault", "class-imbalance"), False),
    Mistake("names_in_chat", "messages in order of length, tags not", "label-noise",
            (*TURNED, "padding-or-mask-fault", "overfitting"), False),
    Mistake("names_in_chat", "sixty messages", "overfitting", (), False),
)  # fmt: skip
