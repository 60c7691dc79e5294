"""A picture to class scores: a transformer over patches. Dosovitskiy et al. 2020, arXiv:2010.11929."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.attention import View, attend
from trainwell.nn.conv import DropPath
from trainwell.nn.patch import PatchEmbed, resized_positions

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
MAPS = 4  # features() gives the tokens after this many evenly spaced blocks


class Block(nn.Module):
    """Attention over all tokens and a two-layer perceptron on each, both after a norm and around a shortcut.

    x: (batch, tokens, width) -> (batch, tokens, width)
    """

    def __init__(self, width: int, heads: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def attend(self, x: Tensor) -> Tensor:
        """Multi-head self-attention, (batch, tokens, width) -> (batch, tokens, width)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, each)
        return self.proj(attend(q, k, v, View()).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.dropout(self.attend(self.norm1(x))))
        hidden = self.dropout(F.gelu(self.fc1(self.norm2(x))))
        return x + self.drop_path(self.dropout(self.fc2(hidden)))


class VisionTransformer(nn.Module):
    """Picture to class scores: patches and a class token through transformer blocks.

    `side` is the picture side in pixels that the position table is made for; other sizes are padded to whole patches
    and get the table interpolated. From scratch it wants 50,000 pictures and more.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        size: str = "tiny",
        patch: int = 16,
        side: int = 224,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size {size!r}: expected one of {', '.join(SIZES)}")
        width, depth = width or SIZES[size][0], depth or SIZES[size][1]
        heads = heads or max(1, width // 64)
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        grid = -(-side // patch)
        self.embed = PatchEmbed(channels, width, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, 1 + grid**2, width))  # the class token's first, then row by row
        self.dropout = nn.Dropout(dropout)
        rates = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, dropout, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.trunc_normal_(self.token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def tokens(self, x: Tensor) -> tuple[list[Tensor], int, int]:
        """The tokens after each block, (batch, 1 + rows * columns, width), with rows and columns."""
        patches = self.embed(x)
        rows, columns = patches.shape[-2:]
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = self.dropout(tokens + resized_positions(self.positions, rows, columns))
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs, rows, columns

    def features(self, x: Tensor) -> list[Tensor]:
        """Four maps of one size, from evenly spaced blocks; the last is normalized."""
        tokens, rows, columns = self.tokens(x)
        count = min(MAPS, len(tokens))
        picked = [tokens[len(tokens) * (number + 1) // count - 1] for number in range(count)]
        picked[-1] = self.norm(picked[-1])
        return [each[:, 1:].transpose(1, 2).unflatten(-1, (rows, columns)) for each in picked]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.tokens(x)[0][-1][:, 0]))
