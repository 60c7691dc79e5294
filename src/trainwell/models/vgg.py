"""A picture to class scores: plain 3x3 convolutions, doubled in width at every halving. Simonyan & Zisserman 2014."""

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.conv import FittingMaxPool2d, collect

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # arXiv:1409.1556
GRID = 7  # pixels: the side of the last map, which the full layers read whole


class VGG(nn.Module):
    """Picture to class scores by five stages of convolutions and three full layers.

    Maps of one pixel are not pooled; the last map is averaged or repeated to 7 x 7. Without `batch_norm` it is the
    published network, which starts learning only with a small rate.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 16,
        width: int = 64,
        hidden: int = 4096,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth {depth}: expected one of {sorted(STAGES)}")
        self.stages, before = nn.ModuleList(), channels
        for stage, convolutions in enumerate(STAGES[depth]):
            after = min(width * 2**stage, width * 8)
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                layers.append(nn.Conv2d(before, after, 3, padding=1))
                layers += [nn.BatchNorm2d(after)] if batch_norm else []
                layers.append(nn.ReLU())
                before = after
            self.stages.append(nn.Sequential(*layers, FittingMaxPool2d(2, 2)))
        self.hidden = nn.Sequential(
            *[nn.Linear(before * GRID**2, hidden), nn.ReLU(), nn.Dropout(dropout)],
            *[nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)],
        )
        self.head = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each stage, each half the size of the one before."""
        return collect(self.stages, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(F.adaptive_avg_pool2d(self.features(x)[-1], GRID).flatten(1)))
