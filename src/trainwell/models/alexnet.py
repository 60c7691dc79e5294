"""A picture to class scores: AlexNet in its one-tower form. Krizhevsky 2014, arXiv:1404.5997."""

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.conv import FittingMaxPool2d, collect, require_size

GRID = 6  # pixels: the side of the last map, which the full layers read whole
LEAST = 7  # pixels: the first convolution, 11 wide with 2 of padding on both sides, fits into these


class AlexNet(nn.Module):
    """Picture to class scores by five convolutions and three full layers.

    `stem_stride` is the step of the first convolution: 4 as published, for 224 pixels; 1 or 2 suits small pictures.
    Maps smaller than a pooling window are not pooled; the last map is averaged or repeated to 6 x 6.

    x: (batch, channels, height, width) -> (batch, classes); raises ValueError under 7 pixels a side
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: int = 64,
        hidden: int = 4096,
        stem_stride: int = 4,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [width, 3 * width, 6 * width, 4 * width, 4 * width]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(channels, widths[0], 11, stem_stride, 2), nn.ReLU(), FittingMaxPool2d(3, 2)),
                nn.Sequential(nn.Conv2d(widths[0], widths[1], 5, 1, 2), nn.ReLU(), FittingMaxPool2d(3, 2)),
                nn.Sequential(
                    *[nn.Conv2d(widths[1], widths[2], 3, 1, 1), nn.ReLU()],
                    *[nn.Conv2d(widths[2], widths[3], 3, 1, 1), nn.ReLU()],
                    *[nn.Conv2d(widths[3], widths[4], 3, 1, 1), nn.ReLU()],
                    FittingMaxPool2d(3, 2),
                ),
            ]
        )
        self.hidden = nn.Sequential(
            *[nn.Dropout(dropout), nn.Linear(widths[-1] * GRID**2, hidden), nn.ReLU()],
            *[nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU()],
        )
        self.head = nn.Linear(hidden, classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each of the three poolings."""
        require_size(x, LEAST)
        return collect(self.stages, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(F.adaptive_avg_pool2d(self.features(x)[-1], GRID).flatten(1)))
