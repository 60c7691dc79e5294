"""An activation's name to its module."""

from collections.abc import Callable
from functools import partial

from torch import nn

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
