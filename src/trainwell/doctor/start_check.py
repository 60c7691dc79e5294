"""A trial on one batch to findings about how its weights start."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor import head_check, recurrent_check
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial

LIMITS = THRESHOLDS
PULL, FEW_WEIGHTS = 0.7, 200  # cosine of a slope and the weights, of so many weights at least
ROUNDS = 3  # steps after which rows that start alike should differ


def bad_initialization(trial: Trial) -> Finding | None:
    """Layers whose rows start alike and stay so, or whose weights make the signal fade or explode by depth."""
    layers = [
        (name, each)
        for name, each in trial.model.named_modules()
        if isinstance(each, nn.Linear | nn.modules.conv._ConvNd)
    ]
    for name, layer in layers:
        weight, gradient = layer.weight.detach(), layer.weight.grad
        if weight.shape[0] < 4 or gradient is None or (not weight.requires_grad and gradient is None):
            continue
        if _rows_alike(weight) and _rows_alike(gradient) and (bool(gradient.any()) or _stays_alike(trial, layer)):
            return Finding(
                "bad-initialization",
                f"{name}.weight",
                "critical",
                f"All {weight.shape[0]} rows of {name}.weight are equal, and so are their gradients.",
                "Units that start equal learn the same for ever: the layer is one unit wide.",
                0.95,
                statistic={"value": 1.0, "healthy": [-1, LIMITS.same_rows]},
            )
    wild = _nothing(layers) or recurrent_check.bad_start(trial.model) or _one_signed(layers) or _loud_tables(trial)
    if wild is not None:
        return wild
    scales = [
        (name, float(each.weight.detach().float().std()) * math.sqrt(each.weight[0].numel()))
        for name, each in layers[:-1]
        if each.weight.numel() > 1 and each.weight.requires_grad and bool(each.weight.any())
    ]
    # Waves are multiplied before they are bent, by as much as their weights are made smaller: arXiv:2006.09661.
    off = [(name, scale) for name, scale in scales if not 0.05 < scale < 5 and "sin" not in trial.called]
    normed = any("Norm" in type(each).__name__ for each in trial.model.modules())
    if normed and len(off) * 2 >= len(scales) > 1 and min(scale for _, scale in off) > 5:
        return _loud_behind_norms(trial, off)
    if normed or len(scales) < 1:
        return None
    hidden = [
        size for _, size in trial.sizes[:-1] if size > 0
    ]  # what starts at zero, as a residual branch may, is left out
    ratio = hidden[-1] / max(hidden[0], 1e-30) if len(hidden) > 1 else 1.0
    runaway = not LIMITS.fading < ratio < LIMITS.growing
    if len(off) * 2 < len(scales) and not runaway:
        return None
    name, scale = off[0] if off else scales[0]
    evidence = (
        f"The weights of {name} deviate by {scale:.3g} / sqrt(inputs) (healthy is 0.5 to 2); "
        f"from the first to the last hidden layer the signal changes by a factor of {ratio:.3g}."
    )
    cause = "The initial weights are too large." if scale > 1 else "The initial weights are too small."
    return Finding(
        "bad-initialization",
        name,
        "critical" if runaway else "warn",
        evidence,
        cause,
        0.85 if off else 0.7,
        statistic={"value": scale, "healthy": [0.5, 2.0], "signal ratio": ratio},
    )


def penalized(trial: Trial) -> Finding | None:
    """A loss whose gradient is mostly a pull of all weights towards zero, by their size or by their sign alone."""
    pairs = [
        (each.grad.flatten(), each.detach().flatten())
        for each in trial.model.parameters()
        if each.grad is not None and not each.grad.is_sparse and each.dim() > 1
    ]
    if sum(len(weight) for _, weight in pairs) < FEW_WEIGHTS:
        raise CannotJudge(f"needs {FEW_WEIGHTS} weights")
    slope, weights = (torch.cat(each).float() for each in zip(*pairs, strict=True))
    share = max(float(torch.cosine_similarity(slope, each, 0)) for each in (weights, weights.sign()))
    if not share > PULL:
        return None
    return Finding(
        "over-regularized",
        "loss",
        "critical",
        f"The loss's gradient is a pull of all weights towards zero (cosine {share:.2f}; healthy is about 0).",
        "A penalty on the weights outweighs what the rows say.",
        0.9,
        statistic={"value": share, "healthy": [-PULL, PULL], "given": share},
    )


def _nothing(layers: list[tuple[str, Any]]) -> Finding | None:
    """Weights that are 0 in every layer, as where a state was made and never filled."""
    if len(layers) < 2 or any(bool(each.weight.any()) for _, each in layers):
        return None
    return Finding(
        "bad-initialization",
        f"{layers[0][0]}.weight",
        "critical",
        f"The weights of all {len(layers)} layers are 0.",
        "Nothing of the inputs reaches the output, and nothing of the error comes back.",
        0.95,
        statistic={"value": 0.0, "healthy": [0.5, 2.0]},
    )


def _tables(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Embeddings, and what a module of one's own holds beside its layers, as places or a class token."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            if module.weight.requires_grad:
                yield name, module.weight
        elif not type(module).__module__.startswith("torch."):
            for key, weight in module.named_parameters(name, recurse=False):
                if weight.requires_grad and weight.is_floating_point() and weight.dim() > 1 and weight.numel() >= 64:
                    yield key, weight


def _loud_tables(trial: Trial) -> Finding | None:
    """Embeddings so large that what steps add to them is lost in what they began with."""
    for name, weight in _tables(trial.model):
        size = float(weight.detach().float().square().mean().sqrt())
        if LIMITS.loud_table < size < math.inf:
            return Finding(
                "bad-initialization",
                name,
                "warn",
                f"The embeddings of {name} are {size:.3g} in size (root of the mean square; healthy is 0.01 to 1).",
                "What a step changes of them is little beside what they began with, which nothing has chosen.",
                0.8,
                statistic={"value": size, "healthy": [0.01, 1.0]},
            )
    return None


def _loud_behind_norms(trial: Trial, off: list[tuple[str, float]]) -> Finding | None:
    """Weights so large that norms pass the signal on, and the head makes wild answers of it all the same."""
    try:
        wild = head_check.wrong_initial_loss(trial)
    except CannotJudge:
        return None
    if wild is None:
        return None
    name, scale = off[0]
    evidence = f"The weights of {len(off)} layers are large, those of {name} deviate by {scale:.3g} / sqrt(inputs). "
    told = {"value": scale, "healthy": [0.5, 2.0]}
    cause = "The initial weights are too large."
    return Finding("bad-initialization", name, "warn", evidence + wild.evidence, cause, 0.85, statistic=told)


def _stays_alike(trial: Trial, layer: Any) -> bool:
    """Whether the rows are alike after some steps too; behind a layer that starts at zero no gradient comes at first.

    Fixup and the ends of residual branches start so: Zhang et al. 2019, arXiv:1901.09321.
    """
    learned = [each for each in trial.model.parameters() if each.grad is not None]
    kept = [(each, each.detach().clone(), each.grad) for each in learned]
    try:
        for _ in range(ROUNDS):
            with torch.no_grad():
                for each in learned:
                    if each.grad is not None:
                        each.sub_(1e-3 * each.grad / each.grad.abs().max().clamp_min(1e-30))
                        each.grad = None
            with leaving_no_trace(), torch.enable_grad():
                trial.patient.loss(trial.model, trial.batch).backward()
        return layer.weight.grad is None or (_rows_alike(layer.weight) and _rows_alike(layer.weight.grad))
    finally:
        with torch.no_grad():
            for each, value, gradient in kept:
                each.copy_(value)
                each.grad = gradient


def _rows_alike(matrix: Tensor) -> bool:
    rows = matrix.detach().flatten(1).float()
    return bool((rows - rows[:1]).abs().max() <= 1e-7 + 1e-5 * rows.abs().max())


def _one_signed(layers: list[tuple[str, Any]]) -> Finding | None:
    """Layers whose fresh weights are nearly all above zero, or below: their units all sum up the same."""
    shares = {
        name: float((each.weight > 0).float().mean())
        for name, each in layers
        if each.weight[0].numel() >= 8 and each.weight.numel() >= 64 and each.weight.requires_grad
    }
    signed = [name for name, share in shares.items() if not 0.02 < share < 0.98]
    if not signed or len(signed) * 2 < len(shares) or not any(_sums_up(dict(layers)[name]) for name in signed):
        return None
    evidence = f"{shares[signed[0]]:.0%} of the weights of {signed[0]} are above 0 (healthy is about half)."
    return Finding(
        "bad-initialization",
        signed[0],
        "warn",
        evidence,
        "Weights of one sign, as drawn from 0 to 1, add up over the inputs: all units answer alike, and far from 0.",
        0.85,
        statistic={"value": shares[signed[0]], "healthy": [0.2, 0.8]},
    )


def _sums_up(layer: Any) -> bool:
    """Whether what the weights of a unit have in common, summed over its inputs, is several times what they differ."""
    weight = layer.weight.detach().float()
    return float(weight.mean().abs()) * weight[0].numel() > 3 * float(weight.std()) * weight[0].numel() ** 0.5
