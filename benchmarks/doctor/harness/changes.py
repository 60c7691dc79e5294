"""Small changes of a case: what faults of several families are made of."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from benchmarks.doctor.harness.case import Case, Change, Run
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import TensorDataset


def put(**fields: Any) -> Change:
    """Set fields of the case."""

    def change(case: Case) -> None:
        for name, value in fields.items():
            setattr(case, name, value)

    return change


def times(factor: float) -> Change:
    """The learning rate times a factor."""

    def change(case: Case) -> None:
        case.rate *= factor

    return change


def both(*changes: Change) -> Change:
    def change(case: Case) -> None:
        for each in changes:
            each(case)

    return change


def touch(action: Callable[..., None], *details: Any) -> Change:
    """Do something with the model before training."""
    return lambda case: case.touched.append(lambda model: action(model, *details))


def then(action: Callable[[Run], None]) -> Change:
    """Do something after each step."""
    return lambda case: case.after.append(action)


def few(count: int) -> Change:
    """Only so many rows to learn from."""

    def change(case: Case) -> None:
        case.train = (case.train[0][:count], case.train[1][:count])

    return change


def shuffled(share: float) -> Change:
    """A share of the training labels exchanged among rows."""

    def change(case: Case) -> None:
        x, y = case.train
        rows = torch.randperm(len(y))[: int(share * len(y))]
        y = y.clone()
        y[rows] = y[rows[torch.randperm(len(rows))]]
        case.train = (x, y)

    return change


def held(change_rows: Callable[[Tensor], Tensor]) -> Change:
    """Held-out inputs prepared in another way."""

    def change(case: Case) -> None:
        case.held = (change_rows(case.held[0]), case.held[1])

    return change


def inputs(change_rows: Callable[[Tensor], Tensor]) -> Change:
    """Training and held-out inputs prepared in another way."""

    def change(case: Case) -> None:
        case.train = (change_rows(case.train[0]), case.train[1])
        case.held = (change_rows(case.held[0]), case.held[1])

    return change


def labels(change_rows: Callable[[Tensor], Tensor]) -> Change:
    """Training labels changed."""

    def change(case: Case) -> None:
        case.train = (case.train[0], change_rows(case.train[1]))

    return change


def sorted_rows(case: Case) -> None:
    """Rows by their class, not shuffled."""
    order = case.train[1].flatten().argsort()
    case.train, case.shuffle = (case.train[0][order], case.train[1][order]), False


def scarce(classes: tuple[int, ...], count: int) -> Change:
    """So many rows left of each of these classes."""

    def change(case: Case) -> None:
        x, y = case.train
        seen = torch.zeros_like(y)
        for each in y.unique():
            seen[y == each] = torch.arange(int((y == each).sum()))
        rare = torch.isin(y, torch.tensor(classes))
        keep = ~rare | (seen < count)
        case.train = (x[keep], y[keep])

    return change


def leaked(case: Case) -> None:
    """Held-out rows are training rows."""
    rows = torch.randperm(len(case.train[0]))[: len(case.held[0])]
    case.held = (case.train[0][rows], case.train[1][rows])


def with_loss(outside: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]) -> Change:
    """Another loss, made of the right one."""

    def change(case: Case) -> None:
        case.loss = outside(case.loss)

    return change


def behind(*layers: nn.Module) -> Change:
    """Layers behind the network's head."""

    def change(case: Case) -> None:
        build = case.build
        case.build = lambda now: nn.Sequential(build(now), *layers)

    return change


