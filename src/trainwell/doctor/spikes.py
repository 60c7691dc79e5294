"""Leaps of the loss wherever they came, to findings: again and again, or one that the training is still behind."""

from collections.abc import Callable

import numpy as np

from trainwell.doctor.course import learned
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, median, picked, spread
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
BEFORE = 50  # steps that a leap is measured against
AFTER = 5  # steps that it lasts at least, as a single batch may be a hard one
LEAP = 1.2  # times the usual loss
OFTEN = 3  # leaps from which on they come again and again
RESTART = 2.0  # times the rate of before, which a schedule that starts anew goes on with
STILL = 10  # steps that an optimizer is behind its own pace at least


def loss_spike(record: Record) -> Finding | None:
    """Leaps that come again and again, each of which the training has to make up for."""
    losses = record.get("loss").array
    if len(losses) < BEFORE + 4 * LIMITS.spike_over:
        raise CannotJudge(f"needs {BEFORE + 4 * LIMITS.spike_over} steps")
    places = leaps(record)
    if len(places) < OFTEN or learned(record) > 0.8:
        return None
    steps = [record.get("loss").steps[place] for place in places]
    heights = [float(losses[place : place + AFTER].max()) / median(losses[place - BEFORE : place]) for place in places]
    height = median(np.array(heights))
    told = ", ".join(map(str, steps[-4:]))
    evidence = f"The loss has leapt {len(places)} times, last at the steps {told}, to {height:.2g} times what it was."
    rates = record.get("rate").array
    cause = "Some batches, or steps that are too long, throw the weights off again and again."
    if len(rates) == len(losses) and all(_peaks(rates, place) for place in places):
        evidence += " Right before each the rate was several times as high for a step or a few."
        cause = "The schedule lets the rate leap."
    return Finding(
        "loss-spike",
        "loss",
        "warn",
        evidence,
        cause,
        0.8,
        steps[0],
        statistic={"value": height, "healthy": [0, LEAP], "series": picked(record.get("loss"))},
    )


def training_state_lost(record: Record) -> Finding | None:
    """An optimizer that has stopped counting while the training goes on from a leap of its loss: another one steps."""
    count = record.get("optimizer step")
    if len(count) < 4:
        raise CannotJudge("the optimizer keeps no count of its steps")
    steps, counts = np.array(count.steps), count.array
    pace = (counts[1:-1] - counts[0]) / (steps[1:-1] - steps[0])  # updates a step, up to each look
    behind = pace * np.diff(steps)[1:] - np.diff(counts)[1:]
    slower = np.flatnonzero(behind >= STILL * pace)
    if not len(slower) or not pace[slower[0]] > 0:
        return None
    since, last = steps[slower[0] + 1], counts[-1]
    leapt = [each for each in leaps(record) if record.get("loss").steps[each] >= since]
    if not leapt:
        return None
    at = record.get("loss").steps[leapt[0]]
    return Finding(
        "training-state-lost",
        "optimizer",
        "warn",
        f"The optimizer that was told has counted {last:.0f} steps and no more since, though the training "
        f"goes on, and at step {at} the loss leapt.",
        "Another optimizer has taken its place, without its averages: load its state dictionary, and tell the new one.",
        0.85,
        at,
        statistic={"value": float(last), "healthy": [0, 0], "series": picked(record.get("loss"))},
    )


def leaps(record: Record) -> list[int]:
    """Places among the losses at which the loss rises at once far above what it was, for some steps at least."""
    losses, rates = record.get("loss").array, record.get("rate").array
    found: list[int] = []
    for place in range(BEFORE, len(losses) - AFTER + 1):
        if found and place < found[-1] + LIMITS.spike_over:
            continue
        before = losses[place - BEFORE : place]
        if not losses[place] > LEAP * losses[place - 1] > 0 or not np.isfinite(before).all():
            continue
        middle, deviation = spread(before)
        after = losses[place : place + AFTER]
        if not after.min() > max(LEAP * middle, middle + LIMITS.spike_deviations * deviation):
            continue
        ahead, behind = rates[place : place + AFTER], rates[place - AFTER : place]
        if len(rates) == len(losses) and ahead.min() > RESTART * median(behind):
            continue  # a schedule that starts anew
        found.append(place)
    return found


def _peaks(rates: np.ndarray, place: int) -> bool:
    """Whether the rate right before a leap was several times what it is around."""
    near = rates[max(0, place - 3) : place + 1].max()
    return bool(near > 3 * max(median(rates[max(0, place - 20) : place - 3]), median(rates[place + 1 : place + 6])))


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "loss-spike": loss_spike,
    "training-state-lost": training_state_lost,
}
