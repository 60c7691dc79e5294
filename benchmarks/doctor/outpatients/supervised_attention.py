"""Vowels put back by a transformer, voices told apart by triplets, differences of numerals."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.harness.planted import DEAD, FAST, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA
from benchmarks.doctor.outpatients.supervised_data import numerals, spoken
from torch import Tensor, nn
from torch.nn import functional as F

DoctorOf = Callable[..., Any]
HIDDEN = 28


@cache
def letters() -> Tensor:
    """The plays as small letters from 1 to 26 and 27 for anything else."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8").lower()[:400_000]
    return torch.tensor([ord(each) - 96 if "a" <= each <= "z" else 27 for each in text])


class Restorer(nn.Module):
    """Letters (rows, 32), vowels hidden, to scores of five vowels at each place (rows, 32, 5)."""

    def __init__(self, layers: int, before: bool) -> None:
        super().__init__()
        self.letter, self.place = nn.Embedding(29, 48), nn.Parameter(torch.randn(32, 48) * 0.1)
        self.near = nn.Conv1d(48, 48, 5, padding=2)
        block = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=before)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.letter(x)
        return self.head(self.blocks(seen + self.near(seen.mT).mT + self.place))


def vowels(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Which vowel stood where one is hidden, labels smoothed by hand; score: share of the entropy saved."""
    text = letters()
    number = torch.full((29,), -1)
    number[torch.tensor([1, 5, 9, 15, 21])] = torch.arange(5)

    def rows(begin: Tensor) -> tuple[Tensor, Tensor]:
        whole = text[begin[:, None] + torch.arange(32)]
        y = number[whole]
        return whole if name == "vowels left where they stand" else torch.where(y >= 0, HIDDEN, whole), y

    wild = name == "four layers, norms behind, no warm-up, ten times the rate"
    model = Restorer(4 if wild else 1, not wild)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-2 if wild else 5e-3, betas=(0.9, 0.98))
    warm = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: 1.0 if wild else min((done + 1) / 60, (60 / (done + 1)) ** 0.5))  # fmt: skip

    def smoothed(score: Tensor, y: Tensor) -> Tensor:
        there, chance = y >= 0, score.log_softmax(2)
        if name == "places without a hidden vowel counted as an a":
            there, y = torch.ones_like(there), y.clamp(min=0)
        right = chance.gather(2, y.clamp(min=0)[:, :, None]).squeeze(2)
        return -((0.95 * right + 0.05 * chance.mean(2)) * there).sum() / there.sum()

    doctor = doctor_of(model, optimizer, smoothed)
    for _ in range(300):
        x, y = rows(torch.randint(350_000, (32,)))
        loss = smoothed(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm.step()
        doctor.watch(loss, x, y)
    doctor.close()
    model.eval()
    x, y = rows(350_100 + 32 * torch.arange(600))
    share = torch.bincount(y[y >= 0], minlength=5) / (y >= 0).sum()
    with torch.no_grad():
        return 1 + float(-F.cross_entropy(model(x)[y >= 0], y[y >= 0]) / -(share * share.log()).sum())


def voices(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Digits told apart by all triplets of a batch that still err; score: nearest known recording says the same."""
    x, digit, _, held = spoken()
    far, what, x, y = x[held], digit[held], x[~held], digit[~held]
    if name == "a flat line in one recording of fifty":
        x = x.clone()
        x[::50] = float("nan")
    wide = 1 if name == "one number for a recording" else 24
    model = nn.Sequential(nn.Conv1d(32, 48, 5, 2, 2), nn.ReLU(), nn.Conv1d(48, 48, 5, 2, 2), nn.ReLU(),
                          nn.Conv1d(48, 48, 5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(240, wide))  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def triplets(places: Tensor, y: Tensor) -> Tensor:
        if name != "the hardest triplets alone, places of any length":
            places = F.normalize(places)
        if name == "roots of squares that are nought":
            apart = (places[:, None] - places).square().sum(2).sqrt()
        else:
            apart = ((places[:, None] - places).square().sum(2) + 1e-6).sqrt()
        alike = y[:, None] == y
        if name == "the hardest triplets alone, places of any length":
            return F.relu((apart * alike).amax(1) - (apart + 1e3 * alike).amin(1) + 0.5).mean()
        gap = (apart[:, :, None] - apart[:, None, :])[alike[:, :, None] & ~alike[:, None, :]]
        if name == "a soft margin":
            return F.softplus(5 * gap).mean()
        short = F.relu(gap + 0.3)
        return short.sum() / (short > 0).sum().clamp(min=1)

    doctor = doctor_of(model, optimizer, triplets)
    for _ in range(300):
        at = torch.randint(len(x), (60,))
        loss = triplets(model(x[at]), y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        near = torch.cdist(model(far), model(x)).argmin(1)
    return float((digit[~held][near] == what).float().mean())


class Twin(nn.Module):
    """One network for both pictures of a pair; the difference of their numbers (rows,)."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Flatten(), nn.Linear(784, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(),
                                 nn.Linear(wide, 1))  # fmt: skip

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (self.see(one) - self.see(other)).squeeze(1)


def apart(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """By how much one numeral exceeds another, two pictures through one network; score: R2."""
    (x, y), (far, right) = numerals("train", 6000), numerals("test", 2000)
    x, far = (x - 0.13) / 0.31, (far - 0.13) / 0.31
    model = Twin(1 if name == "one unit a layer" else 96)
    optimizer = torch.optim.RAdam(model.parameters(), lr=4e-3)
    doctor = doctor_of(model, optimizer, loss=F.mse_loss)
    for _ in range(350):
        one, other = torch.randint(6000, (2, 64))
        if name == "one pair a step":
            one, other = one[:1], other[:1]
        wanted = (y[one] - y[other]).float() / 3
        if name == "differences against a column":
            wanted = wanted[:, None]
        loss = F.mse_loss(model(x[one], x[other]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (x[one], x[other]), wanted)
    doctor.close()
    model.eval()
    with torch.no_grad():
        wanted = (right[:1000] - right[1000:]).float() / 3
        return 1 - float(F.mse_loss(model(far[:1000], far[1000:]), wanted) / wanted.var())


PROGRAMS = (vowels, voices, apart)
AWKWARD = (("voices", "a soft margin"),)
MISTAKES = (
    Mistake("vowels", "four layers, norms behind, no warm-up, ten times the rate", "transformer-instability",
            (*FAST, *DEAD, *STUCK)),
    Mistake("vowels", "vowels left where they stand", "data-leakage", ("cross-sample-leak",), False, "too good"),
    Mistake("vowels", "places without a hidden vowel counted as an a", "padding-or-mask-fault",
            ("class-imbalance", "targets-out-of-range"), False),
    Mistake("voices", "the hardest triplets alone, places of any length", "representation-collapse", STUCK, False),
    Mistake("voices", "roots of squares that are nought", "non-finite-values", (), False),
    Mistake("voices", "a flat line in one recording of fifty", "bad-features", ("non-finite-values",), False),
    Mistake("apart", "one unit a layer", "underfitting", ("cannot-fit-one-batch", "plateau", "dying-relu"), False),
    Mistake("apart", "one pair a step", "batch-too-small", FAST, False),
    Mistake("apart", "differences against a column", "loss-head-mismatch", STUCK),
)  # fmt: skip
