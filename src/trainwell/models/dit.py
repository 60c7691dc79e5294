"""A noisy picture, a time and a class to the noise's direction: a transformer over patches.

Peebles & Xie 2022, arXiv:2212.09748.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.activation import TanhGELU
from trainwell.nn.attention import SelfAttention
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.patch import PatchEmbed
from trainwell.nn.position import sinusoids
from trainwell.nn.time import Condition


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens normalized, then scaled and shifted by the condition: (batch, tokens, hidden) -> the same shape."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


class AdaptiveBlock(nn.Module):
    """Attention, then feed-forward, whose norms and gates the condition sets; the gates start shut ("adaLN-Zero").

    x: (batch, tokens, hidden), condition: (batch, hidden) -> (batch, tokens, hidden)
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(hidden, heads)
        self.feed_forward = FeedForward(hidden, 4 * hidden, TanhGELU(), dropout=dropout)
        self.modulate = nn.Linear(hidden, 6 * hidden)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate, later_shift, later_scale, later_gate = self.modulate(F.silu(condition))[:, None].chunk(6, 2)
        x = x + gate * self.attention(modulated(x, shift, scale))
        return x + later_gate * self.feed_forward(modulated(x, later_shift, later_scale))


def grid_positions(rows: int, columns: int, width: int) -> Tensor:
    """Sinusoids of the row in one half of the columns, of the column in the other: (rows * columns, width)."""
    half = width // 2
    down = sinusoids(rows, half)[:, None].expand(-1, columns, -1)
    along = sinusoids(columns, width - half)[None].expand(rows, -1, -1)
    return torch.cat([down, along], 2).flatten(0, 1)


class DiT(nn.Module):
    """Patches as tokens through blocks that the time and the class modulate, and back to pixels.

    x: (batch, channels, height, width), time: (batch,) in [0, 1], classes: (batch,) long, -1 for none, or None
    -> (batch, channels, height, width). Sides that are no multiple of the patch are padded and cropped again.
    Raises ValueError if the hidden width is odd or no multiple of the heads.
    """

    positions: Tensor

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        classes: int = 0,
        *,
        patch: int = 4,
        hidden: int = 128,
        depth: int = 6,
        heads: int = 4,
        dropout: float = 0.0,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        if hidden % heads or hidden % 2:
            raise ValueError(f"hidden {hidden} has to be even and a multiple of heads {heads}")
        self.classes, self.patch, self.size = classes if conditional else 0, patch, (height, width)
        self.rows, self.columns = -(-height // patch), -(-width // patch)
        self.condition = Condition(hidden, self.classes)
        self.embed = PatchEmbed(channels, hidden, patch)
        self.register_buffer("positions", grid_positions(self.rows, self.columns, hidden), persistent=False)
        self.blocks = nn.ModuleList(AdaptiveBlock(hidden, heads, dropout) for _ in range(depth))
        self.modulate = nn.Linear(hidden, 2 * hidden)
        self.leave = nn.Linear(hidden, patch * patch * channels)
        for layer in (self.modulate, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, time: Tensor, classes: Tensor | None = None) -> Tensor:
        condition = self.condition(time, classes)
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            tokens = block(tokens, condition)
        tokens = self.leave(modulated(tokens, *self.modulate(F.silu(condition))[:, None].chunk(2, 2)))
        squares = tokens.transpose(1, 2).unflatten(2, (self.rows, self.columns))
        return F.pixel_shuffle(squares, self.patch)[..., : self.size[0], : self.size[1]]
