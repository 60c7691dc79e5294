"""Weights in half precision to full precision, or to steps that half precision can hold."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.probe import HALVES
from trainwell.doctor.remedy import Chart, forget


def full_precision(chart: Chart, finding: Finding) -> str | None:
    """Half-precision weights as float32, the inputs with them: of a weight in float16 an update below a
    two-thousandth is lost, in bfloat16 one below a two-hundredth."""
    model = chart.patient.bare
    if chart.own_loop or not any(each.dtype in HALVES for each in model.parameters()):
        return None

    def widen(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(each.float() if isinstance(each, Tensor) and each.dtype in HALVES else each for each in inputs)

    model.float()
    model.register_forward_pre_hook(widen)
    forget(chart.patient)
    return "weights and inputs in float32: leave out .half() or .bfloat16() and use torch.autocast to keep it so"


def raise_epsilon(chart: Chart, finding: Finding) -> str | None:
    """An epsilon that float16 can hold, in optimizers of float16 weights whose own is nothing there."""
    count = 0
    for optimizer in chart.patient.optimizers.values():
        for group in optimizer.param_groups:
            halves = any(each.dtype == torch.float16 for each in group["params"])
            if halves and 0 < float(group.get("eps") or 1.0) < 6e-8:
                group["eps"] = 1e-4
                count += 1
    return "the optimizer's eps raised to 1e-4, which float16 can hold" if count else None
