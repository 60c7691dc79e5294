"""A window of a series, of what else was measured, and the calendar of past and future to its future by dense layers.

Das et al. 2023, arXiv:2304.08424.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.series import WindowNorm


class DenseResidual(nn.Module):
    """A hidden layer beside a straight one, added and normalized.

    x: (..., before) -> (..., after)
    """

    def __init__(self, before: int, after: int, *, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(before, hidden), nn.Linear(hidden, after)
        self.straight = nn.Linear(before, after)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.dropout(self.down(F.relu(self.up(x)))) + self.straight(x))


class TiDE(nn.Module):
    """Encode window, covariates and calendar of each channel together, decode step by step; a linear map beside.

    x: (batch, lookback, channels), covariates: (batch, lookback, covariates), calendar: (batch, lookback + horizon,
    calendar) -> (batch, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        covariates: int,
        calendar: int,
        *,
        lookback: int = 168,
        width: int = 128,
        narrow: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback, self.narrow = channels, horizon, lookback, narrow
        self.norm = WindowNorm()
        self.dates = DenseResidual(calendar, narrow, hidden=width // 2)
        inputs = lookback * (1 + covariates) + (lookback + horizon) * narrow
        self.encoder = DenseResidual(inputs, width, hidden=width, dropout=dropout)
        self.decoder = DenseResidual(width, horizon * narrow, hidden=width, dropout=dropout)
        self.step = nn.Sequential(nn.Linear(2 * narrow, width // 2), nn.ReLU(), nn.Linear(width // 2, 1))
        self.straight = nn.Linear(lookback, horizon)

    def forward(self, x: Tensor, covariates: Tensor, calendar: Tensor) -> Tensor:
        x, mean, deviation = self.norm(x)
        past = x.transpose(1, 2)  # (batch, channels, lookback)
        dates = self.dates(calendar)  # (batch, lookback + horizon, narrow)
        measured = self.norm(covariates)[0] if covariates.shape[2] else covariates
        beside = torch.cat((measured.flatten(1), dates.flatten(1)), 1)
        hidden = self.encoder(torch.cat((past, beside.unsqueeze(1).expand(-1, self.channels, -1)), 2))
        steps = self.decoder(hidden).unflatten(2, (self.horizon, self.narrow))
        ahead = dates[:, None, self.lookback :].expand(-1, self.channels, -1, -1)
        y = self.step(torch.cat((steps, ahead), 3)).squeeze(3) + self.straight(past)  # (batch, channels, horizon)
        return y.transpose(1, 2) * deviation + mean
