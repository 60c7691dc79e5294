"""A picture to boxes with class scores at every place of a feature pyramid, without anchors.

Tian et al. 2019, FCOS, arXiv:1904.01355.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainwell.models.backbone import Backbone
from trainwell.nn.conv import ConvNormAct
from trainwell.nn.feature_pyramid import FeaturePyramid

FINEST = 8  # pixels: the smallest stride at which boxes are looked for
FARTHEST = 6.0  # of the exponent that gives a distance, so that no answer is infinite
START = 3.0  # strides from a place to each side of its box before anything is learned
RARE = 0.01  # probability of every class before anything is learned


class Boxes(NamedTuple):
    """What a detector says of every place: scores: (batch, places, classes) logits; boxes: (batch, places, 4) pixels;
    places: (places, 3), the x and y of the place's middle and its stride, in pixels.
    """

    scores: Tensor
    boxes: Tensor
    places: Tensor


class Head(nn.Module):
    """Convolutions that end in class scores, and others that end in the distances to the four sides of the box.

    x: (batch, width, height, width) -> (batch, classes, height, width), (batch, 4, height, width)
    """

    def __init__(self, width: int, classes: int, depth: int) -> None:
        super().__init__()
        self.classify = nn.Sequential(*(ConvNormAct(width, width) for _ in range(depth)), nn.Conv2d(width, classes, 1))
        self.locate = nn.Sequential(*(ConvNormAct(width, width) for _ in range(depth)), nn.Conv2d(width, 4, 1))
        for last, start in ((self.classify[-1], math.log(RARE / (1 - RARE))), (self.locate[-1], math.log(START))):
            nn.init.normal_(last.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.constant_(last.bias, start)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classify(x), self.locate(x)


class FCOS(nn.Module):
    """Boxes and class scores from every place of a feature pyramid over any backbone.

    `backbone` is a name of a picture network with its arguments, as {"name": "resnet", "depth": 18}; `levels` maps of
    stride 8, 16, 32 ... are looked at, each by a head of its own of `depth` convolutions.

    x: (batch, channels, height, width) -> scores: (batch, places, classes), boxes: (batch, places, 4) in pixels,
    places: (places, 3)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        backbone: dict[str, Any] | None = None,
        width: int = 64,
        depth: int = 2,
        levels: int = 3,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(channels, backbone or {"name": "resnet", "depth": 18, "width": 32})
        strides = self.backbone.strides
        self.first = min((i for i, stride in enumerate(strides) if stride >= FINEST), default=len(strides) - 1)
        widths = self.backbone.widths[self.first :][:levels]
        self.pyramid = FeaturePyramid(widths, width, further=levels - len(widths))
        self.heads = nn.ModuleList(Head(width, classes, depth) for _ in range(levels))

    def initialize(self, x: Tensor) -> None:
        """Hands pictures to a backbone that starts from the data."""
        self.backbone.initialize(x)

    def forward(self, x: Tensor) -> Boxes:
        maps = self.backbone(x)[self.first :]
        scores, boxes, places = [], [], []
        for head, each in zip(self.heads, self.pyramid(maps[: len(self.heads)]), strict=True):
            score, distance = head(each)
            place = grid(each, x)
            # Half formats hold no place of a large picture exactly.
            reach = place[:, 2:] * distance.flatten(2).transpose(1, 2).float().clamp_max(FARTHEST).exp()
            scores.append(score.flatten(2).transpose(1, 2))
            boxes.append(torch.cat([place[:, :2] - reach[..., :2], place[:, :2] + reach[..., 2:]], -1))
            places.append(place)
        return Boxes(torch.cat(scores, 1), torch.cat(boxes, 1), torch.cat(places))


def grid(features: Tensor, x: Tensor) -> Tensor:
    """Where the places of a map lie in the picture: (height * width, 3) of x, y and stride, row by row."""
    height, width = features.shape[-2:]
    down, across = x.shape[-2] / height, x.shape[-1] / width
    rows = (torch.arange(height, device=x.device, dtype=torch.float32) + 0.5) * down
    columns = (torch.arange(width, device=x.device, dtype=torch.float32) + 0.5) * across
    middles = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1).flatten(0, 1)
    return torch.cat([middles, torch.full_like(middles[:, :1], max(down, across))], 1)
