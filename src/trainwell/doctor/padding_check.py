"""Rows that are filled up behind their end to whether it is the filling that is learned, or that answers hang on."""

import torch
from torch import Tensor

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial

LIMITS = THRESHOLDS


def read_past_the_end(trial: Trial) -> Finding | None:
    """One answer a row, that other steps in place of the padding move further than rows differ in it: a state that is
    read after the padding, or a mean over it, has nearly forgotten the row."""
    patient, inputs = trial.patient, list(trial.patient.inputs_of(trial.batch))
    rows = inputs[0] if inputs else None
    if not isinstance(rows, Tensor) or rows.dim() != (3 if rows.is_floating_point() else 2) or rows.dtype == torch.bool:
        return None
    length = rows.shape[1]
    if len(rows) < 8 or length < 8 or trial.output is None or length in trial.output.shape[1:]:
        return None
    ends = filled_behind(rows)
    filled = ends.float().mean(1) >= LIMITS.filled_row
    share = float(ends.float().mean())
    if int(filled.sum()) < 8 or share < LIMITS.filled_row:
        return None
    steps, generator = rows[~ends], torch.Generator().manual_seed(0)
    other = rows.clone()
    other[ends] = steps[torch.randint(len(steps), (int(ends.sum()),), generator=generator).to(rows.device)]
    with leaving_no_trace(), torch.no_grad():
        model = trial.patient.copy()[0].eval()
        before = patient.output(model, trial.batch)
        given = (other, *inputs[1:])
        answer = patient.ask(model, given)
        after = answer if isinstance(answer, Tensor) else None
    if before is None or after is None or before.shape != after.shape or before.dim() > 2:
        return None
    before, after = before[filled].float(), after[filled].float()
    apart = float((before - before.mean(0)).abs().mean())
    moved = float((after - before).abs().mean())
    if not moved > LIMITS.moved_by_filling * max(apart, 1e-12) or moved < 1e-6:
        return None
    return Finding(
        "padding-or-mask-fault",
        "the rows' ends",
        "critical",
        f"{share:.0%} of the steps fill rows up behind their end; other steps in their place move the answers by "
        f"{moved:.2g}, while rows differ by {apart:.2g}.",
        "The answer is read after the padding, which has overwritten what the row said: read it at each row's last "
        "step, or pack the rows.",
        0.9,
        statistic={"value": moved / max(apart, 1e-12), "healthy": [0, LIMITS.moved_by_filling]},
    )


def masked_the_wrong_way(trial: Trial) -> Finding | None:
    """An answer at each place, of which the loss is given those of one label alone, though most have others."""
    received, target, ignored = trial.made.target, trial.target, trial.made.ignored
    if target is None or received is None or target.is_floating_point() or received.is_floating_point():
        return None
    kept = received[(received >= 0) & (received != (-1 if ignored is None else ignored))]
    if target.dim() != 2 or not len(kept) or bool((kept != kept[0]).any()):
        return None
    kinds, share = len(target.unique()), float((target == kept[0]).float().mean())
    if kinds < 4 or share > LIMITS.one_label_of_places:
        return None
    return Finding(
        "padding-or-mask-fault",
        "loss",
        "critical",
        f"Of {kinds} labels the loss is given {int(kept[0])} alone, which {share:.0%} of all places have.",
        "The mask is the wrong way round: what fills rows up is learned, and what they say is left out.",
        0.9,
        statistic={"value": share, "healthy": [LIMITS.one_label_of_places, 1]},
    )


def filled_behind(rows: Tensor) -> Tensor:
    """(rows, steps): from where on a row is the very step that most rows end with; a row of nothing else is none."""
    last = rows[:, -1]
    commonest = last.flatten(1).mode(0).values.reshape(last.shape[1:]) if last.dim() > 1 else last.mode().values
    same = rows == commonest
    same = same.flatten(2).all(2) if same.dim() > 2 else same
    ends = same.flip(1).long().cumprod(1).flip(1).bool()
    return ends & ~ends.all(1, keepdim=True)
