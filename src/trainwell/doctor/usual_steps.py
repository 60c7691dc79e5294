"""A loop's optimizer to Adam in its place, where a copy shows that the optimizer itself is what ails."""

import math
import types
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer

from trainwell.doctor.finding import Finding
from trainwell.doctor.remedy import Chart, forget

RATE = 1e-3  # Adam's own, which does passably for most networks: Kingma and Ba 2015, arXiv:1412.6980
MARGIN = 0.8  # of the best loss that the loop's own optimizer comes to at any rate tried, that Adam has to come below


def usual_steps(chart: Chart, finding: Finding) -> str | None:
    """Every step by Adam at its usual rate, in the shape of the loop's schedule, where a copy with it does far best."""
    (optimizer,) = chart.patient.optimizers.values() if len(chart.patient.optimizers) == 1 else (None,)
    if optimizer is None or chart.own_loop or stand_in(optimizer) is not None or not chart.does_best(by_adam, MARGIN):
        return None
    take_over(optimizer)
    forget(chart.patient)
    return in_place_of(optimizer, RATE)


def by_adam(model: nn.Module, optimizers: dict[str, Optimizer], rate: float = RATE) -> None:
    """Every optimizer of a copy replaced by Adam."""
    for name, optimizer in optimizers.items():
        optimizers[name] = _adam(optimizer, rate)


def take_over(optimizer: Optimizer, usual: float = RATE) -> None:
    """Let an optimizer's steps be Adam's from now on, at this rate; its hooks and its schedule stay."""
    adam = _adam(optimizer, usual)
    began = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self: Optimizer, closure: Any = None) -> None:
        for mine, theirs, rate in zip(adam.param_groups, self.param_groups, began, strict=True):
            share = float(theirs["lr"]) / rate if rate > 0 and math.isfinite(rate) else 1.0
            mine["lr"] = usual * min(1.0, max(0.0, share)) if math.isfinite(share) else usual
        adam.step()

    optimizer.stands_in = adam  # type: ignore[attr-defined]
    optimizer.step = types.MethodType(Optimizer.profile_hook_step(step), optimizer)  # type: ignore[method-assign]


def in_place_of(optimizer: Optimizer, rate: float) -> str:
    """What Adam at this rate stands in for, in words."""
    own = f"{type(optimizer).__name__}'s at {float(optimizer.param_groups[0]['lr']):g}"
    return f"steps by Adam at a rate of {rate:g} in place of {own}: put it into your code to keep it"


def give_back(optimizer: Optimizer) -> None:
    """Let an optimizer take its own steps again."""
    for name in ("stands_in", "step"):
        optimizer.__dict__.pop(name, None)


def stand_in(optimizer: Optimizer) -> Adam | None:
    """The Adam that takes an optimizer's steps, if one does."""
    return getattr(optimizer, "stands_in", None)


def _adam(optimizer: Optimizer, rate: float) -> Adam:
    return Adam([{"params": list(group["params"])} for group in optimizer.param_groups], lr=rate)
