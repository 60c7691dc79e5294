"""A small picture to class scores: LeNet-5. LeCun et al. 1998, Gradient-based learning for document recognition."""

from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 32  # pixels: the side that the first convolution is made for
DIGIT = 28  # pixels: MNIST's side, which the paper sets into 32 x 32


class LeNet(nn.Module):
    """Picture to class scores by two convolutions, two poolings and three full layers.

    Smaller pictures are enlarged to 28 pixels and set into 32 x 32; larger ones are averaged to the 5 x 5 map
    that the full layers read. With the published activation and 1 x 32 x 32 it has 61,706 parameters.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(self, channels: int, classes: int, *, width: int = 6, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 5)
        self.conv2 = nn.Conv2d(width, 16 * width // 6, 5)
        self.conv3 = nn.Conv2d(16 * width // 6, 20 * width, 5)
        self.hidden = nn.Linear(20 * width, 14 * width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(14 * width, classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps after each of the three convolutions."""
        height, width = x.shape[-2:]
        if min(height, width) < DIGIT:
            x = F.interpolate(x, (max(height, DIGIT), max(width, DIGIT)), mode="bilinear", antialias=False)
            height, width = x.shape[-2:]
        down, across = max(SIDE - height, 0), max(SIDE - width, 0)
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        first = F.avg_pool2d(self.conv1(x).tanh(), 2)
        second = F.avg_pool2d(self.conv2(first).tanh(), 2)
        third = self.conv3(F.adaptive_avg_pool2d(second, 5)).tanh()
        return [first, second, third]

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(self.features(x)[-1].flatten(1)).tanh()
        return self.head(self.dropout(x))
