"""A patient and a sample of its data to findings before training: data, split, wiring, one batch to learn by heart."""

import contextlib
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from trainwell.doctor import (
    augment_check,
    bottleneck,
    data_check,
    labels_check,
    order_check,
    split_check,
    tape_check,
    twin,
    wiring_check,
    yardstick,
)
from trainwell.doctor.finding import UNFIT, CannotJudge, Finding
from trainwell.doctor.patient import Patient, leaving_no_trace, rows_of
from trainwell.doctor.remedy import Chart, settle_head
from trainwell.doctor.sample import Sample
from trainwell.doctor.tape import Tape
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial, run_trial

# What a step on tape shows, of which neither rows nor answers can be changed, and whose loss may have several parts.
ON_TAPE = ("loss-head-mismatch", "bad-initialization", "disconnected-parameters", "over-regularized")
SETTLED = 30  # steps of copies with and without a head that begins at the answer of guessing
# Findings that already say why one batch cannot be learned.
EXPLAIN_ONE_BATCH = {
    "loss-head-mismatch",
    "gradient-ascent",
    "targets-out-of-range",
    "disconnected-parameters",
    "bad-initialization",
    "bad-features",
    "input-not-normalized",
    "learning-slowdown",
    "wrong-initial-loss",
    "dying-relu",
    "underfitting",
    "label-noise",
    "label-breaking-augmentation",
    "no-long-range-signal",
}


def examine(
    patient: Patient,
    sample: Sample,
    held: Sample | None,
    facts: dict[str, Any],
    *,
    left_out: Collection[str] = (),
    found: Collection[str] = (),
) -> tuple[list[Finding], dict[str, str], list[str]]:
    """(findings, name of a skipped check -> why, names of the checks that ran), of the checks that are not left out.

    found: what is known already.
    """
    findings: list[Finding] = []
    skipped: dict[str, str] = {}
    ran: list[str] = []
    facts["held-out rows"] = held.rows if held is not None else 0
    facts["first layer normalizes"] = data_check.first_layer_normalizes(patient.bare)

    def run(name: str, check: Any, *arguments: Any) -> None:
        if name in left_out:
            return
        try:
            finding = check(*arguments)
        except CannotJudge as reason:
            skipped[name] = str(reason)
            return
        except UNFIT as error:
            skipped[name] = f"the check failed: {_short(error)}"
            return
        ran.append(name)
        if finding is not None:
            findings.append(finding)

    trial = _trial(patient, sample, facts, skipped)
    for name, of_rows in (*data_check.CHECKS.items(), *order_check.CHECKS.items(), *order_check.OF_ANSWERS.items()):
        run(name, of_rows, sample, facts)
    for name, of_split in (*labels_check.CHECKS.items(), *split_check.CHECKS.items(), *yardstick.CHECKS):
        run(name, of_split, sample, held, facts)
    if trial is not None:
        facts["answers rewarded"] = trial.rewards is not None and not trial.rewards.turned
        findings[:] = [each for each in findings if _borne_out(each, trial, held, skipped)]
        with contextlib.suppress(*UNFIT):
            bottleneck.note(trial, facts)
        for name, of_wiring in wiring_check.CHECKS.items():
            run(name, of_wiring, trial)
        for mild in [each for each in findings if "mild" in each.statistic]:
            with contextlib.suppress(*UNFIT):
                _weigh(mild, trial)
        run("cannot-fit-one-batch", cannot_fit_one_batch, trial, facts, {*found, *(each.name for each in findings)})
    return findings, skipped, ran


