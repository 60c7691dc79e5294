"""A network with batch norm to whether evaluation, by the statistics that it kept, answers as training does."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, leaving_no_trace, rows_of
from trainwell.doctor.series import Record, picked
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.twin import without_dropout

LIMITS = THRESHOLDS
FIRST = 60  # steps before the first look, after which kept statistics of the usual memory have come along


@torch.no_grad()
def read(patient: Patient, record: Record, batch: Any, step: int) -> None:
    """The loss of a batch just trained on, by its own statistics and by the kept ones, dropout off in both."""
    looks = record.get("loss by kept norms").steps
    if step < 2 * (looks[-1] if looks else FIRST // 2) or rows_of(patient.inputs_of(batch)) < 2 * LIMITS.norm_batch:
        return
    with leaving_no_trace():
        model, _ = patient.copy()
        without_dropout(model, {})
        model.eval()
        kept = float(patient.loss(model, batch))
        for each in model.modules():
            each.training = isinstance(each, _BatchNorm)
        own = float(patient.loss(model, batch))
    record.add(step, "loss by kept norms", "", kept)
    record.add(step, "loss by own norms", "", own)


def wrong_train_eval_mode(record: Record) -> Finding | None:
    """Rows just trained on that evaluation answers far worse, look after look, as kept statistics are not theirs."""
    kept, own = record.get("loss by kept norms"), record.get("loss by own norms")
    guess = record.facts.get("prior loss")
    if len(kept) < 2 or not guess:
        raise CannotJudge("needs batch norm, two looks at it, and what guessing would give")
    apart = kept.last(2) - own.last(2)
    if not (apart > LIMITS.norms_apart * guess).all() or not (kept.last(2) > 2 * own.last(2)).all():
        return None
    return Finding(
        "wrong-train-eval-mode",
        "model",
        "warn",
        f"A batch that was just learned from has a loss of {own.values[-1]:.3g} by its own statistics and of "
        f"{kept.values[-1]:.3g} by those that batch norm has kept for evaluation.",
        "The kept statistics lag behind, or are of other rows: their momentum is too small, or the parts of an "
        "iteration pass through the norms by turns.",
        0.8,
        record.step,
        statistic={"value": float(apart[-1] / guess), "healthy": [0, LIMITS.norms_apart], "series": picked(kept)},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {"wrong-train-eval-mode": wrong_train_eval_mode}
