"""Maps of a backbone, the deeper the smaller, to maps of one width in which the deep inform the shallow."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.conv import ConvNormAct


class FeaturePyramid(nn.Module):
    """Brings every map to one width and adds to each the enlarged one below it. Lin et al. 2016, arXiv:1612.03144.

    widths: the channels of each map, the largest map first; further: maps that are made from the last by halving.

    maps: each (batch, its width, height, width) -> list of (batch, width, height, width), `further` more than before
    """

    def __init__(self, widths: Sequence[int], width: int, *, further: int = 0) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNormAct(each, width, 1, activation=nn.Identity) for each in widths)
        self.smooth = nn.ModuleList(ConvNormAct(width, width) for _ in widths)
        self.further = nn.ModuleList(ConvNormAct(width, width, stride=2) for _ in range(further))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sums = [bring(each) for bring, each in zip(self.lateral, maps, strict=True)]
        for place in range(len(sums) - 2, -1, -1):
            sums[place] = sums[place] + F.interpolate(sums[place + 1], sums[place].shape[-2:])
        found = [smooth(each) for smooth, each in zip(self.smooth, sums, strict=True)]
        for shrink in self.further:
            found.append(shrink(found[-1]))
        return found
