"""Answers of a network to numbers in the targets' own units, learned as if those were standardized."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import answering
from trainwell.doctor.remedy import Chart
from trainwell.doctor.thresholds import THRESHOLDS

WIDE, FAR = 10.0, 3.0  # a deviation, and a mean in deviations, beyond which a fresh network's answers lie nowhere near
COLUMNS = 20  # answers a row, each with a mean and a deviation of its own; of more all have the same


class _InUnits(torch.autograd.Function):
    """Times the deviation, plus the mean; backward the gradient that the loss of standardized numbers would have."""

    @staticmethod
    def forward(ctx: Any, answer: Tensor, mean: Tensor, deviation: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return answer * deviation + mean

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        return gradients[0] * ctx.saved_tensors[0], None, None, None


def scale_answers(chart: Chart, finding: Finding) -> str | None:
    """A hook behind the model that puts its answers in the targets' units, so that what it learns stays near one."""
    target, kind = chart.sample.target if chart.sample is not None else None, chart.facts.get("loss")
    if chart.own_loop or kind not in ("mse", "mae", "huber") or target is None or not target.is_floating_point():
        return None
    if not _answers_in_rows(chart):
        return None
    rows = target.detach().float().reshape(len(target), -1)
    rows = rows if rows.shape[1] <= COLUMNS else rows.reshape(-1, 1)
    middle = rows.median(0).values
    spread = 1.4826 * (rows - middle).abs().median(0).values  # of the usual answers, as a few slips may lie far off
    if not bool(((spread > WIDE) | (middle.abs() > FAR * spread)).any() and (spread > 0).all()):
        return None
    usual = torch.where((rows - middle).abs() <= THRESHOLDS.outlier * spread, rows, torch.nan)
    mean = usual.nanmean(0)
    deviation = (usual - mean).square().nanmean(0).sqrt()
    factor = 1 / deviation if kind == "mse" else torch.ones_like(deviation)  # an absolute error's slope has no unit

    def scale(module: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or (len(mean) > 1 and output.shape[-1] != len(mean)):
            return output
        one = len(mean) == 1
        told = [each.to(output)[0] if one else each.to(output) for each in (mean, deviation, factor)]
        return _InUnits.apply(output, *told)

    scale.in_units = True  # type: ignore[attr-defined]
    chart.patient.bare.register_forward_hook(scale)
    return (
        f"answers times {float(deviation.mean()):.3g} plus {float(mean.mean()):.3g} by a hook behind the model: "
        "standardize the targets in your data to keep it"
    )


def _answers_in_rows(chart: Chart) -> bool:
    """Whether the network gives one tensor, a row of it for each row: what gives more, or its loss, is left alone."""
    if chart.sample is None or not chart.sample.batches:
        return chart.sample is not None
    batch = chart.sample.batches[0]
    with answering(chart.patient.bare):
        given = chart.patient.ask(chart.patient.bare, chart.patient.inputs_of(batch))
    return isinstance(given, Tensor) and given.dim() > 0 and len(given) == chart.patient.rows(batch)


def in_units(model: nn.Module) -> bool:
    """Whether a network's answers are put in the targets' units already."""
    return any(getattr(hook, "in_units", False) for hook in model._forward_hooks.values())
