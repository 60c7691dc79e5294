"""What else might be done to a loop that is already made: the simple remedies, from its first step on."""

import random
from typing import Any

import torch
from benchmarks.doctor.loops.nobody import Nobody
from benchmarks.doctor.watchers import autotrainer, sagemaker
from torch import nn
from torch.optim import Optimizer

from trainwell.doctor import Doctor

REMEDIES = {  # factors of the rate, as `watchers.at_random` draws them; None where it stays
    "rate times 0.1": 0.1, "rate times 10": 10.0, "gradients clipped": None, "layers afresh": None,
    "rate times 1/3": 1 / 3, "rate times 3": 3.0,
}  # fmt: skip
TENTH = ("rate times 0.1", "gradients clipped")


class Remedied(Nobody):
    """A stand-in that gives these remedies of `REMEDIES` to a loop when it is made.

    A rate is scaled for the length of each step and then put back, so that a schedule goes on from its own numbers.
    Under LBFGS clipping does nothing, as its closure makes the gradients anew.
    """

    def __init__(self, remedies: tuple[str, ...], model: nn.Module, optimizer: Any, **options: Any) -> None:
        super().__init__()
        optimizers = list(optimizer.values()) if isinstance(optimizer, dict) else optimizer
        for remedy in remedies:
            self.history.append({"change": remedy})
            if remedy == "layers afresh":
                reset(model)
            for each in optimizers if isinstance(optimizers, list) else [optimizers]:
                if remedy == "gradients clipped":
                    each.register_step_pre_hook(clip)
                elif factor := REMEDIES[remedy]:
                    scale(each, factor)


def drawn(*case: object) -> tuple[str]:
    """One remedy, by a chance that this case alone decides."""
    return (random.Random(repr(case)).choice(list(REMEDIES)),)


def scale(optimizer: Optimizer, factor: float) -> None:
    """Each step at so many times the rate that the loop has set for it."""
    before: list[float] = []

    def set_rates(*_: object) -> None:
        before[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= factor

    def put_back(*_: object) -> None:
        for group, rate in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = rate

    optimizer.register_step_pre_hook(set_rates)
    optimizer.register_step_post_hook(put_back)


def clip(optimizer: Optimizer, *_: object) -> None:
    """What the optimizer holds, clipped together at a norm of 1."""
    torch.nn.utils.clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], 1.0)


def reset(model: nn.Module) -> None:
    """As `watchers.fresh` does it: every layer that knows how begins again."""
    for each in model.modules():
        if hasattr(each, "reset_parameters"):
            each.reset_parameters()


def judged(doctor: Any) -> dict[str, list[str]]:
    """What other tools' rules say of the numbers that a doctor read."""
    if not isinstance(doctor, Doctor):
        return {}
    return {"autotrainer": autotrainer(doctor.record), "sagemaker": sagemaker(doctor.record)}
