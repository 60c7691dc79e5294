"""Two transformers: one that writes Shakespeare letter by letter, and one that tells English from German letters."""

import copy
from typing import Any

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy, plain
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Attention and two layers, each added to what came in; post: norms behind the sum."""

    def __init__(self, width: int, heads: int, dropout: float, post: bool) -> None:
        super().__init__()
        self.heads, self.post = heads, post
        self.queries, self.values = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = nn.Dropout(dropout)

    def attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        rows, length, width = x.shape
        parts = [*self.queries(x).chunk(2, -1), self.values(x)]
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        mixed = scores.softmax(-1) @ v
        return self.dropout(self.out(mixed.transpose(1, 2).reshape(rows, length, width)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.post:
            x = self.norms[0](x + self.attend(x, mask))
            return self.norms[1](x + self.dropout(self.layers(x)))
        x = x + self.attend(self.norms[0](x), mask)
        return x + self.dropout(self.layers(self.norms[1](x)))


class Transformer(nn.Module):
    """Letters to scores: one a place if causal, else one a row over the places that are not padding (token 0)."""

    def __init__(self, letters: int, outputs: int, length: int, *, causal: bool, masked: bool = True, width: int = 48,
                 depth: int = 2, dropout: float = 0.0, post: bool = False,
                 inverted: bool = False, sparse: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.letters = nn.Embedding(letters, width, sparse=sparse)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList([Block(width, 4 if width >= 8 else 1, dropout, post) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)
        nn.init.normal_(self.letters.weight, 0, 0.1)
        self.causal, self.masked, self.inverted = causal, masked, inverted

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.letters(tokens) + self.places[: tokens.shape[1]]
        there = (tokens > 0) != self.inverted
        mask = None
        if self.masked:
            length = tokens.shape[1]
            mask = torch.ones(length, length, dtype=torch.bool).tril() if self.causal else there[:, None, None]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        if self.causal:
            return self.head(x)
        weight = there[..., None].float() if self.masked else torch.ones_like(x[..., :1])
        return self.head((x * weight).sum(1) / weight.sum(1))


def by_letter(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def foretold(output: Tensor, target: Tensor) -> float:
    """Share of the uniform guess's loss that is saved."""
    return 1 - float(by_letter(output.float(), target)) / float(torch.tensor(65.0).log())


def text_rows() -> tuple[Rows, Rows]:
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    known = {letter: number for number, letter in enumerate(sorted(set(text)))}
    numbers = torch.tensor([known[letter] for letter in text])
    train = numbers[:400_000].unfold(0, 49, 48)
    held = numbers[-10_000:].unfold(0, 49, 48)
    return (train[:, :-1], train[:, 1:]), (held[:, :-1], held[:, 1:])


def sentence_rows(length: int = 40) -> tuple[Rows, Rows]:
    """The first letters of captions, from the second on, in small letters without accents, padded with nought."""
    tokens, kinds = [], []
    for kind, name in enumerate(("en", "de")):
        lines = (DATA / "multi30k-en-de" / f"train.{name}.txt").read_text(encoding="utf-8").splitlines()[:3000]
        for number, line in enumerate(lines):
            letters = [ord(each) - 96 if "a" <= each <= "z" else 27 for each in line.lower()[8:]]
            letters = letters[: 8 + number % 20]
            tokens.append(letters + [0] * (length - len(letters)))
            kinds.append(kind)
    x, y = torch.tensor(tokens), torch.tensor(kinds)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[:5000], y[:5000]), (x[5000:], y[5000:])


def writer(**options: Any) -> Change:
    return of.put(build=lambda _: Transformer(65, 65, 48, causal=True, **options))


def teller(**options: Any) -> Change:
    return of.put(build=lambda case: Transformer(28, 2, case.train[0].shape[1], causal=False, **options))


def bard() -> Case:
    case = Case(lambda _: nn.Identity(), *text_rows(), by_letter, foretold, rate=4e-3, batch=16, steps=300, clip=1.0,
                schedule=of.warm(20))  # fmt: skip
    writer()(case)
    return case


def languages() -> Case:
    case = Case(lambda _: nn.Identity(), *sentence_rows(), nn.CrossEntropyLoss(), accuracy, rate=3e-3, batch=32,
                steps=300, schedule=of.warm(20), told=True)  # fmt: skip
    teller()(case)
    return case


