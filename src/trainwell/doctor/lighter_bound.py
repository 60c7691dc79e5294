"""A collapsed posterior to its cures: the divergence's gradient as the evidence lower bound has it, or free bits."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.bound import Pass, Weights, pass_of, with_views
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.remedy import Chart, forget
from trainwell.doctor.thresholds import THRESHOLDS

FREE = 0.25  # nats of each latent that cost nothing: Kingma et al. 2016, arXiv:1606.04934, have .1 to .5
TENTH = 0.1  # of the steps, over which the weight comes in: Bowman et al. 2016, arXiv:1511.06349
WITHOUT_PLAN = 50  # steps of that, where nobody has said how many there will be


@dataclass
class Spare:
    """What of the divergence's gradient is left out at each pass, and how much of the loss that is."""

    weights: Weights
    model: nn.Module
    coming: int = 0  # steps over which the weight comes in
    bounded: bool = True  # whether the weight is that of the evidence lower bound
    free: float = 0.0  # nats of each latent that cost nothing
    taken: int = 0
    of_step: Tensor | float = 0.0  # of the loss that the loop tells
    latest: Tensor | float = 0.0  # of that of the latest pass, be it one of a copy or an evaluation's

    def most(self) -> float:
        """What the divergence may weigh now."""
        whole = self.weights.errors if self.bounded else self.weights.divergence
        return whole * min(1.0, (self.taken + 1) / max(1, self.coming))

    def see(self, module: nn.Module, made: Pass) -> None:
        """Note what the loss of this pass holds that nothing is learned from."""
        nats = self.weights.nats(made)
        if nats is None:
            return
        kept = (nats >= self.free).to(nats) * min(1.0, self.most() / self.weights.divergence)
        self.latest = self.weights.divergence * ((1 - kept) * nats).sum()
        if module is self.model and torch.is_grad_enabled() and module.training:
            self.of_step, self.taken = self.latest, self.taken + 1

    def lighten(self, made: Pass, place: int, gradient: Tensor) -> Tensor:
        """The gradient at a code, as far as it may weigh."""
        if place not in self.weights.kinds:
            return gradient
        self.weights.read_code(place, made.codes[place], gradient)
        nats = self.weights.nats(made) if self.free else None
        if nats is not None:
            gradient = gradient * (nats >= self.free).to(gradient)
        return gradient * min(1.0, self.most() / self.weights.codes[place])


def restore_bound(chart: Chart, finding: Finding) -> str | None:
    """The evidence lower bound's weight for a divergence that has far more, or is subtracted."""
    weights = chart.patient.weights
    if chart.own_loop or weights is None or not (weights.times > THRESHOLDS.over_bound or weights.times < 0):
        return None
    times, chart.facts["divergence over errors"] = weights.times, 1.0  # from now on
    _spare(chart.patient, Spare(weights, chart.patient.bare))
    forget(chart.patient)
    return (
        f"the divergence's gradient divided by {times:.3g}, so that it weighs what it does in the evidence lower bound"
    )


def free_bits(chart: Chart, finding: Finding) -> str | None:
    """No gradient of the divergence for latents that say next to nothing, and its weight coming in step by step."""
    weights = chart.patient.weights
    if chart.own_loop or weights is None or not weights.divergence > 0:
        return None
    coming = int(TENTH * int(chart.facts.get("steps") or 0)) or WITHOUT_PLAN
    bounded = weights.times > THRESHOLDS.over_bound
    _spare(chart.patient, Spare(weights, chart.patient.bare, coming, bounded, FREE))
    forget(chart.patient)
    return (
        f"free bits: no gradient of the divergence for latents below {FREE:g} nats, and its weight coming in over "
        f"{coming} steps"
    )


def _spare(patient: Patient, spare: Spare) -> None:
    """Have the loop's backward passes, and the loss that a copy or an evaluation has, spared from now on."""
    made, first = patient.loss_of, patient.spare is None
    patient.spare = spare
    if not first:
        return

    def lighten(module: nn.Module, inputs: Any, output: Any) -> Any:
        now = patient.spare
        if now is None:
            return None
        found = pass_of(module, inputs, output)
        now.see(module, found)
        if not torch.is_grad_enabled() or not found.codes:
            return None
        shown = found.bare()
        hooks = [partial(now.lighten, shown, place) for place in range(len(found.codes))]
        return with_views(module, output, found.codes, hooks)

    lighten.comes_off = True  # type: ignore[attr-defined]
    patient.bare.register_forward_hook(lighten)
    if made is None:
        return

    def loss_of(model: nn.Module, batch: Any, player: str) -> Tensor:
        loss = made(model, batch, player)
        return loss - patient.spare.latest if patient.spare is not None else loss

    patient.loss_of = loss_of
