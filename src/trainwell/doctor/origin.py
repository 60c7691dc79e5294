"""A gradient that is not finite to where it began: input, weights, an activation, the loss, or the way back."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, first_tensor, leaving_no_trace
from trainwell.doctor.series import Record


def not_finite(patient: Patient, batch: Any, inputs: tuple[Any, ...], batches: list[Any], step: int) -> Finding:
    """The finding, with the first place where a value is not finite; looks on a copy, on the batch where it is
    known."""
    rates = [float(group["lr"]) for each in patient.optimizers.values() for group in each.param_groups]
    odd = [each for each in rates if not math.isfinite(each)]
    if odd:
        return _finding(
            "rate",
            "schedule",
            f"The learning rate of step {step} is {odd[0]}.",
            "Its schedule divides by a number of steps that is zero, or takes a root or logarithm out of range.",
            step,
        )
    weights = [name for name, each in patient.bare.named_parameters() if not each.detach().isfinite().all()]
    if weights:
        return _finding(
            "weights",
            weights[0],
            f"{weights[0]} holds values that are not finite.",
            "An earlier step already broke the weights.",
            step,
        )
    for number, each in enumerate(inputs):
        if isinstance(each, Tensor) and each.is_floating_point() and not each.isfinite().all():
            row = int(torch.argwhere(~each.flatten(1).isfinite().all(1))[0]) if each.dim() > 1 else 0
            return _finding(
                "input",
                f"input {number}, row {row}",
                f"Row {row} of the batch holds values that are not finite.",
                "The data reached the network with missing or infinite values.",
                step,
            )
    batch = batch if batch is not None else (batches[-1] if batches else None)
    if batch is not None and patient.loss_of is not None:
        origin, place = _first_bad(patient, batch)
        if origin:
            return _finding(
                origin,
                place,
                f"The first value that is not finite comes out of the {origin if origin == 'loss' else place}.",
                "A logarithm, division, root or exponential left its range."
                if origin == "loss"
                else "The signal has grown beyond what a float holds.",
                step,
            )
    bad = [
        name
        for name, each in patient.bare.named_parameters()
        if each.grad is not None and not each.grad.isfinite().all()
    ]
    where = bad[-1] if bad else ""
    return _finding(
        "gradient",
        where,
        f"The gradient of {where or 'the loss'} is not finite before step {step}.",
        "The way back divides by zero or overflows, or the loss has run away.",
        step,
    )


def _finding(origin: str, where: str, evidence: str, cause: str, step: int) -> Finding:
    return Finding("non-finite-values", where, "critical", evidence, cause, 0.99, step, statistic={"origin": origin})


def too_long(step: int) -> Finding:
    """The suspicion that steps which were too long led there; twins test it."""
    text = "The training ran into values that are not finite."
    cause = "Steps that are too long for the slope."
    return Finding("learning-rate-too-high", "optimizer", "critical", text, cause, 0.6, step)


def _first_bad(patient: Patient, batch: Any) -> tuple[str, str]:
    """("activation", module) or ("loss", "") for the first that is not finite, or two empty words."""
    found: list[str] = []
    with leaving_no_trace(), torch.no_grad():
        model, _ = patient.copy()

        def look(name: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                value = first_tensor(output)
                if value is not None and not value.isfinite().all():
                    found.append(name or "model")

            return hook

        for name, module in model.named_modules():
            module.register_forward_hook(look(name))
        try:
            loss = patient.loss(model, batch)
        except (RuntimeError, ValueError):
            return "", ""
    if found:
        return "activation", found[0]
    return ("loss", "loss") if not bool(loss.isfinite().all()) else ("", "")


def loss_not_finite(record: Record) -> Finding | None:
    """Losses that are no numbers any more, in a loop whose gradients were not seen to be so, as with closures."""
    losses = record.get("loss")
    if not len(losses):
        raise CannotJudge("no loss was told")
    if len(record.get("not finite")) or np.isfinite(losses.last(3)).any() or record.facts.get("answers left out"):
        return None
    first = next(step for step, value in zip(losses.steps, losses.values, strict=True) if not math.isfinite(value))
    text = f"From step {first} on the loss is {losses.values[-1]}."
    cause = (
        "It was never a number: look for missing or infinite values in the rows, or a logarithm of zero."
        if first == losses.steps[0]
        else "The training has run away: a rate that is too high, or a step that was taken on a bad batch."
    )
    return _finding("loss", "loss", text, cause, first)


RULES: dict[str, Callable[[Record], Finding | None]] = {"non-finite-values": loss_not_finite}
