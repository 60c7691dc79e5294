"""What networks of a family show, to findings: autoencoders, recurrent nets, transformers, features."""

import math
from collections.abc import Callable, Sequence

from trainwell.doctor.course import falling, learned, rate_share, told_divergence, warming
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, finite, median, picked
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
LONG = 6  # looks in a row
SPENT = 0.1  # of the highest rate


def representation_collapse(record: Record) -> Finding | None:
    """Features that once differed between rows and now are nearly the same for all of them."""
    cosine, rank = record.get("feature cosine"), record.get("feature rank")
    if len(cosine) < LIMITS.persist + 1:
        raise CannotJudge("needs a last linear layer and more probes")
    known = record.facts.get("loss") in ("cross_entropy", "bce", "bce_logits", "nll", "mse", "mae", "huber")
    supervised = known or record.facts.get("answers rewarded")
    if record.step < LIMITS.warm_up or (supervised and (learned(record) > 0.03 or falling(record))):
        return None  # rows of one answer are drawn together, and that is fine as long as the answers are learned
    alike = (cosine.last(LIMITS.persist) > LIMITS.feature_cosine).all() and cosine.values[0] < 0.9
    flat = (rank.last(LIMITS.persist) < max(1.5, LIMITS.rank_share * rank.values[0])).all() and rank.values[0] > 4
    if not flat:  # a network that begins to learn answers all rows alike for a while, as before blanks in speech
        alike = alike and not supervised and (cosine.last(LONG) > LIMITS.feature_cosine).all() and len(cosine) > LONG
    if not alike:
        return None  # two classes need but one direction, and a network that begins to learn may know but few
    evidence = (
        f"The cosine between different rows' features has gone from {cosine.values[0]:.2f} to {cosine.values[-1]:.2f}, "
        f"their effective rank from {rank.values[0]:.1f} to {rank.values[-1]:.1f}."
    )
    return Finding(
        "representation-collapse",
        "last hidden layer",
        "critical" if flat else "warn",
        evidence,
        "All inputs are mapped to one point: a loss that rewards it, or steps that were too long.",
        0.8,
        record.step,
        statistic={"value": float(cosine.values[-1]), "healthy": [-1, LIMITS.feature_cosine], "series": picked(cosine)},
    )


def collapsed_no_more(record: Record) -> bool:
    """Whether the latest divergence is that of codes that say something."""
    latest = finite(told_divergence(record)[1].last(LIMITS.persist))
    return bool(len(latest) and latest.min() >= LIMITS.kl_gone)


def posterior_collapse(record: Record) -> Finding | None:
    """A divergence from the prior that has gone to nothing: the latent code says nothing about the input."""
    name, series = told_divergence(record)
    if name is None and not len(series):
        raise CannotJudge("no KL divergence was told: doctor.watch(loss, x, kl=kl)")
    values = finite(series.array)
    times = record.facts.get("divergence over errors") or 1.0
    # A weight far beyond any that is meant leaves little doubt of what goes on.
    known = record.facts.get("divergence over errors") is not None
    steps = int(1.5 * LIMITS.warm_up) if times > LIMITS.far_over_bound else 3 * LIMITS.warm_up
    if known and times <= LIMITS.over_bound:
        steps = 10 * LIMITS.warm_up  # codes may come late to where they say something, and do so by themselves
    if record.step < steps or len(values) < (LIMITS.persist if name is None else min(steps, 3 * LIMITS.warm_up)):
        raise CannotJudge(f"needs {steps} steps")
    recent = values[-LIMITS.persist if name is None else -min(steps, 2 * LIMITS.warm_up) :]
    if median(recent) >= LIMITS.kl_gone or recent[-1] > 1.5 * recent[0] + 0.01:
        return None
    evidence = f"The divergence from the prior is {median(recent):.2g} nats a row; it was {values.max():.2g} at most."
    why = "the divergence weighs too much against the reconstruction (is one summed and the other averaged?), or the "
    why += "decoder is too strong."
    if times > LIMITS.over_bound:
        evidence += f" It weighs {times:.3g} times as much as in the evidence lower bound, beside the errors."
        why = "the divergence weighs too much: is it summed where the errors are averaged, or its factor too large?"
    return Finding(
        "posterior-collapse",
        "encoder",
        "critical",
        evidence,
        f"The decoder does without the code, so the encoder gives none: {why}",
        0.85,
        record.step,
        statistic={
            "value": median(recent),
            "healthy": [LIMITS.kl_gone, 100],
            "series": picked(series),
        },
    )


