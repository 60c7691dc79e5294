"""A picture to a map of patch vectors, and a table of positions to another size."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbed(nn.Module):
    """Cuts a picture into squares and maps each linearly; zeros fill up the last row and column of squares.

    x: (batch, channels, height, width) -> (batch, width, height / patch, width / patch), rounded up
    """

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        down, across = -x.shape[-2] % self.patch, -x.shape[-1] % self.patch
        return self.proj(F.pad(x, (0, across, 0, down)) if down or across else x)


def resized_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """A square table of positions, one class token in front, to another grid by bicubic interpolation.

    table: (1, 1 + side**2, width) -> (1, 1 + rows * columns, width)
    """
    side = int((table.shape[1] - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return table
    grid = table[:, 1:].transpose(1, 2).unflatten(-1, (side, side))
    grid = F.interpolate(grid.float(), (rows, columns), mode="bicubic", antialias=False).to(table.dtype)
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
