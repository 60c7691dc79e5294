"""Layers of few numbers to a finding of too little capacity: found in the network, told where the training shows it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.course import learned, rate_share, warming
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.series import Record, picked
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial, each_tensor

LIMITS = THRESHOLDS
CONVOLUTIONS = nn.modules.conv._ConvNd
BEHIND = 1e-4  # share of the answers' spread over rows that may be left once a layer on the only way says nothing
CAUSE = "So few units carry too little of a row to the last layer, however long it learns."


def narrowest(model: nn.Module) -> tuple[str, int] | None:
    """The layer before the last that gives the fewest numbers, and how many; None where there is no such layer."""
    return min(_widths(model)[:-1], key=lambda each: each[1], default=None)


def _widths(model: nn.Module) -> list[tuple[str, int]]:
    widths = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | CONVOLUTIONS):
            widths.append((name, len(module.weight)))
        elif isinstance(module, nn.RNNBase):
            widths.append((name, module.hidden_size * (2 if module.bidirectional else 1)))
        elif isinstance(module, nn.RNNCellBase):
            widths.append((name, module.hidden_size))
    return widths


def note(trial: Trial, facts: dict[str, Any]) -> None:
    """Among the facts, "bottleneck": a layer and its width, where all that tells rows apart passes through too few.

    Too few are fewer than tell the classes apart by their signs, or one number where several are asked; of maps one
    channel.
    """
    if trial.output is None or trial.output.dim() < 2 or len(trial.output) < 2:
        return
    asked = trial.classes if trial.classes > 2 else trial.output[0].numel()
    widths = _widths(trial.model)
    head = trial.model.get_submodule(widths[-1][0]) if widths else None
    if isinstance(head, nn.Linear) and 2 < trial.classes == len(head.weight) and head.in_features <= math.log2(asked):
        facts["bottleneck"] = (f"before {widths[-1][0]}", head.in_features, "number")  # whatever adds up to it
        return
    found = [each for each in _widths(trial.model)[:-1] if each[1] <= max(1.0, math.log2(max(2, asked)))]
    if asked < 3 or not found:
        return
    for name, width in found:
        module = trial.model.get_submodule(name)
        of_maps = isinstance(module, CONVOLUTIONS)
        enough = 1.0 if of_maps or not trial.classes else math.log2(asked)
        if width <= max(1.0, enough) and width < _read(module) and _on_the_only_way(trial, name):
            facts["bottleneck"] = (name, width, "channel" if of_maps else "number")
            return


def _read(module: nn.Module) -> int:
    """How many numbers each unit of the layer reads."""
    weight = getattr(module, "weight", getattr(module, "weight_ih_l0", getattr(module, "weight_ih", None)))
    return int(weight[0].numel()) if isinstance(weight, Tensor) else 0


def _on_the_only_way(trial: Trial, name: str) -> bool:
    """Whether rows are answered alike once this layer gives nothing but zeros."""
    patient, model = trial.patient, trial.model
    mood = model.training
    module = model.get_submodule(name)
    with leaving_no_trace(), torch.no_grad():
        model.eval()
        before = patient.output(model, trial.batch)
        handle = module.register_forward_hook(lambda module, given, output: each_tensor(output, torch.zeros_like))
        try:
            after = patient.output(model, trial.batch)
        finally:
            handle.remove()
            model.train(mood)
    if before is None or after is None or before.shape != after.shape:
        return False
    apart, left = (float((each - each[:1]).abs().max()) for each in (before.float(), after.float()))
    return apart > 0 and left <= BEHIND * apart


def narrow(record: Record) -> Finding | None:
    """Much of the loss left late in a training whose rows all pass through too few numbers."""
    found = record.facts.get("bottleneck")
    if found is None:
        raise CannotJudge("no layer is too narrow for what is asked")
    planned, guess = record.facts.get("steps") or 0, record.facts.get("prior loss")
    if record.step < max(10 * LIMITS.warm_up, 0.4 * planned) or rate_share(record) < 0.1 or warming(record):
        return None
    left = 1 - learned(record)
    if not guess or left < LIMITS.narrow_leaves:
        return None
    name, width, what = found
    return Finding(
        "underfitting",
        name,
        "warn",
        f"Layer {name}, on the only way from the inputs to the answers, gives {width} {what}{'s' if width > 1 else ''}"
        f"; after {record.step} steps {left:.0%} of the loss is left.",
        CAUSE,
        0.8,
        record.step,
        statistic={
            "value": left,
            "healthy": [0, LIMITS.narrow_leaves],
            "narrow": width,
            "series": picked(record.get("loss")),
        },
    )


def too_narrow(trial: Trial, evidence: str) -> Finding | None:
    """Where a few rows cannot be learned by heart: a layer of too few numbers to tell the classes apart by their signs,
    or of two that all rows pass through."""
    found = narrowest(trial.model)
    if found is None or found[1] > max(2, math.log2(max(2, trial.classes))):
        return None
    name, count = found
    if count > max(1, math.log2(max(2, trial.classes))) and not _on_the_only_way(trial, name):
        return None
    evidence += f" Layer {name} gives {count} number{'s' if count > 1 else ''} a row."
    return Finding("underfitting", name, "warn", evidence, CAUSE, 0.8, statistic={"value": count})
