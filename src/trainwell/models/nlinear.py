"""A window of a series to its future by one linear map from the last value on. Zeng et al. 2022, arXiv:2205.13504."""

from torch import Tensor, nn


class NLinear(nn.Module):
    """The same map for every channel, on what the window differs from its last value.

    x: (batch, lookback, channels) -> (batch, horizon, channels)
    """

    def __init__(self, channels: int, horizon: int, *, lookback: int = 336) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.linear = nn.Linear(lookback, horizon)

    def forward(self, x: Tensor) -> Tensor:
        last = x[:, -1:]
        return self.linear((x - last).transpose(1, 2)).transpose(1, 2) + last
