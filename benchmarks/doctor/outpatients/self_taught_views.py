"""Pictures that teach themselves: two views of a digit, turned ones, hidden patches, words of a codebook."""

import copy
import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA, parquet
from PIL import Image
from torch import Tensor, nn


@cache
def digits(part: str, count: int) -> Tensor:
    """Grey digits (rows, 1, 28, 28) from 0 to 1."""
    return torch.tensor(parquet("mnist", part, count)[0]).float()[:, None] / 255


def view(x: Tensor) -> Tensor:
    """Turned, moved and scaled a little, a hole in it, and noise over it."""
    n = len(x)
    turn, scale = (torch.rand(n) - 0.5) * 0.7, 0.85 + 0.4 * torch.rand(n)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = turn.cos() * scale
    theta[:, 0, 1], theta[:, 1, 0] = turn.sin() * scale, -turn.sin() * scale
    theta[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.3
    out = F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)
    return (out + 0.1 * torch.randn_like(out) - 0.13) / 0.31


def encoder() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, 2, 2), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24),
        nn.ReLU(), nn.Flatten(), nn.Linear(24 * 49, 64),
    )  # fmt: skip


@torch.no_grad()
def found_again(encode: nn.Module) -> float:
    """Share of held-out digits whose second view lies nearest to their first among 300."""
    encode.eval()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        x = digits("test", 300)
        a, b = (F.normalize(encode(view(x)), dim=1) for _ in range(2))
    return float(((a @ b.T).argmax(1) == torch.arange(300)).float().mean())


