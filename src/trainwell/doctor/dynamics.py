"""The loss over the steps, and what evaluations say, to findings about how the training goes."""

import math
from collections.abc import Callable

import numpy as np

from trainwell.doctor.course import (
    UNPROVEN,
    falling,
    learned,
    may_come_back,
    provable,
    rate_share,
    shrunken,
    stands_still,
    typical_updates,
)
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, correlation, finite, median, picked, quantile, slope, smooth, spread
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
NOTHING, SURE = 0.03, 7  # of the way from guessing's loss, and times the warm-up after which nothing was learned
FALLEN = 20.0  # times the first losses' size, and as a number, below zero: scores of a share end at one
NOTHING_LEFT = 0.05  # of the first losses, which is little to be behind by
RUN_AWAY = 100.0  # times the start, beyond which a loss was thrown, whatever its noise and whatever made it


def gradient_ascent(record: Record) -> Finding | None:
    """Weights that move along their gradient instead of against it, while the loss rises."""
    if _below_chance(record):
        return _turned_away(record)
    if _bottomless(_losses(record)):
        return _without_a_bottom(record)
    along = record.get("along gradient").array
    if len(along) < LIMITS.persist:
        raise CannotJudge("no updates were read")
    if record.facts.get("descends"):
        return None  # later on a momentum that remembers a spoiled batch may point up the slope
    losses = _losses(record)
    if (along[: LIMITS.persist] <= 0).any() or (along > 0).mean() < 0.9 or len(losses) < 8:
        return None
    if median(losses[-3:]) <= median(losses[:3]):
        return None
    return Finding(
        "gradient-ascent",
        "optimizer",
        "critical",
        f"Every update points along the gradient, and the loss went from {losses[0]:.3g} to {losses[-1]:.3g}.",
        "The sign is turned: a negative rate, a negated loss, or maximize=True.",
        0.95,
        record.step,
        statistic={"value": median(along), "healthy": [-math.inf, 0], "series": picked(record.get("loss"))},
    )


def _bottomless(losses: np.ndarray) -> bool:
    """Whether a loss is far below zero and falls ever faster: a likelihood rises ever more slowly, towards its own."""
    if len(losses) < 4 * LIMITS.warm_up or losses[-1] >= 0:
        return False
    first, one, two, three = (median(each) for each in np.array_split(losses, 4))
    return three < -FALLEN * max(abs(first), abs(losses[0]), 1.0) and two - three > one - two > 0


def _without_a_bottom(record: Record) -> Finding:
    losses = _losses(record)
    return Finding(
        "gradient-ascent",
        "loss",
        "critical",
        f"The loss went from {losses[0]:.3g} to {losses[-1]:.3g} and falls ever faster: it has no lowest value.",
        "What is made smaller rewards wrong answers without end, as a likelihood without its minus sign does.",
        0.85,
        record.step,
        statistic={"value": float(losses[-1]), "series": picked(record.get("loss"))},
    )


def _below_chance(record: Record) -> bool:
    """Whether fewer held-out rows are right than chance would have it, evaluation after evaluation, and ever fewer."""
    shares = [float(share) for _, share in record.facts.get("class shares") or ()]
    told = finite(record.get("held out", "accuracy").array)
    if record.facts.get("answers rewarded"):
        return False  # the loss was asked, and is lower for right answers
    if len(shares) < 2 or len(told) < LIMITS.persist or record.step < 2 * LIMITS.warm_up:
        return False
    chance = min(1 / len(shares), sum(share**2 for share in shares))
    return bool((told[-LIMITS.persist :] < 0.6 * chance).all() and told[-1] <= told[0] and learned(record) > 0)


def _turned_away(record: Record) -> Finding:
    told = finite(record.get("held out", "accuracy").array)
    return Finding(
        "gradient-ascent",
        "loss",
        "critical",
        f"The loss falls, and of the held-out rows {told[-1]:.1%} are right, fewer than chance would have.",
        "What is made smaller rewards wrong answers: a score, such as an overlap, without its minus sign.",
        0.85,
        record.step,
        statistic={"value": float(told[-1]), "series": picked(record.get("loss"))},
    )


