"""The name of a picture network to its maps at every stage, for networks that answer by place or by likeness."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.resnet import ResNet
from trainwell.models.speednet import SpeedNet
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer

BACKBONES: dict[str, Any] = {
    "resnet": ResNet,
    "vgg": VGG,
    "densenet": DenseNet,
    "efficientnet": EfficientNet,
    "speednet": SpeedNet,
    "vit": VisionTransformer,
    "alexnet": AlexNet,
}
ANSWERING = ("hidden", "top", "head")  # parts of a classifier that come after its maps
PROBE = 128  # pixels a side of the blank picture that tells widths and strides


class Backbone(nn.Module):
    """A network for pictures without its head: the last map of each size, the largest first.

    part: a name of BACKBONES and the arguments that the network takes, as {"name": "resnet", "depth": 18}. `widths`
    holds the channels of each map, `strides` how many pixels one of its places stands for. Raises ValueError for a
    name that is not there, TypeError for an argument that the network does not take.

    x: (batch, channels, height, width) -> tuple of (batch, width, height / stride, width / stride)
    """

    def __init__(self, channels: int, part: dict[str, Any]) -> None:
        super().__init__()
        self.channels, self.part = channels, dict(part)
        arguments = dict(part)
        name = arguments.pop("name", "resnet")
        if name not in BACKBONES:
            raise ValueError(f"no backbone {name!r}; choose one of {', '.join(BACKBONES)}")
        self.network = BACKBONES[name](channels, 1, **arguments)
        for answering in ANSWERING:
            if hasattr(self.network, answering):
                setattr(self.network, answering, nn.Identity())
        training = self.network.training
        with torch.no_grad():
            maps = self.network.eval().features(torch.zeros(1, channels, PROBE, PROBE))
        self.network.train(training)
        strides = [round(PROBE / each.shape[-1]) for each in maps]
        last = {stride: place for place, stride in enumerate(strides)}
        self.places = [last[stride] for stride in sorted(last)]
        self.strides = sorted(last)
        self.widths = [maps[place].shape[1] for place in self.places]

    def fill(self, whole: nn.Module) -> None:
        """Takes the weights of the same network with its head on."""
        own = self.network.state_dict()
        self.network.load_state_dict(
            {key: each for key, each in whole.state_dict().items() if key in own}, strict=False
        )

    def initialize(self, x: Tensor) -> None:
        """Hands pictures, (batch, channels, height, width), to a network that starts from the data."""
        starts = getattr(self.network, "initialize", None)
        if callable(starts):
            starts(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.network.features(x)
        return tuple(maps[place] for place in self.places)
