"""Everything that a training is at one moment: what a checkpoint holds and a listener may read."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.tasks.task import Task, player_module
from trainwell.train.average import Average
from trainwell.train.precision import Name, autocast, choose
from trainwell.train.schedule import Constant, Schedule


@dataclass
class State:
    """A model that learns, with its optimizers by player, and how far it has come."""

    model: nn.Module
    task: Task
    optimizers: dict[str, Optimizer]
    schedule: Schedule = field(default_factory=Constant)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Name = "auto"
    average: Average | None = None

    step: int = 0  # optimizer steps done
    epoch: int = 0
    batch: int = 0  # batches taken from this epoch's loader
    passed: int = 0  # batches taken in all; as many as steps, unless the task makes several of one or none
    steps: int = 0  # batches planned
    seconds: float = 0.0  # of training so far, evaluation and earlier sittings included
    skipped: int = 0  # steps that a listener refused
    metrics: dict[str, float] = field(default_factory=dict)  # of the last evaluation
    best: float | None = None  # the goal's best value so far
    best_step: int = 0
    best_weights: dict[str, Tensor] | None = None
    since_best: int = 0  # evaluations since then
    stopped: str = ""  # why the training ended, in words
    interrupted: bool = False  # Ctrl-C was pressed

    def __post_init__(self) -> None:
        self.dtype = choose(self.precision, self.device)
        self.autocast: Callable[[], AbstractContextManager] = autocast(self.dtype, self.device)
        self.players: dict[str, nn.Module] = {name: player_module(self.model, name) for name in self.task.players}
        self.own = {name: list(part.parameters()) for name, part in self.players.items()}
        # What the others own is switched off in a player's turn; what its user froze stays frozen.
        learning = [each for each in self.model.parameters() if each.requires_grad]
        mine = {name: {id(each) for each in own} for name, own in self.own.items()}
        self.others = {name: [each for each in learning if id(each) not in mine[name]] for name in self.players}

    @property
    def progress(self) -> float:
        """The share of the planned batches that is done, 0 to 1."""
        return min(1.0, self.passed / self.steps) if self.steps else 0.0

    def facts(self) -> dict[str, Any]:
        """The plain numbers and words, for a checkpoint."""
        names = ("step", "epoch", "batch", "passed", "steps", "seconds", "skipped")
        return {name: getattr(self, name) for name in (*names, "best", "best_step", "since_best", "stopped", "metrics")}