def learning_rate_too_high(record: Record) -> Finding | None:
    """A loss well above where it started, or above its lowest; a suspicion that a twin at a tenth of the rate tests."""
    losses = _losses(record)
    if len(losses) < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    if not record.get("rate").last(10).any() and len(record.get("rate")):
        return None  # nothing moves
    if losses[0] < 0:
        raise CannotJudge("needs a loss above zero, as it is judged by its multiples")
    running = smooth(losses, 9)
    first, end = float(min(losses[0], median(losses[:3]))), float(running[-1])
    # A first batch may be an easy one by chance: the start is where guessing is, or the first steps, if that is lower.
    start = max(first, min(median(losses[:8]), record.facts.get("prior loss") or first))
    lowest = float(running[4:].min()) if len(running) > 8 else end
    above = np.mean(losses[-10:] > LIMITS.diverged * start) >= 0.8 and end > start
    risen = end > LIMITS.risen * lowest and end > 0.2 * start and end - lowest > 0.1 * start
    if above or risen:  # what takes longer is asked for last
        noise = spread(np.diff(losses[-40:]))[1] / math.sqrt(2) if len(losses) > 10 else 0.0
        noise = max(noise, _uneven(losses, running))
        above = above and (end > start + noise or float(losses[-10:].min()) > RUN_AWAY * start)
        risen = risen and end - lowest > 3 * noise and not may_come_back(record)
    if losses[:10].min() < 0 < losses[:10].max():
        above = risen = False  # about nought, as a reward's, it has no multiples
    moves = [each for each in typical_updates(record)[-LIMITS.persist :] if math.isfinite(each)]
    violent = len(moves) >= LIMITS.persist and min(moves) > LIMITS.update_high
    violent = violent and shrunken(record) >= LIMITS.shrunken  # steps are long beside weights that decay has made small
    jumped = float(losses[1:20].max()) > 2 * start > 0 and learned(record) < 0.3 and len(losses) < 200
    jumped = jumped and not losses[:10].min() < 0
    if not (above or risen or violent or jumped) or (above and not jumped and first > 1.5 * start and end < first):
        return None
    wild = float(losses.max()) > RUN_AWAY * start and end > 0.9 * start
    if not (provable(record) or wild or (_stays_up(losses) if above or risen else stands_still(record))):
        return None
    if above or risen:
        evidence = f"The loss is {end:.3g}; it was {first:.3g} at the start and {lowest:.3g} at its lowest."
    else:
        evidence = (
            f"Each step changes a typical layer by {median(moves):.1%} of its size, and the loss stays at {end:.3g}."
        )
    return Finding(
        "learning-rate-too-high",
        "optimizer",
        "critical" if above or risen else "warn",
        evidence,
        "Steps that are too long for the slope jump over the valley.",
        0.7 if above or risen else 0.6,
        record.step,
        statistic={
            "value": end / max(lowest, 1e-12),
            "healthy": [1.0, LIMITS.risen],
            "series": picked(record.get("loss")),
            "diverging": bool(above or risen),
            "beyond the start": bool(end > start),
            "at once": _at_once(losses),
        },
    )


def _stays_up(losses: np.ndarray) -> bool:
    """Whether a loss that has risen has had time to come back and is not on its way: some rise rightly at first, as a
    codebook's or a field's that is only just being filled."""
    peak = float(smooth(losses, 9).max())
    return len(losses) >= UNPROVEN and median(losses[-10:]) > 0.7 * peak


def _uneven(losses: np.ndarray, running: np.ndarray) -> float:
    """How far one batch in ten lay above the usual one where the smoothed loss was lowest: much, if a few hard rows
    make the loss and not every batch has one."""
    lowest = int(running[4:].argmin()) + 4 if len(running) > 8 else 0
    around = losses[max(0, lowest - 18) : lowest + 1]
    return quantile(around, 0.9) - median(around) if len(around) > 8 else 0.0


def _at_once(losses: np.ndarray) -> bool:
    """Whether the latest steps hold one at which the loss left, far beyond its noise, where it had fallen to."""
    for place in range(max(30, len(losses) - 60), len(losses)):
        before, deviation = spread(losses[place - 20 : place])
        limit = max(1.3 * before, before + 8 * deviation)
        if 0 < before < 0.8 * losses[0] and losses[place - 1] < limit < median(losses[place : place + 3]):
            return True
    return False


