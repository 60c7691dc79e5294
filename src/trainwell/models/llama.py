"""Tokens to scores of the next token: Llama. Touvron et al. 2023, arXiv:2302.13971."""

from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention
from trainwell.nn.embed import TokenEmbedding
from trainwell.nn.feed_forward import GatedFeedForward
from trainwell.nn.position import Rotary
from trainwell.nn.transformer import Block, Cache, CausalModel, PreNorm, causal_view, initialize_small


class Llama(CausalModel):
    """A pre-norm decoder with RMS norms, rotary places, SwiGLU and no biases.

    `key_heads` fewer than `heads` share keys and values; `base` sets the slowest turn of the places; `tied` scores by
    the embedding instead of a head of its own. tokens: (batch, time) long, mask: (batch, time) bool or None
    -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 6,
        key_heads: int | None = None,
        hidden: int = 1024,
        context: int = 1024,
        base: float = 10000.0,
        tied: bool = True,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        self.depth, self.context = depth, context
        self.embedding = TokenEmbedding(vocabulary, width)
        self.rotary = Rotary(width // heads, base=base)
        self.blocks = nn.ModuleList(
            Block(
                PreNorm(nn.RMSNorm(width, epsilon), SelfAttention(width, heads, key_heads=key_heads, bias=False)),
                PreNorm(nn.RMSNorm(width, epsilon), GatedFeedForward(width, hidden)),
            )
            for _ in range(depth)
        )
        self.norm = nn.RMSNorm(width, epsilon)
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False)
        initialize_small(self)

    def states(self, tokens: Tensor, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The last hidden vectors. tokens: (batch, time) long -> (batch, time, width)"""
        positions, view = causal_view(tokens, mask, cache)
        x = self.embedding(tokens, positions)
        view = view._replace(rotation=self.rotary(positions))
        for depth, block in enumerate(self.blocks):
            x = block(x, view, cache.layers[depth] if cache else None)
        return self.norm(x)

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return self.embedding.scores(states) if self.head is None else self.head(states)
