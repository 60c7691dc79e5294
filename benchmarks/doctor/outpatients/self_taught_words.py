"""Text that teaches itself: words by their neighbours, two languages side by side, letters in a stream, sorting."""

import copy
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn


@cache
def captions(part: str, language: str, count: int) -> list[list[str]]:
    text = (DATA / "multi30k-en-de" / f"{part}.{language}.txt").read_text(encoding="utf-8").lower()
    return [line.replace(".", " ").replace(",", " ").split() for line in text.splitlines()[:count]]


@cache
def numbered(language: str, most: int) -> dict[str, int]:
    counted = Counter(word for line in captions("train", language, 8000) for word in line)
    return {word: place + 1 for place, (word, _) in enumerate(counted.most_common(most - 1))}


@cache
def neighbours(most: int = 1000) -> tuple[Tensor, Tensor]:
    """Pairs of words within two places, shuffled, and how often each word stands."""
    table = numbered("en", most)
    pairs = []
    for line in captions("train", "en", 8000):
        ids = [table[word] for word in line if table.get(word, 0) > 15]
        pairs += [(ids[i], ids[j]) for i in range(len(ids)) for j in range(max(0, i - 2), min(len(ids), i + 3))
                  if i != j]  # fmt: skip
    every = torch.tensor(pairs)
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))], every[:, 0].bincount(
        minlength=most
    ).float()


def skip_gram(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A word against its neighbour and five words drawn by frequency to the power of three fourths."""
    pairs, counts = neighbours()
    train, held = pairs[5000:], pairs[:5000]
    noise = counts**0.75
    model = nn.ModuleDict({"middle": nn.Embedding(1000, 32), "around": nn.Embedding(1000, 32)})
    for part in model.values():
        nn.init.normal_(part.weight, 0, 0.1)  # type: ignore[arg-type]
    opt: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    if name == "the rate of the old program on a mean":
        opt = torch.optim.SGD(model.parameters(), lr=0.025)
    doctor = doctor_of(model, opt)
    for _ in range(450):
        a, b = train[torch.randint(0, len(train), (512,))].T
        c = torch.multinomial(noise, 512 * 5, replacement=True).view(512, 5)
        v = model["middle"](a)
        near = (v * model["around"](b)).sum(1)
        far = (model["around"](c) @ v[:, :, None]).squeeze(2)
        if name == "no minus before what is far":
            far = -far
        losses = -F.logsigmoid(near) - F.logsigmoid(-far).sum(1)
        loss = losses.sum() if name == "a sum over the pairs" else losses.mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, a, b)
    doctor.close()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        v, wrong = model["middle"](held[:, 0]), torch.multinomial(noise, 5000, replacement=True)
        right = (v * model["around"](held[:, 1])).sum(1) > (v * model["around"](wrong)).sum(1)
    return 2 * float(right.float().mean()) - 1


class Glove(nn.Module):
    """Vectors and offsets of a word in both roles."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.w, self.c = nn.Embedding(words, width), nn.Embedding(words, width)
        self.bw, self.bc = nn.Embedding(words, 1), nn.Embedding(words, 1)
        for each in self.parameters():
            nn.init.uniform_(each, -0.5 / width, 0.5 / width)

    def forward(self, i: Tensor, j: Tensor) -> Tensor:
        return (self.w(i) * self.c(j)).sum(1) + self.bw(i)[:, 0] + self.bc(j)[:, 0]


def together(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """GloVe: the logarithm of how often two words stand together, the frequent weighing more."""
    pairs, _ = neighbours()
    cells, times = torch.unique(pairs, dim=0, return_counts=True)
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(1))
    cells, times = cells[order], times[order].float()
    goal, weight = times.log(), (times / 50).clamp(max=1) ** 0.75
    if name == "counts themselves":
        goal = times
    if name == "a share of all words, its logarithm, some rounded to nothing":
        goal = ((times / len(pairs) * 1e4).round() / 1e4).log()
    cut = len(cells) * 9 // 10
    net = Glove(1000, 24)
    opt = torch.optim.Adagrad(net.parameters(), lr=0.08)
    doctor = doctor_of(net, opt)
    for _ in range(400):
        at = torch.randint(0, cut, (1024,))
        out = net(cells[at, 0], cells[at, 1])
        lost = weight[at] * (out - goal[at]) ** 2
        loss = lost.sum() if name == "a sum as in the paper" else lost.mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss.detach())
    doctor.close()
    with torch.no_grad():
        truth, w = times[cut:].log(), weight[cut:]
        error = (w * (net(cells[cut:, 0], cells[cut:, 1]) - truth) ** 2).sum()
        return float(1 - error / (w * (truth - (w * truth).sum() / w.sum()) ** 2).sum())


