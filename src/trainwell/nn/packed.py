"""Linear layers to a layout of their weights that few rows run through faster on a processor, with equal results."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention
from trainwell.nn.embed import TokenEmbedding

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
KINDS = (torch.float32, torch.bfloat16)


class PackedLinear(nn.Module):
    """A linear layer for inference on `rows` rows at a time, more or fewer allowed; it keeps a copy of the weights.

    For one row, where memory sets the pace, a wide layer is stored turned, so that it is read in one sweep; else the
    weights lie in the blocks that oneDNN's kernels work on. x: (..., inputs) -> (..., outputs)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, rows: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.turned = weight.t().contiguous() if rows == 1 and outputs > inputs else None
        self.blocks = None if self.turned is not None else torch.ops.mkldnn._reorder_linear_weight(weight, rows)

    def forward(self, x: Tensor) -> Tensor:
        if self.turned is None:
            return torch.ops.mkldnn._linear_pointwise(x, self.blocks, self.bias, "none", [], "")
        flat = x.reshape(-1, x.shape[-1])
        y = flat @ self.turned if self.bias is None else torch.addmm(self.bias, flat, self.turned)
        return y.view(*x.shape[:-1], -1)


def packable(weight: Tensor) -> bool:
    """Whether packing serves this weight: on a processor that oneDNN knows, in float32 or bfloat16."""
    return ONEDNN and weight.device.type == "cpu" and weight.dtype in KINDS and weight.numel() > 0


def joined(part: SelfAttention, rows: int) -> PackedLinear | None:
    """Queries, keys and values in one product; None if one of the three is no plain layer."""
    layers = [part.query, part.key, part.value]
    if any(type(layer) is not nn.Linear or not packable(layer.weight) for layer in layers):
        return None
    biases = [layer.bias for layer in layers if layer.bias is not None]
    bias = torch.cat(biases) if len(biases) == 3 else None
    return None if len(biases) in (1, 2) else PackedLinear(torch.cat([x.weight for x in layers]), bias, rows=rows)


@contextmanager
def packed(model: nn.Module, *, rows: int) -> Iterator[None]:
    """Within the block, the model's linear layers and tied heads work from packed copies, for inference alone.

    Weights that are changed within the block are not seen. A block within a block changes nothing more.
    """
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    heads: list[TokenEmbedding] = []
    attentions: list[SelfAttention] = []
    try:
        for part in list(model.modules()):
            if isinstance(part, SelfAttention) and part.joint is None and (joint := joined(part, rows)):
                part.joint = (joint,)
                attentions.append(part)
            if isinstance(part, TokenEmbedding) and part.head is None and packable(part.token.weight):
                part.head = (PackedLinear(part.token.weight, None, rows=rows),)
                heads.append(part)
            inside = ("query", "key", "value") if isinstance(part, SelfAttention) and part.joint else ()
            for name, layer in part.named_children():
                if type(layer) is nn.Linear and name not in inside and packable(layer.weight):
                    part._modules[name] = PackedLinear(layer.weight, layer.bias, rows=rows)
                    replaced.append((part, name, layer))
        yield
    finally:
        for part, name, layer in replaced:
            part._modules[name] = layer
        for embedding in heads:
            embedding.head = None
        for attention in attentions:
            attention.joint = None
