"""A window of a series to its future by a transformer over patches of each channel.

Nie et al. 2022, arXiv:2211.14730.
"""

from torch import Tensor, nn

from trainwell.nn.attention import SelfAttention, View
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.series import SequenceBatchNorm, SeriesPatches, WindowNorm
from trainwell.nn.transformer import Block, PostNorm


class PatchTST(nn.Module):
    """The same encoder for every channel: patches as tokens, batch norm after each branch, all vectors to the horizon.

    x: (batch, lookback, channels) -> (batch, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        lookback: int = 336,
        patch: int = 16,
        width: int = 16,
        depth: int = 3,
        heads: int = 4,
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.norm = WindowNorm()
        self.patches = SeriesPatches(lookback, width, patch=patch, stride=max(patch // 2, 1))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                PostNorm(SequenceBatchNorm(width), SelfAttention(width, heads), dropout=dropout),
                PostNorm(SequenceBatchNorm(width), FeedForward(width, hidden, dropout=dropout), dropout=dropout),
            )
            for _ in range(depth)
        )
        self.head = nn.Linear(self.patches.patches * width, horizon)

    def forward(self, x: Tensor) -> Tensor:
        x, mean, deviation = self.norm(x)
        z = self.dropout(self.patches(x))  # (batch * channels, patches, width)
        for block in self.blocks:
            z = block(z, View())
        y = self.head(z.flatten(1)).view(-1, self.channels, self.horizon)
        return y.transpose(1, 2) * deviation + mean
