"""Laws of nature and functions: an equation's residual, one photo as a function, a flow in time, operators, energy."""

import math
from collections.abc import Callable
from typing import Any

import polars as pl
import torch
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import Tensor, nn
from torch.nn import functional as F


def slope(y: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(y.sum(), x, create_graph=True)[0]


def residual(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A network that obeys u'' = -9 sin 3x on [0, 3] with both ends told: u = sin 3x."""
    bend: type[nn.Module] = nn.ReLU if name == "rectifiers, whose slope has no slope" else nn.Tanh
    net = nn.Sequential(nn.Linear(1, 40), bend(), nn.Linear(40, 40), bend(), nn.Linear(40, 1))
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    ends = torch.tensor([[0.0], [3.0]])
    told = torch.sin(3 * ends)
    weight, unit = 10.0, 1000.0 if name == "places in thousandths of a metre" else 1.0
    doctor = doctor_of(net, opt)
    for step in range(500):
        if name == "ever more weight on the equation":
            weight = 10 * max(1.0, 20 * (1 - step / 200))
        x = (3 * torch.rand(64, 1)).requires_grad_()
        physics = (slope(slope(net(unit * x), x), x) + 9 * torch.sin(3 * x)).square().mean()
        boundary = (net(unit * ends) - told).square().mean()
        loss = physics + weight * boundary
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, x.detach(), physics=physics.item(), boundary=boundary.item())
    doctor.close()
    with torch.no_grad():
        x = torch.linspace(0, 3, 200)[:, None]
        return float(1 - (net(unit * x) - torch.sin(3 * x)).square().mean() / torch.sin(3 * x).var())


class Sines(nn.Module):
    """Layers of sines; the first at a frequency of its own."""

    def __init__(self, first: float, narrow: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(2, 96), nn.Linear(96, 96), nn.Linear(96, 96), nn.Linear(96, 3)
        self.first, self.later = first, 1.0 if narrow else 30.0
        nn.init.uniform_(self.a.weight, -0.5, 0.5)
        for each in (self.b, self.c, self.d):
            nn.init.uniform_(each.weight, -math.sqrt(6 / 96) / 30, math.sqrt(6 / 96) / 30)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sin(self.first * self.a(x))
        x = torch.sin(self.later * self.b(x))
        return self.d(torch.sin(self.later * self.c(x)))


def one_photo(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A street as a function of place; one pixel in five is kept back."""
    from PIL import Image

    path = sorted((DATA / "camvid" / "train" / "images").iterdir())[0]
    small = Image.open(path).convert("RGB").resize((96, 72))
    colours = torch.tensor(list(small.getdata())).float() / 127.5 - 1
    y, x = torch.meshgrid(torch.linspace(-0.75, 0.75, 72), torch.linspace(-1, 1, 96), indexing="ij")
    where = torch.stack([x, y], 2).view(-1, 2)
    order = torch.randperm(len(where), generator=torch.Generator().manual_seed(0))
    held, train = order[:1382], order[1382:]
    net = Sines(400.0 if name == "a frequency of four hundred" else 20.0, name == "the factor of thirty left out")
    opt = torch.optim.Adam(net.parameters(), lr=0.05 if name == "a rate of a twentieth" else 1e-3)
    doctor = doctor_of(net, opt, loss=F.mse_loss, held_out=[(where[held], colours[held])])
    for _ in range(350):
        at = train[torch.randint(0, len(train), (1024,))]
        loss = F.mse_loss(net(where[at]), colours[at])
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, where[at], colours[at])
    doctor.close()
    with torch.no_grad():
        error = (net(where[held]) - colours[held]).square().mean()
        return float(1 - error / (colours[held] - colours.mean(0)).square().mean())


def hunters(start: Tensor, steps: int, dt: float) -> Tensor:
    """Hares and lynxes by small steps (rows, steps + 1, 2)."""
    path, x = [start], start
    for _ in range(steps):
        for _ in range(20):
            x = x + dt / 20 * torch.stack([x[:, 0] * (1 - x[:, 1]), x[:, 1] * (x[:, 0] - 1)], 1)
        path.append(x)
    return torch.stack(path, 1)


def flow_in_time(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A network says how hares and lynxes change, and small steps of Euler carry them on."""
    truth = hunters(0.5 + torch.rand(260, 2), 24, 0.2)
    train, held = truth[:200], truth[200:]
    field = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    if name == "layers begun eight times as large":
        for part in field.children():
            if isinstance(part, nn.Linear):
                part.weight.data.mul_(8)
    opt = torch.optim.RMSprop(field.parameters(), lr=0.3 if name == "a rate of three tenths" else 1e-3)
    doctor = doctor_of(field, opt)
    first = 0

    def carried(x: Tensor, count: int) -> Tensor:
        path: list[Tensor] = []
        for _ in range(count):
            for _ in range(2):
                x = x + 0.1 * field(x)
            if name == "the path cut at each step":
                x = x.detach() if len(path) < count - 1 else x
            path.append(x)
        return torch.stack(path, 1)

    for step in range(250):
        rows = train[torch.randint(0, 200, (32,))]
        count = min(24, 4 + step // 8) if name == "ever longer paths" else 16
        first = int(torch.randint(0, 25 - count, ()))
        told = rows[:, first + 1 : first + count + 1]
        if name == "the path cut at each step":
            loss = (carried(rows[:, first], count)[:, -1] - told[:, -1]).square().mean()
        else:
            loss = (carried(rows[:, first], count) - told).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss)
    doctor.close()
    with torch.no_grad():
        error = (carried(held[:, 0], 24) - held[:, 1:]).square().mean()
        return float(1 - error / held[:, 1:].var())


class Operator(nn.Module):
    """A DeepONet: what a function is, times where it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
        self.trunk = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 32))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, u: Tensor, at: Tensor) -> Tensor:
        return torch.einsum("nk,nqk->nq", self.branch(u), self.trunk(at[..., None])) + self.offset


