"""Rates to try on copies to the one that does best, and what holds it against a schedule of the loop's own."""

import math
from typing import Any

from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import Proof, try_hundredth
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.twin import scaled_rate

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


def best_factor(suspect: Suspect, proof: Proof, factors: list[float], anew: bool = False) -> float | None:
    """The factor on the rate whose twin ends lowest, if that is clearly below the one that goes on as it is.

    Proofs that were made for the diagnosis are used before new twins are run, unless all is to be tried anew.
    """
    if max(factors) < 1 and "start" in proof.kept:
        return try_hundredth(suspect, proof)
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
