"""Two tables: tumours of the breast, benign or malignant (classes), and what houses cost in California (a number)."""

import copy
import math
from functools import partial

import numpy as np
import polars as pl
import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, adam, explained, momentum, plain
from benchmarks.doctor.loops.reading import DATA
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn


def mlp(case: Case, hidden: tuple[int, ...] = (128, 128), activation: type[nn.Module] = nn.ReLU,
        dropout: float = 0.0) -> nn.Module:  # fmt: skip
    """Layers of a table's network."""
    layers: list[nn.Module] = []
    width = case.train[0].shape[1]
    for each in hidden:
        layers += [nn.Linear(width, each), activation(), *([nn.Dropout(dropout)] if dropout else [])]
        width = each
    return nn.Sequential(*layers, nn.Linear(width, 1))


def standardised(x: Tensor, of_rows: Tensor) -> Tensor:
    return (x - of_rows.mean(0)) / of_rows.std(0)


def tumour_rows(scaled: bool = True) -> tuple[Rows, Rows]:
    data, target = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))
    x = torch.tensor(data[order], dtype=torch.float32)
    y = torch.tensor(target[order], dtype=torch.float32)[:, None]
    x = standardised(x, x[:400]) if scaled else x
    return (x[:400], y[:400]), (x[400:], y[400:])


def house_rows(scaled: bool = True) -> tuple[Rows, Rows]:
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop_nulls().sample(7500, seed=0)
    answer = torch.tensor(frame["median_house_value"].to_numpy(), dtype=torch.float32)[:, None]
    x = torch.tensor(frame.drop("median_house_value", "ocean_proximity").to_numpy(), dtype=torch.float32)
    x = standardised(x, x[:6000]) if scaled else x
    answer = standardised(answer, answer[:6000])
    return (x[:6000], answer[:6000]), (x[6000:], answer[6000:])


def right(outputs: Tensor, targets: Tensor) -> float:
    """The mean of the two shares of right answers."""
    hits = ((outputs > 0) == (targets > 0.5)).float()
    return float((hits[targets > 0.5].mean() + hits[targets <= 0.5].mean()) / 2)


def surely(outputs: Tensor, targets: Tensor) -> float:
    """The same of shares between nought and one."""
    return right(outputs - 0.5, targets)


def tumours() -> Case:
    rows, held = tumour_rows()
    return Case(mlp, rows, held, nn.BCEWithLogitsLoss(), right, optimizer=momentum, rate=0.02, batch=32, steps=400,
                told=True)  # fmt: skip


def housing() -> Case:
    rows, held = house_rows()
    return Case(mlp, rows, held, nn.MSELoss(), explained, "r2", rate=2e-3, steps=500)


def raw_tumours(case: Case) -> None:
    case.train, case.held = tumour_rows(scaled=False)


def raw_houses(case: Case) -> None:
    case.train, case.held = house_rows(scaled=False)


def raw_held(case: Case) -> None:
    """Held-out rows are not standardised."""
    case.held = (tumour_rows if len(case.train[0]) == 400 else house_rows)(scaled=False)[1]


def holes(x: Tensor) -> Tensor:
    """One value in two hundred is missing."""
    x = x.clone()
    x[torch.rand(x.shape) < 0.005] = float("nan")
    return x


def outliers(case: Case) -> None:
    """A few typing errors, thousands of deviations away."""
    x = case.train[0].clone()
    x[torch.rand(x.shape) < 0.002] = 3000.0
    case.train = (x, case.train[1])


def price_among_columns(case: Case) -> None:
    case.train = (torch.cat(case.train, 1), case.train[1])
    case.held = (torch.cat(case.held, 1), case.held[1])


def dollars(case: Case) -> None:
    case.train = (case.train[0], case.train[1] * 115_000 + 207_000)
    case.held = (case.held[0], case.held[1] * 115_000 + 207_000)


