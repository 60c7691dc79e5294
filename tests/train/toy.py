"""Small data, tasks and states that the tests of the loop share."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.tasks.task import Batch, Gathered, Loss, Metrics, Task
from trainwell.train import OPTIMIZERS, Events, State, optimizer_for, train
from trainwell.train.average import Average


class TinyLoader:
    """Rows in a new order each epoch, by seed and epoch alone; each rank takes every `world`-th row of a batch."""

    def __init__(self, x: Tensor, y: Tensor, size: int, rank: int = 0, world: int = 1, shuffle: bool = True) -> None:
        self.x, self.y, self.size, self.rank, self.world, self.shuffle = x, y, size, rank, world, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def set_epoch(self, number: int) -> None:
        self.epoch = number

    def __iter__(self) -> Iterator[Batch]:
        return self.iterate(0)

    def iterate(self, start: int) -> Iterator[Batch]:
        order = torch.arange(len(self.x))
        if self.shuffle:
            order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.epoch))
        for rows in order.split(self.size)[start:]:
            rows = rows[self.rank :: self.world]
            yield {"inputs": (self.x[rows],), "target": self.y[rows], "row": rows}


class Squares(Task):
    """The squared error of a model's numbers, with its root as the goal."""

    goal = ("mse", "min")

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        each = (model(*batch["inputs"])[:, 0] - batch["target"]).square()
        return Loss(each.sum(), len(each), {"largest": each.max()})

    def metrics(self) -> Metrics:
        return Gathered({"mse": lambda prediction, target: ((prediction["output"][:, 0] - target) ** 2).mean()})


class Net(nn.Module):
    """Two hidden layers with dropout and batch statistics: what a resumed training has to carry over."""

    def __init__(self, dropout: float = 0.0, normalize: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, 16),
            nn.BatchNorm1d(16) if normalize else nn.Identity(),
            nn.Tanh(),
            nn.Linear(16, 16),
            nn.Dropout(dropout),
            nn.Tanh(),
        )
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def rows(number: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows in float64 and a smooth function of them."""
    x = torch.randn(number, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, torch.sin(x[:, 0]) + x[:, 1] * x[:, 2]


def state_of(
    model: nn.Module, task: Task | None = None, *, name: str = "adamw", ema: float | None = None, **more: Any
) -> State:
    """A state about to begin, with an optimizer for each player."""
    optimizer = {key: more.pop(key) for key in ("lr", "weight_decay", "momentum") if key in more}
    average = Average(model, ema) if ema else None
    state = State(model, task or Squares(), {}, precision="float32", average=average, **more)
    state.optimizers = {player: optimizer_for(part, name=name, **optimizer) for player, part in state.players.items()}
    return state


def net(seed: int = 0, **arguments: Any) -> Net:
    """The same weights for the same seed, in float64."""
    torch.manual_seed(seed)
    return Net(**arguments).double()


def weights(model: nn.Module) -> Tensor:
    """All parameters and buffers in one row."""
    return torch.cat([each.detach().double().flatten() for each in model.state_dict().values()])


__all__ = ["OPTIMIZERS", "Events", "Net", "Squares", "TinyLoader", "net", "rows", "state_of", "train", "weights"]
