"""Weights in half precision to full precision, or to steps that half precision can hold."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, answering
from trainwell.doctor.probe import HALVES
from trainwell.doctor.remedy import Chart, forget
from trainwell.doctor.trial import each_tensor


def full_precision(chart: Chart, finding: Finding) -> str | None:
    """Weights of 16 bits as float32, the inputs with them: an update below a two-thousandth of a weight of float16, or
    a two-hundredth of bfloat16, is lost."""
    model = chart.patient.bare
    if chart.own_loop or not any(each.dtype in HALVES for each in model.parameters()):
        return None

    def widen(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        return each_tensor(inputs, _widened), each_tensor(named, _widened)

    kinds = {each: each.dtype for each in (*model.parameters(), *model.buffers())}
    model.float()
    handle = model.register_forward_pre_hook(widen, with_kwargs=True)
    if chart.seen and not _takes(chart.patient, chart.seen[-1]):
        handle.remove()
        for each, kind in kinds.items():
            each.data = each.data.to(kind)
        return None
    forget(chart.patient)
    return "weights and inputs in float32: leave out .half() or .bfloat16() and use torch.autocast to keep it so"


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.dtype in HALVES else value


def _takes(patient: Patient, batch: Any) -> bool:
    """Whether the network still answers a batch."""
    try:
        with answering(patient.bare):
            patient.loss(patient.bare, batch)
    except Exception:  # whatever it is, the loop would end with it
        return False
    return True


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