class Bags(nn.Module):
    """Sentences of two languages as points of one sphere, and how much a cosine weighs."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.english = nn.Sequential(nn.EmbeddingBag(2000, 64, padding_idx=0), nn.Linear(64, width))
        self.german = nn.Sequential(nn.EmbeddingBag(2000, 64, padding_idx=0), nn.Linear(64, width))
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, en: Tensor, de: Tensor) -> Tensor:
        a, b = F.normalize(self.english(en), dim=1), F.normalize(self.german(de), dim=1)
        return self.scale.exp() * a @ b.T


def filled(lines: list[list[str]], table: dict[str, int]) -> Tensor:
    rows = torch.zeros(len(lines), 24, dtype=torch.long)
    for row, line in enumerate(lines):
        ids = [table.get(word, 0) for word in line][:24]
        rows[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return rows


def two_languages(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Which German line tells of the same picture as which English one, among 128 of a batch."""
    en = filled(captions("train", "en", 8000), numbered("en", 2000))
    de = filled(captions("train", "de", 8000), numbered("de", 2000))
    table = numbered("de", 2000)
    if name == "the held-out words numbered by themselves":
        again = Counter(word for line in captions("val", "de", 400) for word in line).most_common(1999)
        table = {word: place + 1 for place, (word, _) in enumerate(again)}
    if name == "one file shuffled":
        de = de[torch.randperm(len(de))]
    model = Bags()
    taught = model.english.parameters() if name == "parameters of the first tower" else model.parameters()
    opt = torch.optim.AdamW(taught, lr=1.2e-2, weight_decay=30.0 if name == "a decay of thirty" else 0.01)
    many = 250
    warm = torch.optim.lr_scheduler.OneCycleLR(opt, 1.5e-2, many) if name == "one cycle of the rate" else None
    doctor = doctor_of(model, opt)
    own = torch.arange(128)
    for _ in range(many):
        at = torch.randperm(len(en))[:128]
        scores = model(en[at], de[at])
        loss = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        opt.zero_grad()
        loss.backward()
        opt.step()
        if warm:
            warm.step()
        doctor.watch(loss, (en[at], de[at]))
    doctor.close()
    with torch.no_grad():
        scores = model(filled(captions("val", "en", 400), numbered("en", 2000)),
                       filled(captions("val", "de", 400), table))  # fmt: skip
    return float((scores.argmax(1) == torch.arange(400)).float().mean())


