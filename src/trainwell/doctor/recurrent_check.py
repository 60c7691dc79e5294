"""Recurrent layers to how they begin: whether the state runs away from round to round, or nothing gets into it."""

import math

import torch
from torch import nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
SHUT = 0.03  # of a gate, below which it counts as saturated: the same share as for any sigmoid


def bad_start(model: nn.Module) -> Finding | None:
    """A state that grows from round to round, or gates that let nothing in and keep nothing."""
    return _recurrent_gain(model) or _shut_gates(model)


def _recurrent_gain(model: nn.Module) -> Finding | None:
    """Recurrent weights by which the state grows from round to round."""
    for name, module in model.named_modules():
        for key, value in module.named_parameters(recurse=False) if isinstance(module, nn.RNNBase) else ():
            gain, limit = float(value.detach().float().std()) * math.sqrt(value.shape[-1]), LIMITS.recurrent_gain
            if key.startswith("weight_hh") and getattr(module, "nonlinearity", "") == "relu":
                # Nothing bounds a state behind rectifiers, so its largest eigenvalue tells (Le et al. 2015 begin at 1).
                gain, limit = float(torch.linalg.eigvals(value.detach().float()).abs().max()), LIMITS.recurrent_radius
            if key.startswith("weight_hh") and gain > limit:
                return Finding(
                    "bad-initialization",
                    f"{name}.{key}".lstrip("."),
                    "critical",
                    f"A round of {name} multiplies its state by about {gain:.3g} (healthy is 0.5 to 1).",
                    "Over many rounds the state runs to its ends, and the gradient explodes or dies there.",
                    0.85,
                    statistic={"value": gain, "healthy": [0.3, 1.5]},
                )
    return None


@torch.no_grad()
def _shut_gates(model: nn.Module) -> Finding | None:
    """An LSTM most of whose units begin with the input's and the forgetting gate both shut by their biases.

    An input gate that is nearly shut beside an open forgetting gate is meant for long memories: Tallec and Ollivier
    2018, arXiv:1804.11188.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.LSTM) or not module.bias:
            continue
        for key, bias in module.named_parameters(recurse=False):
            if not key.startswith("bias_ih"):
                continue
            both = bias.float() + getattr(module, key.replace("bias_ih", "bias_hh")).float()
            gates = both.unflatten(0, (4, -1))[:2].sigmoid()  # what comes in, and what stays
            share = float((gates < SHUT).all(0).float().mean())
            if share > LIMITS.saturated_share:
                return Finding(
                    "bad-initialization",
                    f"{name}.{key}".lstrip("."),
                    "critical",
                    f"The biases of {share:.0%} of the units of {name} shut the gate of what comes in and the gate of "
                    f"what stays: on average they let {float(gates.mean()):.2g} of it through.",
                    "Nothing gets into the state and nothing stays there, so no gradient comes through either.",
                    0.9,
                    statistic={"value": share, "healthy": [0, LIMITS.saturated_share]},
                )
    return None


def state_left_behind(places: list[str]) -> Finding | None:
    """Of weights without any gradient, only those that read the state: it is zero whenever it is read."""
    if not places or not all("weight_hh" in place for place in places):
        return None
    return Finding(
        "no-long-range-signal",
        places[0],
        "critical",
        f"The gradient of {places[0]}, which reads the state of the step before, is exactly 0 at every probe.",
        "The state is left behind: each step is given to the layer by itself, or the state is put to zero in between.",
        0.9,
        statistic={"value": 0.0, "healthy": [LIMITS.reach, 1e3]},
    )
