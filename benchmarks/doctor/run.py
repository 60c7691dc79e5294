"""A setup to a finished training, with whoever watches: a doctor, a baseline, or nobody."""

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from benchmarks.doctor.setups import IGNORED, Setup, score
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Watcher(Protocol):
    """What listens to a run. `steps` counts all steps that it has spent, twins and training."""

    def begin(self, setup: Setup, model: nn.Module, optimizer: torch.optim.Optimizer, held_out: Any) -> None: ...

    def step(self, loss: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> None: ...

    def evaluated(self, loss: float, accuracy: float | None) -> None: ...

    def end(self) -> None: ...


@dataclass
class Outcome:
    """What came of one run."""

    losses: list[float] = field(default_factory=list)
    score: float = 0.0
    seconds: float = 0.0


def run(setup: Setup, seed: int, watcher: Watcher | None = None) -> Outcome:
    """Train once; the watcher sees each step after it is done."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y, held_x, held_y = setup.data()
    model = setup.model()
    optimizer = setup.optimizer(model)
    schedule = setup.schedule(optimizer) if setup.schedule else None
    held = [
        (held_x[start : start + 250], held_y[start : start + 250]) for start in range(0, min(1000, len(held_x)), 250)
    ]
    if watcher is not None:
        watcher.begin(setup, model, optimizer, held)
    outcome, began = Outcome(), time.perf_counter()
    model.train(not setup.eval_mode)
    batches = setup.batches(x, y, seed)
    for step in range(setup.steps):
        if step in setup.at:
            setup.at[step](model, optimizer)
        if setup.zero_grad:
            optimizer.zero_grad()
        for _ in range(setup.accumulate):
            inputs, target = next(batches)
            if setup.change is not None:
                inputs, target = setup.change(step, inputs, target)
            loss = setup.loss(model(inputs), target)
            setup.backward(loss / setup.accumulate).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step(*([float(loss.detach())] if isinstance(schedule, ReduceLROnPlateau) else []))
        if watcher is not None:
            watcher.step(loss, inputs, target)
        outcome.losses.append(float(loss.detach()))
        if setup.evaluations and (step + 1) % setup.evaluations == 0:
            evaluate(setup, model, held, watcher)
    if watcher is not None:
        watcher.end()
    outcome.seconds = time.perf_counter() - began
    outcome.score = score(model, setup)
    return outcome


def _together(outputs: list[Any]) -> Any:
    """Outputs of several batches as one, part by part where a model gives several."""
    if isinstance(outputs[0], tuple):
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
    return torch.cat(outputs)


def evaluate(setup: Setup, model: nn.Module, held: Any, watcher: Watcher | None) -> None:
    """The loss, and the accuracy of classes, on held-out rows."""
    model.train(setup.validate_in_train_mode)
    with torch.no_grad():
        outputs = _together([model(inputs) for inputs, _ in held])
        target = torch.cat([each for _, each in held])
        loss = float(setup.loss(outputs, target))
        classes = isinstance(outputs, torch.Tensor) and outputs.dim() > 1 and not target.is_floating_point()
        accuracy = float((outputs.argmax(1) == target)[target != IGNORED].float().mean()) if classes else None
    model.train(not setup.eval_mode)
    if watcher is not None:
        watcher.evaluated(loss, accuracy)
