"""Two tables: how old shells are (a number), and which lumps in a mammogram are harmful (one in 43)."""

import math
from functools import cache, partial

import polars as pl
import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, explained, plain
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn


def layers(case: Case, hidden: tuple[int, ...] = (64, 64), activation: type[nn.Module] = nn.ReLU,
           dropout: float = 0.0) -> nn.Module:  # fmt: skip
    """As many hidden layers as widths, and one output."""
    found: list[nn.Module] = []
    width = case.train[0].shape[1]
    for each in hidden:
        found += [nn.Linear(width, each), activation(), nn.Dropout(dropout)]
        width = each
    return nn.Sequential(*found, nn.Linear(width, 1))


class Skipping(nn.Module):
    """Three residual branches, each begun as nothing."""

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, 1)
        self.branches = nn.ModuleList([
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(3)
        ])  # fmt: skip
        for branch in self.branches:
            nn.init.zeros_(branch[2].weight)
            nn.init.zeros_(branch[2].bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.last(torch.relu(x))


def standard(x: Tensor, rows: int) -> Tensor:
    return (x - x[:rows].mean(0)) / x[:rows].std(0)


@cache
def measured() -> tuple[Tensor, Tensor]:
    """Sex as two columns, lengths in millimetres, weights in grams; and the rings of each shell."""
    frame = pl.read_csv(DATA / "abalone" / "abalone.csv", has_header=False).sample(fraction=1.0, shuffle=True, seed=0)
    sex = torch.tensor([[each == "M", each == "F"] for each in frame[:, 0]], dtype=torch.float32)
    sizes = 200 * torch.tensor(frame[:, 1:-1].to_numpy(), dtype=torch.float32)
    return torch.cat((sex, sizes), 1), torch.tensor(frame[:, -1].to_numpy(), dtype=torch.float32)[:, None]


def parts(x: Tensor, y: Tensor, rows: int) -> tuple[Rows, Rows]:
    return (x[:rows], y[:rows]), (x[rows:], y[rows:])


def shells() -> Case:
    x, y = measured()
    train, held = parts(standard(x, 3300), standard(y, 3300), 3300)
    return Case(layers, train, held, nn.SmoothL1Loss(), explained, "r2", optimizer=plain, rate=0.1, batch=64,
                steps=500, told=True)  # fmt: skip


@cache
def candidates() -> tuple[Tensor, Tensor]:
    frame = pl.read_csv(DATA / "mammography" / "mammography.csv", has_header=False, quote_char="'")
    frame = frame.sample(fraction=1.0, shuffle=True, seed=1)
    x = torch.tensor(frame[:, :-1].to_numpy(), dtype=torch.float32)
    return x, torch.tensor([[int(each) > 0] for each in frame[:, -1]], dtype=torch.float32)


def balanced(outputs: Tensor, targets: Tensor) -> float:
    """The mean of the two shares of right answers."""
    hits = ((outputs > 0) == (targets > 0.5)).float()
    return float((hits[targets > 0.5].mean() + hits[targets <= 0.5].mean()) / 2)


def balanced_shares(outputs: Tensor, targets: Tensor) -> float:
    return balanced(outputs - 0.5, targets)


def weighted(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in which harmful ones count forty times."""
    return nn.functional.binary_cross_entropy_with_logits(output, target, pos_weight=output.new_tensor(40.0))


def lumps() -> Case:
    x, y = candidates()
    train, held = parts(standard(x, 7500), y, 7500)
    return Case(layers, train, held, weighted, balanced, "balanced accuracy", rate=3e-3, decay=0.01, batch=64,
                steps=400)  # fmt: skip


def in_millimetres(case: Case) -> None:
    case.train, case.held = parts(measured()[0], torch.cat((case.train[1], case.held[1])), 3300)


def rings_told(case: Case) -> None:
    """The number of rings stands among the columns, a little blurred."""
    case.train, case.held = (
        (torch.cat((x, y + 0.1 * torch.randn_like(y)), 1), y) for x, y in (case.train, case.held)
    )  # fmt: skip


def unknown(case: Case) -> None:
    """One cell in twelve is -99999, which stands for a missing value."""
    case.train, case.held = (
        (torch.where(torch.rand(x.shape) < 0.08, torch.tensor(-99999.0), x), y) for x, y in (case.train, case.held)
    )  # fmt: skip


def holes(x: Tensor) -> Tensor:
    """One shell in a hundred was not weighed."""
    x = x.clone()
    x[torch.rand(len(x)) < 0.01, -1] = float("nan")
    return x


def head_at(model: nn.Module, bias: float, factor: float = 1.0) -> None:
    head = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
    with torch.no_grad():
        head.weight.mul_(factor)
        head.bias.fill_(bias)


def slow_shares(case: Case) -> None:
    """Squared error of a sigmoid that begins at its end."""
    of.both(of.touch(head_at, -12.0, 0.1), of.behind(nn.Sigmoid()))(case)
    case.loss, case.score = nn.MSELoss(), balanced_shares


def quarter(model: nn.Module) -> None:
    """Biases by which most units are silent for most rows."""
    of.biases(model, -0.6)


def by_logarithms(output: Tensor, target: Tensor) -> Tensor:
    """The error of logarithms, as for rings that are counted; but these are standardised."""
    return (torch.log(output) - torch.log(target)).square().mean()


TANH = of.put(build=partial(layers, activation=nn.Tanh))
DEEP = of.put(build=partial(layers, hidden=(64,) * 6))
FAULTS: dict[str, dict[str, Change]] = {
    "shells": {
        "millimetres and grams": in_millimetres,
        "shells not weighed": of.inputs(holes),
        "rings among the columns": rings_told,
        "a sigmoid head for standardised rings": of.behind(nn.Sigmoid()),
        "head begun at three hundred": of.touch(head_at, 300.0),
        "six layers with weights times six": of.both(DEEP, of.touch(of.larger, 6.0)),
        "biases at minus eight": of.touch(of.biases, -8.0),
        "tanh with weights times sixty": of.both(TANH, of.touch(of.larger, 60.0)),
        "first layer at three thousand times the rate": of.put(optimizer=of.groups("0.weight", 3000, torch.optim.SGD)),
        "logarithms of what is below nought": of.put(loss=by_logarithms),
        "rate times thirty": of.times(30),
        "weight decay of one half": of.put(decay=0.5),
        "one shell a batch": of.put(batch=1),
        "steps that wait": of.then(of.cliff),
        # Healthy, and only awkward.
        "cosine restarts": of.put(schedule=lambda step: 0.55 + 0.45 * math.cos(math.pi * (step % 125) / 125)),
        "a cyclic rate": of.put(schedule=lambda step: 0.2 + 0.8 * abs((step % 100) / 50 - 1)),
        "gradients of four batches": of.put(accumulate=4, batch=16, steps=2000),
        "bfloat16": of.put(bfloat16=True),
        "residual branches begun as nothing": of.put(build=lambda case: Skipping(case.train[0].shape[1])),
        "trained long after it converged": of.put(steps=2500),
    },
    "lumps": {
        "missing values as -99999": unknown,
        "harmful ones count as one": of.put(loss=nn.BCEWithLogitsLoss()),
        "labels one and two": of.labels(lambda y: y + 1),
        "squared error of a sigmoid at its end": slow_shares,
        "ten layers of sigmoids": of.put(build=partial(layers, hidden=(64,) * 10, activation=nn.Sigmoid)),
        "float16 weights": of.half,
        "slow rows": of.put(dataset=of.Slow, steps=150),
        # Healthy, and only awkward.
        "half dropped": of.put(build=partial(layers, dropout=0.5)),
        "batches of sixteen": of.put(batch=16, rate=1e-3, steps=800),
        "most units silent": of.touch(quarter),
    },
}  # fmt: skip