def simclr(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Two views of a digit attract each other, all others are pushed away (NT-Xent)."""
    x, batch, kept = digits("train", 6000), 4 if name == "four digits a batch" else 96, []
    net = nn.Sequential(encoder(), nn.ReLU(), nn.Linear(64, 32))
    opt = torch.optim.Adam(net.parameters(), lr=4e-3, weight_decay=1e-6)
    doctor = doctor_of(net, opt)
    partner = torch.arange(2 * batch).roll(batch)
    temperature = 0.22 if name == "a mild temperature" else 0.15
    for _ in range(220):
        rows = x[torch.randperm(len(x))[:batch]]
        first, second = view(rows), view(rows)
        if name == "second views drawn for other digits":
            second = view(x[torch.randperm(len(x))[:batch]])
        both = torch.cat([first, second])
        z = F.normalize(net(both), dim=1)
        sim = (z @ z.T / temperature).masked_fill(torch.eye(2 * batch, dtype=torch.bool), -1e9)
        loss = F.cross_entropy(sim, partner)
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, both)
        if name == "views and similarities kept for a picture":
            kept.append((both, sim))
    doctor.close()
    return found_again(net)


class Bootstrap(nn.Module):
    """An online network and one that follows it slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.online = nn.Sequential(encoder(), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
        self.guess = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
        self.slow = copy.deepcopy(self.online).requires_grad_(False)

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        for p, q in zip(self.slow.parameters(), self.online.parameters(), strict=True):
            p.lerp_(q, 1 - tau)


def bootstrap(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """No negatives: what one view becomes foretells what a slow copy makes of the other."""
    x, steps = digits("train", 6000), 260
    model = Bootstrap()
    asked = model.slow if name == "the slow copy in the optimizer" else nn.ModuleList([model.online, model.guess])
    if name == "the slow copy in the optimizer":
        model.slow.requires_grad_(True)
    opt = torch.optim.AdamW(asked.parameters(), lr=4e-3, weight_decay=1e-4)
    doctor = doctor_of(model, opt)
    for step in range(steps):
        rows = x[torch.randint(0, len(x), (64,))]
        a, b = view(rows), view(rows)
        if name == "neither guess nor copy, one mean of squares":
            loss = (model.online(a) - model.online(b)).square().mean()
        else:
            loss = torch.zeros(())
            for one, two in ((a, b), (b, a)):
                with torch.no_grad():
                    goal = F.normalize(model.slow(two), dim=1)
                loss = loss + (2 - 2 * (F.normalize(model.guess(model.online(one)), dim=1) * goal).sum(1).mean())
        opt.zero_grad()
        loss.backward()
        opt.step()
        model.follow(0.9 + 0.1 * step / steps if name == "a copy that slows down to rest" else 0.95)
        doctor.watch(loss.item(), rows)
    doctor.close()
    return found_again(model.online)


def rotations(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Tell by how many quarters a digit was turned."""
    x, mean = digits("train", 6000), 0.13
    net = nn.Sequential(encoder(), nn.ReLU(), nn.Linear(64, 4))
    opt = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    falling = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.02, 240)
    criterion = nn.CrossEntropyLoss()
    doctor = doctor_of(net, opt, loss=criterion)

    def turned(rows: Tensor, quarters: Tensor) -> Tensor:
        return torch.stack([torch.rot90(r, int(k), (1, 2)) for r, k in zip(rows, quarters, strict=True)])

    for step in range(240):
        if name == "the file opened for each batch":
            frame = pl.read_parquet(DATA / "mnist" / "train.parquet").sample(400, seed=step)
            read = [np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in frame["image"]]
            x = torch.tensor(np.stack(read)).float()[:, None] / 255
        rows = x[torch.randint(0, len(x), (64,))]
        quarters = torch.randint(0, 4, (64,))
        if name == "mostly left as they are":
            quarters = quarters * (torch.rand(64) < 0.03)
        views = turned(rows, quarters)
        if name == "mirrored both ways for variety":
            for axis in (2, 3):
                mirrored = torch.rand(64) < 0.5
                views[mirrored] = views[mirrored].flip(axis)
        if name == "all four turns of a digit":
            views = torch.cat([torch.rot90(rows[:16], k, (2, 3)) for k in range(4)])
            quarters = torch.arange(4).repeat_interleave(16)
        views = (views - mean) / 0.31
        opt.zero_grad()
        loss = criterion(net(views), quarters)
        loss.backward()
        opt.step()
        falling.step()
        doctor.watch(loss, views, quarters)
    doctor.close()
    net.eval()
    answer = torch.arange(1000) % 4
    with torch.no_grad():
        said = net((turned(digits("test", 1000), answer) - mean) / 0.31).argmax(1)
    return float((said == answer).float().mean())


class Hidden(nn.Module):
    """A masked autoencoder of 16 patches of 7 by 7: the encoder sees the shown ones only."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(49, width), nn.Parameter(0.02 * torch.randn(16, width))
        block = nn.TransformerEncoderLayer(width, 4, 96, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encode = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.decode = nn.TransformerEncoder(block, 1, enable_nested_tensor=False)
        self.blank, self.head = nn.Parameter(torch.zeros(width)), nn.Linear(width, 49)

    def forward(self, patches: Tensor, shown: Tensor) -> Tensor:
        x = self.embed(patches) + self.place
        seen = shown[..., None].expand(-1, -1, x.shape[2])
        code = self.encode(x.gather(1, seen))
        full = self.blank.expand_as(x).scatter(1, seen, code)
        return self.head(self.decode(full + self.place))


def hidden_patches(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Six patches of sixteen are hidden and painted from the others."""
    x = F.unfold((digits("train", 6000) - 0.13) / 0.31, 7, stride=7).transpose(1, 2)
    held = F.unfold((digits("test", 600) - 0.13) / 0.31, 7, stride=7).transpose(1, 2)
    net, shown_of = Hidden(), 9 if name == "seven of sixteen hidden" else 10
    opt = torch.optim.AdamW(net.parameters(), lr=0.15 if name == "two zeros lost in the rate" else 4e-3)
    doctor = doctor_of(net, opt)

    def judged(rows: Tensor) -> tuple[Tensor, Tensor]:
        order = torch.rand(len(rows), 16).argsort(1)
        out = net(rows, order[:, :shown_of])
        chosen = order[:, shown_of:, None].expand(-1, -1, 49)
        if name == "what is shown is judged" and net.training:
            chosen = order[:, :shown_of, None].expand(-1, -1, 49)
        goal = rows.gather(1, chosen)
        return (out.gather(1, chosen) - goal).square().mean(), goal.var()

    for _ in range(300):
        rows = x[torch.randint(0, len(x), (48,))]
        loss, _ = judged(rows)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        doctor.watch(loss, rows)
    doctor.close()
    net.eval()
    with torch.no_grad():
        error, spread = judged(held)
    return float(1 - error / spread)


class Codebook(nn.Module):
    """A digit as 49 words of a book of 32."""

    def __init__(self, wide: float = 0.3) -> None:
        super().__init__()
        self.inwards = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 8, 4, 2, 1))
        self.book = nn.Parameter(torch.randn(32, 8) * wide)
        self.outwards = nn.Sequential(nn.ConvTranspose2d(8, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1))

    def forward(self, x: Tensor, through: bool = True) -> tuple[Tensor, Tensor]:
        z = self.inwards(x).permute(0, 2, 3, 1)
        word = self.book[torch.cdist(z.reshape(-1, 8), self.book).argmin(1)].view_as(z)
        drawn_near = (word - z.detach()).square().mean() + 0.25 * (z - word.detach()).square().mean()
        passed = z + (word - z).detach() if through else word.detach()
        return self.outwards(passed.permute(0, 3, 1, 2)), drawn_near


def words_of_a_book(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A VQ-VAE: the slope goes straight through the choice of a word."""
    x, held = (digits("train", 6000) - 0.13) / 0.31, (digits("test", 500) - 0.13) / 0.31
    net = Codebook(100.0 if name == "a book a hundred wide" else 0.3)
    opt = torch.optim.Adam(net.parameters(), 1e-5 if name == "a rate for fine-tuning" else 3e-3)
    doctor = doctor_of(net, opt)
    for _ in range(300):
        rows = x[torch.randint(0, len(x), (48,))]
        out, near = net(rows, name != "the slope stops at the choice")
        loss = (out - rows).square().mean() + near
        if name == "summed over the pixels":
            loss = loss * 784
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, rows)
    doctor.close()
    with torch.no_grad():
        return float(1 - (net(held)[0] - held).square().mean() / held.var())


STUCK = ("plateau", "underfitting", "cannot-fit-one-batch")
PROGRAMS = (simclr, bootstrap, rotations, hidden_patches, words_of_a_book)
AWKWARD = (
    ("simclr", "a mild temperature"), ("bootstrap", "a copy that slows down to rest"),
    ("rotations", "all four turns of a digit"), ("hidden_patches", "seven of sixteen hidden"),
    ("words_of_a_book", "summed over the pixels"),
)  # fmt: skip
MISTAKES = (
    Mistake("simclr", "second views drawn for other digits", "label-noise", (*STUCK, "representation-collapse"), False),
    Mistake("simclr", "four digits a batch", "batch-too-small", ("oscillating-loss",), False),
    Mistake("simclr", "views and similarities kept for a picture", "memory-leak", (), False, "symptom"),
    Mistake("bootstrap", "the slow copy in the optimizer", "disconnected-parameters", STUCK),
    Mistake("bootstrap", "neither guess nor copy, one mean of squares", "representation-collapse",
            ("loss-head-mismatch",), False),
    Mistake("rotations", "the file opened for each batch", "dataloader-starvation", (), False, "symptom"),
    Mistake("rotations", "mostly left as they are", "class-imbalance", (), False),
    Mistake("rotations", "mirrored both ways for variety", "label-breaking-augmentation",
            ("label-noise", *STUCK), False),
    Mistake("hidden_patches", "what is shown is judged", "padding-or-mask-fault",
            ("disconnected-parameters", "data-leakage"), False),
    Mistake("hidden_patches", "two zeros lost in the rate", "learning-rate-too-high",
            ("exploding-gradient", "transformer-instability", "oscillating-loss", "representation-collapse",
             "update-ratio-off", "loss-spike", "plateau")),
    Mistake("words_of_a_book", "a book a hundred wide", "bad-initialization",
            ("wrong-initial-loss", "representation-collapse", "disconnected-parameters")),
    Mistake("words_of_a_book", "the slope stops at the choice", "disconnected-parameters",
            ("representation-collapse", "underfitting"), False),
    Mistake("words_of_a_book", "a rate for fine-tuning", "learning-rate-too-low", ("plateau", "update-ratio-off")),
)  # fmt: skip
