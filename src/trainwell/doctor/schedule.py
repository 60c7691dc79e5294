"""The rate over the steps, beside what the steps move, to findings: none, gone too early, rising for ever, too low."""

import math
from collections.abc import Callable

import numpy as np

from trainwell.doctor.course import learned, rate_share, typical_updates, warming
from trainwell.doctor.finding import CannotJudge, Finding, Severity
from trainwell.doctor.series import Record, finite, median, picked, slope
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
LEAP = 8.0  # times the rate around, which no schedule takes for a step
SIDE = 8  # steps around
RISEN = 1.1  # of the loss before
ENDED = "The schedule ended too early: its number of steps or its unit (steps, epochs) is wrong."


def learning_rate_too_low(record: Record) -> Finding | None:
    """A rate of zero, one that is gone long before the end, or steps so short that the loss hardly moves; the latter
    two are suspicions that twins at higher rates test."""
    rates = record.get("rate").array
    if len(rates) < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    return _zero(record, rates) or _gone(record, rates) or _hardly_moves(record, rates)


def _zero(record: Record, rates: np.ndarray) -> Finding | None:
    planned = record.facts.get("steps") or 0
    ending = planned and record.step > 0.9 * planned
    if (rates[-LIMITS.warm_up :] == 0).mean() <= 0.9 or ending:
        return None
    evidence = f"The rate has been 0 for the last {LIMITS.warm_up} steps."
    return _told(record, "schedule", "critical", evidence, ENDED, 0.95, {"value": 0.0})


def _gone(record: Record, rates: np.ndarray) -> Finding | None:
    """A rate below a hundredth of its highest for longer than the steps it learned in, with the end far off.

    A cool-down comes last: it takes the last part of a plan, and no plan spends most of its steps on nothing.
    """
    if rates[-1] >= LIMITS.rate_gone * rates.max():
        return None  # nothing is gone
    # A single step at another rate is no part of a schedule.
    steady = np.sort(np.lib.stride_tricks.sliding_window_view(np.concatenate([rates[:1], rates]), 3), axis=1)[:, 1]
    highest, planned = float(steady.max()), record.facts.get("steps") or 0
    if highest <= 0:
        return None
    above = np.flatnonzero(rates >= LIMITS.rate_gone * highest)
    before = int(above[-1]) + 1
    since = len(rates) - before
    least = max(30, 0.1 * planned) if planned else max(60, 1.5 * before)
    if since < least or (planned and record.step - since > 0.4 * planned):
        return None
    share = float(rates[-1]) / highest
    evidence = (
        f"For {since} steps the rate has been below {LIMITS.rate_gone:.0%} of its highest, {highest:.3g}, "
        f"which it left after {before}; it is {rates[-1]:.2g} now"
        + (f", at {record.step} of {planned}." if planned else ".")
    )
    statistic = {"value": share, "healthy": [LIMITS.rate_gone, 1.0], "highest": highest, "idle": since}
    return _told(record, "schedule", "critical", evidence, ENDED, 0.7, statistic)


