"""A window of a series to its future by linear maps of several lookbacks, whose mean is the forecast.

The map from the last value on: Zeng et al. 2022, arXiv:2205.13504. Averaging forecasts: Bates & Granger 1969.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.nn.ridge import ridge


class LinearBlend(nn.Module):
    """One linear map for all channels from each of several last stretches of a window, less its last value.

    `shares` are how much of the lookback each member sees; members learn by themselves and answer by their mean.
    x: (batch, lookback, channels) -> (batch, members, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        lookback: int = 512,
        shares: Sequence[float] = (0.66, 1.0),
    ) -> None:
        super().__init__()
        if not shares or not all(0 < share <= 1 for share in shares):
            raise ValueError(f"shares={list(shares)}: expected shares of the lookback, above 0 and up to 1")
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.lengths = [max(1, round(share * lookback)) for share in shares]
        maps = [nn.Linear(length, horizon) for length in self.lengths]
        for each in maps:  # at first the forecast is the last value
            nn.init.zeros_(each.weight)
            nn.init.zeros_(each.bias)
        self.maps = nn.ModuleList(maps)

    def initialize(self, x: Tensor, target: Tensor) -> None:
        """Begin at the map that ridge regression finds in closed form, so that learning only refines it.

        x: (windows, lookback, channels), target: (windows, horizon, channels), in order of time
        """
        last = x[:, -1:]
        past, future = x - last, target - last
        for each, length in zip(self.maps, self.lengths, strict=True):
            each.weight.copy_(ridge(past[:, -length:], future))  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        last = x[:, -1:]
        past = (x - last).transpose(1, 2)  # (batch, channels, lookback)
        members = [each(past[..., -length:]) for each, length in zip(self.maps, self.lengths, strict=True)]
        return torch.stack(members, 1).transpose(2, 3) + last.unsqueeze(1)
