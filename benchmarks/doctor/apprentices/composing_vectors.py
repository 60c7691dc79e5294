"""Vectors of words: skip-grams, a factorised matrix of neighbours, and hidden words filled in."""

from collections import Counter
from functools import cache

import torch
from benchmarks.doctor.apprentices.composing_data import DoctorOf, captions, chance, numbered, padded
from benchmarks.doctor.loops.planted import FAST, NOTHING, SLOW, TIRED, Mistake
from torch import Tensor, nn
from torch.nn import functional as F


@cache
def neighbours() -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of words at most two apart, mixed once; how often each word stands; two words a row."""
    texts = captions("train", "en")[:12000]
    number = numbered(texts, 1500, 0)
    pairs = []
    for text in texts:
        row = [number[word] for word in text if word in number]
        pairs += [(one, two) for at, one in enumerate(row) for two in row[max(0, at - 2) : at + 3] if one != two]
    found = torch.tensor(pairs)[torch.randperm(len(pairs), generator=chance())]
    return found, found[:, 0].bincount(minlength=1500).float(), found.unique(dim=0)


class SkipGram(nn.Module):
    """A table for the word in the middle and one for those around it."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.u_embeddings = nn.Embedding(1500, 48, sparse=sparse)
        self.v_embeddings = nn.Embedding(1500, 48, sparse=sparse)
        nn.init.uniform_(self.u_embeddings.weight, -0.5 / 48, 0.5 / 48)
        nn.init.zeros_(self.v_embeddings.weight)

    def forward(self, middle: Tensor, around: Tensor) -> Tensor:
        return (self.u_embeddings(middle)[:, None] * self.v_embeddings(around)).sum(2)


def skip_grams(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """word2vec with five drawn negatives; score: 2 AUC - 1 of held-out pairs against drawn words."""
    pairs, often, _ = neighbours()
    known, held = pairs[:-5000], pairs[-5000:]
    drawn = often**0.75
    model = SkipGram(name == "gradients only of the rows looked up")
    if name == "both tables begun at nought":
        nn.init.zeros_(model.u_embeddings.weight)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=0.015)
    if name == "gradients only of the rows looked up":
        optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=0.015)
    if name == "the paper's rate, and a mean over the batch":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.025)
    doctor = doctor_of(model, optimizer)
    for step in range(400):
        middle, near = known[step * 512 : (step + 1) * 512].T
        far = torch.multinomial(drawn, 512 * 5, replacement=True).view(512, 5)
        scores = model(middle, torch.cat((near[:, None], far), 1))
        sign = 1 if name == "negatives without their minus" else -1
        loss = -(F.logsigmoid(scores[:, 0]) + F.logsigmoid(sign * scores[:, 1:]).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss.item(), (middle, torch.cat((near[:, None], far), 1)))
    doctor.close()
    with torch.no_grad():
        other = torch.multinomial(often, 5000, replacement=True, generator=chance())
        scores = model(held[:, 0], torch.stack((held[:, 1], other), 1))
    better = (scores[:, 0] > scores[:, 1]).float() + 0.5 * (scores[:, 0] == scores[:, 1]).float()
    return 2 * float(better.mean()) - 1


