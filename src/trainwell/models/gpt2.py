"""Tokens to scores of the next token: GPT-2.

Radford et al. 2019, "Language models are unsupervised multitask learners".
"""

import math

from torch import Tensor, nn

from trainwell.nn.activation import TanhGELU
from trainwell.nn.attention import SelfAttention
from trainwell.nn.embed import TokenEmbedding
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.position import LearnedPosition
from trainwell.nn.transformer import Block, Cache, CausalModel, PreNorm, causal_view, initialize_small


class GPT2(CausalModel):
    """A pre-norm decoder with learned places and a head tied to the embedding.

    `hidden` None is four times the width. The defaults are the 124M network but for the vocabulary.
    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 1024,
        dropout: float = 0.1,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.depth, self.context = depth, context
        self.embedding = TokenEmbedding(vocabulary, width, position=LearnedPosition(context, width), dropout=dropout)
        self.blocks = nn.ModuleList(
            Block(
                PreNorm(nn.LayerNorm(width, epsilon), SelfAttention(width, heads, dropout=dropout), dropout=dropout),
                PreNorm(
                    nn.LayerNorm(width, epsilon),
                    FeedForward(width, hidden or 4 * width, TanhGELU()),
                    dropout=dropout,
                ),
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, epsilon)
        initialize_small(self)
        for name, weight in self.named_parameters():  # the sum of all branches keeps its variance
            if name.endswith((".output.weight", ".down.weight")):
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * depth))

    def states(self, tokens: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The last hidden vectors. tokens: (batch, time) long -> (batch, time, width)"""
        positions, view = causal_view(tokens, mask, cache)
        x = self.embedding(tokens, positions)
        for depth, block in enumerate(self.blocks):
            x = block(x, view, cache.layers[depth] if cache else None)
        return self.norm(x)

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return self.embedding.scores(states)
