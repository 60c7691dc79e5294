"""Token numbers to vectors, and vectors back to scores of tokens."""

from torch import Tensor, nn
from torch.nn import functional as F


class TokenEmbedding(nn.Module):
    """A vector for each token plus one for its place, normed and thinned if asked; and the way back to scores.

    `position` maps places to vectors (`LearnedPosition`, `SinusoidalPosition`) or is None; `scale` multiplies the token
    vectors. tokens and positions: (batch, time) long -> (batch, time, width)
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        *,
        position: nn.Module | None = None,
        norm: nn.Module | None = None,
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = position
        self.norm = norm or nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.scale = scale
        self.head: tuple[nn.Module] | None = None  # a packed copy of the vectors; a tuple, to be no submodule

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = self.token(tokens)
        if self.scale != 1.0:
            x = x * self.scale
        if self.position is not None:
            x = x + self.position(positions)
        return self.dropout(self.norm(x))

    def scores(self, x: Tensor) -> Tensor:
        """How well each vector fits each token's own vector: the tied head. Press & Wolf 2016, arXiv:1608.05859.

        x: (..., width) -> (..., vocabulary)
        """
        return F.linear(x, self.token.weight) if self.head is None else self.head[0](x)


def mean_of_tokens(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over the tokens of each row, padding left out; an empty row gives zeros.

    x: (batch, time, width), mask: (batch, time) bool or None -> (batch, width)
    """
    if mask is None:
        return x.mean(dim=1)
    weight = mask.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)