class Stream(nn.Module):
    """Letters, a GRU, letters."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.cell, self.head = nn.Embedding(65, 24), nn.GRU(24, 96, batch_first=True), nn.Linear(96, 65)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        out, state = self.cell(self.letters(x), state)
        return self.head(out), state


def stream(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Thirty-two places of Shakespeare read on side by side, the slope cut every 24 letters."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    code = {each: place for place, each in enumerate(sorted(set(text)))}
    ids = torch.tensor([code[each] for each in text[:400000]])
    ahead = 0 if name == "answers one letter early" else 1
    rows, held = ids[:320000].view(32, 10000), ids[320000:336001]
    model = Stream()
    opt = torch.optim.Adam(model.parameters(), lr=0.3 if name == "three tenths" else 5e-3)
    doctor = doctor_of(model, opt, steps=300)
    state, kept, begun = None, [], copy.deepcopy(model.state_dict())
    for step in range(300):
        at = step * 24
        if name == "gone on from the file of the first step" and step == 240:
            model.load_state_dict(begun)
        x, y = rows[:, at : at + 24], rows[:, at + ahead : at + 24 + ahead]
        scores, state = model(x, state)
        loss = nn.functional.cross_entropy(scores.reshape(-1, 65), y.reshape(-1))
        opt.zero_grad()
        loss.backward()
        if name != "three tenths":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if name == "scores and states kept to draw them":
            kept.append((scores, state))
        state = state.detach()
        doctor.watch(loss / 0.6931 if name == "bits a letter" else loss)
    doctor.close()
    with torch.no_grad():
        scores, _ = model(held[:16000].view(16, 1000), None)
        lost = F.cross_entropy(scores.reshape(-1, 65), held[ahead : 16000 + ahead])
    return float(1 - lost / torch.tensor(65.0).log())


class Sorter(nn.Module):
    """Ten numbers in, the same in order out."""

    def __init__(self, rows_first: bool = True, norm_first: bool = True, depth: int = 2) -> None:
        super().__init__()
        self.number, self.place = nn.Embedding(30, 48), nn.Parameter(0.1 * torch.randn(10, 48))
        block = nn.TransformerEncoderLayer(48, 4, 96, 0.0, batch_first=rows_first, norm_first=norm_first)
        self.body, self.head = nn.TransformerEncoder(block, depth, enable_nested_tensor=False), nn.Linear(48, 30)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.number(x) + self.place))


def sorter(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Numbers are put in order by attention, each place naming its own."""
    model = Sorter(name != "rows taken for places")
    if name == "five blocks, norms behind, no warm-up":
        model = Sorter(norm_first=False, depth=5)
    rate = 5e-2 if name == "five blocks, norms behind, no warm-up" else 2e-3
    opt = torch.optim.AdamW(model.parameters(), lr=rate)
    smooth = 0.1 if name == "answers smoothed" else 0.0
    doctor = doctor_of(model, opt, loss=lambda out, y: F.cross_entropy(out.mT, y, label_smoothing=smooth))
    for _ in range(350):
        x = torch.randint(0, 30, (64, 10))
        y = x.sort(1).values
        loss = F.cross_entropy(model(x).mT, y, label_smoothing=smooth)
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, x, y)
    doctor.close()
    with torch.no_grad():
        x = torch.randint(0, 30, (500, 10), generator=torch.Generator().manual_seed(9))
        return float((model.eval()(x).argmax(2) == x.sort(1).values).float().mean())


STUCK = ("plateau", "underfitting", "cannot-fit-one-batch")
FAST = ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "update-ratio-off", "loss-spike")
PROGRAMS = (skip_gram, together, two_languages, stream, sorter)
AWKWARD = (
    ("skip_gram", "a sum over the pairs"), ("together", "a sum as in the paper"),
    ("two_languages", "one cycle of the rate"), ("stream", "bits a letter"), ("sorter", "answers smoothed"),
)  # fmt: skip
MISTAKES = (
    Mistake("skip_gram", "the rate of the old program on a mean", "learning-rate-too-low",
            ("plateau", "update-ratio-off", "underfitting")),
    Mistake("skip_gram", "no minus before what is far", "gradient-ascent",
            ("loss-head-mismatch", "representation-collapse"), False),
    Mistake("together", "counts themselves", "wrong-initial-loss",
            ("targets-out-of-range", "loss-head-mismatch", "underfitting", "learning-rate-too-low"), False),
    Mistake("together", "a share of all words, its logarithm, some rounded to nothing", "non-finite-values",
            ("targets-out-of-range",), False),
    Mistake("two_languages", "the held-out words numbered by themselves", "preprocessing-mismatch",
            ("overfitting",), False),
    Mistake("two_languages", "one file shuffled", "label-noise", (*STUCK, "overfitting"), False),
    Mistake("two_languages", "parameters of the first tower", "disconnected-parameters", ("underfitting",)),
    Mistake("two_languages", "a decay of thirty", "over-regularized", ("representation-collapse", *STUCK)),
    Mistake("stream", "answers one letter early", "data-leakage", ("cross-sample-leak",), False, "too good"),
    Mistake("stream", "gone on from the file of the first step", "training-state-lost", ("loss-spike",), False),
    Mistake("stream", "three tenths", "learning-rate-too-high", (*FAST, "saturated-activations", "plateau")),
    Mistake("stream", "scores and states kept to draw them", "memory-leak", (), False, "symptom"),
    Mistake("sorter", "rows taken for places", "cross-sample-leak", STUCK, False),
    Mistake("sorter", "five blocks, norms behind, no warm-up", "transformer-instability",
            (*FAST, "vanishing-gradient", "representation-collapse", *STUCK)),
)  # fmt: skip
