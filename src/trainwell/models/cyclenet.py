"""A window of a series to its future: a learned cycle, and a map of what the cycle does not explain.

Lin et al. 2024, arXiv:2409.18479.
"""

import torch
from torch import Tensor, nn

from trainwell.nn.series import WindowNorm


class CycleNet(nn.Module):
    """Subtract the cycle, map the rest, add the cycle at the target times; window mean and spread apart.

    `period` is the true length of the cycle in steps; `hidden` zero maps linearly, else through one ReLU layer.
    x: (batch, lookback, channels), phase: (batch,) long, where in the series the window starts, counted in steps from
    any fixed place, or None for windows that all start on a period's first step -> (batch, horizon, channels)
    """

    def __init__(self, channels: int, horizon: int, *, lookback: int = 336, period: int = 24, hidden: int = 0) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback, self.period = channels, horizon, lookback, period
        self.norm = WindowNorm()
        self.cycle = nn.Parameter(torch.zeros(period, channels))
        self.map: nn.Module = nn.Linear(lookback, horizon)
        if hidden:
            self.map = nn.Sequential(nn.Linear(lookback, hidden), nn.ReLU(), nn.Linear(hidden, horizon))

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        phase = x.new_zeros(x.shape[0], dtype=torch.long) if phase is None else phase
        steps = torch.arange(self.lookback + self.horizon, device=x.device)
        cycle = self.cycle[(phase.unsqueeze(1) + steps) % self.period]  # (batch, lookback + horizon, channels)
        x, mean, deviation = self.norm(x)
        y = self.map((x - cycle[:, : self.lookback]).transpose(1, 2)).transpose(1, 2)
        return (y + cycle[:, self.lookback :]) * deviation + mean
