"""A network to whether evaluation answers as training does: by kept statistics, by other weights, by another path."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from trainwell.doctor.dropping import without_dropout
from trainwell.doctor.finding import UNFIT, CannotJudge, Finding
from trainwell.doctor.patient import Patient, answering, leaving_no_trace, rows_of
from trainwell.doctor.series import Record, Series, picked
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
FIRST = 60  # steps before the first look, after which kept statistics of the usual memory have come along
LOST = 3.0  # times what guessing costs, beyond which a network's own loss tells nothing of its modes
ALIKE = 0.05  # share of a number told by which another measure of a few held-out batches may differ from it
HELD = 4  # held-out batches that are answered anew beside what an evaluation told


@torch.no_grad()
def read(patient: Patient, record: Record, batch: Any, step: int) -> None:
    """The loss of a batch just trained on, in training mode and in evaluation mode, dropout off in both."""
    looks = record.get("loss in evaluation").steps
    if step < 2 * (looks[-1] if looks else FIRST // 2) or not record.facts.get("answers by mode", True):
        return
    if record.facts.get("batch norm") and rows_of(patient.inputs_of(batch)) < 2 * LIMITS.norm_batch:
        return
    with leaving_no_trace():
        model, _ = patient.copy()
        without_dropout(model, {})
        try:
            model.eval()
            kept = float(patient.loss(model, batch))
            model.train()
            own = float(patient.loss(model, batch))
        except UNFIT:
            record.facts["answers by mode"] = False  # in one of the modes it gives no loss, as detectors do
            return
    record.facts["answers by mode"] = kept != own
    record.add(step, "loss in evaluation", "", kept)
    record.add(step, "loss in training", "", own)


@torch.no_grad()
def read_held(patient: Patient, record: Record, batches: Sequence[Any], told: float, step: int) -> None:
    """What an evaluation told of held-out rows, and what the weights that learn make of them at the same moment."""
    if not batches or patient.loss_of is None or len(patient.players) > 1:
        return
    few = list(batches)[:HELD]
    try:
        with answering(patient.bare):
            losses = np.array([float(patient.loss(patient.bare, each)) for each in few])
    except UNFIT:
        return
    # Rows may differ from batch to batch, and what is evaluated may be more of them.
    error = float(losses.std(ddof=1)) / len(few) ** 0.5 if len(few) > 1 else 0.0
    if told > losses.mean() + 3 * error and _of_another_kind(patient, few, told):
        return
    record.add(step, "told of held out", "", told)
    record.add(step, "own of held out", "", float(losses.mean()) + 3 * error)


def _of_another_kind(patient: Patient, batches: Sequence[Any], told: float) -> bool:
    """Whether the number told is another measure of the same answers, such as a squared error beside Huber's."""
    found: dict[str, list[float]] = {}
    for batch in batches:
        with answering(patient.bare):
            output, target = patient.output(patient.bare, batch), patient.target_of(batch)
        if output is None or not isinstance(target, torch.Tensor):
            return False
        for name, value in _measures(output.float(), target):
            found.setdefault(name, []).append(value)
    measured = {name: np.array(values) for name, values in found.items() if len(values) == len(batches)}
    if "squared" in measured:
        measured["root"] = measured["squared"] ** 0.5
    # What is evaluated may be more rows than these few batches.
    errors = {name: each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0.0 for name, each in measured.items()}
    return any(abs(each.mean() - told) < max(ALIKE * told, 2 * errors[name]) for name, each in measured.items())


def _measures(output: torch.Tensor, target: torch.Tensor) -> Iterator[tuple[str, float]]:
    if output.numel() == target.numel():
        error = (output.reshape(-1) - target.reshape(-1).to(output)).abs()
        yield from (("squared", float(error.square().mean())), ("absolute", float(error.mean())))
    elif not target.is_floating_point() and output.dim() == target.dim() + 1:
        with contextlib.suppress(*UNFIT):
            yield "entropy", float(functional.cross_entropy(output, target))


def wrong_train_eval_mode(record: Record) -> Finding | None:
    """Rows that evaluation answers far worse than the weights that learn do in training, look after look."""
    guess = record.facts.get("prior loss")
    if not guess:
        raise CannotJudge("needs what guessing would give")
    kept, own = record.get("loss in evaluation"), record.get("loss in training")
    told, here = record.get("told of held out"), record.get("own of held out")
    if len(kept) < 2 and len(told) < 2:
        raise CannotJudge("needs a network that answers by its mode, or evaluations, and two looks")
    norms = record.facts.get("batch norm")
    if _apart(kept, own, guess, 2.0 if norms else 1.3):  # statistics of a usual memory may lag for a while
        text = (
            f"A batch that was just learned from has a loss of {own.values[-1]:.3g} "
            f"{'by its own statistics' if norms else 'in training mode'} and of {kept.values[-1]:.3g} "
            f"{'by those that batch norm has kept for evaluation' if norms else 'in evaluation mode'}."
        )
        cause = (
            "The kept statistics lag behind, or are of other rows: their momentum is too small, or the parts of an "
            "iteration pass through the norms by turns."
            if norms
            else "In evaluation the network takes another path or other weights, such as an average of them that lags "
            "behind."
        )
        return _finding(record, kept, own, guess, text, cause)
    same_unit = not record.facts.get("loss is a sum") and len(told) > 0 and told.values[-1] < 1.5 * guess
    if same_unit and _apart(told, here, guess, 2.0):
        text = (
            f"The evaluation told of a held-out loss of {told.values[-1]:.3g}; the weights that learn have "
            f"{here.values[-1]:.3g} on such rows at the same step."
        )
        cause = "What is evaluated is not what is trained: another copy, an average that lags, or the wrong mode."
        return _finding(record, told, here, guess, text, cause)
    return None


def _apart(judged: Series, learned: Series, guess: float, times: float) -> bool:
    """Whether the last two of the former lie far above those of the latter, and beyond so many times them, where
    they grow by three quarters of that at first."""
    if len(judged) < 2:
        return False
    apart = judged.last(2) - learned.last(2)
    if learned.values[-1] <= 0:
        return False  # what may be below zero has no multiples
    if learned.values[-1] > LOST * guess:
        return False  # weights that answer nothing in either mode
    grows = judged.values[-1] > judged.values[-2]
    first = max(1.0, 0.75 * times) if grows else times
    beyond = judged.last(2) > np.array([first, times]) * learned.last(2)
    return bool((apart > LIMITS.modes_apart * guess).all() and beyond.all())


def _finding(record: Record, judged: Series, learned: Series, guess: float, text: str, cause: str) -> Finding:
    apart = float(judged.values[-1] - learned.values[-1]) / guess
    told = {"value": apart, "healthy": [0, LIMITS.modes_apart], "series": picked(judged)}
    return Finding("wrong-train-eval-mode", "model", "warn", text, cause, 0.8, record.step, statistic=told)


RULES: dict[str, Callable[[Record], Finding | None]] = {"wrong-train-eval-mode": wrong_train_eval_mode}
