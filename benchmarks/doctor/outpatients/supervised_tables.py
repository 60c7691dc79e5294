"""Tables whose answers are no plain number: quantiles, grades, times to an event, sums of curves, evidence."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.harness.planted import ASCENT, NOISE, SLOW, STEEP, STUCK, TIRED
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.outpatients.supervised_data import houses, numerals, shells, standard
from torch import Tensor, nn
from torch.nn import functional as F

DoctorOf = Callable[..., Any]


def quantiles(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Three quantiles of a price by the pinball loss; score: its share that is saved against constant quantiles."""
    x, price = houses()
    x, held = standard(x, 15000), slice(15000, None)
    levels = torch.tensor([0.1, 0.5, 0.9]) * (100 if name == "levels in per cent" else 1)
    net = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 3))

    def pinball(predicted: Tensor, target: Tensor, at: Tensor = levels) -> Tensor:
        error = target[:, None] - predicted
        return torch.maximum(at * error, (at - 1) * error).mean()

    per = 256 * 3.0 if name == "summed over rows and levels" else 1.0
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    epochs_of_warmup = 5000 if name == "warm-up counted in epochs" else 20
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: min(1.0, (done + 1) / epochs_of_warmup))
    doctor = doctor_of(net, optimizer, loss=pinball if per == 1 else None)
    for _ in range(400):
        rows = torch.randint(15000, (256,))
        loss = pinball(net(x[rows]), price[rows]) * per
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm.step()
        doctor.watch(loss, x[rows], price[rows])
    doctor.close()
    right = torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        constant = price[:15000].quantile(right).expand(len(price[held]), 3)
        return 1 - float(pinball(net(x[held]), price[held], right) / pinball(constant, price[held], right))


class Graded(nn.Module):
    """Scores of being above each of four cut points, which rise by construction: (rows, 4)."""

    def __init__(self, gap: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 1))
        self.first, self.gaps = nn.Parameter(torch.tensor([-1.0])), nn.Parameter(torch.full((3,), gap))

    def forward(self, x: Tensor) -> Tensor:
        cuts = torch.cat((self.first, self.first + F.softplus(self.gaps).cumsum(0)))
        return self.body(x) - cuts


