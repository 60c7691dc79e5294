"""What probes read by layer to findings about the signal's way through the network, forwards and back."""

import math
from collections.abc import Callable

import numpy as np

from trainwell.doctor.course import (
    does_well,
    falling,
    largest_gradient,
    learned,
    may_come_back,
    noise_of_median,
    provable,
    rate_share,
    shrunken,
    stands_still,
    typical_updates,
    update_ratio,
    worse,
)
from trainwell.doctor.families import lost_depth, never_stepped
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.recurrent_check import state_left_behind
from trainwell.doctor.series import Record, finite, median, picked, spread
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
NOTHING = 0.03  # of the way from guessing, as good as none
UNDER_WAY = 0.2  # of the way from guessing, from which a loss that falls is on it in spite of what its units show


def vanishing_gradient(record: Record) -> Finding | None:
    """Early layers whose gradient is a thousandth of the last ones' and who hardly move, while the loss stays high."""
    recent = record.recent("gradient", LIMITS.persist)
    layers = [name for name in record.facts.get("layers", []) if name in recent and "embed" not in name]
    if len(layers) < 3:
        raise CannotJudge("needs three layers with weights")
    if (record.facts.get("bottleneck") or ("", 3))[1] <= 2:
        raise CannotJudge("all rows pass through one or two numbers, through which little gradient comes back")
    if record.step < LIMITS.warm_up or learned(record) > 0.8:
        return None
    sizes = np.array([median(recent[name]) for name in layers])
    if not np.isfinite(sizes).all() or sizes[-1] <= 0 or sizes.max() < 1e-20:
        return None
    early, late = float(sizes[: max(1, len(sizes) // 4)].min()), median(sizes[-max(1, len(sizes) // 4) :])
    ratio = early / late
    persists = all(recent[layers[0]] < LIMITS.vanishing_ratio * recent[layers[-1]])
    if early == 0 or ratio >= LIMITS.vanishing_ratio or not persists:
        return None  # exactly zero is a cut connection or dead units, not a fading signal
    place = layers[int(sizes.argmin())]
    moves = update_ratio(record, place)
    adapts = moves > 1e-5 and learned(record) - 2 * noise_of_median(record) > 0.05
    if adapts and len(layers) < LIMITS.deep:
        return None  # an adaptive optimizer makes up for it
    if shrunken(record) < LIMITS.shrunken:
        return None  # a decay that draws the weights to zero fades the signal as well, and has a name of its own
    if (unstable := lost_depth(record, layers)) is not None:
        return unstable
    evidence = (
        f"The gradient of {place} is {ratio:.1e} times that of {layers[-1]}; "
        f"each step changes it by {moves:.1e} of its size, and the loss has fallen by {learned(record):.0%} of the way."
    )
    return Finding(
        "vanishing-gradient",
        place,
        "critical" if ratio < 1e-5 else "warn",
        evidence,
        "Each layer passes back a fraction of the error: saturating activations, small weights, or too much depth.",
        0.9,
        record.step,
        statistic={
            "value": ratio,
            "healthy": [LIMITS.vanishing_ratio, 1 / LIMITS.vanishing_ratio],
            "layers": [[name, float(size)] for name, size in zip(layers, sizes, strict=True)],
            # It learns, at the pace of its last layers: a copy with a way past the depth says what that costs.
            **({"eased": True} if adapts else {}),
        },
    )


def exploding_gradient(record: Record) -> Finding | None:
    """Gradient norms that stay far above what they were, or a first layer's far above the last one's from the start."""
    norms = record.get("gradient norm")
    if len(norms) < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    values = norms.array
    recent, early = values[-10:], finite(values[-60:-10] if len(values) > 40 else values[: len(values) // 2])
    if len(early) < 8:
        return None
    moves = [each for each in typical_updates(record) if math.isfinite(each)]
    violent = len(moves) >= LIMITS.persist and min(moves[-LIMITS.persist :]) > LIMITS.exploding_update
    if not violent and recent.max() < LIMITS.exploding_ratio * early.min():
        return None  # as nearly always
    middle, deviation = spread(np.log(early + 1e-30))
    high = np.log(recent + 1e-30) > middle + max(LIMITS.spike_deviations * deviation, math.log(LIMITS.exploding_ratio))
    rising = high.sum() >= 5 and worse(record) and not may_come_back(record)
    huge = violent and median(finite(recent)) > 100 and learned(record) < 0.3 if len(finite(recent)) else False
    if not rising and (not huge or falling(record)):
        return None
    grown = median(recent) / math.exp(middle)
    evidence = f"The gradient norm is {median(recent):.3g}, {grown:.3g} times what it was before."
    return Finding(
        "exploding-gradient",
        largest_gradient(record),
        "critical",
        evidence,
        "Each layer passes back more than it got, or the steps are too long and feed on themselves.",
        0.8,
        record.step,
        statistic={"value": grown, "healthy": [0, LIMITS.exploding_ratio], "series": picked(norms)},
    )


def dying_relu(record: Record) -> Finding | None:
    """A layer of rectifiers most of whose units have fired on none of the rows seen."""
    recent = record.recent("dead", 2) or _silent(record)
    if not record.places("zeros"):
        raise CannotJudge("no rectifiers were seen")
    if not recent:
        raise CannotJudge(f"needs {LIMITS.dead_samples} rows through a rectifier")
    if record.step < LIMITS.warm_up:
        return None
    worst = max(recent, key=lambda place: float(recent[place].min()))
    share = float(recent[worst].min())
    if share <= LIMITS.dead_share:
        return None
    series = record.get("dead", worst)
    before = median(record.get("zeros", worst).array[:2])
    spared = does_well(record) or falling(record) or learned(record) + 2 * noise_of_median(record) > LIMITS.spared
    rows = f"{LIMITS.dead_samples} rows or more" if len(series) else "the rows of any look"
    evidence = f"{share:.0%} of the units after {worst} have fired on none of {rows}."
    cause = (
        "They were dead from the start: weights or a bias that keep them below zero."
        if before > 0.9
        else "Steps that were too long pushed them below zero for every input, where no gradient brings them back."
    )
    return Finding(
        "dying-relu",
        worst,
        # A network that goes most of its way without half a layer is none the worse for it, and a lower rate would be.
        "critical" if share > 0.9 else "note" if spared else "warn",
        evidence,
        cause,
        0.9,
        record.step,
        statistic={"value": share, "healthy": [0, LIMITS.dead_share], "series": picked(series)}
        | ({"instead of": "cannot-fit-one-batch"} if before > 0.9 else {}),
    )


def _silent(record: Record) -> dict[str, np.ndarray]:
    """Rectifiers that gave nothing but zeros look after look, which needs no count of rows."""
    return {place: each for place, each in record.recent("zeros", LIMITS.persist).items() if each.min() >= 1.0}


def saturated_activations(record: Record) -> Finding | None:
    """Hidden tanh or sigmoid units that sit at their ends for most rows, probe after probe."""
    if not record.places("saturated"):
        raise CannotJudge("no tanh or sigmoid was seen")
    recent = record.recent("saturated", LIMITS.persist)
    last = record.places("saturated")[-1] if record.facts.get("head") in ("tanh", "sigmoid") else ""
    answers = record.facts.get("answers squashed", ()) if learned(record) > NOTHING or falling(record) else ()
    for sure in (last, record.facts.get("free to saturate", ""), *answers):
        recent.pop(sure, None)  # answers may be sure of themselves, unless they are stuck
    if not recent or record.step < LIMITS.warm_up or learned(record) > 0.8:
        return None
    worst = max(recent, key=lambda place: float(recent[place].min()))
    share = float(recent[worst].min())
    if share <= LIMITS.saturated_share:
        return None
    first = float(record.get("saturated", worst).values[0])
    evidence = f"{share:.0%} of the outputs of {worst} sit at the ends of their range, where the slope is nearly 0."
    cause = (
        "So from the start: weights or inputs are too large."
        if first > LIMITS.saturated_share
        else "The weights have grown until the sums in front of it are far from 0."
    )
    return Finding(
        "saturated-activations",
        worst,
        "critical" if share > 0.9 else "note" if does_well(record) or falling(record) else "warn",
        evidence,
        cause,
        0.85,
        record.step,
        statistic={
            "value": share,
            "healthy": [0, LIMITS.saturated_share],
            "series": picked(record.get("saturated", worst)),
        },
    )


def learning_slowdown(record: Record) -> Finding | None:
    """Squared error behind a squashing head: rows that are badly wrong where the head is flat, look after look."""
    slow = record.get("slow rows")
    if len(slow) < LIMITS.persist:
        raise CannotJudge("no squared error behind a squashing head")
    last = slow.last(LIMITS.persist)
    early = record.step < LIMITS.warm_up or (learned(record) > UNDER_WAY and falling(record))
    if (last < LIMITS.slow_rows).any() or early or "free to saturate" in record.facts:
        return None
    return Finding(
        "learning-slowdown",
        "head",
        "critical" if last[-1] > 0.6 else "warn",
        f"{last[-1]:.0%} of the rows are badly wrong where the head is flat, so squared error hardly moves them.",
        "The gradient of squared error through it fades as the output saturates, right or wrong.",
        0.9,
        record.step,
        statistic={"value": float(last[-1]), "healthy": [0, LIMITS.slow_rows], "series": picked(slow)},
    )


def update_ratio_off(record: Record) -> Finding | None:
    """Steps that change the weights by far more, or far less, than about a thousandth."""
    moves = [each for each in typical_updates(record) if math.isfinite(each)]
    if len(moves) < LIMITS.persist:
        raise CannotJudge("no updates were read")
    if record.step < LIMITS.warm_up or rate_share(record) < 0.3:
        return None
    last = moves[-LIMITS.persist :]
    least, most = min(last), max(last)
    if LIMITS.update_low <= least <= most <= LIMITS.update_high or least < LIMITS.update_high < most:
        return None
    value, high = median(last), min(last) > LIMITS.update_high
    rates = record.get("rate").array
    if not high and len(rates) > 5 and rates[-1] > 1.02 * rates[-6]:
        return None  # a warm-up begins with short steps; one that does not end is told of as a rate too low
    if high and (shrunken(record) < LIMITS.shrunken or not (provable(record) or stands_still(record))):
        return None  # long beside weights that decay has made small, or that begin so
    if not high and learned(record) > 0.3:
        return None
    evidence = f"A step changes a typical layer by {value:.1e} of its size; healthy is 1e-4 to 1e-2."
    cause = (
        "The rate is too high for these weights." if high else "The rate, or the gradient, is too small to move them."
    )
    return Finding(
        "update-ratio-off",
        "",
        "warn",
        evidence,
        cause,
        0.6,
        record.step,
        statistic={
            "value": value,
            "healthy": [1e-4, 1e-2],
            "series": [[i, each] for i, each in enumerate(moves[-60:])],
        },
    )


def disconnected_parameters(record: Record) -> Finding | None:
    """Weights whose gradient is missing, or exactly zero, at every probe."""
    if (idle := never_stepped(record)) is not None:
        return idle
    kinds = ("along gradient", "no gradient", "gradient")
    looks = max((len(record.get(kind, each)) for kind in kinds for each in record.places(kind)), default=0)
    if looks < LIMITS.persist or record.step < LIMITS.warm_up:
        raise CannotJudge("needs more probes")
    missing = [
        place
        for place in record.places("no gradient")
        if len(record.get("no gradient", place)) >= LIMITS.persist and not len(record.get("gradient", place))
    ]
    layers = set(record.facts.get("layers", []))
    judged = layers if record.facts.get("players", 1) == 1 else set()  # players learn by turns, or from noise of zero
    zero = [
        place
        for place in record.places("gradient")
        if place in judged
        and len(record.get("gradient", place)) >= LIMITS.persist
        and not record.get("gradient", place).array.any()
    ]
    if any(place not in zero for place in record.places("gradient")):
        zero = [place for place in zero if "embed" not in place]
    still = [
        place
        for place in record.places("update")
        if place in judged
        and place not in zero
        and len(record.get("update", place)) >= LIMITS.persist
        and not record.get("update", place).array.any()
        and record.get("rate").last(1).any()
        and record.get("gradient", place).last(1).min(initial=1.0) > 1e-5
    ]
    dead = record.recent("dead", 1) or _silent(record)
    if zero and dead and max(float(each[-1]) for each in dead.values()) > 0.95:
        zero = []  # dead units, which has a name of its own
    left = None if missing else state_left_behind(zero)
    if left is not None:
        left.step = record.step
        return left
    for places, what in ((missing, "get no gradient"), (zero, "have a gradient of exactly 0"), (still, "never change")):
        if places:
            evidence = f"{len(places)} parameters {what} at every probe, such as {places[0]}."
            return Finding(
                "disconnected-parameters",
                places[0],
                "critical" if len(places) * 3 > len(layers) else "warn",
                evidence,
                "They are not used, are cut off by a detach or no_grad, or are not in the optimizer.",
                0.9,
                record.step,
                statistic={"value": len(places), "healthy": [0, 0]},
            )
    return None


def wrong_train_eval_mode(record: Record) -> Finding | None:
    """Steps taken in evaluation mode, or evaluations in training mode, of a model with batch norm or dropout."""
    trained, judged = record.get("mode", "training in eval mode"), record.get("mode", "evaluation in train mode")
    if record.step < 5:
        raise CannotJudge("needs more steps")
    recent, last = (len({step for step in trained.steps if step > record.step - count}) for count in (50, 20))
    if len(trained) >= 5 and (recent > 0.8 * min(50, len(record.get("rate"))) or last >= 19):
        return Finding(
            "wrong-train-eval-mode",
            "model",
            "warn",
            f"{len(trained)} training passes ran in evaluation mode, in which batch "
            "norm learns no statistics and dropout is off.",
            "model.train() is missing, perhaps after an evaluation.",
            0.9,
            trained.steps[0],
        )
    empty = record.get("empty norms")
    if len(empty) >= 2 and empty.last(2).min() >= 1 and record.step >= LIMITS.warm_up:
        return Finding(
            "wrong-train-eval-mode",
            "model",
            "warn",
            f"After {record.step} steps {empty.values[-1]:.0f} batch norms still hold the mean 0 and variance 1 that "
            "they began with, which evaluation goes by.",
            "Their momentum is 0, or something puts their statistics back.",
            0.9,
            record.step,
        )
    if len(judged) >= 1:
        return Finding(
            "wrong-train-eval-mode",
            "model",
            "warn",
            f"{len(judged)} passes without gradient ran in training mode, with "
            "dropout on and batch norm's statistics moving.",
            "model.eval() is missing before the evaluation.",
            0.8,
            judged.steps[0],
        )
    return None


def missing_zero_grad(record: Record) -> Finding | None:
    """A gradient that still holds the one of the step before."""
    piled = {place: finite(record.get("piled", place).last(LIMITS.persist)) for place in record.places("piled")}
    known = {place: each for place, each in piled.items() if len(each) > 1}
    if not known and sum(map(len, piled.values())) < 2:
        raise CannotJudge("the backward pass was not seen")
    values = np.concatenate(list(piled.values()))
    left = {place: each for place, each in known.items() if len(each) >= LIMITS.persist and each.min() >= 0.8}
    some = bool(left) and len(left) < len(known)  # while others are cleared
    if not some and median(values) < 0.8:
        return None
    values = np.concatenate(list(left.values())) if some else values
    which = f"The gradient of {next(iter(left))}" if some else "Each step's gradient"
    return Finding(
        "missing-zero-grad",
        "loop",
        "critical",
        f"{which} is the sum of this backward pass and the gradient of the step before.",
        "Some gradients are set to zero between two steps and others pile up: clear all that the optimizer holds."
        if some
        else "Nothing sets the gradients to zero between two steps, so they pile up.",
        0.95,
        record.step,
        statistic={"value": median(values), "healthy": [-1, 0.5]},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "vanishing-gradient": vanishing_gradient,
    "exploding-gradient": exploding_gradient,
    "dying-relu": dying_relu,
    "saturated-activations": saturated_activations,
    "learning-slowdown": learning_slowdown,
    "update-ratio-off": update_ratio_off,
    "disconnected-parameters": disconnected_parameters,
    "missing-zero-grad": missing_zero_grad,
    "wrong-train-eval-mode": wrong_train_eval_mode,
}
