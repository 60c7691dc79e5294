"""Series: a spread that is learned, counts, windows with a scale of their own, second-order steps, made-up weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.harness.planted import FAST, SLOW, STEEP, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.outpatients.supervised_data import numbers, transformer
from torch import Tensor, nn
from torch.nn import functional as F

DoctorOf = Callable[..., Any]


def fortnights() -> tuple[Tensor, Tensor]:
    """Beginnings of windows to learn from and, every fourth fortnight, to be held out; none reaches into the next."""
    begin = torch.arange(12000)
    whole, last = begin // 400 == (begin + 30) // 400, begin // 400 % 4 == 3
    return torch.where(whole & ~last)[0], torch.where(whole & last)[0]


class Spread(nn.Module):
    """Windows (rows, 7, 24) to a mean and a logarithm of variance, (rows, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Conv1d(7, 32, 5, padding=2), nn.GELU(), nn.Conv1d(32, 32, 5, 2), nn.GELU())
        self.tell = nn.Linear(32 * 10, 2)

    def forward(self, x: Tensor) -> Tensor:
        change, spread = self.tell(self.see(x).flatten(1)).unbind(1)
        return torch.stack((x[:, 6, -1] + change, spread.clamp(min=-6)), 1)


def oil(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The oil's warmth three hours on and how sure that is; the loss falls below nought; score: nats a row saved."""
    series = transformer()
    windows = series.unfold(0, 24, 1)[:-3]
    ahead = series[26:, 6]
    if name == "the answer's hour within the window":
        windows, ahead = series.unfold(0, 24, 1), series[23:, 6]
    known, held = fortnights()
    model = Spread()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    def nll(out: Tensor, y: Tensor) -> Tensor:
        mean, spread = out.unbind(1)
        if name == "variance without its logarithm":
            return 0.5 * (spread.log() + (y - mean) ** 2 / spread).mean()
        return 0.5 * (spread + (y - mean) ** 2 * torch.exp(-spread)).mean()

    doctor = doctor_of(model, optimizer, loss=nll, held_out=[(windows[at], ahead[at]) for at in held[:600].split(200)])
    total = 0.0
    for step in range(1, 401):
        at = known[torch.randint(len(known), (128,))]
        if name == "hours in their order":
            at = known[(step * 128 + torch.arange(128)) % len(known)]
        loss = nll(model(windows[at]), ahead[at])
        optimizer.zero_grad()
        loss.backward()
        if name == "clipped at a millionth by plain steps":
            nn.utils.clip_grad_norm_(model.parameters(), 1e-6)
            with torch.no_grad():
                for each in model.parameters():
                    if each.grad is not None:
                        each.add_(each.grad, alpha=-0.1)
        else:
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        total += loss.item()
        doctor.watch(loss, windows[at], ahead[at])
    doctor.close()
    x, y = windows[held], ahead[held]
    with torch.no_grad():
        plain = 0.5 * (y.var().log() + 1)
        return float(plain - nll(model(x), y)) if total == total else float("nan")


def twice_short(out: Tensor, y: Tensor) -> Tensor:
    """Deviance of counts from rates that are told by their logarithms."""
    return 2 * (torch.xlogy(y, y) - y * out - y + out.exp()).mean()


def spots(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Sunspots a month as counts, by a Poisson's rate; score: share of the deviance explained."""
    counts = numbers("monthly-sunspots", "monthly-sunspots.csv").round()
    x = torch.log1p(counts).unfold(0, 36, 1)[:-1].clone()
    x, y = (x - 3.5) / 1.1, counts[36:]
    if name == "counts as they are, five figures of them":
        x = counts.unfold(0, 36, 1)[:-1] * 100
    head = nn.Linear(40, 1)
    model = nn.Sequential(nn.Linear(36, 40), nn.ReLU(), head)
    nn.init.constant_(head.bias, float(y[:2000].mean().log()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    given = name != "rates taken for logarithms of rates"
    criterion: Callable[[Tensor, Tensor], Tensor] = nn.PoissonNLLLoss(log_input=given, full=False)
    if name == "deviance instead":
        criterion = twice_short
    doctor = doctor_of(model, optimizer, criterion)
    for _ in range(12):
        for at in torch.randperm(2000).split(50):
            optimizer.zero_grad()
            predicted = model(x[at]).squeeze(-1)
            loss = criterion(predicted, y[at])
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[at], y[at])
    doctor.close()

    def deviance(rate: Tensor, y: Tensor) -> Tensor:
        return (torch.xlogy(y, y / rate) - y + rate).mean()

    with torch.no_grad():
        far, late = model(x[2030:]).squeeze(-1), y[2030:]
        rate = far.exp() if given else far.clamp(min=1e-3)
        return 1 - float(deviance(rate, late) / deviance(late.mean().expand_as(late), late))


def horizons(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Twelve hours of four series, each window by its own mean and spread; score: error saved against the last day."""
    series = transformer()[:, [0, 2, 4, 6]].T.contiguous()
    model = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 12))
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8 if name == "cooled too fast" else 0.995)

    def cut(begin: Tensor) -> tuple[Tensor, Tensor]:
        x = series[:, begin[:, None] + torch.arange(60)].transpose(0, 1)
        return x[..., :48], x[..., 48:]

    def scaled(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = x.mean(-1, keepdim=True), x.std(-1, keepdim=True) + 0.1
        return (x - mean) / spread, mean, spread

    def forecast(x: Tensor) -> Tensor:
        x, mean, spread = scaled(x)
        return model(x) * spread + mean

    doctor = doctor_of(model, optimizer)
    begins = torch.randperm(8500)
    far = cut(torch.arange(8700, 13000, 7))

    def judged() -> float:
        model.eval()
        with torch.no_grad():
            if name == "held-out windows scaled by the whole series":
                guess = model((far[0] - series.mean()) / series.std()) * series.std() + series.mean()
            else:
                guess = forecast(far[0])
        model.train()
        return float((guess - far[1]).abs().mean())

    for step, at in enumerate(begins.repeat(3).split(64)[:390]):
        if step % 60 == 30:
            doctor.evaluated(loss=judged())
        x, y = cut(at)
        if name == "mean absolute scaled error":
            loss = ((forecast(x) - y).abs() / (x.diff(dim=-1).abs().mean(-1, keepdim=True) + 0.1)).mean()
        elif name == "series and hours exchanged on the way out":
            loss = F.l1_loss(forecast(x).flatten(1).view(-1, 12, 4).transpose(1, 2), y)
        else:
            loss = F.l1_loss(forecast(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        doctor.watch(loss, x, y)
    doctor.close()
    return 1 - judged() / float((far[0][..., 24:36] - far[1]).abs().mean())


def warmth(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A small network of Melbourne's days by L-BFGS and a closure, all days at once; score: R2 of the next day."""
    days = numbers("daily-min-temperatures", "daily-min-temperatures.csv") / 10 - 1.1
    calendar = 2 * math.pi * torch.arange(len(days)) / 365.25
    x = torch.cat((days.unfold(0, 10, 1)[:-1], calendar[10:, None].sin(), calendar[10:, None].cos()), 1)
    y = days[10:, None]
    hidden, last = nn.Linear(12, 10), nn.Linear(10, 1)
    net = nn.Sequential(hidden, nn.Tanh(), last)
    if name == "hidden weights drawn a hundred wide":
        nn.init.normal_(hidden.weight, std=100.0)
    search = None if name == "no line search, a rate of thirty" else "strong_wolfe"
    rate = 30.0 if search is None else 1.0
    optimizer = torch.optim.LBFGS(net.parameters(), lr=rate, max_iter=2, history_size=10, line_search_fn=search)
    doctor = doctor_of(net, optimizer)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (net(x[:2900]) - y[:2900]).square().mean() + 1e-4 * last.weight.square().sum()
        loss.backward()
        return loss

    for _ in range(120):
        loss = optimizer.step(closure)
        doctor.watch(loss, x[:2900], y[:2900])
    doctor.close()
    with torch.no_grad():
        return 1 - float((net(x[2900:]) - y[2900:]).square().mean() / y[2900:].var())


class Weaver(nn.Module):
    """Writes for each row the weights of a linear forecast from the hour and the season: (rows, 24, 7) to (rows,)."""

    def __init__(self, gain: float, cut: bool) -> None:
        super().__init__()
        self.cut = cut
        last = nn.Linear(32, 24 * 7 + 1)
        nn.init.normal_(last.weight, std=gain)
        nn.init.zeros_(last.bias)
        self.writer = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), last)

    def forward(self, x: Tensor, when: Tensor) -> Tensor:
        weights, bias = self.writer(when).split((168, 1), 1)
        if self.cut:
            weights = weights.detach()
        return (weights * x.flatten(1)).sum(1) + bias[:, 0]


def woven(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A hypernetwork for the load six hours on; score: R2 in the four months after."""
    series = transformer()
    x, y = series.unfold(0, 24, 1)[:-6].transpose(1, 2), series[29:, 0]
    hour = torch.arange(len(y)) + 23
    when = torch.stack([wave(2 * math.pi * hour / long) for long in (24, 8766) for wave in (torch.sin, torch.cos)], 1)
    model = Weaver(3.0 if name == "written weights begun too large" else 0.01,
                   name == "written weights cut from the graph")  # fmt: skip
    known, held = fortnights()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    doctor = doctor_of(model, optimizer)
    for _ in range(400):
        losses = []
        optimizer.zero_grad()
        for at in known[torch.randint(len(known), (2, 64))]:  # two small batches make one step
            part = F.huber_loss(model(x[at], when[at]), y[at], delta=1.0) / 2
            part.backward()
            losses.append(part.detach())
        optimizer.step()
        doctor.watch(sum(losses), (x[at], when[at]), y[at])
    doctor.close()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(x[held], when[held]), y[held]) / y[held].var())


PROGRAMS = (oil, spots, horizons, warmth, woven)
AWKWARD = (("spots", "deviance instead"), ("horizons", "mean absolute scaled error"))
MISTAKES = (
    Mistake("oil", "the answer's hour within the window", "data-leakage", ("cross-sample-leak",), False, "too good"),
    Mistake("oil", "variance without its logarithm", "non-finite-values", ("loss-head-mismatch",), False),
    Mistake("oil", "hours in their order", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("oil", "clipped at a millionth by plain steps", "plateau", (*SLOW, "underfitting")),
    Mistake("spots", "counts as they are, five figures of them", "input-not-normalized",
            ("wrong-initial-loss", "non-finite-values", "exploding-gradient", "dying-relu", *FAST)),
    Mistake("spots", "rates taken for logarithms of rates", "loss-head-mismatch", ("non-finite-values",)),
    Mistake("horizons", "cooled too fast", "learning-rate-too-low", SLOW),
    Mistake("horizons", "series and hours exchanged on the way out", "cross-sample-leak", ("label-noise", *STUCK),
            False),
    Mistake("horizons", "held-out windows scaled by the whole series", "preprocessing-mismatch", (), False),
    Mistake("warmth", "hidden weights drawn a hundred wide", "saturated-activations", ("wrong-initial-loss", *STEEP)),
    Mistake("warmth", "no line search, a rate of thirty", "learning-rate-too-high",
            (*FAST, "saturated-activations", "loss-spike")),
    Mistake("woven", "written weights begun too large", "wrong-initial-loss", ("bad-initialization", *FAST)),
    Mistake("woven", "written weights cut from the graph", "disconnected-parameters", ("underfitting",)),
)  # fmt: skip
