"""Tokens to scores of the next token: a small modern GPT, the parts that made language models learn in fewer steps.

The parts were measured one by one in Jordan et al. 2024, "modded-nanogpt", and Karpathy 2025, "nanochat".
"""

import torch
from torch import Tensor, nn

from trainwell.nn.attention import KeyValueCache, SelfAttention, View
from trainwell.nn.embed import TokenEmbedding
from trainwell.nn.feed_forward import FeedForward, GatedFeedForward, SquaredReLU, cap
from trainwell.nn.position import Rotary
from trainwell.nn.transformer import Cache, CausalModel, causal_view

TIED_FROM = 2000  # tokens, from which on a head of its own costs more than it brings


def rms(width: int) -> nn.RMSNorm:
    """RMS norm without a gain. Zhang & Sennrich 2019, arXiv:1910.07467. x: (..., width) -> (..., width)"""
    return nn.RMSNorm(width, eps=1e-6, elementwise_affine=False)


class GPTBlock(nn.Module):
    """Pre-norm attention and feed-forward that also read the embedding and the first block's values.

    The shares of the embedding shortcut and of the value residual (Zhou et al. 2024, arXiv:2410.17897) are learned.
    x and origin: (batch, time, width), first: (batch, key heads, time, head) or None -> (batch, time, width) and first
    """

    def __init__(self, width: int, attention: SelfAttention, feed_forward: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.dropout = rms(width), nn.Dropout(dropout)
        self.attention, self.feed_forward = attention, feed_forward
        self.shares = nn.Parameter(torch.tensor([1.0, 0.1, 0.5]))  # of the stream, the embedding and the first values

    def forward(
        self, x: Tensor, origin: Tensor, first: Tensor | None, view: View, cache: KeyValueCache | None
    ) -> tuple[Tensor, Tensor]:
        stream, shortcut, share = self.shares.to(x.dtype).unbind()
        x = stream * x + shortcut * origin
        query, key, value = self.attention.project(self.norm(x), view)
        first = value if first is None else first
        value = value + share * (first - value)
        x = x + self.dropout(self.attention.mix(query, key, value, view, cache))
        return x + self.dropout(self.feed_forward(self.norm(x))), first


class GPT(CausalModel):
    """A decoder with rotary places, norms without gain on queries and keys too, and capped scores.

    `gated` takes SwiGLU instead of squared ReLU at equal size; `key_heads` fewer than `heads` share keys and values;
    `tied` None scores by the embedding from 2,000 tokens on. Output projections start at zero, so that each block
    starts as a shortcut; give matrices to Muon and the rest to AdamW.
    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        key_heads: int | None = None,
        context: int = 256,
        dropout: float = 0.0,
        gated: bool = False,
        tied: bool | None = None,
        limit: float = 15.0,
    ) -> None:
        super().__init__()
        self.depth, self.context, self.limit = depth, context, limit
        head = width // heads
        self.embedding = TokenEmbedding(vocabulary, width, norm=rms(width), dropout=dropout)
        self.rotary = Rotary(head)
        self.blocks = nn.ModuleList(
            GPTBlock(
                width,
                SelfAttention(width, heads, key_heads=key_heads, bias=False, norms=(rms(head), rms(head))),
                GatedFeedForward(width, 8 * width // 3)
                if gated
                else FeedForward(width, 4 * width, SquaredReLU(), bias=False),
                dropout=dropout,
            )
            for _ in range(depth)
        )
        self.norm = rms(width)
        tied = vocabulary > TIED_FROM if tied is None else tied
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False)
        self.draw(width)

    def draw(self, width: int) -> None:
        """First weights: uniform of deviation 1 / sqrt(width), a faint head, output projections of zero."""
        reach = (3.0 / width) ** 0.5
        for name, part in self.named_modules():
            if isinstance(part, nn.Linear):
                nn.init.uniform_(part.weight, -reach, reach)
                if name.endswith((".output", ".down")):
                    nn.init.zeros_(part.weight)
        if self.head is None:
            nn.init.normal_(self.embedding.token.weight, std=0.02)
        else:
            nn.init.normal_(self.embedding.token.weight, std=0.8)
            nn.init.normal_(self.head.weight, std=0.001)

    def states(self, tokens: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The last hidden vectors. tokens: (batch, time) long -> (batch, time, width)"""
        positions, view = causal_view(tokens, mask, cache)
        origin = x = self.embedding(tokens, positions)
        view = view._replace(rotation=self.rotary(positions))
        first = None
        for depth, block in enumerate(self.blocks):
            x, first = block(x, origin, first, view, cache.layers[depth] if cache else None)
        return self.norm(x)

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token, within plus and minus the limit. states: (..., width) -> (..., vocabulary)"""
        scores = self.embedding.scores(states) if self.head is None else self.head(states)
        return cap(scores.float(), self.limit)
