"""How many rows of the rarest class a network recognizes: of held-out ones, or else of those just learned from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trainwell.doctor.patient import Patient, answering
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS

FEW = 5  # rows of the rarest class that are judged at least
FIRST = 5 * THRESHOLDS.warm_up  # steps after which rows learned from may be judged: what is rare is learned late


@torch.no_grad()
def read(patient: Patient, record: Record, batches: Sequence[Any], step: int) -> None:
    """The recall of the rarest of two classes on these batches, of a network with one score a row."""
    if (record.facts.get("class ratio") or 1.0) <= THRESHOLDS.imbalance:
        return
    if record.facts.get("loss") not in ("bce", "bce_logits") or len(patient.players) > 1:
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
