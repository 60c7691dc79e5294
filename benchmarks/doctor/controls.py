"""Trainings with nothing wrong in them: awkward ones that look ill, and any number drawn by chance."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from benchmarks.doctor.setups import (
    NUMBER,
    PICTURE,
    RECURRENT,
    TABLE,
    TRANSFORMER,
    Parts,
    Recurrent,
    Setup,
    Transformer,
    cnn,
    mlp,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, LambdaLR, OneCycleLR


@dataclass(frozen=True)
class Control:
    """A healthy training by name."""

    name: str
    setup: Setup


class LowRank(nn.Module):
    """A frozen network with a learned correction that starts at zero. x: (batch, 8) -> (batch, 3)"""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(8, 64, 64, 3)
        for each in self.net.parameters():
            each.requires_grad_(False)
        self.down, self.up = nn.Linear(8, 8, bias=False), nn.Linear(8, 64, bias=False)
        nn.init.zeros_(self.up.weight)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.net[0](x) + self.up(self.down(x))))


class ZeroResidual(nn.Module):
    """Residual branches whose last layer starts at zero. x: (batch, 8) -> (batch, 3)"""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 64), nn.Linear(64, 3)
        self.branches = nn.ModuleList([mlp(64, 64, 64) for _ in range(3)])
        for branch in self.branches:
            nn.init.zeros_(branch[-1].weight)
            nn.init.zeros_(branch[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for branch in self.branches:
            x = x + branch(x)
        return self.head(x)


class Frozen(nn.Module):
    """A trunk that is not to learn, under a head that does. x: (batch, 1, 14, 14) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Sequential(nn.Flatten(), nn.Linear(196, 128), nn.ReLU()), nn.Linear(128, 10)
        for each in self.trunk.parameters():
            each.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