def gradient_ascent(record: Record) -> Finding | None:
    """A divergence from the prior that the loss rewards: an autoencoder's codes run away from it."""
    times = record.facts.get("divergence over errors")
    if times is None:
        raise CannotJudge("no codes and errors of an autoencoder were seen")
    if times >= 0:
        return None
    return Finding(
        "gradient-ascent",
        "divergence",
        "critical",
        f"The loss's gradient drives the codes' mean and variance away from the prior's, with {-times:.3g} times the "
        "weight that the divergence has in the evidence lower bound.",
        "The divergence is subtracted from the errors: its sign, or that of its formula, is wrong.",
        0.95,
        record.step,
        statistic={"value": times, "healthy": [0, LIMITS.over_bound]},
    )


def no_long_range_signal(record: Record) -> Finding | None:
    """A recurrent network that has learned little, and whose last output hardly depends on its first inputs."""
    reach = record.get("reach")
    if not record.facts.get("recurrent"):
        raise CannotJudge("no recurrent layer")
    if not len(reach) or record.step < 5 * LIMITS.warm_up:
        raise CannotJudge(f"needs {5 * LIMITS.warm_up} steps on sequences")
    if record.facts.get("answer each step"):
        raise CannotJudge("each step has an answer of its own, for which near inputs may be enough")
    if reach.values[-1] >= LIMITS.reach or learned(record) > 0.3 or falling(record) or warming(record):
        return None
    if rate_share(record) < SPENT:
        return None  # what a schedule has left of the rate is no chance to learn from what came early
    late, whole = record.facts.get("ridge of the later half"), record.facts.get("ridge")
    if late is not None and whole and late > LIMITS.later_half * whole > 0:
        return None  # what came early tells nothing that what came late does not
    evidence = (
        f"The last output depends on the first inputs {reach.values[-1]:.1e} times as much as on the last ones, "
        f"and {max(0.0, learned(record)):.0%} of the way is learned."
    )
    return Finding(
        "no-long-range-signal",
        str(record.facts["recurrent"]),
        "warn",
        evidence,
        "Step by step the recurrent layer forgets, so what came early cannot be learned from.",
        0.75,
        record.step,
        statistic={"value": reach.values[-1], "healthy": [LIMITS.reach, 1e3]},
    )


def transformer_instability(record: Record) -> Finding | None:
    """Attention scores that have grown until each position looks at one other only."""
    if not record.places("attention score") and not record.places("attention entropy"):
        raise CannotJudge("no attention was seen")
    if record.step < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    scores, entropies = (
        record.recent("attention score", LIMITS.persist),
        record.recent("attention entropy", LIMITS.persist),
    )
    # Weights that came in trained may have large scores and sharp heads from the first step: then growth is judged.
    trained = float(record.facts.get("trained before") or 0.0) > LIMITS.trained_before
    growth, fall = (LIMITS.attention_growth, 1 / LIMITS.attention_growth) if trained else (0.0, math.inf)
    high = [
        place
        for place, values in scores.items()
        if values.min() > max(LIMITS.attention_score, growth * record.get("attention score", place).values[0])
    ]
    sharp = [
        place
        for place, values in entropies.items()
        if values.max() < min(LIMITS.attention_entropy, fall * record.get("attention entropy", place).values[0])
    ]
    if not high and not (sharp and learned(record) < 0.3):
        return None
    place = (high or sharp)[0]
    began = record.get("attention score", place)
    if not trained and len(began) and began.steps[0] <= 1 and began.values[0] > LIMITS.attention_score:
        return _begun_sharp(record, place, began.values[0])
    score = float(scores[place][-1]) if place in scores else float("nan")
    evidence = f"In {place} the largest attention score is {score:.0f} (healthy: below {LIMITS.attention_score:.0f})."
    if not high:
        evidence = (
            f"In {place} the attention's entropy is {entropies[place][-1]:.1%} of "
            "its greatest: it looks at one position only."
        )
    at_first = record.get("attention entropy", place)
    begun = not trained and len(at_first) and at_first.steps[0] <= 1 and at_first.values[0] < LIMITS.attention_entropy
    done = learned(record) > 0.8  # a training that has come so far with it needs no remedy
    return Finding(
        "transformer-instability",
        place,
        "note" if done else "warn",
        evidence,
        "Queries and keys grow without bound, mostly for want of warm-up or a norm on them."
        + (" So far it costs nothing." if done else ""),
        0.75,
        record.step,
        statistic={"value": score if high else float(entropies[place][-1]), "healthy": [0, LIMITS.attention_score]}
        | ({"begun": True} if begun else {}),
    )


