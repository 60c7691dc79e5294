"""Words: tags by two optimizers, likings by pairs, shared company by least squares, paths of tags, packed letters."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.harness.planted import FAST, NOISE, SLOW, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import reviews
from benchmarks.doctor.outpatients.supervised_data import captions, chance
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.optim.swa_utils import AveragedModel

DoctorOf = Callable[..., Any]


def vocabulary(texts: list[list[str]], size: int, first: int = 0) -> dict[str, int]:
    """The commonest words and their numbers."""
    common = Counter(word for text in texts for word in text).most_common(size)
    return {word: place for place, (word, _) in enumerate(common, first)}


class Tagger(nn.Module):
    """The mean of a caption's words, and a head of forty tags."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(3001, 48, mode="mean", sparse=True)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(48, 40))

    def forward(self, x: Tensor, begins: Tensor) -> Tensor:
        return self.head(self.words(x, begins))


def told(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Which of forty English words a German caption will have; score: share of the entropy that is saved."""
    german, english = captions("train", "de")[:12000], captions("train", "en")[:12000]
    tags = list(vocabulary(english, 60))[20:]
    number = vocabulary(german, 3000, 1)
    y = torch.tensor([[tag in set(text) for tag in tags] for text in english], dtype=torch.float32)
    rows = [torch.tensor([number.get(word, 0) for word in text]) for text in german]
    if name == "held-out words numbered anew":
        number = vocabulary(german[10000:], 3000, 1)
        rows[10000:] = [torch.tensor([number.get(word, 0) for word in text]) for text in german[10000:]]
    if name == "an empty line among the captions":
        y[:10000] = y[:10000].roll(1, 0)
    model = Tagger()
    of_words = torch.optim.SparseAdam(model.words.parameters(), lr=4e-2)
    of_head = torch.optim.AdamW(model.head.parameters(), lr=2e-2)
    doctor = doctor_of(model, [of_words, of_head])
    late, entropy = rows[10000:], F.binary_cross_entropy_with_logits
    behind = torch.cat(late), torch.tensor([0] + [len(each) for each in late[:-1]]).cumsum(0)
    for step in range(350):
        at = torch.randint(10000, (64,)).tolist()
        x, begins = torch.cat([rows[i] for i in at]), torch.tensor([0] + [len(rows[i]) for i in at[:-1]]).cumsum(0)
        loss = F.binary_cross_entropy_with_logits(model(x, begins), y[at], reduction="none").sum(1).mean()
        of_words.zero_grad()
        of_head.zero_grad()
        loss.backward()
        if name != "the words' optimizer never steps":
            of_words.step()
        of_head.step()
        doctor.watch(loss, (x, begins), y[at])
        if step % 50 == 49:
            with torch.no_grad():
                doctor.evaluated(loss=40 * float(entropy(model(*behind), y[10000:])))
    doctor.close()
    with torch.no_grad():
        out = model(*behind)
        base = y[:10000].mean(0).logit().expand_as(out)
        return 1 - float(entropy(out, y[10000:]) / entropy(base, y[10000:]))


class Liking(nn.Module):
    """How well a word suits a review: a product of two places and the word's own weight."""

    def __init__(self, readers: int, things: int, wide: float) -> None:
        super().__init__()
        self.reader, self.thing = nn.Embedding(readers, 16), nn.Embedding(things, 16)
        self.common = nn.Embedding(things, 1)
        for each, deviation in ((self.reader, wide), (self.thing, wide), (self.common, 0.0)):
            nn.init.normal_(each.weight, std=deviation)

    def forward(self, reader: Tensor, thing: Tensor) -> Tensor:
        return (self.reader(reader) * self.thing(thing)).sum(-1) + self.common(thing).squeeze(-1)


@cache
def used() -> tuple[Tensor, int]:
    """Pairs of a review and a word that stands in it, shuffled, (pairs, 2), and the number of words."""
    texts = reviews()[0]
    number = vocabulary([list(set(text)) for text in texts], 1500)
    number = {word: place - 100 for word, place in number.items() if place >= 100}
    pairs = torch.tensor([(i, number[word]) for i, text in enumerate(texts) for word in set(text) if word in number])
    order = torch.randperm(len(pairs), generator=chance())
    return pairs[order], len(number)


def likings(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Bayesian personalised ranking of words in reviews; score: 2 x AUC - 1 of pairs not seen."""
    pairs, things = used()
    known, held = pairs[:-20000], pairs[-20000:]
    inside = torch.zeros(2000, things, dtype=torch.bool)
    inside[pairs[:, 0], pairs[:, 1]] = True
    model = Liking(2000, things, 10.0 if name == "places begun ten wide" else 0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-6)

    def absent(readers: Tensor) -> Tensor:
        draws = torch.randint(things, (len(readers), 6))
        return draws.gather(1, inside[readers[:, None], draws].int().argmin(1, keepdim=True)).squeeze(1)

    doctor = doctor_of(model, optimizer)
    for _ in range(400):
        reader, wanted = known[torch.randint(len(known), (512,))].unbind(1)
        other = absent(reader) if name != "the others drawn from other reviews' words" else wanted[torch.randperm(512)]
        margin = model(reader, wanted) - model(reader, other)
        loss = -F.logsigmoid(margin).sum() if name == "summed" else -F.logsigmoid(margin).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (reader, wanted))
    doctor.close()
    with torch.no_grad():
        reader, wanted = held.unbind(1)
        return 2 * float((model(reader, wanted) > model(reader, absent(reader))).float().mean()) - 1


def company(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Words by the company they keep, least squares of logarithms of counts; score: R2 of counts not seen."""
    number = vocabulary(captions("train", "en"), 400)
    together = torch.zeros(400, 400)
    for text in captions("train", "en")[:15000]:
        row = torch.tensor([number[word] for word in text if word in number])
        near = (torch.arange(len(row))[:, None] - torch.arange(len(row))).abs()
        left, right = torch.where((near > 0) & (near < 6))
        together.index_put_((row[left], row[right]), 1 / near[left, right], accumulate=True)
    left, right = torch.where(together.triu() >= (0 if name == "pairs that never met kept" else 1))
    order = torch.randperm(len(left), generator=chance())
    left, right = left[order], right[order]
    count = together[left, right]
    y = count if name == "counts without their logarithm" else count.log()
    cut = len(y) * 9 // 10
    places, shift = nn.Embedding(400, 20), nn.Embedding(400, 1)
    nn.init.normal_(places.weight, std=0.2)
    nn.init.zeros_(shift.weight)
    model = nn.ModuleList([places, shift])
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)

    def guess(a: Tensor, b: Tensor) -> Tensor:
        return (places(a) * places(b)).sum(1) + (shift(a) + shift(b)).squeeze(1)

    weight, late = (count / 50).clamp(max=1) ** 0.75, AveragedModel(model)
    doctor = doctor_of(model, optimizer)
    for step in range(400):
        at = torch.randint(cut, (512,))
        error = guess(left[at], right[at]) - y[at]
        loss = (weight[at] * error.square()).sum() / weight[at].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss)
        if step >= 300:
            late.update_parameters(model)
    doctor.close()
    if name == "places averaged over the last hundred steps":
        model.load_state_dict(late.module.state_dict())
    met = torch.where(count[cut:] >= 1)[0] + cut
    with torch.no_grad():
        error = guess(left[met], right[met]) - y[met]
        return 1 - float((weight[met] * error.square()).sum() / (weight[met] * (y[met] - y[met].mean()) ** 2).sum())


