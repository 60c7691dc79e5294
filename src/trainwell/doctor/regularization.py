"""A record of a sound training to findings about how it is held back: too much, by too small batches, by its size."""

from collections.abc import Callable
from typing import Any

import numpy as np

from trainwell.doctor.bottleneck import narrow
from trainwell.doctor.course import (
    beyond_ridge,
    falling,
    latest,
    learned,
    noise_of_median,
    outweighing,
    rate_share,
    shrunken,
    warming,
)
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, finite, median, picked, slope
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
BEYOND_DOUBT = 0.85  # dropout, where little is learned in many steps
MUCH, LITTLE = 0.01, 0.4  # of a weight that a step takes; of its first size that is left
SEVERE = 0.8  # dropout beyond which no training is waited for


def over_regularized(record: Record) -> Finding | None:
    """Weights that shrink under decay, or heavy dropout, while little is learned; a twin without them tests it."""
    decay, dropout = record.facts.get("weight decay", 0.0), record.facts.get("dropout", 0.0)
    if not decay and not dropout:
        raise CannotJudge("there is no weight decay and no dropout")
    if record.step < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    return _decayed(record) if decay and shrunken(record) < LIMITS.shrunken else _dropped(record)


def _decayed(record: Record) -> Finding | None:
    """Weights that have shrunk: to nothing, or while little is learned, or as hard as the loss pulls at them."""
    kept, pull, come = shrunken(record), outweighing(record), learned(record)
    gone = pull > LIMITS.pull_away and come < 0.1
    settled = pull > LIMITS.pull and record.step >= 3 * LIMITS.warm_up and come < 0.7 and not falling(record)
    if not (gone or settled or (come <= 0.4 and record.step >= 2 * LIMITS.warm_up)):
        return None
    evidence = (
        f"Only {max(0.0, come):.0%} of the way is learned after {record.step} steps; weight decay "
        f"{record.facts['weight decay']:g} has shrunk a typical layer to {kept:.0%} of its first size."
    )
    if pull > LIMITS.pull:
        evidence += f" In a typical layer it pulls {pull:.3g} times as hard as the loss."
    told: dict[str, Any] = {"value": kept, "healthy": [LIMITS.shrunken, 2.0], "gone": gone, "settled": settled}
    told["pull"] = pull
    rates = record.get("rate").array
    each = float(rates.max()) * record.facts["weight decay"] if len(rates) else 0.0  # taken off the weights at a step
    plain = not record.facts.get("weight decay in gradients") and each > MUCH and kept < LITTLE
    if plain and pull > LIMITS.pull and record.step >= 10 * LIMITS.warm_up and come < 0.7:
        evidence += f" Each step takes {each:.1%} of every weight."
        told["given"] = each  # weights need longer to grow again than copies have
    return _restrained(record, "optimizer", evidence, told, 0.9 if gone else 0.6)


def _dropped(record: Record) -> Finding | None:
    """Heavy dropout, where the network as a whole does not do well all the same."""
    dropout, come = record.facts.get("dropout", 0.0), learned(record)
    if dropout < LIMITS.heavy_dropout or come > 0.4 or beyond_ridge(record):
        return None
    if dropout < SEVERE and (record.step < 5 * LIMITS.warm_up or falling(record)):
        return None  # what it costs at first it may give back
    evidence = f"Only {max(0.0, come):.0%} of the way is learned after {record.step} steps; dropout is {dropout:g}."
    told: dict[str, Any] = {"value": dropout, "healthy": [0, 0.5]}
    if dropout > BEYOND_DOUBT and record.step >= 10 * LIMITS.warm_up:
        told["given"] = dropout  # copies of some 50 steps may learn as little without it
    return _restrained(record, "dropout", evidence, told, 0.6)


def _restrained(record: Record, where: str, evidence: str, told: dict[str, Any], sure: float) -> Finding:
    return Finding(
        "over-regularized",
        where,
        "warn",
        evidence,
        "Keeping the weights small, or units out, costs more than the data can pay for.",
        sure,
        record.step,
        statistic={**told, "series": picked(record.get("loss"))},
    )


def batch_too_small(record: Record) -> Finding | None:
    """Batch statistics of a handful of rows, or gradients that agree on nothing from one batch to the next."""
    rows = record.facts.get("rows a batch")
    if not rows:
        raise CannotJudge("the batch's size was not seen")
    if record.step < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    # A norm over maps takes its statistics from many places of each row.
    least = LIMITS.norm_batch_maps if record.facts.get("norms over maps") else LIMITS.norm_batch
    if record.facts.get("batch norm") and rows < least:
        return _small(
            record,
            f"Batch norm takes its statistics from {rows} rows.",
            "Mean and deviation of so few rows are mostly noise.",
            0.9,
        )
    cosines, losses = record.get("cosine").last(8), finite(record.get("loss").array)
    if (
        rows > 4
        or len(cosines) < 5
        or len(losses) < 5 * LIMITS.warm_up
        or _on_average(record) > 0.3
        or rate_share(record) < 0.3
    ):
        return None
    noise = float(np.std(losses[-60:]) / max(median(losses[-60:]), 1e-12))
    if noise < 0.5 or abs(median(cosines)) > 0.2 or falling(record):
        return None
    told = (
        f"With {rows} row{'s' if rows > 1 else ''} a batch the loss varies by {noise:.0%} from step to step "
        "and successive gradients share no direction."
    )
    return _small(record, told, "A step follows its few rows, not the data.", 0.6)


