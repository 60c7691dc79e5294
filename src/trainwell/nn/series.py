"""Windows of a series to what networks read: standardized, smoothed and cut into patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WindowNorm(nn.Module):
    """Take each window's own mean and spread away, and give them back to the forecast. Kim et al. 2022, "RevIN".

    x: (batch, lookback, channels) -> the same, standardized, and mean and deviation, each (batch, 1, channels)
    """

    def __init__(self, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(dim=1, keepdim=True)
        deviation = (x.var(dim=1, keepdim=True, correction=0) + self.epsilon).sqrt()
        return (x - mean) / deviation, mean, deviation


class MovingAverage(nn.Module):
    """The mean over `window` steps around each step; the ends go on as they are. Zeng et al. 2022, arXiv:2205.13504.

    x: (batch, time, channels) -> (batch, time, channels)
    """

    def __init__(self, window: int = 25) -> None:
        super().__init__()
        if window % 2 == 0:
            raise ValueError(f"a window around each step has an odd length, not {window}")
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        side = self.window // 2
        x = F.pad(x.transpose(1, 2), (side, side), mode="replicate")
        return F.avg_pool1d(x, self.window, stride=1).transpose(1, 2)


class SequenceBatchNorm(nn.BatchNorm1d):
    """Batch norm over all places of all rows.

    x: (batch, time, width) -> (batch, time, width)
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SeriesPatches(nn.Module):
    """Overlapping stretches of each channel to vectors with learned places. Nie et al. 2022, arXiv:2211.14730.

    A tail shorter than the stride is dropped at the old end. x: (batch, lookback, channels)
    -> (batch * channels, patches, width)
    """

    def __init__(self, lookback: int, width: int, *, patch: int = 16, stride: int = 8) -> None:
        super().__init__()
        if lookback < patch:
            raise ValueError(f"lookback {lookback} is shorter than one patch of {patch}")
        self.patch, self.stride = patch, stride
        self.patches = (lookback - patch) // stride + 1
        self.start = lookback - patch - stride * (self.patches - 1)
        self.embedding = nn.Linear(patch, width)
        self.position = nn.Parameter(torch.empty(self.patches, width).uniform_(-0.02, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, self.start :].transpose(1, 2)  # (batch, channels, time)
        x = x.unfold(-1, self.patch, self.stride).flatten(0, 1)  # (batch * channels, patches, patch)
        return self.embedding(x) + self.position
