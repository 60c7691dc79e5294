"""A table's numbers to vectors: a network learns jumps and waves in one number more easily from several."""

import math

import torch
from torch import Tensor, nn


class PiecewiseLinearEncoding(nn.Module):
    """Each number to how full each bin of its column is: 1 in the bins below it, 0 in those above, a share in its own.

    x: (batch, columns) -> (batch, columns, bins)

    Gorishniy et al. 2022, arXiv:2203.05556. The outer bins are open: values beyond the outer edges go on in a line.
    A column with fewer different values than bins uses fewer, and leaves the spare ones at 0.
    """

    def __init__(self, columns: int, bins: int) -> None:
        super().__init__()
        if bins < 2:
            raise ValueError(f"bins is {bins}; a piecewise linear encoding needs 2 or more")
        for name in ("slope", "offset", "low", "high"):
            self.register_buffer(name, torch.zeros(columns, bins))
        self.slope: Tensor
        self.offset: Tensor
        self.low: Tensor
        self.high: Tensor
        for column in range(columns):  # until `fit`, evenly spread bins over where standardized numbers lie
            self._set(column, torch.linspace(-3, 3, bins + 1))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Put the bins' edges at the quantiles of each column, so that bins hold equally many rows.

        x: (rows, columns)
        """
        bins = self.slope.shape[1]
        shares = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=x.device)
        for column in range(x.shape[1]):
            values = x[:, column].double()
            edges = values.quantile(shares).unique()
            if len(edges) < 2:  # a constant column: one bin around it
                edges = torch.stack([edges[0] - 1, edges[0] + 1])
            self._set(column, edges)

    def _set(self, column: int, edges: Tensor) -> None:
        """Write one column's bins: the last stands in the last slot, the others in front, spare ones stay 0."""
        count = len(edges) - 1
        slots = [*range(count - 1), self.slope.shape[1] - 1]
        widths = edges.diff().double()
        low, high = torch.zeros(count), torch.ones(count)
        low[0], high[-1] = -math.inf, math.inf
        for name, value in (("slope", 1 / widths), ("offset", -edges[:-1] / widths), ("low", low), ("high", high)):
            row = getattr(self, name)[column]
            row.zero_()
            row[slots] = value.to(row)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.offset, x[..., None], self.slope).clamp(self.low, self.high)


class PiecewiseLinear(nn.Module):
    """Each member's view of each number: a learned line plus, at first zero, a learned mix of the bins it fills.

    x: (batch, columns) -> (members, batch, columns, outputs)

    Version B of rtdl-num-embeddings (Gorishniy et al. 2024, arXiv:2410.24210): it starts smooth and grows its steps.
    Members have weights of their own and share the bins' edges.
    """

    def __init__(self, columns: int, outputs: int = 16, *, members: int = 1, bins: int = 48) -> None:
        super().__init__()
        bound = 1 / math.sqrt(outputs)
        self.slope = nn.Parameter(torch.empty(members, columns, 1, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, columns, 1, outputs).uniform_(-bound, bound))
        self.encoding = PiecewiseLinearEncoding(columns, bins)
        self.weight = nn.Parameter(torch.zeros(members, columns, bins, outputs))

    def fit(self, x: Tensor) -> None:
        """Put the bins' edges at the quantiles of each column; x: (rows, columns)."""
        self.encoding.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        lines = torch.addcmul(self.bias, x.t()[None, :, :, None], self.slope)
        steps = self.encoding(x).transpose(0, 1) @ self.weight  # (members, columns, batch, outputs)
        return (lines + steps).transpose(1, 2)


class Periodic(nn.Module):
    """Each number to sines and cosines of learned frequencies, a linear layer of its column's own, and a rectifier.

    x: (batch, columns) -> (batch, columns, outputs)

    The "PLR" of Gorishniy et al. 2022, arXiv:2203.05556; `scale` is the frequencies' first standard deviation, and is
    better too small than too large.
    """

    def __init__(self, columns: int, outputs: int = 24, *, frequencies: int = 48, scale: float = 0.01) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(columns, frequencies).clamp(-3, 3) * scale)
        bound = 1 / math.sqrt(2 * frequencies)
        self.weight = nn.Parameter(torch.empty(columns, 2 * frequencies, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        angles = 2 * math.pi * x.t()[..., None] * self.frequency[:, None]  # (columns, batch, frequencies)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return torch.baddbmm(self.bias, waves, self.weight).relu().transpose(0, 1)


class PeriodicBiasDense(nn.Module):
    """Each member's view of each number: the number itself beside a linear mix of cosines with learned phases.

    x: (batch, columns) -> (members, batch, columns, outputs)

    The "PBLD" of RealMLP (Holzmüller et al. 2024, arXiv:2407.04491).
    """

    def __init__(
        self, columns: int, outputs: int = 4, *, members: int = 1, frequencies: int = 16, scale: float = 0.1
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(frequencies)
        self.frequency = nn.Parameter(torch.randn(members, columns, frequencies) * scale)
        self.phase = nn.Parameter(torch.empty(members, columns, frequencies).uniform_(-math.pi, math.pi))
        self.weight = nn.Parameter(torch.empty(members, columns, frequencies, outputs - 1).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, columns, 1, outputs - 1).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        numbers = x.t()[None, ..., None]  # (1, columns, batch, 1)
        waves = (2 * math.pi * numbers * self.frequency[:, :, None] + self.phase[:, :, None]).cos()
        mixed = waves @ self.weight + self.bias
        mixed = torch.cat([mixed, numbers.expand(mixed.shape[0], -1, -1, -1).to(mixed.dtype)], dim=-1)
        return mixed.transpose(1, 2)