@cache
def cells(fewest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and counts of the matrix of neighbours from so many times on."""
    pairs = neighbours()[0]
    found = Counter(map(tuple, pairs.tolist()))
    if fewest == 0:
        for one, two in torch.randint(1500, (20000, 2), generator=chance(3)).tolist():
            found[(one, two)] += 0
    kept = [(one, two, many) for (one, two), many in found.items() if many >= fewest]
    table = torch.tensor(kept)[torch.randperm(len(kept), generator=chance())]
    return table[:, 0], table[:, 1], table[:, 2].float()


class Factors(nn.Module):
    """Two vectors and two biases a cell, and a level."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.row, self.column = nn.Embedding(1500, 32), nn.Embedding(1500, 32)
        self.row_bias, self.column_bias = nn.Embedding(1500, 1), nn.Embedding(1500, 1)
        self.level = nn.Parameter(torch.zeros(()))
        for each in (self.row, self.column, self.row_bias, self.column_bias):
            nn.init.normal_(each.weight, std=spread)

    def forward(self, i: Tensor, j: Tensor) -> Tensor:
        biases = self.row_bias(i) + self.column_bias(j)
        return (self.row(i) * self.column(j)).sum(1) + biases.squeeze(1) + self.level


def factorised(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """GloVe: logarithms of counts as products of vectors, weighed by count; score: share explained of new cells."""
    i, j, many = cells(2)
    far_i, far_j, right = i[:3000], j[:3000], many[:3000].log()
    i, j, many = i[3000:], j[3000:], many[3000:]
    if name == "logarithms of cells that are empty":
        more = cells(0)
        i, j, many = (torch.cat((old, new[-20000:])) for old, new in zip((i, j, many), more, strict=True))
    model = Factors(2.0 if name == "vectors from a normal two wide" else 0.1)
    decay = 0.02 if name == "a decay of a fiftieth on every row" else 0.0
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1, weight_decay=decay)
    known = 500 if name == "five hundred cells over and over" else len(i)

    def weighted(answer: Tensor, count: Tensor) -> Tensor:
        each = (count / 50).clamp(max=1) ** 0.75 * (answer - count.log()) ** 2
        return each.sum() if name == "summed, with Adagrad, which does not mind" else each.mean()

    doctor = doctor_of(model, optimizer, loss=weighted, held_out=[((far_i, far_j), right.exp())])
    for _ in range(400):
        at = torch.randint(known, (1024,))
        loss = weighted(model(i[at], j[at]), many[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (i[at], j[at]), many[at])
    doctor.close()
    with torch.no_grad():
        return 1 - float((model(far_i, far_j) - right).square().mean() / right.var())


class Masked(nn.Module):
    """A layer of attention over words, and scores of every word at every place."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(800, 64, padding_idx=0), nn.Embedding(12, 64)
        for each in (self.tokens, self.places):
            nn.init.normal_(each.weight, std=0.3)
        layer = nn.TransformerEncoderLayer(64, 4, 128, 0.0, "gelu", batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 800)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.encoder(x, src_key_padding_mask=padding)))


def mask_tokens(ids: Tensor, turned: bool = False) -> tuple[Tensor, Tensor]:
    """Some words replaced by number 2, and the labels, -100 where none is asked for."""
    hidden = (torch.rand(ids.shape) < 0.25) & (ids > 0)
    labels = ids.clone()
    labels[hidden if turned else ~hidden] = -100
    return torch.where(hidden, torch.full_like(ids, 2), ids), labels.where(ids > 0, torch.full_like(ids, -100))


def masked_words(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """BERT's task on captions; score: share saved of what a word costs by how frequent it is."""
    number = numbered(captions("train", "en"), 800, 3)
    train, far = (padded(captions(part, "en"), number, 12, 1) for part in ("train", "val"))
    model = Masked(name != "norms behind and no warm-up")
    top = 6e-2 if name == "norms behind and no warm-up" else 5e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=top, betas=(0.9, 0.98))
    warm = 1 if name == "norms behind and no warm-up" else 30
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: min((done + 1) / warm, max(0.0, (360 - done) / (360 - warm)))
    )
    smooth = 0.1 if name == "labels smoothed" else 0.0
    doctor = doctor_of(model, optimizer)
    for _ in range(360):
        ids = train[torch.randint(len(train), (64,))]
        shown, labels = mask_tokens(ids, name == "minus a hundred where something is asked")
        padding = ids > 0 if name == "true where there are words" else ids == 0
        loss = F.cross_entropy(model(shown, padding).transpose(1, 2), labels, label_smoothing=smooth)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        doctor.watch(loss, (shown, padding), labels)
    doctor.close()
    model.eval()
    torch.manual_seed(1)
    share = train[train > 0].bincount(minlength=800).float() + 1
    with torch.no_grad():
        shown, labels = mask_tokens(far)
        asked = labels >= 0
        padding = far > 0 if name == "true where there are words" else far == 0
        cost = F.cross_entropy(model(shown, padding)[asked], labels[asked])
    return 1 - float(cost / -(share / share.sum()).log()[labels[asked]].mean())


PROGRAMS = (skip_grams, factorised, masked_words)
AWKWARD = (
    ("skip_grams", "gradients only of the rows looked up"), ("factorised", "summed, with Adagrad, which does not mind"),
    ("masked_words", "labels smoothed"),
)  # fmt: skip
MISTAKES = (
    Mistake("skip_grams", "both tables begun at nought", "bad-initialization",
            ("cannot-fit-one-batch", "vanishing-gradient", "disconnected-parameters", "plateau")),
    Mistake("skip_grams", "the paper's rate, and a mean over the batch", "learning-rate-too-low", SLOW),
    Mistake("skip_grams", "negatives without their minus", "representation-collapse",
            ("loss-head-mismatch", "gradient-ascent"), False),
    Mistake("factorised", "vectors from a normal two wide", "bad-initialization", ("wrong-initial-loss",)),
    Mistake("factorised", "a decay of a fiftieth on every row", "over-regularized", TIRED),
    Mistake("factorised", "logarithms of cells that are empty", "non-finite-values",
            ("bad-features", "targets-out-of-range"), False),
    Mistake("factorised", "five hundred cells over and over", "overfitting", (), False),
    Mistake("masked_words", "true where there are words", "padding-or-mask-fault",
            ("non-finite-values", "transformer-instability", *NOTHING), False),
    Mistake("masked_words", "minus a hundred where something is asked", "targets-out-of-range",
            ("data-leakage", "padding-or-mask-fault"), False),
    Mistake("masked_words", "norms behind and no warm-up", "transformer-instability", FAST),
)  # fmt: skip