def _on_average(record: Record) -> float:
    """How much of the way from guessing is gone: by the mean, as of a few rows most have a loss far below it, and by
    held-out rows where their loss is told."""
    guess = float(record.facts.get("prior loss") or 0.0)
    held = finite(record.get("held out", "loss").array)
    if guess <= 0:
        return learned(record)
    losses = finite(record.get("loss").array)
    come = [1 - float(np.mean(losses[-min(100, len(losses) // 2) :])) / guess]
    if len(held) > 2:
        come.append(1 - median(held[-3:]) / guess)
    return min(*come, learned(record))


def _small(record: Record, evidence: str, cause: str, confidence: float) -> Finding:
    return Finding(
        "batch-too-small",
        "loader",
        "warn",
        evidence,
        cause,
        confidence,
        record.step,
        statistic={"value": record.facts["rows a batch"], "healthy": [LIMITS.norm_batch, 4096]},
    )


def underfitting(record: Record) -> Finding | None:
    """A training that ends well below what its nearest neighbors would have answered, with a healthy signal."""
    planned = record.facts.get("steps") or 0
    accuracy, neighbors = record.get("training accuracy"), record.facts.get("neighbor agreement")
    if not len(accuracy) or neighbors is None:
        raise CannotJudge("needs classes, and neighbors to compare with")
    if planned and record.step < 0.8 * planned:
        return None
    losses = finite(record.get("loss").array)
    third = len(losses) // 3
    if third < 30 or median(losses[-third // 2 :]) < 0.9 * median(losses[-third : -third // 2]):
        return None  # still learning
    reached = accuracy.values[-1]
    if reached > neighbors - LIMITS.underfit_gap or neighbors < 1.5 * record.facts.get("commonest class", 1.0):
        return None
    evidence = (
        f"The training rows are right in {reached:.0%} of cases; the vote of ten neighbors gives {neighbors:.0%}."
    )
    return Finding(
        "underfitting",
        "model",
        "warn",
        evidence,
        "The network is too small, too restrained, or stopped too early for this data.",
        0.7,
        record.step,
        statistic={"value": reached, "healthy": [neighbors - LIMITS.underfit_gap, 1.0]},
    )


def less_than_ridge(record: Record) -> Finding | None:
    """A loss that will not come below what a ridge on the same inputs leaves, by its course so far; a suspicion of
    which copies with another rate, fresh weights or less restraint then say what it comes of."""
    bar, guess = record.facts.get("ridge leaves"), record.facts.get("prior loss")
    if bar is None or not guess:
        raise CannotJudge("a ridge on the inputs gives no bar for this loss")
    planned = record.facts.get("steps") or 0
    losses = finite(record.get("loss").array)
    if len(losses) < max(4 * LIMITS.warm_up, 0.3 * planned) or rate_share(record) < 0.3 or warming(record):
        return None
    end, limit = latest(record), (1.05 * bar + 2 * noise_of_median(record)) * guess
    if not end > limit:
        return None
    drop, error = slope(losses[-max(40, len(losses) // 2) :])
    left = max(planned - record.step, len(losses) // 2) if planned else 2 * len(losses)
    if end + (drop - 2 * error) * left < limit:
        return None  # it may still come to it
    return Finding(
        "underfitting",
        "model",
        "warn",
        f"After {record.step} steps the loss is {end:.3g}, {end / guess:.0%} of guessing's; a ridge on the same inputs "
        f"comes to {max(0.0, 1 - (1 - bar) / LIMITS.ridge_way):.0%} or so, and at this pace the training will not.",
        "Something keeps the network from what the simplest model learns from these rows.",
        0.6,
        record.step,
        statistic={
            "value": end / guess,
            "healthy": [0, bar],
            "lagging": True,
            "series": picked(record.get("loss")),
        },
    )


def lagging(record: Record) -> Finding | None:
    """Held back by a layer too narrow, behind what the neighbors' vote gives, or what a ridge leaves."""
    reasons = []
    for rule in (narrow, underfitting, less_than_ridge):
        try:
            finding = rule(record)
        except CannotJudge as reason:
            reasons.append(str(reason))
            continue
        if finding is not None:
            return finding
    if len(reasons) > 2:
        raise CannotJudge(reasons[1])
    return None


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "over-regularized": over_regularized,
    "batch-too-small": batch_too_small,
    "underfitting": lagging,
}
