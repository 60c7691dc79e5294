"""A window of a series to its future by a transformer whose tokens are the channels.

Liu et al. 2023, arXiv:2310.06625.
"""

from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention, View
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.series import WindowNorm
from trainwell.nn.transformer import Block, PostNorm


class ITransformer(nn.Module):
    """Each channel's whole window is one vector; attention mixes channels; a linear map writes the horizon.

    x: (batch, lookback, channels) -> (batch, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        lookback: int = 96,
        width: int = 256,
        depth: int = 2,
        heads: int = 8,
        hidden: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.window = WindowNorm()
        self.embedding = nn.Linear(lookback, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                PostNorm(nn.LayerNorm(width), SelfAttention(width, heads, dropout=dropout), dropout=dropout),
                PostNorm(nn.LayerNorm(width), FeedForward(width, hidden, dropout=dropout), dropout=dropout),
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, horizon)

    def forward(self, x: Tensor) -> Tensor:
        x, mean, deviation = self.window(x)
        z = self.dropout(self.embedding(x.transpose(1, 2)))  # (batch, channels, width)
        for block in self.blocks:
            z = block(z, View())
        return self.head(self.norm(z)).transpose(1, 2) * deviation + mean
