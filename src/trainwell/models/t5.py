"""Source tokens and target tokens so far to scores of the next: T5. Raffel et al. 2020, arXiv:1910.10683."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.activation import TanhGELU
from trainwell.nn.attention import CrossAttention, SelfAttention, View, visible
from trainwell.nn.embed import TokenEmbedding
from trainwell.nn.feed_forward import FeedForward, GatedFeedForward
from trainwell.nn.position import RelativeBias
from trainwell.nn.transformer import Block, Cache, CrossBlock, EncoderDecoder, PreNorm, encoder_view, with_bias

START = 0  # T5 starts every target with its padding token


class T5(EncoderDecoder):
    """Encoder and decoder with RMS norms, no biases, unscaled scores and one learned distance bias a stack.

    The defaults are t5-small but for the vocabulary. `gated` is T5 1.1's GELU-gated feed-forward; `tied` scores by the
    embedding, divided by the root of the width, instead of a head of its own.
    source: (batch, places) long, target: (batch, time) long, mask: (batch, places) bool or None
    -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 512,
        depth: int = 6,
        heads: int = 8,
        head_width: int = 64,
        hidden: int = 2048,
        dropout: float = 0.1,
        gated: bool = False,
        tied: bool = True,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        self.depth, self.start, self.width = depth, START, width
        self.embedding = TokenEmbedding(vocabulary, width, dropout=dropout)

        def branch(part: nn.Module) -> PreNorm:
            return PreNorm(nn.RMSNorm(width, epsilon), part, dropout=dropout)

        def feed_forward() -> nn.Module:
            if gated:
                return GatedFeedForward(width, hidden, TanhGELU(), dropout=dropout)
            return FeedForward(width, hidden, nn.ReLU(), bias=False, dropout=dropout)

        def attention(kind: type[SelfAttention] | type[CrossAttention]) -> nn.Module:
            return kind(width, heads, head_width=head_width, bias=False, dropout=dropout, scale=1.0)

        self.encoder = nn.ModuleList(
            Block(branch(attention(SelfAttention)), branch(feed_forward())) for _ in range(depth)
        )
        self.decoder = nn.ModuleList(
            CrossBlock(branch(attention(SelfAttention)), branch(attention(CrossAttention)), branch(feed_forward()))
            for _ in range(depth)
        )
        self.encoder_bias = RelativeBias(heads)
        self.decoder_bias = RelativeBias(heads, both_ways=False)
        self.encoder_norm = nn.RMSNorm(width, epsilon)
        self.decoder_norm = nn.RMSNorm(width, epsilon)
        self.dropout = nn.Dropout(dropout)
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False)
        self.draw(heads, head_width)

    def draw(self, heads: int, head_width: int) -> None:
        """First weights: queries take up the missing division of the scores. Mesh TensorFlow, 2018."""
        nn.init.normal_(self.embedding.token.weight)
        for bias in (self.encoder_bias, self.decoder_bias):
            nn.init.normal_(bias.bias.weight, std=self.width**-0.5)
        for name, part in self.named_modules():
            if isinstance(part, nn.Linear):
                narrow = head_width if name.endswith(".query") else 1
                nn.init.normal_(part.weight, std=(part.in_features * narrow) ** -0.5)

    def encode(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors of the source. source: (batch, places) long -> (batch, places, width)"""
        positions, view = encoder_view(source, mask)
        places = torch.arange(source.shape[1], device=source.device).unsqueeze(0)
        view = View(with_bias(self.encoder_bias(places, places), view.mask))
        x = self.embedding(source, positions)
        for block in self.encoder:
            x = block(x, view)
        return self.dropout(self.encoder_norm(x))

    def decode(self, target: Tensor, memory: Sequence[Any], memory_view: View, cache: Cache | None) -> Tensor:
        """Vectors of the target, given one memory a block. target: (batch, time) long -> (batch, time, width)"""
        past = cache.length if cache else 0
        places = torch.arange(past + target.shape[1], device=target.device).unsqueeze(0)
        mask = visible(None, target.shape[1], places.shape[1], causal=True, device=target.device)
        view = View(with_bias(self.decoder_bias(places[:, past:], places), mask))
        x = self.embedding(target, places[:, past:])
        for depth, block in enumerate(self.decoder):
            x = block(x, view, memory[depth], memory_view, cache.layers[depth] if cache else None)
        return self.dropout(self.decoder_norm(x))

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return self.embedding.scores(states * self.width**-0.5) if self.head is None else self.head(states)
