"""Recurrent layers to how they begin: whether the state runs away from round to round, or nothing gets into it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import answer_in, leaving_no_trace
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial

LIMITS = THRESHOLDS
CLIFF = 1e-9  # of the hardest pull
LEFT_OF = 0.75  # of the steps
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
        statistic={"value": 0.0, "healthy": [LIMITS.reach, 1e3], "cut": True},
    )


def cut_off(trial: Trial) -> Finding | None:
    """Early steps of a sequence that no gradient reaches: the state is detached on its way, or begins anew there.

    A state that is detached every so many steps, so that the last stretch is learned from, is how long sequences are
    truncated; told is one of which at most an eighth of the steps is left. One that begins anew makes nothing of what
    came before at all.
    """
    inputs = list(trial.patient.inputs_of(trial.batch))
    first = inputs[0] if inputs else None
    if not isinstance(first, Tensor) or first.dim() != (3 if first.is_floating_point() else 2) or trial.output is None:
        raise CannotJudge("the inputs are no sequences")
    length = first.shape[1]
    last = max(2, length // 8)
    if length < 4 * last or len(first) < 2 or length in trial.output.shape[1:]:
        return None
    looked = _pulled(trial, first, inputs[1:])
    if looked is None:
        return None
    sizes, moved = looked
    pulled = sizes > 0
    many = int(pulled.sum(1).max())
    if many <= last and moved >= LIMITS.reach:
        return _cut(
            f"Of a row's steps {many} at most have a gradient, though those before, of other rows, move the answers by "
            f"{moved:.0%} of their spread.",
            "The state is detached at each step, so that nothing is learned from any step but the last.",
            float(pulled.float().mean()),
        )
    recurrent = any(isinstance(each, nn.RNNBase | nn.RNNCellBase) for each in trial.model.modules())
    at_first = sizes.gather(1, pulled.long().argmax(1, keepdim=True)).squeeze(1)  # of the earliest step with any
    sharply = bool((at_first > CLIFF * sizes.max(1).values).all())  # what fades on its way gets small before it is gone
    if recurrent and sharply and moved == 0 and many <= LEFT_OF * length:
        return _cut(
            f"Of a row's {length} steps the last {many} alone make the answer: those before, of other rows, leave it "
            "exactly as it is.",
            "The state begins anew on its way, or only the last steps are given to the recurrent layer.",
            many / length,
        )
    return None


def _pulled(trial: Trial, first: Tensor, rest: list[Any]) -> tuple[Tensor, float] | None:
    """How hard an answer pulls at each step of its row, (rows, steps), and by how much of their spread the answers
    move where the steps before any pull are other rows'; None where this cannot be seen, or a quarter is not so."""
    patient, model, mood = trial.patient, trial.model, trial.model.training
    with leaving_no_trace(), torch.enable_grad():
        model.eval()
        try:
            read, answer = _answer(trial, model, [first, *rest])
            if answer is None or not answer.requires_grad or not read:
                return None
            weight = torch.randn(answer.shape, generator=torch.Generator().manual_seed(0)).to(answer)
            gradients = torch.autograd.grad((answer * weight).sum(), read, allow_unused=True)
            found = [torch.zeros_like(each) if one is None else one for each, one in zip(read, gradients, strict=True)]
            sizes = (found[0] if len(found) == 1 else torch.stack(found, 1)).abs().sum(2)
            pulled = sizes > 0
            if pulled.shape != first.shape[:2] or not pulled.any(1).all():
                return None
            before = ~pulled.long().cumsum(1).bool()
            if float(before.float().mean()) < 0.25:
                return None
            other = torch.where(before.reshape(*before.shape, *[1] * (first.dim() - 2)), first.roll(1, 0), first)
            after = answer_in(patient.ask(model, [other.detach(), *rest]))
        finally:
            model.train(mood)
    if after is None:
        return None
    answer, after = answer.detach(), after.detach()
    spread = (answer - answer.roll(1, 0)).abs().mean().clamp_min(1e-12)
    return sizes.detach(), float((after - answer).abs().mean() / spread)


def _cut(evidence: str, cause: str, value: float) -> Finding:
    told = {"value": value, "healthy": [0.125, 1.0]}
    return Finding("no-long-range-signal", "the state", "critical", evidence, cause, 0.95, statistic=told)


def _answer(trial: Trial, model: nn.Module, inputs: list[Any]) -> tuple[list[Tensor], Tensor | None]:
    """(what is read of each row, (rows, steps, numbers) or (rows, numbers) for each step; the answer to it): the rows
    themselves, or the vectors that stand for tokens."""
    if inputs[0].is_floating_point():
        rows = inputs[0].detach().clone().requires_grad_()
        return [rows], answer_in(trial.patient.ask(model, [rows, *inputs[1:]]))
    table = next((each for each in model.modules() if isinstance(each, nn.Embedding)), None)
    if table is None:
        return [], None
    read: list[Tensor] = []
    handle = table.register_forward_hook(lambda module, given, output: read.append(output))
    try:
        return read, answer_in(trial.patient.ask(model, inputs))
    finally:
        handle.remove()
