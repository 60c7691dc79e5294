"""A trial on one batch to whether the layers in front of the head do more together than one layer could."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.trial import Trial

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
BETWEEN = "between the layers"
EXACT = 1e-3  # of the features' size, by which a straight line may be missed


def underfitting(trial: Trial) -> Finding | None:
    """Several layers that together are one linear map, as nothing bends what passes from one to the next.

    Not told where a layer is narrower than both ends, as in a correction of low rank or a linear autoencoder.
    """
    layers = [(name, each) for name, each in trial.model.named_modules() if isinstance(each, LAYERS)]
    inputs = trial.patient.inputs_of(trial.batch)
    first = inputs[0] if len(inputs) == 1 else None
    if len(layers) < 2 or not isinstance(first, Tensor) or not first.is_floating_point() or first.dim() < 2:
        raise CannotJudge("needs one input of numbers and two layers")
    if len(first) < 2 or trial.output is None or not first.isfinite().all():
        raise CannotJudge("needs finite rows")
    seen = _features(trial, layers[-1][1], [0 * first, first, -3 * first, first - 2 * first.flip(0)])
    if len(seen) != 4:
        return None
    zero, once, thrice, mixed = seen
    size = float((once - zero).abs().max())
    expected = zero + (once - zero) - 2 * (once.flip(0) - zero.flip(0))
    missed = max(float((thrice - zero + 3 * (once - zero)).abs().max()), float((mixed - expected).abs().max()))
    if size < 1e-9 or missed > EXACT * size:
        return None
    widths = [len(each.weight) if isinstance(each, nn.Linear) else each.weight[0].numel() for _, each in layers[:-1]]
    ends = min(first[0].numel(), trial.output[0].numel())
    if min(widths) < ends:
        return None
    return Finding(
        "underfitting",
        BETWEEN,
        "warn",
        f"What the {len(layers)} layers hand to the last one is a linear function of the inputs: of inputs three times "
        f"as large and turned it is missed by {missed / size:.1e} of its size.",
        "Nothing bends what passes between the layers, so all together can do no more than one.",
        0.9,
        statistic={"value": missed / size, "healthy": [EXACT, 10.0]},
    )


@torch.no_grad()
def _features(trial: Trial, last: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """What the last layer is given for each of these inputs, in evaluation."""
    seen: list[Tensor] = []

    def see(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0].detach().double())

    handle = last.register_forward_pre_hook(see)
    modes = [(module, module.training) for module in trial.model.modules()]
    try:
        with leaving_no_trace(), torch.no_grad():
            trial.model.eval()
            for each in inputs:
                trial.model(each)
    finally:
        handle.remove()
        for module, training in modes:
            module.training = training
    return seen