def examine_tapes(
    patient: Patient, tapes: Sequence[Tape], facts: dict[str, Any]
) -> tuple[list[Finding], dict[str, str], list[str]]:
    """The same, of what weights and gradients tell of a patient whose batches are steps on tape."""
    findings: list[Finding] = []
    skipped: dict[str, str] = {}
    ran: list[str] = []
    noted: dict[str, Any] = {}
    try:
        trial = run_trial(patient, Sample(batches=list(tapes), sizes=[0] * len(tapes)), noted)
        trial.sizes = []  # of several networks and passes, maybe
        with torch.enable_grad(), leaving_no_trace():
            trial.strangers = tapes[0].strangers(patient.loss(trial.model, tapes[0]), patient.holds())
    except UNFIT:
        return findings, skipped, ran
    checks = [(name, partial(wiring_check.CHECKS[name], trial)) for name in ON_TAPE]
    checks += [(name, partial(of_tapes, trial, tapes)) for name, of_tapes in tape_check.CHECKS.items()]
    for name, check in checks:
        try:
            finding = check()
        except (CannotJudge, *UNFIT) as reason:
            skipped[name] = _short(reason)
            continue
        ran.append(name)
        if finding is not None and all(each.name != name for each in findings):
            findings.append(finding)
    facts.update({name: noted[name] for name in ("seconds a step", "seconds planned") if name in noted})
    return findings, skipped, ran


def _borne_out(finding: Finding, trial: Trial, held: Sample | None, skipped: dict[str, str]) -> bool:
    """Whether copies learn from the training rows far less about held-out rows than from as many of those; asked where
    a ridge, which no moved or turned picture is the same to, suspects an augmentation."""
    if finding.name != "label-breaking-augmentation" or "way" in finding.statistic:
        return True
    why, rows = "", min(trial.sample.sizes)
    plain = twin.pieces(held.batches, rows) if held is not None and rows else []
    count = min(len(plain), len(trial.sample.batches))
    if 2 * augment_check.STEPS * trial.seconds > THRESHOLDS.check_seconds:
        why = "a step of this network takes too long to try it on copies"
    elif count < 3:
        why = "needs three batches of both parts"
    else:
        proven = augment_check.label_breaking_augmentation(trial.patient, plain[:count], trial.sample.batches[:count])
        if proven is not None:
            finding.evidence += f" {proven.evidence}"
            finding.confidence = 0.85
            return True
    if why:
        skipped[finding.name] = why
    return False


def _weigh(finding: Finding, trial: Trial) -> None:
    """Make a note of a first loss that does no harm, as a copy whose head begins at the answer of guessing shows."""
    chart = Chart(trial.patient, trial.sample, {"loss": trial.made.kind, "classes": trial.classes}, own_loop=False)

    def settled(model: Any, optimizers: Any) -> None:
        settle_head(replace(chart, patient=replace(trial.patient, model=model, optimizers=optimizers)), finding)

    finding.severity = "note"
    if 2 * SETTLED * trial.seconds < THRESHOLDS.check_seconds:
        own, other = (twin.run_twin(trial.patient, trial.sample.batches, SETTLED, change) for change in (None, settled))
        if other.far_below(own):
            finding.severity = "warn"
            finding.evidence += f" On a copy, {SETTLED} steps with it at guessing end at {other.end:.3g}, "
            finding.evidence += f"as it is at {own.end:.3g}."


def _trial(patient: Patient, sample: Sample, facts: dict[str, Any], skipped: dict[str, str]) -> Trial | None:
    """The trial, or nothing and the reason noted for every check that needs it."""
    why = ""
    if patient.loss_of is None:
        why = "the loop has not told how it makes a loss: give `loss=`"
    elif not sample.batches:
        why = "no batch was seen"
    else:
        try:
            return run_trial(patient, sample, facts)
        except UNFIT as error:
            why = f"one batch on a copy failed: {_short(error)}"
    skipped.update({name: why for name in (*wiring_check.CHECKS, "cannot-fit-one-batch")})
    return None