def oscillating_loss(record: Record) -> Finding | None:
    """A loss that swings from step to step, far more than its batches explain, with gradients that turn each time."""
    losses = _losses(record)
    if len(losses) < 3 * LIMITS.warm_up:
        raise CannotJudge(f"needs {3 * LIMITS.warm_up} steps")
    cosines = record.get("cosine").last(5)
    if len(cosines) < LIMITS.persist or not median(cosines) < -0.2 or learned(record) > 0.8:
        return None
    recent = losses[-60:]
    change = np.diff(recent)
    turning = correlation(change[1:], change[:-1])
    trend, _ = slope(recent)
    swing = float(recent.std() / max(abs(median(recent)), 1e-12))
    if not (turning < -0.3 and recent.std() > 5 * abs(trend) and swing > 0.05):
        return None
    evidence = (
        f"Successive gradients point against each other (cosine {median(cosines):.2f}) "
        f"and the loss swings by {swing:.0%} around {median(recent):.3g}."
    )
    return Finding(
        "oscillating-loss",
        "optimizer",
        "warn",
        evidence,
        "Each step overshoots the valley and the next one comes back.",
        0.75,
        record.step,
        statistic={"value": median(cosines), "healthy": [-0.2, 1.0], "series": picked(record.get("loss"))},
    )


def loss_spike(record: Record) -> Finding | None:
    """A loss far above its rolling median that does not come back within some steps."""
    losses = _losses(record)
    if len(losses) < 50 + LIMITS.spike_over:
        raise CannotJudge(f"needs {50 + LIMITS.spike_over} steps")
    before = losses[-50 - LIMITS.spike_over : -LIMITS.spike_over]
    middle, deviation = spread(before)
    # Where a few hard rows make the loss, one batch in ten is far above the median without any harm.
    limit = max(middle + LIMITS.spike_deviations * deviation, LIMITS.spike * middle, quantile(before, 0.9) * 1.1)
    recent = losses[-LIMITS.spike_over :]
    thrown = _thrown_back(record)
    if thrown is not None:
        return thrown
    if recent[0] <= limit or median(recent) <= limit or middle <= 0:
        return None
    peak = float(recent.max())
    evidence = (
        f"The loss jumped from {middle:.3g} to {peak:.3g} at one step and has "
        f"not come back in {LIMITS.spike_over} steps."
    )
    return Finding(
        "loss-spike",
        "loss",
        "warn",
        evidence,
        "One batch, or one step that was too long, threw the weights off.",
        0.8,
        record.step - LIMITS.spike_over,
        statistic={"value": peak / middle, "healthy": [0, LIMITS.spike], "series": picked(record.get("loss"))},
    )


def _thrown_back(record: Record) -> Finding | None:
    """One step whose loss was far beyond all before it, and since which the training is behind where it had been."""
    losses = _losses(record)
    peak = int(losses[LIMITS.warm_up : -LIMITS.spike_over].argmax()) + LIMITS.warm_up
    # What throws a training may take some batches, of which the first stands out from what was, the last highest.
    around = range(max(LIMITS.warm_up, peak - LIMITS.spike_over), peak + 1)
    leaps = [place for place in around if losses[place] > LIMITS.leap * losses[max(0, place - 50) : place].max()]
    if not leaps:
        return None
    place = leaps[0]
    before, now = losses[max(0, place - LIMITS.spike_over) : place], losses[-LIMITS.spike_over :]
    middle, deviation = spread(before)
    behind = median(now) > 1.05 * middle + 4 * 1.25 * deviation / math.sqrt(LIMITS.spike_over)
    if middle <= 0 or not behind or median(now) < NOTHING_LEFT * losses[: LIMITS.warm_up].max():
        return None
    return Finding(
        "loss-spike",
        "loss",
        "warn",
        f"The loss leapt from {middle:.3g} to {losses[place]:.3g} at one step; {len(losses) - place - 1} steps later "
        f"it stands at {median(now):.3g}.",
        "One batch, its rows or its answers, was beyond all others and threw off weights or the optimizer's memory.",
        0.8,
        record.step - (len(losses) - place) + 1,
        statistic={"value": losses[place] / middle, "healthy": [0, LIMITS.leap], "series": picked(record.get("loss"))},
    )