def half_padding(case: Case) -> None:
    """Three quarters of each row are padding, which is learned as if it were text."""
    x, y = case.train[0].clone(), case.train[1].clone()
    x[:, 12:], y[:, 12:] = 0, 0
    case.train = (x, y)


def empty(x: Tensor) -> Tensor:
    """Some rows are nothing but padding."""
    x = x.clone()
    x[torch.rand(len(x)) < 0.02] = 0
    return x


def adapted(case: Case) -> None:
    """Go on from learned weights with low-rank additions whose second matrix is zero."""
    model = case.build(case)
    optimizer = torch.optim.AdamW(model.parameters(), case.rate)
    for _ in range(150):
        rows = torch.randint(0, len(case.train[0]) // 2, (16,))
        optimizer.zero_grad()
        case.loss(model(case.train[0][rows]), case.train[1][rows]).backward()
        optimizer.step()
    of.frozen(model, "")
    for block in model.blocks:
        for index in (0, 2):
            block.layers[index] = Adapted(block.layers[index])
        block.values, block.out = Adapted(block.values), Adapted(block.out)
    case.build = lambda _: copy.deepcopy(model)
    case.optimizer = lambda model, rate, decay: torch.optim.AdamW(
        [each for each in model.parameters() if each.requires_grad], lr=rate
    )


class Adapted(nn.Module):
    """A layer held still, and beside it a product of two thin matrices, the second begun as nought."""

    def __init__(self, layer: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.layer = layer
        self.a = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.a.T @ self.b.T


def sparse_adam(model: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.3)


FAULTS: dict[str, dict[str, Change]] = {
    "bard": {
        "no causal mask": writer(masked=False),
        "loss with a minus": of.both(of.with_loss(of.negative), of.put(clip=0.0)),
        "all weights from a normal of one": of.touch(of.normal, 1.0),
        "head weights times a hundred": of.both(of.touch(of.larger, 100.0, "head"), of.put(rate=5e-4)),
        "only the head in the optimizer": of.put(optimizer=of.only("head")),
        "zero_grad forgotten": of.put(clear=False, clip=0.0),
        "rate times a hundred": of.times(100),
        "rate times a thousand for three steps": of.thrown(0.93, 1000),
        "clipped at a ten-thousandth, plain descent": of.put(optimizer=plain, rate=0.1, clip=1e-4),
        "width of two": writer(width=2, depth=1),
        "nine tenths dropped": writer(dropout=0.9),
        "weights of the first step loaded": of.old_weights(0.92),
        "norms behind, rate of three hundredths, no warm-up": of.both(
            writer(post=True, depth=4), of.put(rate=3e-2, schedule=None, clip=0.0)),
        "queries and keys times forty": of.touch(of.larger, 40.0, "queries"),
        "padding learned": half_padding,
        "letters shuffled": of.labels(lambda y: y[torch.randperm(len(y))]),
        "embeddings at three thousand times the rate": of.put(optimizer=of.groups("letters", 3000)),
        # Healthy, and only awkward.
        "weights of low rank added": adapted,
        "bfloat16": of.put(bfloat16=True),
        "cosine after the warm-up": of.put(schedule=lambda step: min((step + 1) / 60, max(0.05, 1 - step / 320))),
        "gradients of four batches": of.put(accumulate=4, batch=8, steps=800),
    },
    "languages": {
        "one German row in a hundred": of.scarce((1,), 12),
        "sorted by language": of.sorted_rows,
        "mask inverted": teller(inverted=True),
        "all letters unknown": of.inputs(lambda x: torch.where(x > 0, 27, 0)),
        "rows of padding alone": of.inputs(empty),
        "sixty sentences": of.few(64),
        "norms behind, rate of three hundredths, no warm-up": of.both(
            teller(post=True, depth=4), of.put(rate=3e-2, schedule=None)),
        "all labels left out": of.labels(lambda y: torch.full_like(y, -100)),
        # Healthy, and only awkward.
        "heavy dropout": teller(dropout=0.4),
        "sparse embeddings": of.both(teller(sparse=True), of.put(optimizer=sparse_adam, schedule=None)),
    },
}  # fmt: skip