def cannot_fit_one_batch(trial: Trial, facts: dict[str, Any], found: set[str]) -> Finding | None:
    """A few rows that cannot be learned by heart, or are learned as well without their inputs."""
    if found & EXPLAIN_ONE_BATCH:
        raise CannotJudge("another finding already says why")
    if len(trial.patient.players) > 1:
        raise CannotJudge("players learn in turn")
    if trial.made.kind not in ("cross_entropy", "bce", "bce_logits", "mse", "mae"):
        raise CannotJudge("the loss has no known lowest value")
    target = trial.target
    if target is not None and not target.is_floating_point() and len(target[:32].unique()) < 2:
        raise CannotJudge("the first rows share one label")
    planned = facts.get("seconds planned") or math.inf
    limit = min(THRESHOLDS.check_seconds, max(0.5, THRESHOLDS.check_share * planned))
    rows = _rows_in_time(trial, limit)
    own = twin.one_batch(trial.patient, trial.batch, THRESHOLDS.one_batch_steps, enough=0.3, rows=rows, seconds=limit)
    start, steps = max(own.losses[0], 1e-12), len(own.losses)
    left = own.losses[-1] / start if math.isfinite(own.end) else 1.0
    if own.bounded > 0.8 and left < 0.8 and trial.made.kind == "cross_entropy" and not trial.made.head:
        return _within_one(steps, rows, left)
    if left < 0.5:
        return None
    if steps < THRESHOLDS.one_batch_least:
        raise CannotJudge(f"only {steps} steps fitted in the time")
    blank = twin.one_batch(trial.patient, trial.batch, steps, blank=True, rows=rows, seconds=limit)
    blind = own.end > 0.9 * blank.end - 1e-6
    if steps < THRESHOLDS.one_batch_steps and not blind:
        raise CannotJudge(f"only {steps} steps fitted in the time")
    place, ratio = wiring_check.faded(trial)
    if ratio < THRESHOLDS.vanishing_ratio:
        evidence = (
            f"The gradient of {place} is {ratio:.1e} times that of the last layer, "
            f"and after {steps} steps on at most {rows} rows {left:.0%} of the loss is left."
        )
        cause = "Each layer passes back a fraction of the error: saturating activations, small weights, or much depth."
        statistic = {"value": ratio, "healthy": [THRESHOLDS.vanishing_ratio, 1e3], "twin": {"as it is": own.losses}}
        return Finding("vanishing-gradient", place, "critical", evidence, cause, 0.9, statistic=statistic)
    evidence = (
        f"After {steps} steps on at most {rows} rows {left:.0%} of the loss is left; "
        f"with the inputs blanked, {blank.end / start:.0%}."
    )
    if (narrow := bottleneck.too_narrow(trial, evidence)) is not None:
        return narrow
    cause = (
        "The inputs make no difference: they do not reach the output."
        if blind
        else "Even by heart it cannot be learned: the labels do not belong to the inputs, or the signal does not pass."
    )
    return Finding(
        "cannot-fit-one-batch",
        "model",
        "critical" if blind else "warn",
        evidence,
        cause,
        0.8 if blind else 0.6,
        statistic={
            "value": left,
            "healthy": [0, THRESHOLDS.one_batch_loss],
            "twin": {"as it is": own.losses, "blanked": blank.losses},
        },
    )


def _within_one(steps: int, rows: int, left: float) -> Finding:
    return Finding(
        "loss-head-mismatch",
        "head",
        "critical",
        f"After {steps} steps on at most {rows} rows all scores lie within -1 to 1, most rows' largest at its end, "
        f"and {left:.0%} of the loss is left.",
        "Cosines, or scores squashed in another way, are never sure enough for cross-entropy: multiply them by 16.",
        0.85,
        statistic={"value": left, "healthy": [0, THRESHOLDS.one_batch_loss]},
    )


def _rows_in_time(trial: Trial, limit: float) -> int:
    """At most 32 rows, fewer where a step is slow; raises CannotJudge where 8 are too many for the time."""
    a_row = trial.seconds / max(1, rows_of(trial.patient.inputs_of(trial.batch)))
    rows = int(min(32, limit / THRESHOLDS.one_batch_steps / max(a_row, 1e-9)))
    if rows < 8 and trial.seconds * 8 > limit:
        raise CannotJudge("a step of this network takes too long to try so many of them")
    return max(8, rows)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
