"""Groups of an optimizer whose rates lie far apart: told where fresh weights are left behind, and put even."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.remedy import Chart
from trainwell.doctor.series import Record

USUAL_MOST = {False: 2.0, True: 0.05}  # rates of plain descent and of Adam's kin that are still usual
LEAST_OF_MOST = 1e-3  # of these
BEHIND = 1e-3  # of another group's rate; fine-tuned layers have a hundredth, the lowest of a deep stack a little less
RANDOM = 1.2  # times the largest singular value of random weights, below which those of fresh ones lie


def note_groups(patient: Patient, record: Record, shape: Callable[[list[Any]], float]) -> None:
    """Which fresh weights a group takes at next to nothing of another's rate, as they are before the first step.

    shape: of named matrices, how far they are from random ones; 0 where none is large enough to be asked.
    """
    groups = [group for each in patient.optimizers.values() for group in each.param_groups]
    rates = [float(group.get("initial_lr") or group["lr"]) for group in groups]
    low, high = min(rates, default=0.0), max(rates, default=0.0)
    if len(patient.players) > 1 or not 0 < low <= BEHIND * high:
        return  # a rate of zero is a way to keep weights as they are
    slow = {id(each) for group, rate in zip(groups, rates, strict=True) if rate == low for each in group["params"]}
    named = [(name, each) for name, each in patient.bare.named_parameters() if id(each) in slow]
    matrices = [(name, each.detach().flatten(1)) for name, each in named if each.requires_grad and each.dim() > 1]
    if 0 < shape(matrices) < RANDOM:
        record.facts["group behind"] = matrices[0][0].rpartition(".")[0] or matrices[0][0], low, high
        record.facts["group beyond"] = high > max(USUAL_MOST["betas" in group] for group in groups)


def left_behind(record: Record) -> Finding | None:
    """Fresh weights at a rate at which they stay what chance made them, while the others learn."""
    known = record.facts.get("group behind")
    if record.facts.get("players", 1) > 1:
        raise CannotJudge("players have rates of their own")
    if known is None:
        return None
    layer, low, high = known
    return Finding(
        "update-ratio-off",
        layer,
        "warn",
        f"A group of weights that look as they were drawn has a rate of {low:.3g}, others {high:.3g}.",
        "The others' rate is beyond any that is usual: their weights leap about."
        if record.facts.get("group beyond")
        else "They stay what chance made them: the others learn from what those make of the inputs.",
        0.8,
        0,
        statistic={"value": low / high, "healthy": [BEHIND, 1.0], "given": low / high, "group": True},
    )


def raise_lowest(chart: Chart, finding: Finding) -> str | None:
    """The lowest rate of any group up to the next one's, where a copy with that alone does best, or where fresh weights
    are left behind by it."""
    groups = [group for each in chart.patient.optimizers.values() for group in each.param_groups]
    before, fresh = min((float(group["lr"]) for group in groups), default=0.0), bool(finding.statistic.get("group"))
    if finding.name == "update-ratio-off" and not fresh:
        return None
    if len({float(group["lr"]) for group in groups}) < 2 or not (fresh or chart.does_best(even_lowest)):
        return None
    if fresh and (told := _lower_highest(groups)):
        chart.facts.pop("group behind", None)
        return told
    even_lowest(chart.patient.model, chart.patient.optimizers)
    chart.facts.pop("group behind", None)
    after = min(float(group["lr"]) for group in groups)
    return f"learning rate of one group from {before:.3g} to {after:.3g}, that of others"


def _lower_highest(groups: list[dict[str, Any]]) -> str | None:
    """Groups at a rate beyond any that is usual put to the lowest one's, where that is a usual one."""
    most = max(USUAL_MOST["betas" in group] for group in groups)
    low, high = min(float(group["lr"]) for group in groups), max(float(group["lr"]) for group in groups)
    if high <= most or low < LEAST_OF_MOST * most:
        return None
    for group in groups:
        before = float(group["lr"])
        if before > most:
            group["lr"] = low
            if group.get("initial_lr"):
                group["initial_lr"] *= low / before
    return f"learning rate of one group from {high:.3g} to {low:.3g}, that of others"


def even_lowest(model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
    """Groups at the lowest rate put to the next one's."""
    groups = [group for optimizer in optimizers.values() for group in optimizer.param_groups]
    low, high = sorted({float(group["lr"]) for group in groups})[:2]
    for group in groups:
        if float(group["lr"]) == low:
            group["lr"] = high
            if group.get("initial_lr"):
                group["initial_lr"] *= high / low if low else 1.0


RULES: dict[str, Callable[[Record], Finding | None]] = {"update-ratio-off": left_behind}
