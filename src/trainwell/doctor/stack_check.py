"""A trial on one batch to whether the layers in front of the head do more together than one layer could."""

import copy

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import leaving_no_trace, remembered
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
    seen = _features(trial, layers[-1][0], [0 * first, first, -3 * first, first - 2 * first.flip(0)])
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


def _features(trial: Trial, last: str, inputs: list[Tensor]) -> list[Tensor]:
    """What the last layer is given for each of these inputs, in evaluation, by a copy whose weights are shaken: what
    begins at zero, as a residual branch may, bends nothing yet."""
    seen: list[Tensor] = []
    with leaving_no_trace(), torch.no_grad():
        model = copy.deepcopy(trial.model, remembered(trial.model)).eval()
        generator = torch.Generator().manual_seed(0)
        for weight in model.parameters():
            if weight.is_floating_point():
                fan = max(1, weight[0].numel() if weight.dim() > 1 else weight.numel())
                noise = torch.randn(weight.shape, generator=generator) * fan**-0.5
                weight.add_(noise.to(weight))
        module = model.get_submodule(last)
        module.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().double()))
        for each in inputs:
            model(each)
    return seen