def negative(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda output, target: -loss(output, target)


def half(case: Case) -> None:
    """Weights and inputs in float16."""
    inputs(lambda x: x.half() if x.is_floating_point() else x)(case)
    if case.train[1].is_floating_point():
        case.train, case.held = (case.train[0], case.train[1].half()), (case.held[0], case.held[1].half())
    case.touched.append(lambda model: model.half() and None)


def constant(model: nn.Module, value: float) -> None:
    """All parameters one number."""
    with torch.no_grad():
        for each in model.parameters():
            each.fill_(value)


def normal(model: nn.Module, deviation: float) -> None:
    """All matrices from a normal distribution."""
    with torch.no_grad():
        for each in model.parameters():
            if each.ndim > 1:
                each.normal_(0, deviation)


def larger(model: nn.Module, factor: float, part: str = "") -> None:
    """The weights whose name holds a word times a factor."""
    with torch.no_grad():
        for name, each in model.named_parameters():
            if part in name and each.ndim > 1:
                each.mul_(factor)


def biases(model: nn.Module, value: float, part: str = "") -> None:
    """All biases but the last layer's, or those whose name holds a word."""
    found = [each for name, each in model.named_parameters() if name.endswith("bias") and part in name]
    with torch.no_grad():
        for each in found if part else found[:-1]:
            each.fill_(value)


def frozen(model: nn.Module, part: str) -> None:
    for name, each in model.named_parameters():
        if part in name:
            each.requires_grad_(False)


def only(part: str, make: type[Optimizer] = torch.optim.AdamW) -> Callable[..., Optimizer]:
    """An optimizer that was given the parameters whose name holds a word."""

    def optimizer(model: nn.Module, rate: float, decay: float) -> Optimizer:
        return make([each for name, each in model.named_parameters() if part in name], lr=rate)

    return optimizer


def groups(part: str, factor: float, make: type[Optimizer] = torch.optim.AdamW) -> Callable[..., Optimizer]:
    """A rate times a factor for the parameters whose name holds a word."""

    def optimizer(model: nn.Module, rate: float, decay: float) -> Optimizer:
        named = list(model.named_parameters())
        return make(
            [
                {"params": [each for name, each in named if part in name], "lr": rate * factor},
                {"params": [each for name, each in named if part not in name]},
            ],
            lr=rate,
        )

    return optimizer


def thrown(at: float, factor: float, count: int = 3) -> Change:
    """A rate times a factor for a few steps."""

    def change(case: Case) -> None:
        first = int(at * case.steps)
        schedule = case.schedule or (lambda step: 1.0)
        case.schedule = lambda step: schedule(step) * (factor if first <= step < first + count else 1)

    return change


class Slow(TensorDataset):
    """Rows that take half a thousandth of a second each to load."""

    def __getitem__(self, index: Any) -> Any:
        time.sleep(0.0005)
        return super().__getitem__(index)


def cliff(run: Run, wait: float = 0.04) -> None:
    """From two thirds on each step waits."""
    if run.step > run.steps * 2 // 3:
        time.sleep(wait)


def keep(run: Run) -> None:
    """Scores of the batch, made for a plot, are kept with their graph."""
    run.kept.append(run.model(run.inputs[:32]))


def reset(run: Run, at: float, part: str) -> None:
    """At a share of the steps, go on from a checkpoint that held only some of the layers."""
    if run.step == int(at * run.steps):
        for name, each in run.model.named_modules():
            if part in name and hasattr(each, "reset_parameters"):
                each.reset_parameters()
        run.optimizer.state.clear()


def old_weights(at: float) -> Change:
    """At a share of the steps the weights of the first step are loaded, and with them no optimizer's state."""

    def change(case: Case) -> None:
        state: dict[str, Any] = {}

        def action(run: Run) -> None:
            if run.step == 1:
                state.update({name: each.clone() for name, each in run.model.state_dict().items()})
            if run.step == int(at * run.steps):
                run.model.load_state_dict(state)
                run.optimizer.state.clear()

        case.after.append(action)

    return change


def lost(at: float, part: str = "") -> Change:
    return then(partial(reset, at=at, part=part))


def warm(steps: int) -> Callable[[int], float]:
    """A rate that rises over so many steps."""
    return lambda step: min(1.0, (step + 1) / steps)
