"""A window of a series to its future by one linear map of its trend and one of the rest.

Zeng et al. 2022, arXiv:2205.13504.
"""

from torch import Tensor, nn

from trainwell.nn.series import MovingAverage


class DLinear(nn.Module):
    """The same two maps for every channel: of the moving average over `window` steps, and of what remains.

    x: (batch, lookback, channels) -> (batch, horizon, channels)
    """

    def __init__(self, channels: int, horizon: int, *, lookback: int = 336, window: int = 25) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.average = MovingAverage(window)
        self.trend = nn.Linear(lookback, horizon)
        self.rest = nn.Linear(lookback, horizon)

    def forward(self, x: Tensor) -> Tensor:
        trend = self.average(x)
        y = self.trend(trend.transpose(1, 2)) + self.rest((x - trend).transpose(1, 2))
        return y.transpose(1, 2)
