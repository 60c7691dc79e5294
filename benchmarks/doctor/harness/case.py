"""The harness: one case, with all that a training is made of, and one plain loop that trains any of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[Tensor, Tensor]


def adam(model: nn.Module, rate: float, decay: float) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)


def momentum(model: nn.Module, rate: float, decay: float) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay)


def plain(model: nn.Module, rate: float, decay: float) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay)


@dataclass
class Run:
    """What a training holds at a step, for what is done after it."""

    model: nn.Module
    optimizer: Optimizer
    steps: int
    step: int = 0
    inputs: Any = None
    outputs: Any = None
    kept: list[Any] = field(default_factory=list)


@dataclass
class Case:
    """One training; score: of outputs and targets, higher is better; told: whether held-out rows are shown."""

    build: Callable[["Case"], nn.Module]
    train: Rows
    held: Rows
    loss: Callable[[Any, Tensor], Tensor]
    score: Callable[[Any, Tensor], float]
    metric: str = "accuracy"
    optimizer: Callable[[nn.Module, float, float], Optimizer] = adam
    rate: float = 1e-3
    decay: float = 0.0
    schedule: Callable[[int], float] | None = None
    batch: int = 64
    steps: int = 300
    shuffle: bool = True
    told: bool = False
    clear: bool = True
    accumulate: int = 1
    clip: float = 0.0
    training: bool = True
    judged_in_training: bool = False
    bfloat16: bool = False
    dataset: Callable[..., Any] = TensorDataset
    augment: Callable[[Tensor, Tensor], Rows] | None = None
    numbers: Callable[[Any], dict[str, float]] | None = None
    touched: list[Callable[[nn.Module], None]] = field(default_factory=list)
    after: list[Callable[[Run], None]] = field(default_factory=list)


Change = Callable[[Case], None]


def train(case: Case, doctor_of: Callable[..., Any]) -> float:
    """The plain loop: batches, loss, gradients, step, and the doctor's two lines."""
    model = case.build(case)
    for touch in case.touched:
        touch(model)
    optimizer = case.optimizer(model, case.rate, case.decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, case.schedule) if case.schedule else None
    loader = DataLoader(case.dataset(*case.train), batch_size=case.batch, shuffle=case.shuffle, drop_last=True)
    more = {"held_out": split(case.held), "steps": case.steps} if case.told else {}
    doctor = doctor_of(model, optimizer, loss=case.loss, **more)
    run = Run(model, optimizer, case.steps)
    model.train(case.training)
    for x, y in endless(loader, case.steps):
        if case.augment:
            x, y = case.augment(x, y)
        if case.clear and run.step % case.accumulate == 0:
            optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=case.bfloat16):
            run.inputs, run.outputs = x, model(x)
            loss = case.loss(run.outputs, y)
        (loss / case.accumulate).backward()
        run.step += 1
        if run.step % case.accumulate == 0:
            if case.clip:
                nn.utils.clip_grad_norm_(model.parameters(), case.clip)
            optimizer.step()
            if scheduler:
                scheduler.step()
        numbers = case.numbers(run.outputs) if case.numbers else {}
        doctor.watch(loss, x, y, **numbers)
        for action in case.after:
            action(run)
        if case.told and run.step % 50 == 0:
            held_loss, metric = evaluate(case, model)
            doctor.evaluated(**{"loss": held_loss, case.metric: metric})
    doctor.close()
    return evaluate(case, model)[1]


def endless(loader: DataLoader[Any], steps: int) -> Iterable[Rows]:
    """Epoch after epoch until so many batches were had."""
    done = 0
    while True:
        for x, y in loader:
            if done == steps:
                return
            done += 1
            yield x, y


def split(rows: Rows, size: int = 100) -> list[Rows]:
    return list(zip(rows[0].split(size), rows[1].split(size), strict=True))


def evaluate(case: Case, model: nn.Module) -> tuple[float, float]:
    """Loss and score on the held-out rows."""
    model.train(case.judged_in_training)
    losses, rows = 0.0, 0
    outputs, targets = [], []
    with torch.no_grad():
        for x, y in split(case.held):
            output = model(x)
            losses += float(case.loss(output, y)) * len(x)
            rows += len(x)
            outputs.append(output)
            targets.append(y)
    many = not isinstance(outputs[0], Tensor)
    together = tuple(map(torch.cat, zip(*outputs, strict=True))) if many else torch.cat(outputs)
    score = case.score(together, torch.cat(targets))
    model.train(case.training)
    return losses / rows, score


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right classes, the mean over the classes."""
    hits = (outputs.argmax(-1) == targets).float()
    return float(torch.stack([hits[targets == each].mean() for each in targets.unique()]).mean())


def explained(outputs: Tensor, targets: Tensor) -> float:
    """Share of the targets' variance that is explained."""
    error = (outputs.float().reshape(targets.shape) - targets.float()).square().mean()
    return float(1 - error / targets.float().var())
