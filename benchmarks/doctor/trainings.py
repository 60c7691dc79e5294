"""Networks and trainings of the fifth list: twelve further families, each of its own data, network and optimizer.

A family's healthy form is its setup here; `LATER` is known to the loop by way of `FAMILIES`.
"""

from collections.abc import Callable
from functools import partial

import torch
from benchmarks.doctor import sources
from benchmarks.doctor.controls import warm_up
from benchmarks.doctor.setups import FAMILIES, Setup, mlp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR


class Listener(nn.Module):
    """A recurrent layer over frames, its states averaged, and a head: (batch, time, 24) -> (batch, 10)."""

    def __init__(self, kind: Callable[..., nn.RNNBase] = nn.GRU, width: int = 48, dropout: float = 0.1) -> None:
        super().__init__()
        self.recurrent, self.dropout = kind(sources.BANDS, width, batch_first=True), nn.Dropout(dropout)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.recurrent(x)[0].mean(1)))


class Forecaster(nn.Module):
    """Dilated convolutions and a head on the last hours: (batch, 7, 48) -> (batch, 6)."""

    def __init__(self, width: int = 24, depth: int = 4, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.first = nn.Conv1d(7, width, 3, padding=1)
        self.layers = nn.ModuleList(
            [nn.Conv1d(width, width, 3, padding=2**place, dilation=2**place) for place in range(depth)]
        )
        self.activation, self.head = activation(), nn.Linear(8 * width, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.first(x))
        for each in self.layers:
            x = x + self.activation(each(x))
        return self.head(x[:, :, -8:].flatten(1))


class Sunwatcher(nn.Module):
    """A plain recurrent layer over months, and a head on its last state: (batch, 60, 1) -> (batch, 1)."""

    def __init__(self, kind: Callable[..., nn.RNNBase] = nn.RNN, width: int = 32) -> None:
        super().__init__()
        self.recurrent, self.head = kind(1, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


class Reader(nn.Module):
    """The mean of a text's word vectors, and a head: (batch, words) -> (batch, 2)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(4000, width, padding_idx=0), mlp(width, 32, 2)

    def pooled(self, x: Tensor) -> Tensor:
        return self.embed(x).sum(1) / (x > 0).sum(1, keepdim=True).clamp(min=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pooled(x))


class Namer(nn.Module):
    """Each letter's next one by rounds of attention normed after their sums: (batch, time) -> (batch, 27, time)."""

    def __init__(self, rounds: int = 2, width: int = 48, causal: bool = True) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(27, width), nn.Embedding(64, width)
        self.rounds = nn.ModuleList(
            [nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True) for _ in range(rounds)]
        )
        self.head, self.causal = nn.Linear(width, 27), causal

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if self.causal else None
        x = self.embed(x) + self.place(torch.arange(x.shape[1]))
        for each in self.rounds:
            x = each(x, src_mask=later)
        return self.head(x).transpose(1, 2)


class Residual(nn.Module):
    """Two convolutions, normed by batch, and a way round them. x: (batch, before, h, w) -> (batch, after, h', w')"""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.around = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.around(x))


def resnet(width: int = 8) -> nn.Sequential:
    """(batch, 3, 16, 16) -> (batch, 4)"""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), Residual(width, width, 1),
        Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4 * width, 4),
    )  # fmt: skip


class Patched(nn.Module):
    """Sixteen patches of a digit through rounds of attention, averaged: (batch, 1, 28, 28) -> (batch, 10)."""

    def __init__(self, rounds: int = 2, width: int = 48, rows_first: bool = True, before: bool = True) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(49, width), nn.Parameter(0.02 * torch.randn(16, width))
        self.rounds = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, F.gelu, batch_first=rows_first, norm_first=before)
                for _ in range(rounds)
            ]
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.unfold(x, 7, stride=7).transpose(1, 2)
        x = self.embed(x) + self.place
        for each in self.rounds:
            x = each(x)
        return self.head(self.norm(x).mean(1))


