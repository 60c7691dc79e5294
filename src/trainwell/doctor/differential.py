"""A training that lags behind, for no reason that a rule names, to the name of the change that lets a copy go ahead."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from trainwell.doctor.dropping import without_dropout
from trainwell.doctor.finding import Finding
from trainwell.doctor.proof import Proof, can_be_eased, eased, keep_curves, renamed
from trainwell.doctor.remedy import Chart, initialize_again
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.twin import Change, scaled_rate, without_decay

STEPS = 50
AHEAD = 0.9  # of the training's own loss, below which a copy must come in so few steps, on rows it has not seen
# What is tried, in this order, with the ailment that it would show and why.
NOT_ITS_OWN = ("training-state-lost", "The same weights, rows and rate do well alone: what the loop does between the "
               "steps, to weights, gradients or the optimizer's state, holds the training back.")  # fmt: skip
TOO_LONG = ("learning-rate-too-high", "Steps that are too long for the slope jump over the valley.")
TOO_SHORT = ("learning-rate-too-low", "Steps that are too short get nowhere in time.")
BEGUN_BADLY = ("bad-initialization", "The weights that it began with do not let the signal through as fresh ones do.")
HELD_BACK = ("over-regularized", "Keeping the weights small, or units out, costs more than the data can pay for.")
FADING = ("vanishing-gradient", "Each layer passes back a fraction of the error.")


def told_by_copies(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """The finding under the name of the first change whose copy goes ahead of the training, and of the copy without
    any change; as it is where none does.

    Each copy takes some 50 steps from the first weights, and is judged on batches that it has not learned from.
    """
    if not math.isfinite(suspect.now) or suspect.step < STEPS:
        return finding
    behind = suspect.now
    for words, (change, (name, cause)) in _changes(suspect, finding).items():
        if not proof.may_spend(STEPS, suspect.step, suspect.planned):
            break
        twin = proof.compare(suspect.patient, suspect.batches, {words: change}, STEPS, judge=True)[words]
        reached = twin.apart if math.isfinite(twin.apart) else twin.end
        keep_curves(finding, {words: twin})
        ahead = math.isfinite(twin.end) and reached < AHEAD * behind
        behind = min(behind, reached if math.isfinite(reached) else behind)
        if ahead:
            text = f" On a copy, {len(twin.losses)} steps with {words} bring the loss of other rows to {reached:.3g}."
            told = renamed(finding, name, text, cause)
            told.where = "optimizer" if name in (TOO_LONG[0], TOO_SHORT[0]) else told.where
            if name == NOT_ITS_OWN[0]:
                told.where, told.confidence = "loop", 0.6  # what it is that the loop does, the copy cannot say
                told.statistic |= {"sign": True, "explains nothing": True}
            return told
    return finding


def _changes(suspect: Suspect, finding: Finding) -> dict[str, tuple[Change, tuple[str, str]]]:
    """From the first weights: other rates, less restraint where there is any, fresh weights, a way past the depth."""
    found: dict[str, tuple[Change, tuple[str, str]]] = {
        "nothing changed": (suspect.start, NOT_ITS_OWN),
        "ten times the rate": (_after_start(suspect, scaled_rate(10.0)), TOO_SHORT),
        "a tenth of the rate": (_after_start(suspect, scaled_rate(0.1)), TOO_LONG),
    }
    if can_be_eased(suspect, finding):
        found["residual layers"] = _after_start(suspect, eased(suspect, finding)), FADING
    found["no decay and no dropout"] = _after_start(suspect, _freed), HELD_BACK
    found["fresh weights"] = _after_start(suspect, _fresh(suspect, finding)), BEGUN_BADLY
    return found


def _after_start(suspect: Suspect, change: Change) -> Change:
    def both(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        change(model, optimizers)

    return both


def _freed(model: Any, optimizers: Any) -> None:
    without_dropout(model, optimizers)
    without_decay(model, optimizers)


def _fresh(suspect: Suspect, finding: Finding) -> Callable[[Any, Any], None]:
    def change(model: Any, optimizers: Any) -> None:
        patient = replace(suspect.patient, model=model, optimizers=optimizers)
        initialize_again(Chart(patient, None, {}, own_loop=False), finding)

    return change