def _hardly_moves(record: Record, rates: np.ndarray) -> Finding | None:
    losses = finite(record.get("loss").array)
    moves = [each for each in typical_updates(record)[-LIMITS.persist :] if math.isfinite(each)]
    if len(losses) < 2 * LIMITS.warm_up or rate_share(record) < 0.5 or len(moves) < LIMITS.persist:
        return None
    gone, planned = learned(record), record.facts.get("steps") or 0
    rising = warming(record)
    aim = float(record.facts.get("aimed rate") or 0.0)
    endless = rising and planned and record.step * aim > planned * rates[-1] > 0  # at this pace it outlasts the plan
    if rising and not endless and record.step < max(100, 0.3 * planned if planned else 150):
        return None  # a warm-up takes a small part of a training
    if _nothing_passed_back(record):
        return None
    if gone > 0.2 or median(moves) > 3e-4:
        return None
    drop, error = slope(losses[-max(40, len(losses) // 2) :])
    evidence = (
        f"After {record.step} steps the loss has gone {max(gone, 0):.1%} of the way; "
        f"each step changes a typical layer by {median(moves):.1e} of its size (healthy: 1e-4 to 1e-2)."
    )
    cause = "Steps that are too short get nowhere in time."
    statistic: dict[str, object] = {
        "value": median(moves),
        "healthy": [1e-4, 1e-2],
        "slope": drop,
        "slope error": error,
    }
    if rising and aim > rates[-1]:
        statistic["warming"] = aim
        evidence += f" The rate has come to {rates[-1]:.2g} of {aim:.2g}."
    if rising:
        cause = "The rate is still warming up: the warm-up is far longer than the training can afford."
    sure = 0.75 if median(moves) < 1e-5 else 0.55
    return _told(record, "optimizer", "warn", evidence, cause, sure, statistic)


def _nothing_passed_back(record: Record) -> bool:
    """Whether a typical layer's gradient is gone, so that it stands still whatever the rate."""
    series = [record.get("gradient", name) for name in record.facts.get("layers", [])]
    left = [each.values[-1] / max(max(each.values), 1e-30) for each in series if len(each)]
    return bool(left) and median(left) < 1e-6


def _told(
    record: Record, where: str, severity: Severity, evidence: str, cause: str, sure: float, statistic: dict[str, object]
) -> Finding:
    series = picked(record.get("rate" if where == "schedule" else "loss"))
    statistic = {**statistic, "series": series}
    return Finding(
        "learning-rate-too-low",
        where,
        severity,
        evidence,
        cause,
        sure,
        record.step,
        statistic=statistic,
    )


def below_zero(record: Record) -> Finding | None:
    """A rate that a schedule has taken below zero, so that each step climbs the loss."""
    rates = record.get("rate")
    if not len(rates):
        raise CannotJudge("no rate was read")
    first = next((step for step, rate in zip(rates.steps, rates.values, strict=True) if rate < 0), None)
    if first is None or rates.values[-1] >= 0 or (np.array(rates.values) < 0).all():
        return None  # one that is below zero from the start is no schedule's doing
    evidence = f"From step {first} on the learning rate is below zero; it is {rates.values[-1]:.3g} now."
    cause = "The schedule goes on falling behind its end: its number of steps is too small."
    told = {"value": float(rates.values[-1]), "healthy": [0.0, math.inf], "series": picked(rates)}
    return Finding("gradient-ascent", "schedule", "critical", evidence, cause, 0.97, record.step, statistic=told)


def leaping(record: Record) -> Finding | None:
    """A rate that leaps for a step or a few and comes back, time after time; no schedule means to."""
    rates = record.get("rate").array
    if len(rates) < 3 * LIMITS.warm_up:
        raise CannotJudge(f"needs {3 * LIMITS.warm_up} steps")
    places = leaps_of(rates, LEAP)
    if len(places) < 2:
        return None
    height = float(np.median(rates[places] / rates[[place - SIDE for place in places]]))
    steps = [record.get("rate").steps[place] for place in places]
    evidence = (
        f"At {len(places)} steps, last at step {steps[-1]}, the rate was {height:.2g} times as high as around them."
    )
    cause = "The schedule lets the rate leap, and each leap throws the weights off."
    told = {"value": height, "healthy": [0, LEAP], "series": picked(record.get("rate"))}
    return Finding("loss-spike", "schedule", "warn", evidence, cause, 0.85, steps[0], statistic=told)


def leaps_of(rates: np.ndarray, times: float) -> list[int]:
    """Where the rate is so many times what it was before, for a step or a few, and comes back."""
    places = []
    for place in np.flatnonzero(rates[1:] > times * np.maximum(rates[:-1], 1e-30)) + 1:
        before, after = rates[max(0, place - 10) : place], rates[place + 1 : place + 6]
        leapt = len(before) == 10 and rates[place] > times * median(before) > 0
        if leapt and len(after) and after.min() < 0.5 * rates[place]:
            places.append(int(place))
    return places


def raised_late(record: Record) -> Finding | None:
    """A rate many times as high as any before, from some step in the midst of a training on, and a loss that rose."""
    rates, losses = record.get("rate").array, record.get("loss").array
    if len(rates) < 3 * LIMITS.warm_up or len(rates) != len(losses):
        raise CannotJudge(f"needs {3 * LIMITS.warm_up} steps")
    if rates[-1] < LEAP * rates[0] or rates[-1] < rates.max() / 2:
        return None
    above = np.flatnonzero(rates >= LEAP * np.maximum.accumulate(np.concatenate([rates[:1], rates[:-1]])))
    above = above[above >= 2 * LIMITS.warm_up]
    if not len(above) or len(rates) - above[-1] < SIDE:
        return None
    at = int(above[-1])
    warming_up = rates[at - 1] > 1.01 * rates[at - SIDE]
    before, after = median(finite(losses[at - SIDE : at])), median(finite(losses[at + 1 :][: LIMITS.warm_up]))
    if warming_up or not (after > RISEN * before or not np.isfinite(after)):
        return None
    evidence = (
        f"From step {record.get('rate').steps[at]} on the rate is {rates[at]:.3g}, {rates[at] / rates[at - 1]:.2g} "
        f"times the one before, and the loss rose from {before:.3g} to {after:.3g}."
    )
    cause = "A schedule or a resumed optimizer that has forgotten how far the training was, or a wrong unit."
    told = {"value": float(rates[at] / rates[at - 1]), "healthy": [0, LEAP], "series": picked(record.get("rate"))}
    told["given"] = float(rates[at])  # copies from the first weights know nothing of a leap in the midst
    return Finding("learning-rate-too-high", "schedule", "critical", evidence, cause, 0.9, record.step, statistic=told)


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "learning-rate-too-low": learning_rate_too_low,
    "gradient-ascent": below_zero,
    "loss-spike": leaping,
    "learning-rate-too-high": raised_late,
}