class Twins(nn.Module):
    """Two pictures through the same layers, and a head on how far apart they are: (batch, 2, 14, 14) -> (batch, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 32),
        )  # fmt: skip
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.eye(x[:, :1]) - self.eye(x[:, 1:])).square())


class Shell(nn.Module):
    """Sex embedded beside seven measures, residual rounds normed by layer, a head: (batch, 8) -> (batch, 1)."""

    def __init__(self, width: int = 48, depth: int = 4, activation: Callable[[], nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.embed, self.first, self.head = nn.Embedding(3, 4), nn.Linear(11, width), nn.Linear(width, 1)
        self.rounds = nn.ModuleList(
            [
                nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), activation(), nn.Linear(width, width))
                for _ in range(depth)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(torch.cat([x[:, :7], self.embed(x[:, 7].long())], 1))
        for each in self.rounds:
            x = x + each(x)
        return self.head(x)


class Borrower(nn.Module):
    """Thirteen columns embedded beside seven numbers: (batch, 20) -> (batch, 2)."""

    def __init__(self, *widths: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.embeds = nn.ModuleList([nn.Embedding(12, 3) for _ in range(13)])
        self.net = mlp(46, *widths, 2, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        codes = x[:, 7:].long()
        return self.net(torch.cat([x[:, :7], *(each(codes[:, place]) for place, each in enumerate(self.embeds))], 1))


class Drawer(nn.Module):
    """A variational autoencoder: (batch, 196) -> (batch, 196) of 0 to 1, and means and log-variances, (batch, 8)."""

    def __init__(self, latent: int = 8) -> None:
        super().__init__()
        self.encode, self.decode = mlp(196, 128, 2 * latent), mlp(latent, 128, 196)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = self.encode(x).chunk(2, 1)
        z = mean + (0.5 * spread).exp() * torch.randn_like(mean) if self.training else mean
        return self.decode(z).sigmoid(), mean, spread


def bound(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    """The negative evidence lower bound of a picture, in nats (Kingma & Welling 2014)."""
    drawn, mean, spread = output
    errors = F.binary_cross_entropy(drawn, target, reduction="sum")
    return (errors - 0.5 * (1 + spread - mean.square() - spread.exp()).sum()) / len(target)


def even_recall(output: Tensor, target: Tensor) -> float:
    """The mean over classes of the share that is recognized."""
    right = (output.argmax(1) == target).float()
    return float(torch.stack([right[target == each].mean() for each in target.unique()]).mean())


weighed = partial(F.cross_entropy, weight=torch.tensor([1.0, 43.0]))
SOUND = Setup("sound", Listener, sources.sounds, optimizer=lambda m: NAdam(m.parameters(), 4e-3), steps=250, batch=48)
HOURS = Setup(
    "hours", Forecaster, sources.hours, F.mse_loss, lambda m: AdamW(m.parameters(), 2e-3), batch=64,
    schedule=lambda o: CosineAnnealingLR(o, 240),
)  # fmt: skip
SUNSPOTS = Setup(
    "sunspots", Sunwatcher, sources.sunspots, F.mse_loss, lambda m: SGD(m.parameters(), 0.02, momentum=0.9), batch=32
)
REVIEWS = Setup(
    "reviews", Reader, sources.reviews, optimizer=lambda m: Adagrad(m.parameters(), 0.05), steps=200, batch=32
)
NAMES = Setup(
    "names", Namer, sources.names, optimizer=lambda m: Adam(m.parameters(), 4e-3), steps=220, batch=48,
    schedule=warm_up(40),
)  # fmt: skip
PHOTOS = Setup(
    "photos", resnet, sources.photos, batch=48, steps=180,
    optimizer=lambda m: SGD(m.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
)  # fmt: skip
PATCHES = Setup(
    "patches", Patched, sources.digits, optimizer=lambda m: AdamW(m.parameters(), 2e-3, weight_decay=0.05), steps=200,
    batch=48, schedule=warm_up(20),
)  # fmt: skip
PAIRED = Setup("paired", Twins, sources.pairs, optimizer=lambda m: Adam(m.parameters(), 2e-3), steps=260)
SHELLS = Setup("shells", Shell, sources.shells, F.mse_loss, lambda m: RMSprop(m.parameters(), 1e-3), batch=48)
LESIONS = Setup(
    "lesions", lambda: mlp(6, 48, 48, 2), sources.lesions, weighed, batch=96, measure=even_recall,
    optimizer=lambda m: SGD(m.parameters(), 0.03, momentum=0.9, nesterov=True),
)  # fmt: skip
LOANS = Setup(
    "loans", lambda: Borrower(32), sources.loans, optimizer=lambda m: AdamW(m.parameters(), 3e-3, weight_decay=0.1),
    steps=120, batch=50, evaluations=20,
)  # fmt: skip
DRAWN = Setup("drawn", Drawer, sources.inks, bound, lambda m: Adam(m.parameters(), 2e-3), steps=300)
ALL = (SOUND, HOURS, SUNSPOTS, REVIEWS, NAMES, PHOTOS, PATCHES, PAIRED, SHELLS, LESIONS, LOANS, DRAWN)
LATER = {each.family: each for each in ALL}
FAMILIES.update(LATER)  # the loop and its score find a family's healthy form there
