"""Dropout, in modules and called as a function: how much of it there is, and how a network does with less."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from trainwell.doctor.activation import ActivationMode
from trainwell.doctor.finding import UNFIT
from trainwell.doctor.patient import Patient, leaving_no_trace
from trainwell.doctor.series import Record


class LighterDropout(TorchFunctionMode):
    """Inside, whatever drops units by chance as a function drops at most this share of them."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, named, given = getattr(func, "__name__", ""), dict(kwargs or {}), list(args)
        if "dropout" in name and (given or "input" in named):
            if self.most == 0:
                return given[0] if given else named["input"]
            if len(given) > 1:
                given[1] = min(given[1], self.most)
            else:
                named["p"] = min(named.get("p", 0.5), self.most)
        if named.get("dropout_p"):
            named["dropout_p"] = min(named["dropout_p"], self.most)
        return func(*given, **named)


def lighten(model: nn.Module, most: float, where: Callable[[nn.Module], bool] = lambda model: True) -> None:
    """Dropout that is called as a function takes at most this share in every pass for which `where` holds."""
    entered: list[LighterDropout] = []
    model.dropped_at_most = most  # type: ignore[assignment]  # where its pass is made again from a tape

    def enter(module: nn.Module, inputs: Any) -> None:
        if where(module):
            entered.append(LighterDropout(most))
            entered[-1].__enter__()

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        if entered:
            entered.pop().__exit__(None, None, None)

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)


def without_dropout(model: nn.Module, optimizers: Any) -> None:
    """Every dropout switched off."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    lighten(model, 0.0)


def in_modules(model: nn.Module) -> float:
    """The largest share that a dropout layer leaves out."""
    layers = [each.p for each in model.modules() if isinstance(each, nn.modules.dropout._DropoutNd)]
    return float(max(layers, default=0.0))


@torch.no_grad()
def read(patient: Patient, record: Record, batches: Sequence[Any]) -> None:
    """The largest share that any dropout, called as a function or not, leaves out of one pass in training mode."""
    if "dropout called" in record.facts or not batches:
        return
    shares = [0.0]

    def see(name: str, args: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        if name.endswith("dropout") and named.get("training", args[2] if len(args) > 2 else True):
            shares.append(float(named.get("p", args[1] if len(args) > 1 else 0.5)))

    with leaving_no_trace():
        model, _ = patient.copy()
        try:
            with ActivationMode(see):
                patient.output(model.train(), batches[0])
        except UNFIT:
            shares.append(0.0)
    record.facts["dropout called"] = max(shares)
    record.facts["dropout"] = max(*shares, record.facts["dropout"])
