"""Layers of few numbers to a finding of too little capacity: found in the network, told where the training shows it."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from trainwell.doctor.course import learned, rate_share, warming
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.series import Record, picked
from trainwell.doctor.suspect import TO_CURE, Suspect
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial, each_tensor
from trainwell.doctor.twin import Change
from trainwell.doctor.usual_steps import RATE

if TYPE_CHECKING:
    from trainwell.doctor.proof import Proof

LIMITS = THRESHOLDS
CONVOLUTIONS = nn.modules.conv._ConvNd
BEHIND = 1e-4  # share of the answers' spread over rows that may be left once a layer on the only way says nothing
FEW, WIDER = 2, 32  # units before a single answer of which it is asked what more would do, and how many more
STEPS, LESS = 100, 0.8  # of a copy that has them, and of the loss, that it must come below
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
    if asked < 3:
        few = [(name, width) for name, width in widths[:-1] if width <= FEW < _read(trial.model.get_submodule(name))]
        facts["few units"] = next((each for each in few if _on_the_only_way(trial, each[0])), None)
        return
    found = [each for each in widths[:-1] if each[1] <= max(1.0, math.log2(max(2, asked)))]
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
    found, few = record.facts.get("bottleneck"), record.facts.get("few units")
    if found is None and few is None:
        raise CannotJudge("no layer is too narrow for what is asked")
    planned, guess = record.facts.get("steps") or 0, record.facts.get("prior loss")
    if record.step < max(10 * LIMITS.warm_up, 0.4 * planned) or rate_share(record) < 0.1 or warming(record):
        return None
    left = 1 - learned(record)
    if not guess or left < (LIMITS.narrow_leaves if found else LIMITS.few_leave):
        return None
    name, width, what = found if found is not None else (*(few or ()), "number")
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
            **({} if found else {"by width": True}),
        },
    )


def by_width(finding: Finding, suspect: Suspect, proof: "Proof") -> Finding | None:
    """The finding, if a copy with many more units in that place learns from nothing what one that goes on as it is does
    not in as many steps; None where it does not, or where no copy can be made wider.

    Raises RuntimeError for a network whose layers are not called in the order in which they stand.
    """
    if not proof.may_spend(2 * STEPS, suspect.step, suspect.planned, TO_CURE):
        return None

    def change(model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
        widen(model)
        optimizers.update({name: Adam(model.parameters(), lr=3 * RATE) for name in optimizers})

    changes: dict[str, Change | None] = {"as it is": None, "wide": change}
    own, wide = (
        each.apart for each in proof.compare(suspect.patient, suspect.most, changes, STEPS, judge=True).values()
    )
    if not wide < LESS * own:
        return None
    finding.confidence, finding.cause = 0.9, "So few units carry little of a row to the last layer, and slowly."
    finding.evidence += (
        f" A copy with {WIDER} units in its place comes to {wide:.3g} in {STEPS} steps, as it is to {own:.3g}."
    )
    return finding


def widen(model: nn.Module) -> None:
    """Linear layers of a few units, and what stands on them, to as many units more; their weights are drawn anew."""
    linear = [name for name, each in model.named_modules() if isinstance(each, nn.Linear)]
    was, weight = 0, next(model.parameters())
    for name, module in list(model.named_modules()):
        made: nn.Module | None = None
        if isinstance(module, nn.Linear):
            narrow = module.out_features <= FEW and name != linear[-1]
            given = WIDER if module.in_features == was else module.in_features
            if narrow or given != module.in_features:
                made = nn.Linear(given, WIDER if narrow else module.out_features, module.bias is not None)
            was = module.out_features if narrow else 0
        elif isinstance(module, nn.BatchNorm1d) and module.num_features == was:
            made = nn.BatchNorm1d(WIDER)
        elif isinstance(module, nn.LayerNorm) and module.normalized_shape == (was,):
            made = nn.LayerNorm(WIDER)
        if made is not None:
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, made.to(weight))


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
    return Finding("underfitting", name, "warn", evidence, CAUSE, 0.8, statistic={"value": count, "narrow": count})
