"""A record to what several rules ask of it: how far it has come, how noisily, how fast its layers move."""

import math

import numpy as np

from trainwell.doctor.finding import CannotJudge
from trainwell.doctor.series import Record, Series, finite, median, middles, slope, smooth, spread
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
UNPROVEN = 50  # steps that are waited for where no copy can bear a suspicion out


def learned(record: Record) -> float:
    """How much of the way from the first (or guessing's) loss to zero has been gone, 0 to 1; below 0 if it got
    worse."""
    start, end = record.once("ends of the loss", lambda: _ends(finite(record.get("loss").array)))
    start = min(start, record.facts.get("prior loss") or start)
    return (start - end) / start if start > 0 else 0.0


def _ends(losses: np.ndarray) -> tuple[float, float]:
    """The medians of the first and of the latest losses; none of fewer than four."""
    if len(losses) < 4:
        return 0.0, 0.0
    return (
        median(losses[: max(1, min(5, len(losses) // 4))]),
        median(losses[-min(20, max(3, len(losses) // 4)) :]),
    )


def latest(record: Record) -> float:
    """The median of the latest losses; infinite before the first."""
    losses = finite(record.get("loss").array)[-20:]
    return median(losses) if len(losses) else math.inf


def noise_of_median(record: Record) -> float:
    """The standard error of the latest losses' median, as a share of the first loss (or of guessing's)."""
    losses = finite(record.get("loss").array)
    latest = losses[-min(20, max(3, len(losses) // 4)) :]
    start = record.facts.get("prior loss") or (float(losses[0]) if len(losses) else 0.0)
    return 1.25 * spread(latest)[1] / math.sqrt(len(latest)) / start if len(latest) > 2 and start > 0 else 0.0


def beyond_ridge(record: Record) -> bool:
    """Whether held-out rows are answered at least as well as a ridge would, where it learns something of them: a
    network that does is none the worse for how it looks inside."""
    facts, ridge = record.facts, record.facts.get("ridge")
    if ridge is None or ridge < LIMITS.ridge or facts.get("answer each step"):
        return False
    accuracy, chance = record.get("held out", "accuracy").last(1), facts.get("commonest class")
    if len(accuracy) and chance and chance < 1:
        return bool((accuracy[0] - chance) / (1 - chance) >= ridge)
    left, guess = record.get("held out", "loss").last(1), facts.get("prior loss")
    return bool(len(left) and guess and facts.get("loss") == "mse" and 1 - left[0] / guess >= ridge)


def shrunken(record: Record) -> float:
    """A typical layer's size over its first one where there is weight decay; 1 without."""
    layers = [name for name in record.facts.get("layers", []) if len(record.get("weight", name)) >= LIMITS.persist]
    if not record.facts.get("weight decay") or not layers:
        return 1.0
    sizes = [record.get("weight", name) for name in layers]
    return median([each.values[-1] / (each.values[0] + 1e-12) for each in sizes])


def outweighing(record: Record) -> float:
    """How many times as hard as the loss weight decay pulls at a typical layer.

    Where it is taken off the weights instead of being added to gradients (Loshchilov and Hutter 2019), beside the most
    that a step of Adam takes for the loss, which is the rate.
    """
    decay = record.facts.get("weight decay in gradients") or 0.0
    layers = record.facts.get("layers", [])
    if not decay and record.facts.get("weight decay"):
        looks = [record.get("weight", name) for name in layers if len(record.get("weight", name)) >= LIMITS.persist]
        return float(record.facts["weight decay"]) * median([each.values[-1] for each in looks]) if looks else 0.0
    pulls = []
    for name in record.facts.get("layers", []) if decay else ():
        pair = record.get("weight", name), record.get("gradient", name)
        if min(map(len, pair)) >= LIMITS.persist:
            sizes, gradients = (each.last(LIMITS.persist) for each in pair)
            pulls.append(median(decay * sizes / (gradients + 1e-30)))
    return median(pulls) if pulls else 0.0


def falling(record: Record) -> bool:
    """Whether the loss of the latter half still goes down, by more than its noise."""
    losses = finite(record.get("loss").array)
    drop, error = slope(losses[-max(20, len(losses) // 2) :])
    return drop < -3 * error


def provable(record: Record) -> bool:
    """Whether copies can make the loss anew, and so bear a suspicion out or not, or a log is known to its end, so that
    there is nothing to wait for."""
    return not record.facts.keys().isdisjoint({"loss", "heard", "log"})


def stands_still(record: Record) -> bool:
    """Whether long steps bring nothing: weights that begin near zero, and embeddings, rightly move by large shares."""
    return record.step >= UNPROVEN and learned(record) < 0.1 and not falling(record)


def told_divergence(record: Record) -> tuple[str | None, Series]:
    """The divergence of codes as the loop tells it, by its name, or else as it was seen; in nats a row."""
    names = ("kl", "kld", "kl_divergence", "divergence")
    name = next((each for each in record.places("told") if each.lower() in names), None)
    return name, record.get("told", name) if name is not None else record.get("divergence")


def says_more(record: Record) -> bool:
    """Whether the divergence of an autoencoder's codes still rises, by more than its noise: they come to say more."""
    values = finite(told_divergence(record)[1].array)
    if len(values) < 20:
        return False
    rise, error = slope(values[-max(20, len(values) // 2) :])
    return rise > 3 * error


def does_well(record: Record) -> bool:
    """Whether a training has gone most of its way, or is still on it."""
    return learned(record) > 0.5 or beyond_ridge(record) or falling(record) or says_more(record)


def worse(record: Record) -> bool:
    """Whether the loss has clearly risen above its lowest smoothed value."""
    losses = finite(record.get("loss").array)
    if len(losses) < 8:
        return False
    running = smooth(losses, 7)
    return bool(running[-1] > 1.1 * running.min() + 1e-6)


def risen_for(record: Record) -> int:
    """Steps since the loss, smoothed, was last within a third of its lowest: how long an excursion has lasted."""
    running = smooth(finite(record.get("loss").array), 5)
    if not len(running):
        return 0
    lowest = np.minimum.accumulate(running)
    within = np.flatnonzero(running <= lowest + 0.3 * np.abs(lowest) + 1e-9)
    return len(running) - 1 - int(within[-1])


def may_come_back(record: Record) -> bool:
    """Whether a loss that has risen may still be on its way back, as healthy trainings' excursions are gone within some
    20 steps, or thrice as many where the rate was just raised at a stroke, as a restart does."""
    rates = record.get("rate").last(3 * LIMITS.spike_over + 1)
    raised = len(rates) > 1 and bool((rates[1:] > 3 * rates[:-1]).any() and (rates[:-1] > 0).all())
    return risen_for(record) < LIMITS.spike_over * (3 if raised else 1)


def update_ratio(record: Record, place: str) -> float:
    """The latest update of a layer over its weights."""
    moved, size = record.get("update", place).last(1), record.get("weight", place).last(1)
    return float(moved[0] / (size[0] + 1e-12)) if len(moved) and len(size) else math.nan


def typical_updates(record: Record) -> list[float]:
    """At each probe, the median over layers of update over weight; layers that start at zero are left out."""
    return record.once("typical updates", lambda: _typical_updates(record))


def _typical_updates(record: Record) -> list[float]:
    layers = [name for name in record.facts.get("layers", []) if len(record.get("update", name))]
    rows = []
    for name in layers:
        moved, size = record.get("update", name).array, record.get("weight", name).array
        count = min(len(moved), len(size))
        if count and size[0] > 1e-6:
            rows.append(moved[-count:] / (size[-count:] + 1e-12))
    shortest = min((len(row) for row in rows), default=0)
    return list(middles(np.stack([row[-shortest:] for row in rows], axis=1))) if shortest else []


def rate_share(record: Record) -> float:
    """The present rate over the highest so far: small while warming up or cooling down."""
    rates = record.get("rate").array
    return float(rates[-1] / rates.max()) if len(rates) and rates.max() > 0 else 1.0


def warming(record: Record) -> bool:
    """Whether the rate still rises."""
    rates = record.get("rate").last(6)
    return len(rates) > 5 and bool(rates[-1] > 1.02 * rates[0])


def ahead(record: Record) -> float:
    """The rate that a schedule which still raises it aims at over the present one; 1 where none does."""
    rates, aim = record.get("rate").last(1), float(record.facts.get("aimed rate") or 0.0)
    return max(1.0, aim / float(rates[-1])) if warming(record) and rates[-1] > 0 else 1.0


def largest_gradient(record: Record) -> str:
    """The layer whose gradient is largest at the latest probe."""
    recent = record.recent("gradient", 1)
    return max(recent, key=lambda place: float(np.nan_to_num(recent[place][-1], nan=np.inf)), default="")


def clipped_at(record: Record) -> float | None:
    """The norm that a loop clips its gradients at, as a share of all norms that ends sharply tells."""
    norms = finite(record.get("gradient norm").array)
    top = float(norms.max()) if len(norms) > 9 else 0.0
    return top if top > 0 and (norms > 0.999 * top).mean() > 0.2 else None


def held_out(record: Record) -> Series:
    """The validation loss by whichever name it was reported."""
    for name in ("loss", "log_loss", "val_loss", "eval_loss", "rmse", "mse", "mae"):
        if len(record.get("held out", name)):
            return record.get("held out", name)
    raise CannotJudge("no validation loss was seen")
