"""What held-out rows cost beside rows learned from, to a finding: a network that learns its rows by heart."""

from collections.abc import Callable, Sequence

import numpy as np

from trainwell.doctor.course import held_out
from trainwell.doctor.dynamics import NOTHING
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, finite, median, picked, slope
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.twin import Twin

LIMITS = THRESHOLDS
LATE = 10  # times the warm-up, before which a network may well not have begun to learn
BY_HEART = 0.7  # of a copy's first loss, which it ends below where it learns its few batches


def overfitting(record: Record) -> Finding | None:
    """Validation loss that has risen from its lowest for several evaluations while the training loss fell."""
    held = held_out(record)
    if len(held) < LIMITS.overfit_patience + 2:
        raise CannotJudge(f"needs {LIMITS.overfit_patience + 2} evaluations")
    values = held.array
    if not np.isfinite(values).all():
        return None
    best = int(values.argmin())
    since = len(values) - 1 - best
    rise = float(median(values[-3:]) / max(values[best], 1e-12) - 1)
    losses = record.get("loss")
    then = [value for step, value in zip(losses.steps, losses.values, strict=True) if step <= held.steps[best]][-30:]
    now = losses.values[-30:]
    falls = bool(then) and np.mean(now) < np.mean(then)
    later = values[best:]
    climbing = slope(later)[0] > 0 if len(later) > 2 else False
    if since < LIMITS.overfit_patience or rise < LIMITS.overfit_rise or not falls or not climbing:
        return None
    names = [name for name in ("accuracy", "balanced_accuracy") if name in record.places("held out")]
    mild = rise < LIMITS.overfit_harm
    if names and len(record.get("held out", names[0])) == len(values):
        accuracy = record.get("held out", names[0])
        unhurt = accuracy.last(3).mean() > accuracy.values[best] - LIMITS.overfit_accuracy
        sound = values[-1] < LIMITS.by_heart * float(record.facts.get("prior loss") or 0.0)  # of what guessing costs
        spared = rise < LIMITS.overfit_surely or bool(record.facts.get("best kept")) or sound
        mild = mild or (unhurt and spared)
    evidence = (
        f"The validation loss is {values[-1]:.3g}, {rise:.0%} above its lowest at step {held.steps[best]}, "
        f"while the training loss fell to {np.mean(now):.3g}."
    )
    return Finding(
        "overfitting",
        "held out",
        "note" if mild else "warn",
        evidence,
        "The network learns its training rows by heart." + (" So far it costs little." if mild else ""),
        0.9,
        held.steps[best],
        statistic={"value": rise, "healthy": [0, LIMITS.overfit_rise], "series": picked(held)},
    )


def learned_or_by_heart(record: Record) -> Finding | None:
    """A validation loss that rises, or one that stands far above the loss of a few rows that come again and again."""
    try:
        finding = overfitting(record)
    except CannotJudge:
        return _by_heart(record)
    return finding or _by_heart(record)


def _by_heart(record: Record) -> Finding | None:
    """All rows of every batch known from the first look, each learned many times, and answered by heart: what is left
    of their loss is nearly nothing, and of the held-out rows' loss a good part of guessing's, without getting less."""
    if not record.places("held out"):
        return _nothing_held(record)
    again, held, prior = record.get("rows again").last(LIMITS.persist), held_out(record), record.facts.get("prior loss")
    if len(held) < LIMITS.persist or not prior:
        raise CannotJudge(f"needs {LIMITS.persist} evaluations, and what guessing would give")
    known, rows = record.facts.get("rows known") or 0, record.facts.get("rows a batch") or 0
    if len(again) < LIMITS.persist or again.min() < 0.95 or rows * record.step < LIMITS.times_learned * known:
        return None
    now, end = median(finite(record.get("loss").array)[-20:]), median(held.last(LIMITS.persist))
    if not (now < 0.05 * prior and end > LIMITS.by_heart * prior and end > 0.97 * float(held.array.min())):
        return None
    return Finding(
        "overfitting",
        "held out",
        "note" if record.facts.get("best kept") else "warn",
        f"The training has {known} rows, each learned some {rows * record.step // known} times; their loss is "
        f"{now:.3g}, that of the held-out rows {end:.3g} (guessing gives {prior:.3g}) and no longer falls.",
        "So few rows are learned by heart, and what they have in common with others only in part.",
        0.8,
        record.step,
        statistic={"value": end / prior, "healthy": [0, LIMITS.by_heart], "series": picked(held)},
    )


def _nothing_held(record: Record) -> Finding | None:
    """Few rows, each learned many times and answered by heart, where no held-out rows tell what that is worth: a
    suspicion, which `by_half` tries."""
    again, prior = record.get("rows again").last(LIMITS.persist), record.facts.get("prior loss")
    known, rows = record.facts.get("rows known") or 0, record.facts.get("rows a batch") or 0
    now = median(finite(record.get("loss").array)[-20:])
    often = (
        len(again) == LIMITS.persist and again.min() > 0.95 and rows * record.step > 2 * LIMITS.times_learned * known
    )
    if not (often and prior and 0 <= now < 0.05 * prior):
        raise CannotJudge("no validation loss was seen, and no few rows are answered by heart")
    return Finding(
        "overfitting",
        "rows",
        "warn",
        f"The training has {known} rows, each learned some {rows * record.step // known} times, and holds none out; "
        f"their loss is {now:.3g} (guessing gives {prior:.3g}).",
        "So few rows are learned by heart, and what they have in common with others is not learned.",
        0.8,
        record.step,
        remedy="hold rows out and show them (held_out=, evaluated); more rows, augmentation, transfer",
        statistic={"value": now / prior, "healthy": [0.05, 1], "by half": True},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {"overfitting": learned_or_by_heart}


def answers_of_others(finding: Finding, twins: Sequence[Twin], suspect: Suspect) -> Finding | None:
    """Of a loss that stands where guessing is: copies learn their few batches by heart and nothing that holds for other
    ones, so that answers do not follow from inputs; a note where time was short, None where anything is learned."""
    heart = min(twins, key=lambda twin: twin.end)
    learned = any(twin.apart < (1 - NOTHING) * twin.before for twin in twins)
    if suspect.gone > NOTHING or learned or not heart.end < BY_HEART * heart.losses[0]:
        return None
    if suspect.step < LATE * LIMITS.warm_up:
        finding.severity = "note"
        return finding if finding.name == "plateau" else None
    return Finding(
        "label-noise",
        "target",
        "warn",
        f"After {suspect.step} steps {max(0.0, suspect.gone):.0%} of the way is learned. In {len(heart.losses)} steps "
        f"a copy learns a few batches by heart, from {heart.losses[0]:.3g} to {heart.end:.3g}; others go from "
        f"{heart.before:.3g} to {heart.apart:.3g}.",
        "The answers do not belong to their inputs: shuffled, shifted by a row, or unrelated.",
        0.75,
        finding.step,
        statistic={"value": suspect.gone, "healthy": [NOTHING, 1.0], "twin": {"by heart": heart.losses}},
    )
