"""Rates to try on copies to the one that does best, and what holds it against a schedule of the loop's own."""

import math
from typing import Any

from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import TO_CURE, Proof, slower
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.twin import Change, scaled_rate

COOLING = 0.2  # of the planned steps, over which a rate that is held goes down to zero
AS_FAR = 0.05  # of the way to the best of the lower rates, by which a still lower one may lag in so few steps


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


def best_factor(suspect: Suspect, proof: Proof, factors: list[float], anew: bool = False) -> float | None:
    """The factor on the rate whose twin ends lowest, if that is clearly below the one that goes on as it is.

    To raise a rate, proofs that were made for the diagnosis are used before new twins are run, unless all is to be
    tried anew; lower ones are compared by rows that they have not learned from, which those proofs do not tell.
    """
    if max(factors) < 1:
        return _lower_factor(suspect, proof, factors)
    twins = dict(proof.kept.get("now", (0, {}))[1]) if min(factors) > 1 and not anew else {}
    known = {factor: twins[name] for factor in factors if (name := f"{factor:g} times the rate") in twins}
    if not known:
        changes: dict[str, Any] = {"as it is": None}
        changes |= {f"{factor:g} times the rate": scaled_rate(factor) for factor in factors}
        twins = proof.compare(suspect.patient, suspect.batches, changes, min(30, suspect.length))
        known = {factor: twins[f"{factor:g} times the rate"] for factor in factors}
    own = twins["as it is"]
    best = min(twin.end for twin in known.values())
    if not best < own.end - 0.03 * abs(own.end):
        return None
    # Of those that go nearly as far as the best, the least rate when raising it, the best itself when lowering it.
    near = [factor for factor, twin in known.items() if twin.end <= best + 0.15 * max(own.losses[0] - best, 0.0)]
    return min(near) if min(near) > 1 else min(near, key=lambda factor: known[factor].end)


def _lower_factor(suspect: Suspect, proof: Proof, factors: list[float]) -> float | None:
    """The factor below one that does best from the first weights on batches not trained on, of two that do alike the
    lower; None where nothing may be tried. They are tried from the largest down while that helps.

    Where a schedule still raises the rate, copies are tried at the one that it aims at, as that is what is cut.
    """
    best, lowest = None, math.inf
    for factor in sorted(factors, reverse=True):
        if not proof.may_spend(suspect.length, suspect.step, suspect.planned, least=TO_CURE):
            break
        change: dict[str, Change | None] = {"": slower(suspect, factor * suspect.ahead)}
        (twin,) = proof.compare(suspect.patient, suspect.batches, change, suspect.length, judge=True).values()
        end = twin.apart if math.isfinite(twin.apart) else twin.end
        lowest = min(lowest, end)
        if end > lowest + AS_FAR * max(twin.losses[0] - lowest, 0.0):
            break
        best = factor
    return best
