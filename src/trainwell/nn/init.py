"""Fresh layers to layers whose signal keeps its variance from input to output."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Each takes the weight of a linear or convolution layer, (outputs, inputs, ...), and fills it in place.
# Variances: Glorot & Bengio 2010 2 / (inputs + outputs), He et al. 2015 2 / inputs, LeCun et al. 1998 1 / inputs,
# where a convolution counts its receptive field; Saxe et al. 2014 draws an orthogonal matrix.
INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "he_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "he_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "lecun_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="linear"),
    "lecun_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="linear"),
    "orthogonal": nn.init.orthogonal_,
    "zeros": nn.init.zeros_,
}

# Half of a centred signal dies in a rectifier, so He's doubled variance; squashing functions are straight at zero and
# ask for both directions to be kept, so Glorot's; SELU's fixed point was derived for LeCun's.
MATCHING = {
    "identity": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "tanh": "glorot_uniform",
    "softmax": "glorot_uniform",
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "prelu": "he_normal",
    "elu": "he_normal",
    "gelu": "he_normal",
    "silu": "he_normal",
    "mish": "he_normal",
    "selu": "lecun_normal",
}

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@torch.no_grad()
def initialize(module: nn.Module, name: str) -> nn.Module:
    """Fill every linear and convolution weight inside the module by the named initializer, and zero their biases.

    Returns the same module; raises ValueError with the known names for an unknown one.
    """
    if name not in INITIALIZERS:
        raise ValueError(f"no initialization {name!r}; known: {', '.join(sorted(INITIALIZERS))}")
    for layer in module.modules():
        if isinstance(layer, WEIGHTED):
            INITIALIZERS[name](layer.weight)
        elif isinstance(layer, TRANSPOSED):  # stored as (inputs, outputs, ...): turn it so that fan-in is fan-in
            INITIALIZERS[name](layer.weight.transpose(0, 1))
        else:
            continue
        if layer.bias is not None:
            layer.bias.zero_()
    return module


def initialize_for(module: nn.Module, activation: str) -> nn.Module:
    """Initialize the layers inside the module as the activation that follows them asks for.

    Returns the same module; raises ValueError with the known names for an unknown activation.
    """
    if activation not in MATCHING:
        raise ValueError(f"no initialization is known for {activation!r}; known: {', '.join(sorted(MATCHING))}")
    return initialize(module, MATCHING[activation])
