"""A picture to a direction in which pictures of the same thing lie close, with one more direction for each class."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.models.backbone import Backbone


class Likeness(NamedTuple):
    """embedding: (batch, width) of length one; cosine: (batch, classes) of the angle to each class's own direction."""

    embedding: Tensor
    cosine: Tensor


class Embedder(nn.Module):
    """Directions of pictures, learned by those of the classes in training and good for classes never seen.

    `backbone` is a name of a picture network with its arguments, as {"name": "resnet", "depth": 18}.

    x: (batch, channels, height, width) -> embedding: (batch, width) of length one, cosine: (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        backbone: dict[str, Any] | None = None,
        width: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(channels, backbone or {"name": "resnet", "depth": 18, "width": 32, "stem_stride": 2})
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(self.backbone.widths[-1], width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.directions = nn.Parameter(torch.randn(classes, width))

    def initialize(self, x: Tensor) -> None:
        """Hands pictures to a backbone that starts from the data."""
        self.backbone.initialize(x)

    def forward(self, x: Tensor) -> Likeness:
        found = self.dropout(self.backbone(x)[-1].mean((2, 3)))
        embedding = F.normalize(self.norm(self.project(found)).float(), dim=1)
        return Likeness(embedding, embedding @ F.normalize(self.directions.float(), dim=1).T)
