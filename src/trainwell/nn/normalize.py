"""Pictures as bytes to numbers around zero, on the device that the network runs on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtracts a mean and divides by a deviation for each channel, both in the pictures' unit (0 to 255 for bytes).

    x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        inverse = [1 / each if each > 0 else 1.0 for each in deviation]
        self.register_buffer("scale", torch.tensor(inverse, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(memory_format=torch.channels_last) - self.mean) * self.scale
