"""A time between 0 and 1, and a class, to the vector that tells a network how much noise there is and what to draw."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NONE = -1  # the class of a row that has none: the network learns from it, and is asked, without a class


def time_features(time: Tensor, width: int, *, slowest: float = 1.0, fastest: float = 1000.0) -> Tensor:
    """Sines and cosines of the time at `width` / 2 speeds between the slowest and the fastest, in radians.

    time: (batch,) in [0, 1] -> (batch, width). Vaswani et al. 2017 as used by Ho et al. 2020, arXiv:2006.11239.
    """
    count = width // 2
    power = torch.arange(count, device=time.device, dtype=torch.float32) / max(count - 1, 1)
    angle = time.float()[:, None] * slowest * (fastest / slowest) ** power
    return torch.cat([angle.cos(), angle.sin()], 1)


class Condition(nn.Module):
    """Time and class to one vector by a small network; class -1 stands for no class.

    time: (batch,) in [0, 1], classes: (batch,) long -> (batch, width)
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.width, self.classes = width, classes
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.5)  # as large as the time, so that classes are learned early

    def forward(self, time: Tensor, classes: Tensor | None = None) -> Tensor:
        hidden = self.second(F.silu(self.first(time_features(time, self.width))))
        if self.label is None:
            return hidden
        # Without classes all rows ask for none, so that one signature serves both.
        place = torch.zeros_like(time, dtype=torch.long) if classes is None else classes - NONE
        return hidden + self.label(place)
