"""Real data and small networks of four families to trainings of seconds, each field open to a fault."""

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
Parts = tuple[Tensor, Tensor, Tensor, Tensor]  # inputs and targets to learn from, and held out
IGNORED = -100  # the target that torch's cross-entropy leaves out


@cache
def housing() -> Parts:
    """California housing: eight standardized numbers, and which third of the prices."""
    with open(DATA / "california-housing" / "housing.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["total_bedrooms"]]
    names = [name for name in rows[0] if name not in ("median_house_value", "ocean_proximity")]
    x = torch.tensor([[float(row[name]) for name in names] for row in rows])
    price = torch.tensor([float(row["median_house_value"]) for row in rows])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:5000]
    x, price = x[order], price[order]
    x[:, 2:6] = x[:, 2:6].log1p()
    x = (x - x[:4000].mean(0)) / x[:4000].std(0)
    y = torch.bucketize(price, price[:4000].quantile(torch.tensor([1 / 3, 2 / 3])))
    return x[:4000], y[:4000], x[4000:], y[4000:]


@cache
def prices() -> Parts:
    """The same rows with the standardized logarithm of the price as target, (rows, 1)."""
    with open(DATA / "california-housing" / "housing.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["total_bedrooms"]]
    price = torch.tensor([float(row["median_house_value"]) for row in rows]).log()
    order = torch.randperm(len(price), generator=torch.Generator().manual_seed(0))[:5000]
    price = price[order]
    price = ((price - price[:4000].mean()) / price[:4000].std())[:, None]
    x, _, held_x, _ = housing()
    return x, price[:4000], held_x, price[4000:]


@cache
def drawings() -> Parts:
    """MNIST, 4,000 and 1,000 pictures, halved to (rows, 1, 14, 14) and standardized."""
    parts = []
    for name, rows in (("train", 4000), ("test", 1000)):
        frame = pl.read_parquet(DATA / "mnist" / f"{name}.parquet").head(rows)
        pictures = [np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in frame["image"]]
        x = torch.tensor(np.stack(pictures), dtype=torch.float32)[:, None] / 255
        parts += [(F.avg_pool2d(x, 2) - 0.13) / 0.27, torch.tensor(frame["label"].to_numpy())]
    return tuple(parts)  # type: ignore[return-value]


@cache
def text(length: int = 32) -> Parts:
    """Shakespeare by character, (rows, length) and the same one later."""
    raw = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:200_000]
    kinds = sorted(set(raw))
    codes = torch.tensor([kinds.index(letter) for letter in raw])
    count = (len(codes) - 1) // length
    x, y = codes[: count * length].view(count, length), codes[1 : count * length + 1].view(count, length)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:4000], y[:4000], x[4000:4600], y[4000:4600]


def mlp(
    *widths: int, activation: Callable[[], nn.Module] = nn.ReLU, norm: bool = False, dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of these widths, activations between them."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(before, after))
        if place < len(widths) - 2:
            layers += [nn.BatchNorm1d(after)] if norm else []
            layers += [activation()]
            layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def cnn(
    activation: Callable[[], nn.Module] = nn.ReLU, norm: bool = False, dropout: float = 0.0, width: int = 8
) -> nn.Sequential:
    """Two convolutions, pooled, and two linear layers: (batch, 1, 14, 14) -> (batch, 10)."""
    norms = [nn.BatchNorm2d(width), nn.BatchNorm2d(2 * width)] if norm else [nn.Identity(), nn.Identity()]
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), norms[0], activation(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), norms[1], activation(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * 9, 32), activation(), nn.Dropout(dropout), nn.Linear(32, 10),
    )  # fmt: skip


