"""An activation's name to its module, and the GELU of GPT-2 in a form that learns fast on a processor."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,  # Nair & Hinton 2010
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 below zero; Maas et al. 2013
    "prelu": nn.PReLU,  # a learned slope below zero, 0.25 at first; He et al. 2015
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": partial(nn.Softmax, dim=-1),  # over the last axis, the one that holds features
    "elu": nn.ELU,  # Clevert et al. 2016
    "selu": nn.SELU,  # keeps mean 0 and variance 1 under LeCun's initialization; Klambauer et al. 2017
    "gelu": nn.GELU,  # Hendrycks & Gimpel 2016
    "silu": nn.SiLU,  # also known as swish; Elfwing et al. 2018
    "mish": nn.Mish,  # Misra 2019
}


def activation(name: str) -> nn.Module:
    """A new module of the named activation; raises ValueError with the known names for an unknown one."""
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation {name!r}; known: {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]()


class TanhGELU(nn.GELU):
    """GELU by the formula with a tanh, learned on a processor in less time than torch's kernels take.

    Hendrycks & Gimpel 2016, arXiv:1606.08415. x: (...) -> (...)
    """

    def __init__(self) -> None:
        super().__init__(approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return _LearnedGELU.apply(x)
        return super().forward(x)


class _LearnedGELU(torch.autograd.Function):
    """x times the logistic function of twice the tanh's argument: the same numbers, and on a processor that function
    of torch's is several times as fast as its tanh. The slope is kept for the way back. x: (...) -> (...)
    """

    CUBIC = 0.044715
    SCALE = 2 * (2 / math.pi) ** 0.5
    PIECE = 2**19  # numbers; temporary ones of larger pieces would be asked of the system anew each time

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        flat = x.reshape(-1)
        result, slope = torch.empty_like(flat), torch.empty_like(flat)
        kind = torch.promote_types(x.dtype, torch.float32)
        first, third = _LearnedGELU.SCALE, _LearnedGELU.SCALE * _LearnedGELU.CUBIC
        for given, answer, steep in zip(
            *(each.split(_LearnedGELU.PIECE) for each in (flat, result, slope)), strict=True
        ):
            value = given.to(kind, copy=True)
            square = value * value
            share = (square * third).add_(first).mul_(value).sigmoid_()
            answer.copy_(value.mul_(share))
            steeper = square.mul_(3 * third).add_(first).mul_(value)
            steep.copy_(steeper.addcmul_(steeper, share, value=-1).add_(share))
        context.save_for_backward(x, slope.view(x.shape))
        return result.view(x.shape)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        x, slope = context.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            return torch.ops.aten.gelu_backward(gradient, x, approximate="tanh")
        return gradient * slope
