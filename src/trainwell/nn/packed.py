"""Linear layers to a layout of their weights that few rows run through faster on a processor, with equal results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention
from trainwell.nn.embed import TokenEmbedding

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
KINDS = (torch.float32, torch.bfloat16)
SMALLEST = 2**16  # weights in a layer below which the kernel's own 15 microseconds a call are not won back


class PackedLinear(nn.Module):
    """A linear layer for inference on `rows` rows at a time, more or fewer allowed; it keeps a copy of the weights.

    For one row, where memory sets the pace, the weights are stored turned and read in one sweep; else they lie in the
    blocks that oneDNN's kernels work on. x: (..., inputs) -> (..., outputs)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, rows: int) -> None:
        super().__init__()
        weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.turned = weight.t().contiguous() if rows == 1 else None
        self.blocks = None if self.turned is not None else torch.ops.mkldnn._reorder_linear_weight(weight, rows)

    def forward(self, x: Tensor) -> Tensor:
        if self.turned is None:
            return torch.ops.mkldnn._linear_pointwise(x, self.blocks, self.bias, "none", [], "")
        flat = x.reshape(-1, x.shape[-1])
        y = flat @ self.turned if self.bias is None else torch.addmm(self.bias, flat, self.turned)
        return y.view(*x.shape[:-1], -1)


def packable(weight: Tensor, rows: int) -> bool:
    """Whether packing serves this weight: large, on a processor that oneDNN knows, in float32 or bfloat16.

    For one row only wide layers gain: the others are read in one sweep as they are. weight: (outputs, inputs)
    """
    known = ONEDNN and weight.device.type == "cpu" and weight.dtype in KINDS and weight.numel() >= SMALLEST
    return known and (rows > 1 or weight.shape[0] > weight.shape[1])


Fits = Callable[[Tensor], bool]  # whether a weight (outputs, inputs) is worth a copy
Make = Callable[[Tensor, Tensor | None], nn.Module]  # a layer from a weight and a bias


def joined(part: SelfAttention, fits: Fits, make: Make) -> nn.Module | None:
    """Queries, keys and values in one product; None if one of the three is no plain layer."""
    layers = [part.query, part.key, part.value]
    if any(type(layer) is not nn.Linear for layer in layers):
        return None
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    if len(biases) not in (0, 3):
        return None
    weights: list[Tensor] = [layer.weight for layer in layers]
    weight = torch.cat(weights)
    return make(weight, torch.cat(biases) if biases else None) if fits(weight) else None


def copies_of(model: nn.Module, fits: Fits, make: Make) -> dict[tuple[str, str], nn.Module]:
    """A layer made anew for each place of the model that takes one: (path of the part, name in it) -> layer."""
    copies: dict[tuple[str, str], nn.Module] = {}
    for path, part in model.named_modules():
        inside: tuple[str, ...] = ()
        if isinstance(part, SelfAttention) and (joint := joined(part, fits, make)):
            copies[path, "joint"] = joint
            inside = ("query", "key", "value")
        if isinstance(part, TokenEmbedding) and fits(part.token.weight):
            copies[path, "head"] = make(part.token.weight, None)
        for name, layer in part.named_children():
            if type(layer) is nn.Linear and name not in inside and fits(layer.weight):
                copies[path, name] = make(layer.weight, layer.bias)
    return copies


def put(model: nn.Module, copies: dict[tuple[str, str], nn.Module]) -> list[tuple[nn.Module, str, Any]]:
    """Let the model work with these layers; gives what stood there: the part, the name in it, and what it was."""
    replaced: list[tuple[nn.Module, str, Any]] = []
    for (path, name), layer in copies.items():
        part = model.get_submodule(path)
        replaced.append((part, name, getattr(part, name)))
        if name in part._modules:
            part._modules[name] = layer
        else:  # `joint` and `head`, in a tuple
            setattr(part, name, (layer,))
    return replaced


# The last copies of each model, by what they were made from; paths instead of parts let a forgotten model go.
_KEPT: WeakKeyDictionary[nn.Module, tuple[list[Any], dict[tuple[str, str], nn.Module]]] = WeakKeyDictionary()


def marks(model: nn.Module, rows: int) -> list[Any]:
    """What changes when a weight does: place in memory, count of changes in place, and some of its values."""
    found: list[Any] = [rows == 1]
    for weight in model.parameters():
        flat = weight.detach().flatten()
        found.append((weight.data_ptr(), weight._version, flat[:: max(1, len(flat) // 16)].sum().item()))
    return found


def is_packed(model: nn.Module, *, rows: int) -> bool:
    """Whether copies for as many rows are kept and still true."""
    return model in _KEPT and _KEPT[model][0] == marks(model, rows)


@contextmanager
def packed(model: nn.Module, *, rows: int) -> Iterator[None]:
    """Within the block, the model's linear layers and tied heads work from packed copies, for inference alone.

    The copies are kept for the next time, as long as the model lives and its weights stay as they are. Weights that are
    changed within the block are not seen. A block within a block changes nothing more.
    """
    if any(isinstance(part, PackedLinear) or getattr(part, "joint", None) for part in model.modules()):
        yield
        return
    if not is_packed(model, rows=rows):
        _KEPT.pop(model, None)  # first the old copies go, then the new ones come
        copies = copies_of(model, lambda weight: packable(weight, rows), partial(PackedLinear, rows=rows))
        _KEPT[model] = (marks(model, rows), copies)
    replaced = put(model, _KEPT[model][1])
    try:
        yield
    finally:
        for part, name, before in replaced:
            if isinstance(before, nn.Module):
                part._modules[name] = before
            else:
                setattr(part, name, before)
