"""Rates that a cure has set to what holds them, step by step, against a schedule of the loop's own."""

import math

from trainwell.doctor.patient import Patient

COOLING = 0.2  # of the planned steps, over which a rate that is held goes down to zero


def hold_highest(patient: Patient, held: dict[int, float], step: int, planned: int) -> None:
    """The rates that stand in for a schedule that has ended, with a cool-down of their own.

    held: id of a group -> its rate; planned: steps of the whole training, 0 where that is not known.
    """
    left = (planned - step) / (COOLING * planned) if planned else 1.0
    for optimizer in patient.optimizers.values():
        for group in optimizer.param_groups:
            if id(group) in held:
                group["lr"] = held[id(group)] * min(1.0, max(left, 1e-3))


def hold_factors(patient: Patient, rates: dict[int, tuple[float, float]]) -> None:
    """A schedule that computes its rate anew each step would undo a changed rate: the factor put back on.

    rates: id of a group -> (factor in force, rate last seen), which is brought up to date.
    """
    for optimizer in patient.optimizers.values():
        for group in optimizer.param_groups:
            factor, seen = rates.get(id(group), (1.0, group["lr"]))
            near, far = sorted(
                (1.0, 1 / factor), key=lambda each: abs(math.log(max(group["lr"], 1e-30) / max(seen * each, 1e-30)))
            )
            if near != 1.0 and far == 1.0:
                group["lr"] = group["lr"] * factor
            rates[id(group)] = factor, group["lr"]
