"""Densities and samples: a flow, pixels in turn, noise taken off, a Boltzmann machine, players, a sparse code."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import Tensor, nn
from torch.nn import functional as F


@cache
def places(part: str) -> Tensor:
    """Where Californian houses stand, standardised, with a little noise as the file rounds to a hundredth."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").select("longitude", "latitude").to_numpy()
    rng = np.random.default_rng(0)
    rows = frame[rng.permutation(len(frame))]
    rows = rows + rng.uniform(-0.005, 0.005, rows.shape)
    rows = (rows - rows[:16000].mean(0)) / rows[:16000].std(0)
    return torch.tensor(rows[:16000] if part == "train" else rows[16000:]).float()


@cache
def inked(part: str, count: int) -> Tensor:
    """Digits of 14 by 14, black or white (rows, 196)."""
    x = torch.tensor(parquet("mnist", part, count)[0]).float()[:, None] / 255
    return (F.avg_pool2d(x, 2) > 0.4).float().flatten(1)


class Coupling(nn.Module):
    """One coordinate stretched and moved by what the other says."""

    def __init__(self, first: int, bounded: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))
        self.first, self.bounded = first, bounded

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = x[:, [self.first]], x[:, [1 - self.first]]
        s, t = self.net(kept).chunk(2, 1)
        s = 2 * torch.tanh(s) if self.bounded else s
        out = moved * s.exp() + t
        return torch.cat([kept, out] if self.first == 0 else [out, kept], 1), s[:, 0]


def flow(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A flow of couplings turns the map into a normal cloud; nats of an exact density."""
    x, held = places("train"), places("held")
    if name == "held-out places as the file has them":
        held = held * torch.tensor([2.0, 2.14]) + torch.tensor([-119.6, 35.6])
    free = name == "stretches without bounds at fifty times the rate"
    layers = nn.ModuleList([Coupling(i % 2, not free) for i in range(8)])
    opt = torch.optim.Adam(layers.parameters(), lr=0.1 if free else 2e-3)
    shrunk = 0.05 if name == "the map on a smaller scale" else 1.0
    doctor = doctor_of(layers, opt)

    def nats(rows: Tensor) -> Tensor:
        z, stretched = rows / shrunk, torch.full((len(rows),), -2 * float(np.log(shrunk)))
        for layer in layers:
            z, s = layer(z)
            stretched = stretched + s
        if name == "the volume with the wrong sign" and layers.training:
            stretched = -stretched
        return 0.5 * z.square().sum(1) + float(np.log(2 * np.pi)) - stretched

    for _ in range(350):
        rows = shrunk * x[torch.randint(0, len(x), (256,))]
        loss = nats(rows).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, rows)
    doctor.close()
    layers.eval()
    with torch.no_grad():
        normal = 0.5 * torch.logdet(torch.cov(x.T)) + float(np.log(2 * np.pi)) + 1
        return float(normal - nats(shrunk * held).mean()) - 2 * float(np.log(1 / shrunk))


class Masked(nn.Module):
    """A made of two layers: a pixel is told from those before it."""

    inwards: Tensor
    outwards: Tensor

    def __init__(self, width: int = 256, itself: bool = False) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(196, width), nn.Linear(width, 196)
        last = torch.randint(0, 195, (width,))
        place = torch.arange(196)
        self.register_buffer("inwards", (last[:, None] >= place).float())
        self.register_buffer("outwards", (place[:, None] > last - (2 if itself else 0)).float())

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.linear(x, self.one.weight * self.inwards, self.one.bias).relu()
        return F.linear(hidden, self.two.weight * self.outwards, self.two.bias)


def pixels_in_turn(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Each pixel is foretold from those above and left of it; nats a picture."""
    x, held = inked("train", 8000), inked("test", 1000)
    model = Masked(itself=name == "a mask that is two places late")
    opt = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=30.0 if name == "a decay of thirty" else 0.0)
    scale = 196.0 if name == "mean of a pixel" else 1.0
    doctor = doctor_of(model, opt, held_out=[(held[:200], held[:200])],
                       loss=lambda out, y: F.binary_cross_entropy_with_logits(out, y) * 196 / scale)  # fmt: skip
    for step in range(300):
        rows = x[torch.randint(0, len(x), (64,))]
        out = model(rows)
        if name == "chances given where scores are asked":
            out = out.sigmoid()
        loss = F.binary_cross_entropy_with_logits(out, rows, reduction="sum") / len(rows) / scale
        if name != "gradients never cleared" or step == 0:
            opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, rows, rows)
    doctor.close()
    with torch.no_grad():
        share = x.mean(0).clamp(1e-4, 1 - 1e-4)
        out = model(held)
        if name == "chances given where scores are asked":
            out = out.sigmoid()
        told = F.binary_cross_entropy_with_logits(out, held)
        return float(1 - told / F.binary_cross_entropy(share.expand_as(held), held))