class Paths(nn.Module):
    """A GRU both ways over words, and scores of two tags' succession."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(1502, 24, padding_idx=0)
        self.read = nn.GRU(24, 24, batch_first=True, bidirectional=True)
        self.score, self.after = nn.Linear(48, 2), nn.Parameter(torch.zeros(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.read(self.words(x))[0])

    def likelihood(self, score: Tensor, tag: Tensor, there: Tensor) -> Tensor:
        """Of the right path among all, in nats a sentence (rows,)."""
        gold, every = score[:, 0].gather(1, tag[:, :1]).squeeze(1), score[:, 0]
        for t in range(1, score.shape[1]):
            step = score[:, t].gather(1, tag[:, t : t + 1]).squeeze(1) + self.after[tag[:, t - 1], tag[:, t]]
            gold = gold + step * there[:, t]
            more = (every[:, :, None] + self.after + score[:, t, None, :]).logsumexp(1)
            every = torch.where(there[:, t, None], more, every)
        return gold - every.logsumexp(1)


def capitals(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """German words' capitals by a random field; score: accuracy of both kinds, from 0 by chance to 1."""
    texts = [text[1:15] for text in captions("train", "de")[:9000] if len(text) > 3]
    number = vocabulary([[word.lower() for word in text] for text in texts], 1500, 2)
    rows = [torch.tensor([number.get(word.lower(), 1) for word in text]) for text in texts]
    tags = [torch.tensor([int(word[0].isupper()) for word in text]) for text in texts]
    x, y = pad_sequence(rows, True), pad_sequence(tags, True)
    there = x > 0
    if name == "what is there and what is not exchanged":
        there = ~there
    model = Paths()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-6 if name == "a rate a thousand times too small" else 5e-3)
    doctor = doctor_of(model, optimizer)
    for step in range(200):
        at = torch.randint(8000, (32,))
        if name == "short sentences first" and step < 60:
            at = at[x[at].count_nonzero(1).argsort()][:16]
        nats = -model.likelihood(model(x[at]), y[at], there[at])
        loss = nats.sum() / there[at].sum()
        optimizer.zero_grad()
        (loss / there[at].sum() if name == "divided by the words twice" else loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():  # marginals by position are enough to judge here
        late, right = x[8000:], pad_sequence(tags, True)[8000:]
        found = model(late).argmax(2)[late > 0]
    right = right[late > 0]
    return float((found == right)[right == 1].float().mean() + (found == right)[right == 0].float().mean() - 1)


class Spelled(nn.Module):
    """Letters of a word, packed, to one score."""

    def __init__(self, packed: bool, empty: bool) -> None:
        super().__init__()
        self.empty = empty
        self.letters, self.packed = nn.Embedding(128, 16, padding_idx=0), packed
        self.read, self.head = nn.GRU(16, 48, batch_first=True), nn.Linear(48, 1)

    def forward(self, x: Tensor, long: Tensor) -> Tensor:
        seen = self.letters(x)
        if self.empty:
            states = torch.stack([self.read(seen[:, [each]])[0][:, 0] for each in range(x.shape[1])], 1)
            return self.head(states[torch.arange(len(x)), long - 1]).squeeze(1)
        _, last = self.read(pack_padded_sequence(seen, long, True, enforce_sorted=False) if self.packed else seen)
        return self.head(last[0]).squeeze(1)


def tongues(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Whether a word is English or German, by its letters; score: accuracy, from 0 by chance to 1."""
    texts = [[[word.lower() for word in text] for text in captions("train", each)] for each in ("en", "de")]
    kinds = [list(vocabulary(each, 3500)) for each in texts]
    only = [[w for w in kinds[k] if w.isalpha() and w.isascii() and w not in set(kinds[1 - k])][:2200] for k in (0, 1)]
    words, y = [*only[0], *only[1]], torch.tensor([0.0] * len(only[0]) + [1.0] * len(only[1]))
    order = torch.randperm(len(words), generator=chance())
    long = torch.tensor([min(len(each), 16) for each in words])[order]
    x = torch.zeros(len(words), 60 if name == "padded to sixty and not packed" else 16, dtype=torch.long)
    for row, at in enumerate(order.tolist()):
        x[row, : long[row]] = torch.tensor([ord(letter) for letter in words[at][:16]])
    y = y[order]
    model = Spelled(name != "padded to sixty and not packed", name == "each letter read from an empty state")
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    doctor = doctor_of(model, optimizer, nn.BCEWithLogitsLoss())
    for _ in range(300):
        at = torch.randint(len(x) - 700, (2 if name == "two words a batch" else 64,))
        letters, length, right = x[at], long[at], y[at]
        if name == "sorted by length, all but the answers":
            by = length.argsort(descending=True)
            letters, length = letters[by], length[by]
        if name == "smoothed by a tenth":
            right = 0.9 * right + 0.05
        loss = F.binary_cross_entropy_with_logits(model(letters, length), right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (letters, length), right)
    doctor.close()
    with torch.no_grad():
        return 2 * float(((model(x[-700:], long[-700:]) > 0) == (y[-700:] > 0.5)).float().mean()) - 1


PROGRAMS = (told, likings, company, capitals, tongues)
AWKWARD = (
    ("likings", "summed"), ("company", "places averaged over the last hundred steps"),
    ("capitals", "short sentences first"), ("tongues", "smoothed by a tenth"),
)  # fmt: skip
MISTAKES = (
    Mistake("told", "held-out words numbered anew", "preprocessing-mismatch", ("overfitting",), False),
    Mistake("told", "an empty line among the captions", "label-noise", NOISE, False),
    Mistake("told", "the words' optimizer never steps", "disconnected-parameters", ("underfitting",)),
    Mistake("likings", "places begun ten wide", "bad-initialization", ("wrong-initial-loss", *FAST)),
    Mistake("likings", "the others drawn from other reviews' words", "label-noise", STUCK, False),
    Mistake("company", "pairs that never met kept", "non-finite-values", ("bad-features",), False),
    Mistake("company", "counts without their logarithm", "wrong-initial-loss",
            ("targets-out-of-range", "loss-head-mismatch", *SLOW, "underfitting")),
    Mistake("capitals", "what is there and what is not exchanged", "padding-or-mask-fault", STUCK, False),
    Mistake("capitals", "a rate a thousand times too small", "learning-rate-too-low", SLOW),
    Mistake("tongues", "padded to sixty and not packed", "padding-or-mask-fault", ("no-long-range-signal", *STUCK),
            False),
    Mistake("tongues", "sorted by length, all but the answers", "label-noise", NOISE, False),
    Mistake("tongues", "each letter read from an empty state", "no-long-range-signal",
            ("disconnected-parameters", *STUCK), False),
    Mistake("tongues", "two words a batch", "batch-too-small", FAST, False),
)  # fmt: skip
