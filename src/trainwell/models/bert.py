"""Tokens to vectors that saw both sides: BERT, with heads for masked words, rows and tokens.

Devlin et al. 2018, arXiv:1810.04805.
"""

import torch
from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention
from trainwell.nn.embed import TokenEmbedding, mean_of_tokens
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.position import LearnedPosition
from trainwell.nn.transformer import Block, PostNorm, encoder_view, initialize_small


class BertEncoder(nn.Module):
    """The trunk: token, place and segment vectors, then post-norm blocks. The defaults are MiniLM's six layers.

    tokens: (batch, time) long, mask: (batch, time) bool, True at tokens, or None, segments: (batch, time) long 0 or 1,
    or None -> (batch, time, width)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        dropout: float = 0.1,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        self.width, self.context = width, context
        self.embedding = TokenEmbedding(vocabulary, width, position=LearnedPosition(context, width))
        self.segment = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, epsilon)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                PostNorm(nn.LayerNorm(width, epsilon), SelfAttention(width, heads, dropout=dropout), dropout=dropout),
                PostNorm(nn.LayerNorm(width, epsilon), FeedForward(width, hidden or 4 * width), dropout=dropout),
            )
            for _ in range(depth)
        )
        initialize_small(self)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        positions, view = encoder_view(tokens, mask)
        x = self.embedding(tokens, positions)
        x = x + self.segment(torch.zeros_like(tokens) if segments is None else segments)
        x = self.dropout(self.norm(x))
        for block in self.blocks:
            x = block(x, view)
        return x


class Bert(nn.Module):
    """Tokens, some of them masked, to scores of what stands there; the head is tied to the embedding.

    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        dropout: float = 0.1,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        self.encoder = BertEncoder(
            vocabulary,
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            context=context,
            dropout=dropout,
            epsilon=epsilon,
        )
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, epsilon))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        initialize_small(self.transform)

    @torch.no_grad()
    def initialize(self, tokens: Tensor) -> None:
        """Begin at how often each token comes, which small networks take long to learn. tokens: (batch, time) long"""
        counts = torch.bincount(tokens.long().flatten(), minlength=len(self.bias)) + 1.0
        self.bias.copy_((counts / counts.sum()).log())

    def forward(self, tokens: Tensor, mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        states = self.encoder(tokens, mask, segments)
        return self.encoder.embedding.scores(self.transform(states)) + self.bias


class FirstToken(nn.Module):
    """The first token's vector through a dense tanh layer, BERT's pooler.

    x: (batch, time, width), mask: ignored -> (batch, width)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.tanh(self.dense(x[:, 0]))


class MeanOfTokens(nn.Module):
    """The mean of the tokens' vectors, as sentence embeddings take it. Reimers & Gurevych 2019, arXiv:1908.10084.

    x: (batch, time, width), mask: (batch, time) bool or None -> (batch, width)
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return mean_of_tokens(x, mask)


POOLING: dict[str, type[nn.Module]] = {"mean": MeanOfTokens, "first": FirstToken}


class BertClassifier(nn.Module):
    """A text to scores of its classes, or to numbers. `pooling` is "mean" (of all tokens) or "first" (BERT's own).

    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, classes)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        dropout: float = 0.1,
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        self.encoder = BertEncoder(
            vocabulary, width=width, depth=depth, heads=heads, hidden=hidden, context=context, dropout=dropout
        )
        self.pool = POOLING[pooling](width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        initialize_small(self.pool)
        initialize_small(self.head)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        return self.head(self.pool(self.encoder(tokens, mask, segments), mask))


class BertTagger(nn.Module):
    """Each token to scores of its classes: entities; with two classes, where an answer starts and ends.

    tokens: (batch, time) long, mask: (batch, time) bool or None, segments: (batch, time) long or None
    -> (batch, time, classes)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 12,
        hidden: int | None = None,
        context: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = BertEncoder(
            vocabulary, width=width, depth=depth, heads=heads, hidden=hidden, context=context, dropout=dropout
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        initialize_small(self.head)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        return self.head(self.encoder(tokens, mask, segments))
