"""Rows with and without their augmentation to a finding: whether it changes what the label says."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, leaving_no_trace
from trainwell.doctor.twin import run_twin

STEPS = 120


def label_breaking_augmentation(patient: Patient, plain: Sequence[Any], augmented: Sequence[Any]) -> Finding | None:
    """Two copies learn, one from plain and one from augmented batches, and both answer plain ones they have not seen.

    plain, augmented: as many batches each of the same rows; the last third of the plain ones is kept to judge by.
    Raises RuntimeError where fewer than three batches are given or the loss is not known.
    """
    if min(len(plain), len(augmented)) < 3:
        raise RuntimeError("needs three batches, each with and without its augmentation")
    cut = max(1, len(plain) // 3)
    learned = [_judged(patient, batches[:-cut], plain[-cut:]) for batches in (plain, augmented)]
    before = _judged(patient, [], plain[-cut:])
    without, with_it = learned
    if not math.isfinite(without) or without > 0.8 * before:
        return None  # too little is learned without it to tell what it does
    if with_it < without + 0.6 * (before - without):
        return None
    evidence = (
        f"After {STEPS} steps on plain rows a copy's loss on new plain rows is {without:.3g}, on augmented rows "
        f"{with_it:.3g}; before it was {before:.3g}."
    )
    return Finding(
        "label-breaking-augmentation",
        "augmentation",
        "warn",
        evidence,
        "What is learned from augmented rows does not hold for plain ones: "
        "the augmentation changes or hides the label.",
        0.8,
        statistic={"value": with_it / max(without, 1e-12), "healthy": [0, 2]},
    )


def _judged(patient: Patient, batches: Sequence[Any], held: Sequence[Any]) -> float:
    """The mean loss on held batches of a copy that has learned from the others."""
    kept: list[Any] = []
    if batches:
        run_twin(patient, batches, STEPS, lambda model, optimizers: kept.append(model))
    with leaving_no_trace(), torch.no_grad():
        model = kept[0] if kept else patient.copy()[0]
        model.eval()
        return float(np.mean([float(patient.loss(model, batch)) for batch in held]))
