"""A training at a healthy moment, held in memory, to go back to."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.doctor.patient import Patient

RATES = {"lr", "initial_lr", "max_lr", "min_lr"}  # of a group, the latter two of one cycle
SETTINGS = (*RATES, "weight_decay", "momentum", "betas", "eps", "maximize")  # what remedies change


@dataclass
class Snapshot:
    """Copies of a model's tensors and of what its optimizers remember."""

    step: int
    tensors: dict[str, Tensor]
    optimizers: dict[str, dict[str, Any]]
    kinds: dict[str, type]  # of the optimizers, as one's state is no other's
    loss: float = float("nan")

    @classmethod
    def of(cls, patient: Patient, step: int = 0, loss: float = float("nan")) -> "Snapshot":
        tensors = {name: value.detach().clone() for name, value in tensors_of(patient.bare).items()}
        optimizers = {name: _remembered(each) for name, each in patient.optimizers.items()}
        return cls(step, tensors, optimizers, {name: type(each) for name, each in patient.optimizers.items()}, loss)

    @torch.no_grad()
    def into(self, model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
        """Put the weights, buffers and optimizer state back, into this model or a copy of it; its settings stay
        as they are."""
        for name, value in tensors_of(model).items():
            if name in self.tensors and value.shape == self.tensors[name].shape:
                value.copy_(self.tensors[name])
        for name, optimizer in optimizers.items():
            stand_in = getattr(optimizer, "stands_in", optimizer)
            if type(stand_in) is not self.kinds[name]:
                stand_in.state.clear()
            if type(optimizer) is not self.kinds[name]:
                continue
            saved = copy.deepcopy(self.optimizers[name])
            if _sizes(saved["param_groups"]) != _sizes(optimizer.param_groups):
                continue  # it holds other parameters than then
            groups = optimizer.param_groups
            optimizer.load_state_dict(saved)
            optimizer.param_groups = groups  # the same objects, by which what a remedy changed of each is remembered

    def patient(self, patient: Patient) -> Patient:
        """A copy of the patient as it was then."""
        model, optimizers = patient.copy()
        self.into(model, optimizers)
        return replace(patient, model=model, optimizers=optimizers, held=patient.holds())


def _remembered(optimizer: Optimizer) -> dict[str, Any]:
    """A copy of an optimizer's state, which torch refuses where it remembers a parameter that it no longer holds."""
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    lost = [each for each in optimizer.state if isinstance(each, Tensor) and id(each) not in held]
    strays = {each: optimizer.state.pop(each) for each in lost}
    try:
        return copy.deepcopy(optimizer.state_dict())
    finally:
        optimizer.state.update(strays)


def _sizes(groups: list[dict[str, Any]]) -> list[int]:
    """How many parameters each group of an optimizer holds."""
    return [len(group["params"]) for group in groups]


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, also those buffers that are not saved."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