class Recurrent(nn.Module):
    """Each character's next one by an LSTM: (batch, time) -> (batch, classes, time)."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, width: int = 48) -> None:
        super().__init__()
        self.embed, self.recurrent, self.head = (
            nn.Embedding(65, 24),
            kind(24, width, batch_first=True),
            nn.Linear(width, 65),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embed(x))[0]).transpose(1, 2)


class Transformer(nn.Module):
    """Each character's next one by two rounds of attention: (batch, time) -> (batch, classes, time)."""

    def __init__(self, width: int = 48, causal: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(65, width), nn.Parameter(0.02 * torch.randn(32, width))
        self.mixes = nn.ModuleList([nn.Linear(width, 3 * width) for _ in range(2)])
        self.forwards = nn.ModuleList([mlp(width, 2 * width, width, activation=nn.GELU) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(5)])
        self.head, self.causal, self.scale = nn.Linear(width, 65), causal, scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.place
        for place in range(2):
            query, key, value = self.mixes[place](self.norms[2 * place](x)).chunk(3, -1)
            query, key, value = (each.unflatten(-1, (4, -1)).transpose(1, 2) for each in (query, key, value))
            mixed = F.scaled_dot_product_attention(query * self.scale, key, value, is_causal=self.causal)
            x = x + mixed.transpose(1, 2).flatten(2)
            x = x + self.forwards[place](self.norms[2 * place + 1](x))
        return self.head(self.norms[4](x)).transpose(1, 2)


@dataclass
class Setup:
    """One training; `family` names its healthy form, every other field may be given a fault."""

    family: str
    model: Callable[[], nn.Module]
    data: Callable[[], Parts]
    loss: Callable[[Any, Tensor], Tensor] = F.cross_entropy
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = field(
        default=lambda model: Adam(model.parameters(), 2e-3)
    )
    steps: int = 240
    batch: int = 64
    shuffle: bool = True
    zero_grad: bool = True
    accumulate: int = 1
    evaluations: int = 40  # steps between two
    eval_mode: bool = False
    validate_in_train_mode: bool = False
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    change: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    backward: Callable[[Tensor], Tensor] = field(default=lambda loss: loss)
    at: dict[int, Callable[[nn.Module, torch.optim.Optimizer], None]] = field(default_factory=dict)
    measure: Callable[[Tensor, Tensor], float] | None = None  # in place of the accuracy

    def batches(self, x: Tensor, y: Tensor, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed + 100)
        while True:
            order = torch.randperm(len(x), generator=generator) if self.shuffle else torch.arange(len(x))
            for start in range(0, len(x) - self.batch + 1, self.batch):
                rows = order[start : start + self.batch]
                yield x[rows], y[rows]


TABLE = Setup("table", lambda: mlp(8, 64, 64, 3), housing, optimizer=lambda m: SGD(m.parameters(), 0.1, momentum=0.9))
NUMBER = Setup("number", lambda: mlp(8, 64, 64, 1), prices, F.mse_loss)
PICTURE = Setup("picture", cnn, drawings, steps=200)
RECURRENT = Setup("recurrent", Recurrent, text, optimizer=lambda m: Adam(m.parameters(), 5e-3), steps=200, batch=32)
TRANSFORMER = Setup(
    "transformer", Transformer, text, optimizer=lambda m: AdamW(m.parameters(), 3e-3), steps=200, batch=32
)
FAMILIES = {each.family: each for each in (TABLE, NUMBER, PICTURE, RECURRENT, TRANSFORMER)}


def score(model: nn.Module, setup: Setup) -> float:
    """How good the model is on held-out rows, higher is better: accuracy, or the share of variance explained.

    The inputs are those that the fault leaves, the targets the right ones.
    """
    _, _, x, y = setup.data()
    right = FAMILIES[setup.family].data()[3]
    y = right if len(right) == len(y) else y
    model.eval()
    with torch.no_grad():
        kind = next(model.parameters()).dtype
        output = model(x[:1000].to(kind) if x.is_floating_point() else x[:1000])
        output = (output[0] if isinstance(output, tuple) else output).float()
    y = y[:1000]
    if y.is_floating_point():
        if output.numel() != y.numel():
            return 0.0
        value = float(1 - (output.view(y.shape) - y).square().mean() / y.var(0).mean())
        return value if np.isfinite(value) else -1.0
    if setup.measure is not None:
        return setup.measure(output, y)
    return float((output.nan_to_num(-1e9).argmax(1) == y)[y != IGNORED].float().mean())
