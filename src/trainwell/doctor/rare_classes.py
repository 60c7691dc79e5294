"""A rare class that is missed to gradients in which it counts as much as the others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.remedy import Chart

WORDS = "each row's gradient weighed by how rare its class is, so that all classes count alike"


def weigh_classes(chart: Chart, finding: Finding) -> str | None:
    """Each row's gradient weighed by how rare its class is, in place of whatever weights the loss gives.

    The gradient of cross-entropy on a row's scores is its probabilities less its target, so that its one negative
    entry tells the class; on one score a row its sign does.
    """
    kind = chart.facts.get("loss")
    if kind in ("bce", "bce_logits") and not chart.own_loop:
        return _weigh_two(chart)
    shares = {int(kind): float(share) for kind, share in chart.facts.get("class shares") or ()}
    classes, given = chart.facts.get("classes"), chart.facts.get("class weights")
    if chart.own_loop or kind != "cross_entropy" or not classes or not shares:
        return None
    rarity = torch.tensor([1 / (len(shares) * shares[each]) if shares.get(each) else 1.0 for each in range(classes)])
    by_loss = torch.tensor(given or [1.0] * classes).clamp_min(1e-12)

    def weigh(gradient: Tensor) -> Tensor:
        kinds = gradient.argmin(1)
        before, after = by_loss.to(gradient)[kinds], rarity.to(gradient)[kinds]
        return gradient * (after / before * before.mean())[:, None]

    def listen(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and output.dim() == 2 and output.shape[1] == classes:
            output.register_hook(weigh)

    return _listened(chart, listen)


def _weigh_two(chart: Chart) -> str | None:
    """The same of two classes told by one score a row; nothing where rows have several."""
    shares = {int(kind): float(share) for kind, share in chart.facts.get("class shares") or ()}
    if shares.keys() != {0, 1} or min(shares.values()) <= 0:
        return None

    def weigh(gradient: Tensor) -> Tensor:
        return gradient * torch.where(gradient < 0, 0.5 / shares[1], 0.5 / shares[0])

    def listen(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and output.dim() and output.numel() == len(output):
            output.register_hook(weigh)

    return _listened(chart, listen)


def _listened(chart: Chart, listen: Callable[..., None]) -> str:
    """The hook hung on; the plain loss, which the loop goes on telling, then says little of what is learned."""
    chart.patient.bare.register_forward_hook(listen)
    chart.facts.pop("ridge leaves", None)
    return WORDS