def plateau(record: Record) -> Finding | None:
    """A loss that has not improved over a long window, well above where it could be."""
    losses = _losses(record)
    window = max(100, len(losses) // 3)
    if len(losses) < window + LIMITS.warm_up:
        raise CannotJudge(f"needs {window + LIMITS.warm_up} steps")
    recent, half = losses[-window:], window // 2
    gain = float(median(recent[:half]) - median(recent[half:])) / max(median(recent), 1e-12)
    error = 1.25 * spread(recent)[1] / math.sqrt(half) / max(median(recent), 1e-12)
    gone = learned(record)
    if gain > max(LIMITS.improvement, error) or gone > 0.1 or rate_share(record) < 0.3:
        return None
    if median(recent) < 0.8 * float(record.facts.get("prior loss") or 0.0):
        return None  # begun with weights that had learned before
    if not provable(record) and gone > 0.05:
        return None  # where neither guessing's loss nor a copy's is known, the rest may be what nobody can tell
    evidence = (
        f"Over the last {window} steps the loss improved by {gain:.2%} and stays at {median(recent):.3g}, "
        f"{max(gone, 0):.0%} below where guessing starts."
    )
    return Finding(
        "plateau",
        "loss",
        "warn",
        evidence,
        "The training has stopped learning before it has learned much.",
        0.6,
        record.step,
        statistic={
            "value": gain,
            "healthy": [LIMITS.improvement, 1],
            "series": picked(record.get("loss")),
            "nothing": bool(
                gone < NOTHING and record.facts.get("guess measured") and record.step >= SURE * LIMITS.warm_up
            ),
        },
    )


def class_imbalance(record: Record) -> Finding | None:
    """One class far more frequent than another, and the rare one missed at evaluation after evaluation."""
    ratio, recalls = record.facts.get("class ratio"), record.get("recall")
    if ratio is None or len(recalls) < LIMITS.persist:
        raise CannotJudge(f"needs classes and {LIMITS.persist} evaluations of held-out batches")
    last, least = recalls.last(LIMITS.persist), _least_recall(record, LIMITS.persist)
    if _weighed(record) <= LIMITS.imbalance or not (last < least).all():
        return None
    planned = record.facts.get("steps") or 0
    early = record.step < max(5 * LIMITS.warm_up, 0.5 * planned if planned else 15 * LIMITS.warm_up)
    coming = last[-1] > last[0] + 0.05 and not (planned and record.step > 0.95 * planned)
    if coming or (early and falling(record)):
        return None  # the rare one comes last, and is coming
    if _common(record) > 1 and learned(record) < LIMITS.tells_common:
        return None  # the common ones are not told apart either, so it is not for want of rows that one is missed
    evidence = (
        f"The commonest class has {ratio:.0f} times the rows of the rarest; of the rare rows {last[-1]:.0%} are "
        "recognized."
    )
    return Finding(
        "class-imbalance",
        "target",
        "warn",
        evidence,
        "Answering the common class is nearly right for the loss.",
        0.85,
        record.step,
        statistic={"value": float(ratio), "healthy": [1, LIMITS.imbalance], "recall": last.tolist()},
    )


def _least_recall(record: Record, count: int) -> np.ndarray:
    """What share of the rare class's rows should be recognized, at each of the latest evaluations."""
    last, common = record.get("recall").last(count), record.get("recall of common").last(count)
    behind = LIMITS.minority_behind * (common if len(common) == len(last) else np.zeros(len(last)))
    return np.asarray(np.maximum(LIMITS.minority_recall, behind))


def rare_come(record: Record) -> bool:
    """Whether a rare class is recognized at the latest two evaluations as often as it should be."""
    last = record.get("recall").last(2)
    return len(last) == 2 and bool((last >= _least_recall(record, 2)).all())


def _common(record: Record) -> int:
    """How many classes have a tenth of the commonest one's rows or more."""
    shares = [float(share) for _, share in record.facts.get("class shares") or ()]
    return sum(share * LIMITS.imbalance >= max(shares) for share in shares)


def _weighed(record: Record) -> float:
    """The largest over the smallest share that a class has in the loss: what weights make of how often it comes."""
    shares, weights = record.facts.get("class shares") or [], record.facts.get("class weights") or []
    told = [share * (weights[int(kind)] if kind < len(weights) else 1.0) for kind, share in shares]
    return max(told) / min(told) if told and min(told) > 0 else float(record.facts["class ratio"])


def _losses(record: Record) -> np.ndarray:
    return finite(record.get("loss").array)


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "gradient-ascent": gradient_ascent,
    "learning-rate-too-high": learning_rate_too_high,
    "oscillating-loss": oscillating_loss,
    "loss-spike": loss_spike,
    "plateau": plateau,
    "class-imbalance": class_imbalance,
}