def lost_depth(record: Record, layers: Sequence[str]) -> Finding | None:
    """A transformer of whose layers one had its share of the gradient at the first step, and lost it in the steps
    since: norms behind the residual sum need a warm-up (Xiong et al. 2020, arXiv:2002.04745).

    Queries and keys begin with little, so any layer may show it.
    """
    late = record.get("gradient", layers[-1])
    if not record.places("attention entropy") or not len(late) or late.steps[0] > 2:
        return None
    first, now = max(late.values[0], 1e-30), max(median(late.last(LIMITS.persist)), 1e-30)
    for place in layers[:-1]:
        early = record.get("gradient", place)
        if not len(early) or early.steps[0] > 2:
            continue
        began, ratio = early.values[0] / first, median(early.last(LIMITS.persist)) / now
        if began >= 10 * LIMITS.vanishing_ratio and ratio < LIMITS.vanishing_ratio:
            return _depth_lost(record, place, layers[-1], began, ratio)
    return None


def _depth_lost(record: Record, place: str, last: str, began: float, ratio: float) -> Finding:
    return Finding(
        "transformer-instability",
        place,
        "critical",
        f"At the first step the gradient of {place} was {began:.1e} times that of {last}, after {record.step} steps it "
        f"is {ratio:.1e} times that, and the loss has fallen by {max(0.0, learned(record)):.0%} of the way.",
        "The first steps at the full rate have thrown the lower blocks to where no gradient comes back: warm the rate "
        "up, lower it, or put the norms in front of attention and layers.",
        0.85,
        record.step,
        statistic={"value": ratio, "healthy": [LIMITS.vanishing_ratio, 1 / LIMITS.vanishing_ratio]},
    )


def _begun_sharp(record: Record, place: str, score: float) -> Finding:
    """Attention that looks at one position from the first step on, before anything could have grown."""
    return Finding(
        "transformer-instability",
        place,
        "warn",
        f"In {place} the largest attention score is {score:.0f} at the first step (healthy: below "
        f"{LIMITS.attention_score:.0f}).",
        "Queries and keys begin so large that each position looks at one other only, where no gradient comes back.",
        0.85,
        record.step,
        statistic={"value": score, "healthy": [0, LIMITS.attention_score], "begun": True},
    )


def never_stepped(record: Record) -> Finding | None:
    """One of several optimizers that has taken no step while others have taken many."""
    stepped, names = record.facts.get("stepped", set()), record.facts.get("optimizers", [])
    idle = [each for each in names if each not in stepped]
    if not stepped or not idle or record.step < max(5 * LIMITS.warm_up, 0.2 * (record.facts.get("steps") or 0)):
        return None  # players may begin one after the other
    evidence = f"After {record.step} steps {len(idle)} of {len(names)} optimizers ({', '.join(idle)}) have taken none."
    cause, told = "Its step() is never called, so its weights stay as they began.", {"value": len(idle)}
    return Finding("disconnected-parameters", idle[0], "critical", evidence, cause, 0.9, record.step, statistic=told)


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "representation-collapse": representation_collapse,
    "gradient-ascent": gradient_ascent,
    "posterior-collapse": posterior_collapse,
    "no-long-range-signal": no_long_range_signal,
    "transformer-instability": transformer_instability,
}
