"""How many rows of the rarest class a network recognizes: of held-out ones, or else of those just learned from."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, answering
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS

WELL = 0.9  # of held-out rows that are right, where nothing is amiss
LOOKS, MOSTLY = 5, 0.8  # at batches, and the share of them at which a second label makes it no rare one
FEW = 5  # rows of the rarest class that are judged at least
FIRST = 5 * THRESHOLDS.warm_up  # steps after which rows learned from may be judged: what is rare is learned late


def note(record: Record, step: int, given: np.ndarray, told: np.ndarray) -> None:
    """Which share of the rows of rare classes is recognized, and of all others.

    Rare by the training rows, which the network has learned from; the rarest of those told where none of them is.
    """
    shares = {int(kind): float(share) for kind, share in record.facts.get("class shares") or ()}
    most = max(shares.values(), default=0.0)
    rare = np.isin(told, [kind for kind, share in shares.items() if share * THRESHOLDS.imbalance <= most])
    if not rare.any():
        kinds, counts = np.unique(told, return_counts=True)
        rare = told == kinds[counts.argmin()]
    if rare.sum() < FEW or rare.all():
        return
    record.add(step, "recall", "", float((given == told)[rare].mean()))
    record.add(step, "recall of common", "", float((given == told)[~rare].mean()))


def note_other_labels(record: Record, step: int, given: np.ndarray, told: np.ndarray) -> None:
    """How many more rows would be right if their labels were numbered otherwise: each class that is answered as that
    which most of its rows are; and by how much the numbers are off, where all are by as much."""
    kinds = sorted(set(told.tolist()))
    answered = [kind for kind in set(given.tolist()) if int((given == kind).sum()) >= FEW]
    meant = {kind: kinds[int(np.argmax([(told[given == kind] == each).sum() for each in kinds]))] for kind in answered}
    if len(set(meant.values())) < len(meant) or len(meant) < max(2, len(kinds) - 1) or len(told) < 100:
        return
    better = sum(float(((given == kind) & (told == meant[kind])).mean()) for kind in meant)
    record.add(step, "better by other labels", "", better - float((given == told).mean()))
    off = {meant[kind] - kind for kind in meant}
    record.facts["labels off by"] = off.pop() if len(off) == 1 else 0


@torch.no_grad()
def read(patient: Patient, record: Record, batches: Sequence[Any], step: int) -> None:
    """The recall of the rare classes on these batches, of a network with one score a row or one for each class."""
    if (record.facts.get("class ratio") or 1.0) <= THRESHOLDS.imbalance or len(patient.players) > 1:
        return
    if record.facts.get("loss") == "cross_entropy":
        return _of_several(patient, record, batches, step)
    if record.facts.get("loss") not in ("bce", "bce_logits"):
        return
    limit = 0.5 if record.facts["loss"] == "bce" else 0.0
    given, told = [], []
    with answering(patient.bare):
        for batch in batches:
            output, target = patient.output(patient.bare, batch), patient.target_of(batch)
            if output is None or not isinstance(target, torch.Tensor) or output.numel() != target.numel():
                return
            given.append((output.flatten() > limit).cpu().numpy())
            told.append((target.flatten() > 0.5).cpu().numpy())
    right, wanted = np.concatenate(given), np.concatenate(told)
    rare = wanted if wanted.mean() < 0.5 else ~wanted
    if rare.sum() >= FEW:
        record.add(step, "recall", "", float((right == wanted)[rare].mean()))


def _of_several(patient: Patient, record: Record, batches: Sequence[Any], step: int) -> None:
    given, told = [], []
    with answering(patient.bare):
        for batch in batches:
            output, target = patient.output(patient.bare, batch), patient.target_of(batch)
            if output is None or not isinstance(target, torch.Tensor) or target.dim() != 1 or output.dim() != 2:
                return
            if output.shape[1] != record.facts.get("classes"):
                return  # places, which the loss makes scores of
            given.append(output.argmax(1).cpu().numpy())
            told.append(target.cpu().numpy())
    note(record, step, np.concatenate(given), np.concatenate(told))


def hardly_there(record: Record) -> Finding | None:
    """One label in all the rows of the first batches, and others beside it now and then: a rare class, no order."""
    lowest, highest = record.get("label", "lowest"), record.get("label", "highest")
    if len(lowest) < LOOKS or (record.facts.get("classes") or 0) < 2:
        raise CannotJudge(f"needs one class a row, looked at {LOOKS} times")
    low, high, label = lowest.array, highest.array, record.facts.get("class of all first rows")
    mixed = low != high
    if label is None or not ((low == label) | (high == label)).all() or mixed.sum() < 2 or mixed.mean() > MOSTLY:
        return None  # rows that come sorted leave a class behind for good
    right = np.concatenate([record.get("held out", name).last(1) for name in ("accuracy", "balanced_accuracy")])
    if len(right) and right.max() > WELL:
        return None
    return Finding(
        "class-imbalance",
        "target",
        "warn" if len(right) else "note",  # whether the rare ones are missed is not known
        f"All of the first rows have the label {label:g}; at {mixed.sum()} of {len(mixed)} looks the latest batches "
        "hold another one beside it.",
        "Answering the common class is nearly right for the loss.",
        0.85,
        record.step,
        statistic={"value": float(mixed.mean()), "healthy": [MOSTLY, 1.0], "instead of": "data-not-shuffled"},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {"class-imbalance": hardly_there}