def imbalanced() -> Parts:
    x, y, held_x, held_y = TABLE.data()

    def thin(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        keep = (y == 0) | (torch.arange(len(y)) % 20 == 0) & (y == 2)
        rare = (y[keep] == 2).long()
        return x[keep] + 2.0 * rare[:, None], rare

    return *thin(x, y), *thin(held_x, held_y)  # type: ignore[return-value]


def warm_up(steps: int) -> Callable[[torch.optim.Optimizer], LambdaLR]:
    return lambda optimizer: LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


def cyclic(optimizer: torch.optim.Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: 0.55 - 0.45 * math.cos(step / 10))


def jittered(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Heavy augmentation: shifts by up to two pixels, noise, and a patch cut out."""
    x = torch.roll(x, (random.Random(step).randint(-1, 1), random.Random(step + 1).randint(-1, 1)), (2, 3))
    x = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
    x[:, :, 3:6, 3:6] = 0
    return x, y


def smooth(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, label_smoothing=0.2)


AWKWARD = (
    *(Control(f"plain {each.family}", each) for each in (TABLE, NUMBER, PICTURE, RECURRENT, TRANSFORMER)),
    Control("sparse rectifiers", replace(TABLE, model=lambda: _sparse())),
    Control("converged", replace(PICTURE, steps=900, evaluations=90)),
    Control("warm-up", replace(TRANSFORMER, schedule=warm_up(100))),
    Control("cosine", replace(PICTURE, schedule=lambda o: CosineAnnealingLR(o, 200))),
    Control("cosine restarts", replace(TABLE, schedule=lambda o: CosineAnnealingWarmRestarts(o, 60))),
    Control("one cycle", replace(PICTURE, schedule=lambda o: OneCycleLR(o, 0.01, total_steps=200))),
    Control("cyclic rate", replace(TABLE, schedule=cyclic)),
    Control("heavy dropout", replace(PICTURE, model=lambda: cnn(dropout=0.5))),
    Control("heavy augmentation", replace(PICTURE, change=jittered)),
    Control("20 to 1, recognized", replace(TABLE, data=imbalanced, model=lambda: mlp(8, 64, 64, 2), steps=300)),
    Control(
        "small noisy batches", replace(TABLE, batch=8, optimizer=lambda m: SGD(m.parameters(), 0.02, momentum=0.9))
    ),
    Control("label smoothing", replace(PICTURE, loss=smooth)),
    Control("frozen trunk", replace(PICTURE, model=Frozen)),
    Control("low-rank correction from zero", replace(TABLE, model=LowRank)),
    Control("residuals from zero", replace(TABLE, model=ZeroResidual)),
    Control("batch norm", replace(PICTURE, model=lambda: cnn(norm=True))),
    Control("batch norm and dropout", replace(TABLE, model=lambda: mlp(8, 64, 64, 3, norm=True, dropout=0.3))),
    Control("accumulation", replace(TABLE, accumulate=4)),
    Control(
        "bfloat16",
        replace(
            TABLE,
            model=lambda: mlp(8, 64, 64, 3).bfloat16(),
            change=lambda s, x, y: (x.bfloat16(), y),
            loss=lambda o, t: F.cross_entropy(o.float(), t),
            evaluations=0,
        ),
    ),
    Control("small rate, fine tuning", replace(TABLE, optimizer=lambda m: AdamW(m.parameters(), 5e-4))),
    Control("tanh", replace(TABLE, model=lambda: mlp(8, 64, 64, 3, activation=nn.Tanh))),
    Control("sigmoid", replace(TABLE, model=lambda: mlp(8, 64, 3, activation=nn.Sigmoid))),
    Control(
        "GELU under AdamW",
        replace(
            NUMBER, model=lambda: mlp(8, 64, 64, 1, activation=nn.GELU), optimizer=lambda m: AdamW(m.parameters(), 3e-3)
        ),
    ),
    Control(
        "no bottleneck, wide",
        replace(TABLE, model=lambda: mlp(8, 256, 256, 3), optimizer=lambda m: Adam(m.parameters(), 1e-3)),
    ),
    Control("GRU", replace(RECURRENT, model=lambda: _gru())),
    Control("deep transformer, warm-up", replace(TRANSFORMER, model=lambda: Transformer(64), schedule=warm_up(30))),
    Control("huber", replace(NUMBER, loss=F.huber_loss)),
    Control("absolute error", replace(NUMBER, loss=F.l1_loss)),
    Control(
        "weight decay", replace(PICTURE, optimizer=lambda m: SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=5e-4))
    ),
)


def _sparse() -> nn.Module:
    """About three quarters of the activations are zero, but each unit fires for some rows."""
    model = mlp(8, 128, 128, 3)
    with torch.no_grad():
        model[0].bias.fill_(-0.35)
        model[2].bias.fill_(-0.1)
    return model


def _gru() -> nn.Module:
    return Recurrent(nn.GRU)


def generated(number: int) -> Control:
    """A healthy training drawn by chance: family, network, optimizer with a usual rate, schedule, batch."""
    draw = random.Random(1000 + number)
    setup = draw.choice([TABLE, TABLE, NUMBER, PICTURE, PICTURE, RECURRENT, TRANSFORMER])
    words = [setup.family]
    activation = draw.choice([nn.ReLU, nn.GELU, nn.Tanh, nn.LeakyReLU, nn.SiLU])
    norm, dropout = draw.random() < 0.4, draw.choice([0.0, 0.0, 0.1, 0.3])
    if setup.family in ("table", "number"):
        widths = [draw.choice([32, 64, 128])] * draw.randint(1, 3)
        ends = (8, 3) if setup.family == "table" else (8, 1)
        setup = replace(
            setup, model=lambda: mlp(ends[0], *widths, ends[1], activation=activation, norm=norm, dropout=dropout)
        )
        words += ["x".join(map(str, widths)), activation.__name__]
    elif setup.family == "picture":
        width = draw.choice([6, 8, 12])
        setup = replace(setup, model=lambda: cnn(activation, norm, dropout, width))
        words += [str(width), activation.__name__]
    name, make = draw.choice(_optimizers(draw, setup.family))
    setup = replace(setup, optimizer=make, batch=draw.choice([32, 64, 128]) if setup.family != "transformer" else 32)
    schedule_name, schedule = draw.choice(
        [("constant", None), ("cosine", lambda o: CosineAnnealingLR(o, setup.steps)), ("warm-up", warm_up(30))]
    )
    return Control(
        ", ".join([*words, "norm" if norm else "no norm", name, schedule_name]), replace(setup, schedule=schedule)
    )


def _optimizers(draw: random.Random, family: str) -> list[tuple[str, Callable[[nn.Module], torch.optim.Optimizer]]]:
    """Optimizers with rates that are usual for a family."""
    adaptive = 10 ** draw.uniform(-3, -2.3)
    found: list[tuple[str, Callable[[nn.Module], torch.optim.Optimizer]]] = [
        (f"Adam {adaptive:.1e}", lambda m: Adam(m.parameters(), adaptive)),
        (f"AdamW {adaptive:.1e}", lambda m: AdamW(m.parameters(), adaptive, weight_decay=0.01)),
    ]
    if family in ("table", "picture"):
        plain = 10 ** draw.uniform(-1.7, -1.1)
        found.append((f"SGD {plain:.1e} momentum 0.9", lambda m: SGD(m.parameters(), plain, momentum=0.9)))
    return found
