"""Rates to try on copies to the one that does best, and what holds it against a schedule of the loop's own."""

import math
from typing import Any

from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import Proof
from trainwell.doctor.suspect import TO_CURE, Suspect, slower
from trainwell.doctor.twin import Change, Twin, scaled_rate

COOLING = 0.2  # of the planned steps, over which a rate that is held goes down to zero
LEAST = 0.03  # of the loss that goes on as it is, by which another rate must do better
NEARLY = 0.15  # of what the best of the higher rates gains, that a lower one may gain less
TRIED = 40  # steps of a copy at most, once higher rates are known to help
STILL_LOWER = 9  # powers of ten below the lowest that was asked for, where none learns
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


def note_factors(
    patient: Patient, before: dict[int, float], held: dict[int, float], rates: dict[int, tuple[float, float]] | None
) -> None:
    """By what factor each group's rate has changed, so that schedules do not undo it.

    before: the rates of then; held, rates: as `hold_highest` and `hold_factors` take them, brought up to date.
    """
    for key, rate in rates_of(patient).items():
        if key in held and before.get(key) and not math.isclose(held[key], rate):
            held[key] *= rate / before[key]
        if rates is not None and before.get(key) and rate != before[key]:
            rates[key] = rates.get(key, (1.0, rate))[0] * rate / before[key], rate


def best_factor(suspect: Suspect, proof: Proof, factors: list[float], anew: bool = False) -> float | None:
    """The factor on the rate whose twin does best, if that is clearly better than the one that goes on as it is.

    To raise a rate, proofs that were made for the diagnosis are used before new twins are run, unless all is to be
    tried anew; lower ones are compared on more batches than those proofs had.
    """
    if max(factors) < 1:
        return _lower_factor(suspect, proof, factors)
    raises = min(factors) > 1
    twins = dict(proof.kept.get("now", (0, {}))[1]) if raises and not anew else {}
    known = {float(name.split()[0]): twin for name, twin in twins.items() if name.endswith(" times the rate")}
    if not known:
        changes: dict[str, Any] = {"as it is": None}
        changes |= {f"{factor:g} times the rate": scaled_rate(factor) for factor in factors}
        batches = suspect.most
        twins = proof.compare(suspect.patient, batches, changes, min(30, suspect.length), judge=True)
        known = {factor: twins[f"{factor:g} times the rate"] for factor in factors}
    own = twins["as it is"]
    gains = {each: _gain(twin, _reached(own)) for each, twin in known.items()}
    if raises:
        return _higher_factor(suspect, proof, gains)
    return max(gains, key=lambda factor: gains[factor]) if max(gains.values()) > LEAST else None


def rates_of(patient: Patient) -> dict[int, float]:
    """The rate of each group, by its id."""
    return {id(group): float(group["lr"]) for each in patient.optimizers.values() for group in each.param_groups}


def _reached(twin: Twin) -> float:
    """How far a copy has come: halfway between its loss on batches that it went over again and again, by which a rate
    that learns them by heart looks best, and that on others, by which one that hardly learns does."""
    return (twin.end + twin.apart) / 2 if math.isfinite(twin.apart) else twin.end


def _gain(twin: Twin, before: float) -> float:
    return (before - _reached(twin)) / max(abs(before), 1e-12) if math.isfinite(_reached(twin)) else -math.inf


def _higher_factor(suspect: Suspect, proof: Proof, gains: dict[float, float]) -> float | None:
    """The least factor that gains nearly as much as the best; None where none gains anything.

    gains: what the factors tried so far gained; where the largest did best, ten times as much is tried for as long as
    that helps, and then what lies on both sides of it.
    """
    batches, start = suspect.most, max(gains, key=lambda each: gains[each])
    (now,) = proof.compare(suspect.patient, batches, {"": None}, 0, judge=True).values()
    steps, found = min(TRIED, suspect.length), {start: gains[start]}

    def better(factor: float) -> bool:
        if not math.isfinite(now.apart) or not proof.may_spend(steps, suspect.step, suspect.planned, TO_CURE):
            return False
        change: dict[str, Change | None] = {"": scaled_rate(factor)}
        (twin,) = proof.compare(suspect.patient, batches, change, steps, judge=True).values()
        before, found[factor] = max(found.values()), _gain(twin, now.apart)
        return found[factor] > before

    best = start
    while start == max(gains) and better(10 * best):
        best *= 10
    if best > start:
        found.pop(start)  # which fewer batches spoke for
        better(best / 3)
    if 10 * best in found:
        better(3 * best)
    most = max(found.values())
    return min(factor for factor, gain in found.items() if gain >= (1 - NEARLY) * most) if most > LEAST else None


def _lower_factor(suspect: Suspect, proof: Proof, factors: list[float]) -> float | None:
    """The factor below one that does best from the first weights, of two that do alike the lower; None where nothing
    may be tried. They are tried from the largest down while that helps, and as long as none learns at all ever lower.

    Where a schedule still raises the rate, copies are tried at the one that it aims at, as that is what is cut.
    """
    best, lowest, learns = None, math.inf, False
    for factor in (*sorted(factors, reverse=True), *(min(factors) / 10**more for more in range(1, STILL_LOWER))):
        if learns and factor < min(factors):
            break
        if not proof.may_spend(suspect.length, suspect.step, suspect.planned, least=TO_CURE):
            break
        change: dict[str, Change | None] = {"": slower(suspect, factor * suspect.ahead)}
        batches = suspect.most
        (twin,) = proof.compare(suspect.patient, batches, change, suspect.length, judge=True).values()
        end = _reached(twin)
        lowest = min(lowest, end)
        learns = lowest < twin.losses[0]  # a rate that runs away says nothing of the next one
        if learns and end > lowest + AS_FAR * (twin.losses[0] - lowest):
            break
        best = factor
    return best