def grades(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Five grades of age by cumulative logits; score: share of the mean distance saved."""
    x, rings = shells()
    grade = torch.bucketize(rings, torch.tensor([7.5, 8.5, 9.5, 11.5]))
    model = Graded(-120.0 if "difference" in name else 0.0)
    weights = list(model.parameters())
    decay = 0.3 if name == "a decay of three tenths, cut points and all" else 0.0
    optimizer = torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True, weight_decay=decay)

    def likelihood(scores: Tensor, grade: Tensor) -> Tensor:
        if name == "logarithms of a difference that is nought":
            above = F.pad(F.pad(torch.sigmoid(scores), (1, 0), value=1.0), (0, 1))
            return -(above[:, :-1] - above[:, 1:]).gather(1, grade[:, None]).log().mean()
        over = (grade[:, None] > torch.arange(4)).float()
        return F.binary_cross_entropy_with_logits(scores, over, reduction="none").sum(1).mean()

    doctor = doctor_of(model, optimizer, likelihood)
    average, begun = copy.deepcopy(model), False
    for epoch in range(8):
        for rows in torch.randperm(3200).split(64):
            optimizer.zero_grad()
            loss = likelihood(model(x[rows]), grade[rows])
            loss.backward()
            optimizer.step()
            doctor.watch(loss.detach(), x[rows], grade[rows])
        if name == "weights averaged over epochs" and epoch >= 4:
            for mean, now in zip(average.parameters(), weights, strict=True):
                mean.data.lerp_(now.data, 1 / (epoch - 3))
            begun = True
        with torch.no_grad():
            doctor.evaluated(loss=float(likelihood(model(x[3200:]), grade[3200:])))
    doctor.close()
    with torch.no_grad():
        found = ((average if begun else model)(x[3200:]) > 0).sum(1)
    distance = (found - grade[3200:]).abs().float().mean()
    return 1 - float(distance / (grade[3200:].median() - grade[3200:]).abs().float().mean())


def survival(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Age of shells as a time that for some was not seen to its end; score: 2 x concordance - 1."""
    x, rings = shells()
    end = torch.empty(len(x)).exponential_(0.05, generator=torch.Generator().manual_seed(1)) + 4
    time, seen = torch.minimum(rings + torch.rand(len(x), generator=torch.Generator().manual_seed(2)), end), rings < end
    risk = nn.Sequential(nn.Linear(9, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 1, bias=False))
    optimizer = torch.optim.AdamW(risk.parameters(), lr=2e-3, weight_decay=1e-3)
    known = 20 if name == "twenty shells, seen over and over" else 3200

    def cox(score: Tensor, time: Tensor, seen: Tensor) -> Tensor:
        order = time.argsort(descending=True)
        seen = seen[order].float()
        score = score if name == "scores left in the order of before" else score[order]
        partial = score - score.logcumsumexp(0)
        likelihood = (partial * seen).sum() / seen.sum().clamp(min=1)
        return likelihood if name == "likelihood without its minus" else -likelihood

    doctor = doctor_of(risk, optimizer)
    risk.train()
    for step in range(300):
        rows = torch.randperm(known)[:200]
        loss = cox(risk(x[rows]).squeeze(1), time[rows], seen[rows])
        if name == "partial likelihoods summed":
            loss = loss * seen[rows].sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        doctor.watch(float(loss), x[rows])
        if step % 30 == 29:
            risk.eval()
            with torch.no_grad():
                ats = torch.arange(3200, 4000).split(200)
                far = [cox(risk(x[at]).squeeze(1), time[at], seen[at]) for at in ats]
            doctor.evaluated(loss=float(torch.stack(far).mean()))
            risk.train()
    doctor.close()
    risk.eval()
    with torch.no_grad():
        score, late, died = risk(x[3200:]).squeeze(1), time[3200:], seen[3200:]
    first = (late[:, None] < late) & died[:, None]
    return 2 * float((score[:, None] > score)[first].float().mean()) - 1


class Curves(nn.Module):
    """A small network a column; their sum is the answer: (rows,), and what each adds (rows, columns)."""

    def __init__(self, columns: int, listed: bool) -> None:
        super().__init__()
        made = [nn.Sequential(nn.Linear(1, 24), nn.ELU(), nn.Linear(24, 12), nn.ELU(), nn.Linear(12, 1))
                for _ in range(columns)]  # fmt: skip
        self.curves: Any = made if listed else nn.ModuleList(made)
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = torch.cat([curve(x[:, [place]]) for place, curve in enumerate(self.curves)], 1)
        return self.level + parts.sum(1), parts


def additive(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A neural additive model of the logarithm of prices; score: R2."""
    x, price = houses()
    x, y = standard(x, 15000), price.log()
    model = Curves(8, name == "curves kept in a plain list")
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3, alpha=0.95)
    penalty = 1e-3 if name != "what is added punished by its sum over the batch" else 1e-3 * 512 * 8
    cycle = (torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 100) if name == "restarts"
             else torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300))  # fmt: skip
    doctor = doctor_of(model, optimizer)
    for _ in range(300):
        rows = torch.randint(15000, (512,))
        answer, parts = model(x[rows])
        error = F.mse_loss(answer, y[rows])
        loss = error + penalty * parts.square().mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        doctor.watch(loss.item(), inputs=x[rows], target=y[rows], error=error.item())
    doctor.close()
    model.eval()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(x[15000:])[0], y[15000:]) / y[15000:].var())


def evidence(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Numerals by a Dirichlet's evidence, its divergence weighed in over time; score: accuracy in bits of ten."""
    (x, y), (far, right) = numerals("train", 6000), numerals("test", 1500)
    head = nn.Linear(100, 10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), head)
    if name == "evidence by a rectifier, far below nought":
        nn.init.constant_(head.bias, -8.0)
    positive = F.relu if "rectifier" in name else F.softplus
    optimizer = torch.optim.Adam(model.parameters(), lr=2.5e-3)

    def bayes_risk(scores: Tensor, target: Tensor, weight: float) -> Tensor:
        strength = positive(scores) + 1
        total, one = strength.sum(1, keepdim=True), F.one_hot(target, 10)
        mean = strength / total
        squares = ((one - mean) ** 2 + mean * (1 - mean) / (total + 1)).sum(1)
        wrong = one + (1 - one) * strength
        divergence = torch.distributions.kl_divergence(
            torch.distributions.Dirichlet(wrong), torch.distributions.Dirichlet(torch.ones_like(wrong))
        )
        return (squares + weight * divergence).mean()

    doctor = doctor_of(model, optimizer)
    for step in range(350):
        at = torch.randint(6000, (64,))
        weight = 3.0 if name == "divergence thirty times, from the first step" else min(0.1, step / 2000)
        loss = bayes_risk(model(x[at] - 0.13), y[at], weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at] - 0.13, y[at])
    doctor.close()
    with torch.no_grad():
        strength = positive(model(far - 0.13)) + 1
    chance = (strength / strength.sum(1, keepdim=True))[torch.arange(len(right)), right]
    return 1 + float(chance.log().mean()) / math.log(10)


PROGRAMS = (quantiles, grades, survival, additive, evidence)
AWKWARD = (
    ("quantiles", "summed over rows and levels"), ("grades", "weights averaged over epochs"),
    ("survival", "partial likelihoods summed"), ("additive", "restarts"),
)  # fmt: skip
MISTAKES = (
    Mistake("quantiles", "levels in per cent", "gradient-ascent", ("loss-head-mismatch", *ASCENT)),
    Mistake("quantiles", "warm-up counted in epochs", "learning-rate-too-low", SLOW),
    Mistake("grades", "a decay of three tenths, cut points and all", "over-regularized", TIRED),
    Mistake("grades", "logarithms of a difference that is nought", "non-finite-values",
            ("bad-initialization", "wrong-initial-loss"), False),
    Mistake("survival", "scores left in the order of before", "label-noise", NOISE, False),
    Mistake("survival", "likelihood without its minus", "gradient-ascent", ASCENT),
    Mistake("survival", "twenty shells, seen over and over", "overfitting", (), False),
    Mistake("additive", "curves kept in a plain list", "disconnected-parameters", ("underfitting", *STUCK)),
    Mistake("additive", "what is added punished by its sum over the batch", "over-regularized", TIRED),
    Mistake("evidence", "evidence by a rectifier, far below nought", "dying-relu", STEEP),
    Mistake("evidence", "divergence thirty times, from the first step", "over-regularized", TIRED),
)  # fmt: skip
