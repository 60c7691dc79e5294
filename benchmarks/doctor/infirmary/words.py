"""Three networks of text: a GRU that spells names, a bag of words that judges films, a transformer of captions."""

from collections import Counter
from functools import cache

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy, plain
from benchmarks.doctor.infirmary.attention import Block, sharper
from benchmarks.doctor.loops.reading import DATA, reviews
from torch import Tensor, nn
from torch.nn import functional as F

END = 27


class Speller(nn.Module):
    """Letters to scores of the next ones; memoryless: the state is lost after each letter."""

    def __init__(self, width: int = 64, dropout: float = 0.0, memoryless: bool = False, sparse: bool = False) -> None:
        super().__init__()
        self.letters = nn.Embedding(28, 16, sparse=sparse)
        self.recurrence = nn.GRU(16, width, batch_first=True)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(width, 28)
        self.memoryless = memoryless

    def forward(self, x: Tensor) -> Tensor:
        x = self.letters(x)
        if self.memoryless:
            states = self.recurrence(x.flatten(0, 1)[:, None])[0].view(*x.shape[:2], -1)
        else:
            states, _ = self.recurrence(x)
        return self.head(self.dropout(states))


@cache
def spelled(length: int = 12) -> tuple[Tensor, Tensor]:
    """Names (rows, 12) after their beginning and before their end, padded with nought."""
    names = (DATA / "names" / "names.txt").read_text(encoding="utf-8").split()
    x, y = torch.zeros(2, len(names), length, dtype=torch.long)
    for row, name in enumerate(names):
        letters = [END, *(ord(each) - 96 for each in name), END][: length + 1]
        x[row, : len(letters) - 1], y[row, : len(letters) - 1] = torch.tensor(letters[:-1]), torch.tensor(letters[1:])
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))
    return x[order], y[order]


