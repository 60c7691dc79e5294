"""A picture to class scores for every pixel: any backbone's maps, joined on the way back up. Ronneberger et al. 2015.

arXiv:1505.04597
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.models.backbone import Backbone
from trainwell.nn.conv import ConvNormAct

SMALL = {"name": "resnet", "depth": 18, "width": 24, "stem_stride": 2}


class Up(nn.Module):
    """Enlarges a small map to the size of a large one, joins them and convolves.

    small: (batch, before, h, w), large: (batch, beside, height, width) -> (batch, after, height, width)
    """

    def __init__(self, before: int, beside: int, after: int) -> None:
        super().__init__()
        self.narrow = ConvNormAct(before, after, 1)
        self.join = ConvNormAct(after + beside, after)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        small = F.interpolate(self.narrow(small), large.shape[-2:], mode="bilinear", align_corners=False)
        return self.join(torch.cat([small, large], 1))


class UNet(nn.Module):
    """Picture to class scores for every pixel: down through a backbone, up again joining its maps.

    `backbone` names a network of `trainwell models` that has maps at several sizes, with its arguments; `width` is the
    least number of channels on the way up, which else are those of the backbone's maps. Pictures of any size.

    x: (batch, channels, height, width) -> (batch, classes, height, width)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        backbone: dict[str, Any] | None = None,
        width: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(channels, dict(backbone or SMALL))
        widths = self.backbone.widths
        before, ups = widths[-1], []
        for beside in widths[-2::-1]:
            after = max(width, beside)
            ups.append(Up(before, beside, after))
            before = after
        self.ups = nn.ModuleList(ups)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(before, classes, 1)

    def initialize(self, x: Tensor) -> None:
        """Hands pictures, (batch, channels, height, width), to a backbone that starts from the data."""
        self.backbone.initialize(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each step up, the smallest first."""
        maps = self.backbone(x)
        up = [maps[-1]]
        for step, large in zip(self.ups, maps[-2::-1], strict=True):
            up.append(step(up[-1], large))
        return up

    def forward(self, x: Tensor) -> Tensor:
        scores = self.head(self.dropout(self.features(x)[-1]))
        if scores.shape[-2:] == x.shape[-2:]:
            return scores
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)
