"""A trained layer to a frozen one with a learned low-rank addition. Hu et al. 2021, arXiv:2106.09685."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.transfer import hold_statistics, unfreeze


class LoRALinear(nn.Linear):
    """A linear layer whose weight is frozen and gets `alpha / rank` times the product of two thin matrices added.

    The names weight and bias stay, so that weight files still fit. At first the addition is zero.

    x: (..., in_features) -> (..., out_features)
    """

    lora_dropout: nn.Dropout
    lora_scale: float

    def __init__(self, layer: nn.Linear, *, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        _adopt(self, layer, rank, alpha, dropout)
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(self.lora_dropout(x), self.lora_down)
        return super().forward(x) + self.lora_scale * F.linear(low, self.lora_up)

    def addition(self) -> Tensor:
        """What the two thin matrices add to the weight, (out_features, in_features)."""
        return self.lora_scale * self.lora_up @ self.lora_down


class LoRAConv2d(nn.Conv2d):
    """A convolution whose weight is frozen and gets a convolution to `rank` channels and a 1x1 one from them added.

    The names weight and bias stay, so that weight files still fit. At first the addition is zero.

    x: (batch, in_channels, height, width) -> (batch, out_channels, height / stride, width / stride)
    """

    lora_dropout: nn.Dropout
    lora_scale: float

    def __init__(self, layer: nn.Conv2d, *, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0) -> None:
        if layer.groups != 1 or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
            raise ValueError("LoRA takes convolutions of one group with padding of zeros in pixels")
        super().__init__(layer.in_channels, layer.out_channels, **_shape(layer))
        _adopt(self, layer, rank, alpha, dropout)
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_channels, *layer.kernel_size))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_channels, rank, 1, 1))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low = F.conv2d(self.lora_dropout(x), self.lora_down, None, self.stride, self.padding, self.dilation)
        return super().forward(x) + self.lora_scale * F.conv2d(low, self.lora_up)

    def addition(self) -> Tensor:
        """What the two convolutions add to the weight, (out_channels, in_channels, height, width)."""
        return self.lora_scale * torch.einsum("or,rikl->oikl", self.lora_up[:, :, 0, 0], self.lora_down)


def add_lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    match: Sequence[str] = (),
    learn: Sequence[str] = ("head",),
) -> list[str]:
    """Freeze a network and give its linear layers and convolutions low-rank additions, in place; returns their names.

    `match` keeps to the layers whose name has one of these words in it. The parts named in `learn` learn in full.
    Frozen batch norms keep their statistics. Grouped convolutions stay frozen; layers of a kind derived from linear are
    left alone, since their owners may read the weight itself. Raises ValueError if nothing matches.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_within(name, learn))
    changed = []
    for name, module in list(model.named_modules()):
        if _within(name, learn):
            continue
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            hold_statistics(module, True)
        if match and not any(word in name for word in match):
            continue
        adapted: nn.Module
        if type(module) is nn.Linear:
            adapted = LoRALinear(module, rank=rank, alpha=alpha, dropout=dropout)
        elif type(module) is nn.Conv2d and module.groups == 1:
            adapted = LoRAConv2d(module, rank=rank, alpha=alpha, dropout=dropout)
        else:
            continue
        owner, _, key = name.rpartition(".")
        setattr(model.get_submodule(owner), key, adapted)
        changed.append(name)
    if not changed:
        raise ValueError(f"no linear layer or convolution outside {list(learn)} has a name with one of {list(match)}")
    return changed


@torch.no_grad()
def merge_lora(model: nn.Module) -> nn.Module:
    """Turn every layer with an addition into a plain one that computes the same, in place; returns the network."""
    for name, module in list(model.named_modules()):
        if not isinstance(module, LoRALinear | LoRAConv2d):
            continue
        plain: nn.Linear | nn.Conv2d
        if isinstance(module, LoRALinear):
            plain = nn.Linear(module.in_features, module.out_features, module.bias is not None, device="meta")
        else:
            plain = nn.Conv2d(module.in_channels, module.out_channels, **_shape(module))
        plain.weight = nn.Parameter(module.weight + module.addition())
        plain.bias = module.bias
        plain.train(module.training)
        owner, _, key = name.rpartition(".")
        setattr(model.get_submodule(owner), key, plain)
    unfreeze(model)
    return model


def lora_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """What learning changed: the additions and the parameters that learned in full, by their names in the network."""
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


def _within(name: str, parts: Sequence[str]) -> bool:
    """Whether a dotted name has one of these parts in it as a whole."""
    return any(f".{part}." in f".{name}." for part in parts)


def _shape(layer: nn.Conv2d) -> dict[str, Any]:
    """The arguments, beside its channels, that make a convolution of the same shape without memory of its own."""
    sizes = {key: getattr(layer, key) for key in ("kernel_size", "stride", "padding", "dilation")}
    return {**sizes, "bias": layer.bias is not None, "device": "meta"}


def _adopt(adapted: Any, layer: Any, rank: int, alpha: float, dropout: float) -> None:
    """Takes over a layer's own parameters, frozen."""
    if rank < 1:
        raise ValueError(f"rank {rank}: expected at least 1")
    adapted.weight, adapted.bias = layer.weight, layer.bias
    adapted.weight.requires_grad_(False)
    if adapted.bias is not None:
        adapted.bias.requires_grad_(False)
    adapted.lora_dropout = nn.Dropout(dropout)
    adapted.lora_scale = alpha / rank
    adapted.train(layer.training)