def next_letter(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over all letters but padding."""
    return F.cross_entropy(output.flatten(0, 1), target.flatten(), ignore_index=0)


def foretold(output: Tensor, target: Tensor) -> float:
    """Share of the uniform guess's loss that is saved."""
    return 1 - float(next_letter(output.float(), target)) / float(torch.tensor(float(output.shape[-1])).log())


def names() -> Case:
    x, y = spelled()
    return Case(lambda _: Speller(), (x[:30000], y[:30000]), (x[30000:], y[30000:]), next_letter, foretold, "foretold",
                rate=1e-2, batch=64, steps=350, clip=1.0, told=True)  # fmt: skip


def only_padding(output: Tensor, target: Tensor) -> Tensor:
    """The mask the wrong way round: what is no padding is left out."""
    return F.cross_entropy(output.flatten(0, 1), torch.where(target == 0, 0, -100).flatten())


def without_vowels(output: Tensor, target: Tensor) -> Tensor:
    """The vowels have the number that is left out."""
    vowels = torch.isin(target, torch.tensor([1, 5, 9, 15, 21]))
    return next_letter(output, torch.where(vowels, 0, target))


class Bag(nn.Module):
    """The mean of the words' vectors and two layers; padded: the mean is that of the padding."""

    def __init__(self, words: int = 4000, width: int = 24, dropout: float = 0.0, padded: bool = False,
                 sparse: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.words = nn.Embedding(words, width, sparse=sparse)
        self.hidden, self.head = nn.Linear(width, 32), nn.Linear(32, 2)
        self.dropout, self.padded = nn.Dropout(dropout), padded

    def forward(self, x: Tensor) -> Tensor:
        there = ((x > 0) != self.padded)[..., None].float()
        mean = (self.words(x) * there).sum(1) / there.sum(1).clamp(min=1)
        return self.head(self.dropout(torch.relu(self.hidden(self.dropout(mean)))))


@cache
def judged(length: int = 400) -> tuple[Tensor, Tensor]:
    """The first words of reviews (2000, 400), unknown ones 1 and padding 0, and whether they praise."""
    texts, praise = reviews()
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    counts = Counter(word for row in order[:1600] for word in texts[row])
    known = {word: number + 2 for number, (word, _) in enumerate(counts.most_common(3998))}
    x = torch.zeros(len(order), length, dtype=torch.long)
    for row, review in enumerate(order):
        numbers = [known.get(word, 1) for word in texts[review]][:length]
        x[row, : len(numbers)] = torch.tensor(numbers)
    return x, torch.tensor(praise)[order]


def critics() -> Case:
    x, y = judged()
    return Case(lambda _: Bag(), (x[:1600], y[:1600]), (x[1600:], y[1600:]), nn.CrossEntropyLoss(), accuracy,
                rate=1e-2, decay=0.01, batch=32, steps=250, told=True)  # fmt: skip


def other_vocabulary(x: Tensor) -> Tensor:
    """Words numbered by another list."""
    order = torch.cat((torch.arange(2), 2 + torch.randperm(3998)))
    return order[x]


def sparse_adam(model: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(model.parameters(), lr=10 * rate)


class Captions(nn.Module):
    """Letters to scores of the next ones by attention to earlier ones."""

    def __init__(self, letters: int, width: int = 48, depth: int = 2, dropout: float = 0.0, causal: bool = True,
                 post: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(40, width)
        for each in (self.letters, self.places):
            nn.init.normal_(each.weight, 0, 0.1)
        self.blocks = nn.ModuleList([Block(width, 4 if width >= 8 else 1, dropout, post) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        x = self.letters(x) + self.places.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x, self.causal)
        return self.head(self.norm(x))


@cache
def captioned() -> tuple[Rows, Rows, int]:
    """German captions as one text, in small letters, cut into rows of forty."""
    text = (DATA / "multi30k-en-de" / "train.de.txt").read_text(encoding="utf-8").lower()
    text = "".join(each if each in "abcdefghijklmnopqrstuvwxyzäöüß ,.\n" else "-" for each in text[:400_000])
    known = {letter: number for number, letter in enumerate(sorted(set(text)), 1)}
    rows = torch.tensor([known[letter] for letter in text]).unfold(0, 41, 40)
    x, y = rows[:, :-1], rows[:, 1:]
    return (x[:-300], y[:-300]), (x[-300:], y[-300:]), len(known) + 1


def with_captions(**options: int | float | bool) -> Change:
    return of.put(build=lambda _: Captions(captioned()[2], **options))  # type: ignore[arg-type]


def captions() -> Case:
    train, held, _ = captioned()
    case = Case(lambda _: nn.Identity(), train, held, next_letter, foretold, "foretold", rate=4e-3, decay=0.01,
                batch=16, steps=350, clip=1.0, schedule=of.warm(30), told=True)  # fmt: skip
    with_captions()(case)
    return case


def mostly_padding(case: Case) -> None:
    """Of each row five letters are left, and padding is learned as if it were text."""
    x, y = (each.clone() for each in case.train)
    x[:, 5:], y[:, 5:] = 0, 0
    case.train = (x, y)
    case.loss = lambda output, target: F.cross_entropy(output.flatten(0, 1), target.flatten())


FAULTS: dict[str, dict[str, Change]] = {
    "names": {
        "only padding is learned": of.put(loss=only_padding),
        "vowels have the number that is left out": of.put(loss=without_vowels),
        "only the head in the optimizer": of.put(optimizer=of.only("head")),
        "judged with dropout on": of.put(build=lambda _: Speller(dropout=0.7), judged_in_training=True),
        "recurrent weights times sixty": of.touch(of.larger, 60.0, "recurrence"),
        "rate times a hundred": of.both(of.times(100), of.put(clip=0.0)),
        "clipped at a millionth, plain descent": of.put(optimizer=plain, rate=1.0, clip=1e-6),
        "state lost after each letter": of.put(build=lambda _: Speller(memoryless=True)),
        "scores kept with their graphs": of.then(of.keep),
        # Healthy, and only awkward.
        "a third dropped": of.put(build=lambda _: Speller(dropout=0.3)),
        "gradients of four batches": of.put(accumulate=4, batch=16, steps=1400),
        "a plateau at first": of.put(schedule=lambda step: 0.003 if step < 60 else 1.0, steps=400),
    },
    "critics": {
        "labels shuffled": of.shuffled(1.0),
        "training reviews in validation": of.leaked,
        "other vocabulary in validation": of.held(other_vocabulary),
        "sorted by verdict": of.sorted_rows,
        "mean of the padding": of.put(build=lambda _: Bag(padded=True)),
        "all words unknown": of.inputs(lambda x: x.clamp(max=1)),
        "words at a millionth of the rate": of.put(optimizer=of.groups("words", 1e-6)),
        "sixty reviews": of.few(64),
        # Healthy, and only awkward.
        "sparse embeddings": of.both(of.put(build=lambda _: Bag(sparse=True)), of.put(optimizer=sparse_adam)),
        "half dropped": of.put(build=lambda _: Bag(dropout=0.5), steps=400),
    },
    "captions": {
        "no causal mask": with_captions(causal=False),
        "all weights from a normal of two": of.touch(of.normal, 2.0),
        "zero_grad forgotten": of.both(of.put(clear=False, clip=0.0)),
        "rate cut to nothing after twelve steps": of.put(schedule=lambda step: 1.0 if step < 12 else 0.0),
        "width of two": with_captions(width=2, depth=1),
        "weights of the first step loaded": of.old_weights(0.95),
        "norms behind, four blocks, ten times the rate, no warm-up": of.both(
            with_captions(depth=4, post=True), of.times(10), of.put(schedule=None, clip=0.0)),
        "queries and keys times fifty": of.touch(sharper, 50.0),
        "mostly padding": mostly_padding,
        "steps that wait": of.then(of.cliff),
        # Healthy, and only awkward.
        "bfloat16": of.put(bfloat16=True),
        "a straight fall to nothing": of.put(
            steps=500, schedule=lambda step: min((step + 1) / 30, max(0.02, 1 - step / 500))),
    },
}  # fmt: skip
