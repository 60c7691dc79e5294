"""Source tokens and target tokens so far to scores of the next: the transformer.

Vaswani et al. 2017, arXiv:1706.03762.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from trainwell.nn.attention import CrossAttention, SelfAttention, View
from trainwell.nn.embed import TokenEmbedding
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.position import SinusoidalPosition
from trainwell.nn.transformer import Block, Cache, CrossBlock, EncoderDecoder, PreNorm, causal_view, encoder_view


class Transformer(EncoderDecoder):
    """Pre-norm encoder and decoder with sinusoids and one embedding for source, target and scores.

    The defaults are the tiny network that suits some 30,000 sentence pairs. Every target begins with token `start`.
    source: (batch, places) long, target: (batch, time) long, mask: (batch, places) bool or None
    -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        hidden: int = 256,
        context: int = 512,
        dropout: float = 0.3,
        start: int = 1,
    ) -> None:
        super().__init__()
        self.depth, self.start, self.context = depth, start, context
        self.embedding = TokenEmbedding(
            vocabulary,
            width,
            position=SinusoidalPosition(context, width),
            scale=math.sqrt(width),
            dropout=dropout,
        )

        def branch(part: nn.Module) -> PreNorm:
            return PreNorm(nn.LayerNorm(width), part, dropout=dropout)

        self.encoder = nn.ModuleList(
            Block(branch(SelfAttention(width, heads)), branch(FeedForward(width, hidden, nn.ReLU())))
            for _ in range(depth)
        )
        self.decoder = nn.ModuleList(
            CrossBlock(
                branch(SelfAttention(width, heads)),
                branch(CrossAttention(width, heads)),
                branch(FeedForward(width, hidden, nn.ReLU())),
            )
            for _ in range(depth)
        )
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        nn.init.normal_(self.embedding.token.weight, std=width**-0.5)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def encode(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors of the source. source: (batch, places) long -> (batch, places, width)"""
        positions, view = encoder_view(source, mask)
        x = self.embedding(source, positions)
        for block in self.encoder:
            x = block(x, view)
        return self.encoder_norm(x)

    def decode(self, target: Tensor, memory: Sequence[Any], memory_view: View, cache: Cache | None) -> Tensor:
        """Vectors of the target, given one memory a block. target: (batch, time) long -> (batch, time, width)"""
        positions, view = causal_view(target, None, cache)
        x = self.embedding(target, positions)
        for depth, block in enumerate(self.decoder):
            x = block(x, view, memory[depth], memory_view, cache.layers[depth] if cache else None)
        return self.decoder_norm(x)

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return self.embedding.scores(states)