def sums(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Functions of five random waves on 40 places, where they are asked, and their integrals from nought."""
    k = torch.arange(1, 6).float()
    a, s = torch.randn(count, 5) / k, torch.linspace(0, 1, 40)
    at = torch.rand(count, 12)
    u = torch.einsum("nk,ks->ns", a, torch.cos(math.pi * k[:, None] * s))
    y = torch.einsum("nk,nqk->nq", a / (math.pi * k), torch.sin(math.pi * k * at[..., None]))
    return u, at, 3 * y


def integrals(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """An operator learns to integrate functions it has not seen."""
    u, at, y = sums(4000)
    hu, hat, hy = sums(500)
    if name == "answers shuffled apart from their functions":
        y = y[torch.randperm(len(y))]
    if name == "three functions":
        u, at, y = u[:3], at[:3], y[:3]
    net = Operator()
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    fall = torch.optim.lr_scheduler.ExponentialLR(opt, 0.8 if name == "a rate that falls at each step" else 0.997)
    if name == "warm restarts":
        fall = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 100)  # type: ignore[assignment]
    doctor = doctor_of(net, opt)
    for _ in range(400):
        rows = torch.randint(0, len(u), (64,))
        loss = F.mse_loss(net(u[rows], at[rows]), y[rows])
        opt.zero_grad()
        loss.backward()
        opt.step()
        fall.step()
        doctor.watch(loss, (u[rows], at[rows]), y[rows])
    doctor.close()
    with torch.no_grad():
        return float(1 - (net(hu, hat) - hy).square().mean() / hy.var())


def dearer(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A reward from preferences (Bradley and Terry): which of two blocks of houses is the dearer."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop_nulls().sample(8000, seed=1)
    price = torch.tensor(frame["median_house_value"].to_numpy()).float()
    x = torch.tensor(frame.drop("median_house_value", "ocean_proximity").to_numpy()).float()
    if name != "columns as the file has them":
        x = (x - x[:6000].mean(0)) / x[:6000].std(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    doctor = doctor_of(net, opt)
    for _ in range(400):
        a, b = torch.randint(0, 6000, (2, 128))
        won = price[a] > price[b]
        if name == "the order of the two lost before it was written":
            won = won[torch.randperm(128)]
        better, worse = torch.where(won, a, b), torch.where(won, b, a)
        margin = (net(x[better]) - net(x[worse])).squeeze(1)
        if name == "the worse one put first":
            margin = -margin
        loss = -F.logsigmoid(margin).mean()
        if name == "one judge in ten may err":
            loss = -(0.9 * F.logsigmoid(margin) + 0.1 * F.logsigmoid(-margin)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, (x[better], x[worse]))
    doctor.close()
    with torch.no_grad():
        r = net(x[6000:]).squeeze(1)
        a, b = torch.arange(1000), torch.arange(1000, 2000)
        same = (r[a] > r[b]) == (price[6000:][a] > price[6000:][b])
        return 2 * float(same.float().mean()) - 1


class Spikes(nn.Module):
    """Units that gather, fire and are set back; their slope is lent by a smooth curve."""

    def __init__(self, threshold: float, lent: bool) -> None:
        super().__init__()
        self.inwards, self.outwards = nn.Linear(196, 100), nn.Linear(100, 10)
        self.threshold, self.lent = threshold, lent

    def forward(self, x: Tensor) -> Tensor:
        volts, said = torch.zeros(len(x), 100), torch.zeros(len(x), 10)
        for _ in range(8):
            volts = 0.9 * volts + self.inwards(torch.bernoulli(x))
            over = volts - self.threshold
            fired = (over > 0).float()
            if self.lent:
                smooth = torch.sigmoid(4 * over)
                fired = smooth + (fired - smooth).detach()
            volts = volts - fired.detach() * self.threshold
            said = said + self.outwards(fired)
        return said / 8


def spiking(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Digits as trains of spikes over eight moments."""
    rows = {part: parquet("mnist", part, count) for part, count in (("train", 6000), ("test", 1000))}
    x, held = (F.avg_pool2d(torch.tensor(rows[part][0]).float() / 255, 2).flatten(1) for part in ("train", "test"))
    y, truth = (torch.tensor(rows[part][1]) for part in ("train", "test"))
    net = Spikes(60.0 if name == "a threshold of sixty" else 1.0, name != "no slope lent")
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    doctor = doctor_of(net, opt, loss=nn.CrossEntropyLoss())
    for _ in range(300):
        at = torch.randint(0, 6000, (64,))
        loss = F.cross_entropy(net(x[at]), y[at])
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        return float((net(held).argmax(1) == truth).float().mean())


STUCK = ("plateau", "underfitting", "cannot-fit-one-batch")
FAST = ("learning-rate-too-high", "oscillating-loss", "update-ratio-off", "loss-spike", "non-finite-values",
        "saturated-activations")  # fmt: skip
PROGRAMS = (residual, one_photo, flow_in_time, integrals, dearer, spiking)
AWKWARD = (
    ("residual", "ever more weight on the equation"), ("flow_in_time", "ever longer paths"),
    ("integrals", "warm restarts"), ("dearer", "one judge in ten may err"),
)  # fmt: skip
MISTAKES = (
    Mistake("residual", "rectifiers, whose slope has no slope", "vanishing-gradient",
            ("disconnected-parameters", "dying-relu", *STUCK), False),
    Mistake("residual", "places in thousandths of a metre", "saturated-activations",
            ("input-not-normalized", "bad-initialization", "wrong-initial-loss", "exploding-gradient", *STUCK)),
    Mistake("one_photo", "a frequency of four hundred", "overfitting", ("bad-initialization",), False),
    Mistake("one_photo", "the factor of thirty left out", "bad-initialization", (*STUCK, "vanishing-gradient")),
    Mistake("one_photo", "a rate of a twentieth", "learning-rate-too-high", ("exploding-gradient", *FAST, *STUCK)),
    Mistake("flow_in_time", "layers begun eight times as large", "bad-initialization",
            ("exploding-gradient", "wrong-initial-loss", *FAST)),
    Mistake("flow_in_time", "a rate of three tenths", "learning-rate-too-high", ("exploding-gradient", *FAST, *STUCK)),
    Mistake("flow_in_time", "the path cut at each step", "no-long-range-signal", ("disconnected-parameters", *STUCK),
            False),
    Mistake("integrals", "answers shuffled apart from their functions", "label-noise", ("overfitting", *STUCK), False),
    Mistake("integrals", "three functions", "overfitting", (), False),
    Mistake("integrals", "a rate that falls at each step", "learning-rate-too-low", ("plateau", "update-ratio-off")),
    Mistake("dearer", "columns as the file has them", "input-not-normalized"),
    Mistake("dearer", "the order of the two lost before it was written", "label-noise", STUCK, False),
    Mistake("dearer", "the worse one put first", "gradient-ascent", ("loss-head-mismatch", "label-noise"), False),
    Mistake("spiking", "a threshold of sixty", "dying-relu",
            ("vanishing-gradient", "bad-initialization", "disconnected-parameters", *STUCK)),
    Mistake("spiking", "no slope lent", "disconnected-parameters", ("vanishing-gradient", *STUCK), False),
)  # fmt: skip
