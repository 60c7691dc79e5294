"""Scores and targets to one loss a row, by name."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(
    scores: Tensor, target: Tensor, *, label_smoothing: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Minus the log probability of the right class, in nats. Smoothing: Szegedy et al. 2015, arXiv:1512.00567.

    scores: (batch, classes), target: (batch,) classes or (batch, classes) probabilities -> (batch,)
    """
    return F.cross_entropy(scores, target, weight=weight, reduction="none", label_smoothing=label_smoothing)


def focal(scores: Tensor, target: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy with less weight on what is already right. Lin et al. 2017, arXiv:1708.02002.

    scores: (batch, classes), target: (batch,) -> (batch,)
    """
    right = scores.log_softmax(1).gather(1, target[:, None])[:, 0].exp()
    return (1 - right) ** gamma * F.cross_entropy(scores, target, weight=weight, reduction="none")


def hinge(scores: Tensor, target: Tensor) -> Tensor:
    """How far the best wrong class comes within one of the right class. Crammer & Singer 2001.

    scores: (batch, classes), target: (batch,) -> (batch,)
    """
    right = scores.gather(1, target[:, None])
    wrong = scores.scatter(1, target[:, None], -torch.inf).amax(1)
    return (1 + wrong - right[:, 0]).clamp_min(0)


def perceptron(scores: Tensor, target: Tensor) -> Tensor:
    """How far the best wrong class lies above the right one; with one score, minus the signed score where it is wrong.

    scores: (batch, classes) or (batch, 1), target: (batch,) -> (batch,)
    Its gradient step with rate 1 on one row is Rosenblatt's rule. Rosenblatt 1958.
    """
    if scores.shape[1] == 1:
        return (-(2 * target.to(scores) - 1) * scores[:, 0]).clamp_min(0)
    right = scores.gather(1, target[:, None])[:, 0]
    return (scores.amax(1) - right).clamp_min(0)


def binary_cross_entropy(scores: Tensor, target: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Minus the log probability of each label, averaged over the labels of a row, in nats.

    scores: (batch, labels), target: (batch, labels) of 0 and 1 -> (batch,)
    """
    return F.binary_cross_entropy_with_logits(scores, target.to(scores), pos_weight=weight, reduction="none").mean(1)


def binary_focal(scores: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Binary cross-entropy with less weight on what is already right. Lin et al. 2017, arXiv:1708.02002.

    scores: (batch, labels), target: (batch, labels) of 0 and 1 -> (batch,)
    """
    each = F.binary_cross_entropy_with_logits(scores, target.to(scores), reduction="none")
    return ((1 - torch.exp(-each)) ** gamma * each).mean(1)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """The squared error, averaged over a row's targets.

    output: (batch, targets), target: (batch, targets) -> (batch,)
    """
    return (output - target).square().mean(1)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """The absolute error, averaged over a row's targets.

    output: (batch, targets), target: (batch, targets) -> (batch,)
    """
    return (output - target).abs().mean(1)


def huber(output: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Squared near zero, straight beyond `delta`. Huber 1964.

    output: (batch, targets), target: (batch, targets) -> (batch,)
    """
    return F.huber_loss(output, target, delta=delta, reduction="none").mean(1)


def log_cosh(output: Tensor, target: Tensor) -> Tensor:
    """The logarithm of the error's hyperbolic cosine: squared near zero, straight far out, smooth between.

    output: (batch, targets), target: (batch, targets) -> (batch,)
    """
    error = (output - target).abs()
    return (error + F.softplus(-2 * error) - math.log(2)).mean(1)


def pinball(error: Tensor, quantile: float | Tensor) -> Tensor:
    """Truth minus forecast to what it costs: above the forecast by the quantile, below it by the rest.

    Lowest on average where the forecast is this quantile. Koenker & Bassett 1978. error: (...) -> (...)
    """
    return torch.maximum(quantile * error, (quantile - 1) * error)


def ctc(
    log_probabilities: Tensor, target: Tensor, *, lengths: Tensor, target_lengths: Tensor, blank: int = 0
) -> Tensor:
    """Minus the log probability of a label sequence under all alignments. Graves et al. 2006.

    log_probabilities: (batch, time, symbols), target: (batch, longest) -> (batch,)
    """
    return F.ctc_loss(
        log_probabilities.transpose(0, 1),
        target,
        lengths,
        target_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=True,
    )


CLASS_LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "hinge": hinge,
    "perceptron": perceptron,
}
LABEL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "binary_cross_entropy": binary_cross_entropy,
    "binary_focal": binary_focal,
}
NUMBER_LOSSES: dict[str, Callable[..., Tensor]] = {"mse": mse, "mae": mae, "huber": huber, "log_cosh": log_cosh}
LOSSES: dict[str, Callable[..., Tensor]] = {**CLASS_LOSSES, **LABEL_LOSSES, **NUMBER_LOSSES, "ctc": ctc}