class Cleaner(nn.Module):
    """Says what noise lies on a point of the map at a time from 0 to 1."""

    waves: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 + 8, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))
        self.register_buffer("waves", torch.tensor([1.0, 2.0, 4.0, 8.0]))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * self.waves
        return self.net(torch.cat([x, angles.sin(), angles.cos()], 1))


def diffusion(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Noise is foretold at 100 grades of it; the weights that are judged are a running mean."""
    x, held = places("train"), places("held")
    model = Cleaner()
    mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98))
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    kept = torch.cumprod(1 - torch.linspace(1e-3, 0.08, 100), 0)
    factor = 100.0 if name == "places a hundred times as wide" else 1.0
    doctor = doctor_of(model, opt)
    for step in range(450):
        if name == "a rate thrown up for five steps":
            opt.param_groups[0]["lr"] = 3.0 if 400 <= step < 405 else 3e-3
        rows, t = factor * x[torch.randint(0, len(x), (256,))], torch.randint(0, 100, (256,))
        noise, a = torch.randn(256, 2), kept[t, None]
        noisy = a.sqrt() * rows + (1 - a).sqrt() * noise
        if name == "noise drawn again for the answer":
            noise = torch.randn_like(noise)
        error = (model(noisy, t / 100) - noise).square()
        if name == "weighed by the signal in them":
            error = error * (a / (1 - a)).clamp(max=5.0)
        loss = error.mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        mean.update_parameters(model)
        doctor.watch(loss, noisy, noise)
    doctor.close()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(4)
        t, noise = torch.arange(len(held)) % 100, torch.randn_like(held)
        a = kept[t, None]
        error = mean(a.sqrt() * factor * held + (1 - a).sqrt() * noise, t / 100) - noise
    return float(1 - error.square().mean())


class Boltzmann(nn.Module):
    """Seen and hidden units with weights between them, whose slopes are counted and not derived."""

    def __init__(self, x: Tensor, hidden: int = 128) -> None:
        super().__init__()
        share = x.mean(0).clamp(0.01, 0.99)
        self.w = nn.Parameter(0.01 * torch.randn(196, hidden))
        self.seen, self.hidden = nn.Parameter((share / (1 - share)).log()), nn.Parameter(torch.zeros(hidden))

    def up(self, v: Tensor) -> Tensor:
        return torch.sigmoid(v @ self.w + self.hidden)

    def down(self, h: Tensor) -> Tensor:
        return torch.sigmoid(h @ self.w.T + self.seen)


def boltzmann(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Contrastive divergence of one step, without autograd."""
    x, held = inked("train", 6000), inked("test", 1000)
    machine = Boltzmann(x)
    opt = torch.optim.SGD(machine.parameters(), lr=0.4, momentum=0.5)
    doctor = doctor_of(machine, opt)
    sign = -1 if name == "dream and day exchanged" else 1
    with torch.no_grad():
        for _ in range(500):
            v = x[torch.randint(0, len(x), (64,))]
            h = machine.up(v)
            dreamt = machine.down(h if name == "chances for draws" else torch.bernoulli(h))
            again = machine.up(dreamt)
            machine.w.grad = sign * (dreamt.T @ again - v.T @ h) / 64
            machine.seen.grad = sign * (dreamt - v).mean(0)
            machine.hidden.grad = sign * (again - h).mean(0)
            if name == "a cost of weights that outweighs all":
                machine.w.grad += 0.5 * machine.w
            opt.step()
            doctor.watch((v - dreamt).square().sum(1).mean(), v)
        doctor.close()
        error = (machine.down(machine.up(held)) - held).square().mean()
        return float(1 - error / (held - x.mean(0)).square().mean())


def forgers(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Two players over the map by the hinge: one draws places, one judges them."""
    x = places("train")
    draw = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    judge = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    owned = list(judge.parameters())
    if name == "the judge owns the forger's weights too":
        owned += list(draw.parameters())
    opt_d = torch.optim.Adam(owned, lr=2e-3, betas=(0.5, 0.9))
    opt_g = torch.optim.Adam(draw.parameters(), lr=1e-3, betas=(0.5, 0.9))
    doctor = doctor_of(nn.ModuleDict({"draw": draw, "judge": judge}), {"draw": opt_g, "judge": opt_d})
    owner = name == "the judge owns the forger's weights too"
    wide = 0.02 if name == "noise of a fiftieth" else 1.0
    for step in range(450):
        real = x[torch.randint(0, len(x), (128,))]
        fake = draw(wide * torch.randn(128, 6))
        seen = fake if owner else fake.detach()
        if name == "least squares":
            d_loss = (judge(real) - 1).square().mean() + (judge(seen) + 1).square().mean()
        else:
            d_loss = F.relu(1 - judge(real)).mean() + F.relu(1 + judge(seen)).mean()
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
        noise = wide * torch.randn(128, 6)
        g_loss = -judge(draw(noise)).mean()
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()
        doctor.watch({"draw": g_loss, "judge": d_loss}, real)
        if step % 75 == 74:
            with torch.no_grad():
                doctor.generated(draw(noise), real)
    doctor.close()
    with torch.no_grad():
        drawn = draw(wide * torch.randn(1000, 6))
    return 1 - apart(drawn, places("held")[:1000]) / apart(places("held")[:1].expand(2, 2), places("held")[:1000])


def apart(a: Tensor, b: Tensor) -> float:
    """The energy distance of two clouds."""
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


def sparse_code(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Twice as many features as pixels, few of them on at a time, by the sum of their sizes."""
    x = torch.tensor(parquet("cifar10", "train", 4000)[0]).float().mean(3) / 255
    patches = F.unfold(x[:, None], 8, stride=8).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(1, keepdim=True)
    patches = patches / (patches.std(1, keepdim=True) + 0.05)
    train, held = patches[:60000], patches[60000:]
    read, write = nn.Linear(64, 128), nn.Linear(128, 64)
    if name == "thresholds of minus twelve":
        nn.init.constant_(read.bias, -12)
    model = nn.Sequential(read, nn.ReLU(), write)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    price = 3.0 if name == "a price for the mean put on the sum" else 0.003
    doctor = doctor_of(model, opt)
    for _ in range(400):
        rows = train[torch.randint(0, len(train), (200,))]
        code = model[:2](rows)
        out = F.linear(code, read.weight.T, write.bias) if name == "one set of weights" else write(code)
        loss = (out - rows).square().mean() + price * code.sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, rows, rows)
    doctor.close()
    with torch.no_grad():
        code = model[:2](held)
        out = F.linear(code, read.weight.T, write.bias) if name == "one set of weights" else write(code)
        return float(1 - (out - held).square().mean() / held.var())


STUCK = ("plateau", "underfitting", "cannot-fit-one-batch")
FAST = ("learning-rate-too-high", "oscillating-loss", "update-ratio-off", "loss-spike", "non-finite-values")
PROGRAMS = (flow, pixels_in_turn, diffusion, boltzmann, forgers, sparse_code)
AWKWARD = (
    ("flow", "the map on a smaller scale"), ("pixels_in_turn", "mean of a pixel"),
    ("diffusion", "weighed by the signal in them"), ("boltzmann", "chances for draws"), ("forgers", "least squares"),
)  # fmt: skip
MISTAKES = (
    Mistake("flow", "held-out places as the file has them", "preprocessing-mismatch", (), False),
    Mistake("flow", "stretches without bounds at fifty times the rate", "exploding-gradient", FAST),
    Mistake("flow", "the volume with the wrong sign", "gradient-ascent", ("loss-head-mismatch", *STUCK), False),
    Mistake("pixels_in_turn", "a mask that is two places late", "cross-sample-leak", ("data-leakage",), False,
            "too good"),
    Mistake("pixels_in_turn", "a decay of thirty", "over-regularized", ("representation-collapse", *STUCK)),
    Mistake("pixels_in_turn", "chances given where scores are asked", "loss-head-mismatch"),
    Mistake("pixels_in_turn", "gradients never cleared", "missing-zero-grad"),
    Mistake("diffusion", "places a hundred times as wide", "input-not-normalized", STUCK),
    Mistake("diffusion", "a rate thrown up for five steps", "loss-spike",
            ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "update-ratio-off")),
    Mistake("diffusion", "noise drawn again for the answer", "label-noise", STUCK, False),
    Mistake("boltzmann", "dream and day exchanged", "gradient-ascent",
            ("learning-rate-too-high", "exploding-gradient"), False),
    Mistake("boltzmann", "a cost of weights that outweighs all", "over-regularized",
            ("representation-collapse", *STUCK), False),
    Mistake("forgers", "the judge owns the forger's weights too", "one-player-wins",
            ("mode-collapse", "gradient-ascent"), False),
    Mistake("forgers", "noise of a fiftieth", "mode-collapse", ("one-player-wins",), False),
    Mistake("sparse_code", "thresholds of minus twelve", "dying-relu", ("bad-initialization", *STUCK)),
    Mistake("sparse_code", "a price for the mean put on the sum", "over-regularized",
            ("dying-relu", "representation-collapse", *STUCK), False),
)  # fmt: skip
