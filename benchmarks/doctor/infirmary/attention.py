"""A transformer's block with queries, keys and values of one layer, and low-rank additions to it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Attention and two layers, each added to what came in; post: norms behind the sum."""

    def __init__(self, width: int, heads: int = 4, dropout: float = 0.0, post: bool = False) -> None:
        super().__init__()
        self.heads, self.post = heads, post
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def attend(self, x: Tensor, causal: bool) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (each.view(rows, length, self.heads, -1).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.dropout(self.out(mixed.transpose(1, 2).reshape(rows, length, width)))

    def think(self, x: Tensor) -> Tensor:
        return self.dropout(self.narrow(F.gelu(self.wide(x))))

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        if self.post:
            x = self.before(x + self.attend(x, causal))
            return self.between(x + self.think(x))
        x = x + self.attend(self.before(x), causal)
        return x + self.think(self.between(x))


class Added(nn.Module):
    """A layer held still, and beside it a product of two thin matrices, the second begun as nought."""

    def __init__(self, layer: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def sharper(model: nn.Module, factor: float) -> None:
    """Queries and keys times a factor."""
    with torch.no_grad():
        for each in model.modules():
            if isinstance(each, Block):
                each.qkv.weight[: 2 * each.out.in_features].mul_(factor)