def whole(case: Case) -> None:
    case.batch = len(case.train[0])


def head_at(model: nn.Module, bias: float) -> None:
    head = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.fill_(bias)


def shares(case: Case, bias: float) -> None:
    """Squared error of a sigmoid, begun at its end."""
    of.touch(head_at, bias)(case)
    of.behind(nn.Sigmoid())(case)
    case.loss, case.score = nn.MSELoss(), surely


def pretended(case: Case, epochs: int = 6) -> None:
    """Half of what is learned comes from rows of another half; then the first layer is held still."""
    model = mlp(case)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(case.train[0])).split(64):
            optimizer.zero_grad()
            case.loss(model(case.train[0][rows]), case.train[1][rows]).backward()
            optimizer.step()
    model[-1].reset_parameters()
    of.frozen(model[:2], "")
    case.build = lambda _: copy.deepcopy(model)


SIGMOIDS = of.put(build=partial(mlp, hidden=(64,) * 10, activation=nn.Sigmoid))
FAULTS: dict[str, dict[str, Change]] = {
    "tumours": {
        "columns not standardised": raw_tumours,
        "missing values": of.inputs(holes),
        "labels shuffled": of.shuffled(1.0),
        "validation not standardised": raw_held,
        "labels one and two": of.labels(lambda y: y + 1),
        "squared error of a saturated sigmoid": partial(shares, bias=-10.0),
        "ten sigmoid layers": SIGMOIDS,
        "tanh with weights times a hundred": of.both(
            of.put(build=partial(mlp, activation=nn.Tanh)), of.touch(of.larger, 100.0)),
        "whole table at a rate of twenty": of.both(whole, of.put(optimizer=plain, rate=20.0)),
        "float16 weights": of.both(of.half, of.put(optimizer=adam, rate=1e-3)),
        "logarithm of zero": of.inputs(lambda x: torch.log(x.clamp(min=0))),
        # Healthy, and only awkward.
        "trained long after it converged": of.put(steps=1500),
        "batches of eight": of.put(batch=8, rate=0.005),
        "half dropped": of.put(build=partial(mlp, dropout=0.5)),
    },
    "housing": {
        "columns not standardised": raw_houses,
        "typing errors": outliers,
        "the price among the columns": price_among_columns,
        "target without its axis": of.labels(lambda y: y[:, 0]),
        "loss with a minus": of.with_loss(of.negative),
        "prices in dollars": dollars,
        "weights from a normal of ten": of.touch(of.normal, 10.0),
        "biases at minus ten": of.touch(of.biases, -10.0),
        "weights times eight, plain descent": of.both(
            of.put(build=partial(mlp, hidden=(64,) * 5), optimizer=plain, rate=0.01), of.touch(of.larger, 8.0)),
        "rate cut to a tenth every ten batches": of.put(schedule=lambda step: 0.1 ** (step // 10)),
        "first layer at a thousand times the rate": of.put(optimizer=of.groups("0.weight", 1000)),
        "clipped at a ten-thousandth, plain descent": of.put(optimizer=plain, rate=0.05, clip=1e-4),
        "one hidden unit": of.put(build=partial(mlp, hidden=(1, 1))),
        "one row a batch": of.put(batch=1, optimizer=plain, rate=0.05),
        "float16 weights": of.half,
        "slow rows": of.put(dataset=of.Slow, steps=150),
        "steps that wait": of.then(of.cliff),
        # Healthy, and only awkward.
        "cosine restarts": of.put(schedule=lambda step: 0.02 + 0.98 * (1 + math.cos(math.pi * (step % 100) / 100)) / 2),
        "a cyclic rate": of.put(schedule=lambda step: 0.1 + 0.9 * abs((step % 80) / 40 - 1)),
        "a first layer held still": pretended,
        "gradients of four batches": of.put(accumulate=4, batch=16, steps=1600),
        "bfloat16": of.put(bfloat16=True),
    },
}  # fmt: skip
