"""A picture to class scores: residual networks. He et al. 2015, arXiv:1512.03385."""

from torch import Tensor, nn

from trainwell.nn.conv import ConvNormAct, PaddedShortcut, basic_block, bottleneck_block, collect

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BOTTLENECK_FROM = 50  # layers: from here on blocks narrow and widen


class ResNet(nn.Module):
    """Picture to class scores by residual blocks.

    Depth 18, 34, 50, 101 and 152 are the four-stage networks for ImageNet, 64 channels wide; depth 6n + 2 (20, 32, 44,
    56, 110) are the three-stage networks for CIFAR, 16 wide, with shortcuts without weights. `stem_stride` is how
    much the stem shrinks the picture: 4 is the published stem of the four-stage networks, 1 suits pictures under 64
    pixels.

    x: (batch, channels, height, width) -> (batch, classes)
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 18,
        width: int | None = None,
        stem_stride: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        cifar = depth not in STAGES
        if cifar and (depth < 8 or (depth - 2) % 6):
            raise ValueError(f"depth {depth}: expected one of {sorted(STAGES)} or 6n + 2, such as 20, 32, 44, 56, 110")
        counts = ((depth - 2) // 6,) * 3 if cifar else STAGES[depth]
        width = width or (16 if cifar else 64)
        self.stem = _stem(channels, width, stem_stride or (1 if cifar else 4))
        self.stages = nn.ModuleList()
        before = width
        for stage, blocks in enumerate(counts):
            layers = []
            for block in range(blocks):
                inner, stride = width * 2**stage, 2 if stage and not block else 1
                if depth >= BOTTLENECK_FROM and not cifar:
                    layers.append(bottleneck_block(before, inner, stride))
                    before = 4 * inner
                elif cifar and before != inner:
                    layers.append(basic_block(before, inner, stride, PaddedShortcut))
                    before = inner
                else:
                    layers.append(basic_block(before, inner, stride))
                    before = inner
            self.stages.append(nn.Sequential(*layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> list[Tensor]:
        """The map after each stage, each but the first half the size of the one before."""
        return collect(self.stages, self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)[-1].mean((2, 3))))


def _stem(channels: int, width: int, stride: int) -> nn.Sequential:
    if stride == 1:
        return nn.Sequential(ConvNormAct(channels, width))
    if stride == 2:
        return nn.Sequential(ConvNormAct(channels, width, 7, stride=2))
    if stride == 4:
        return nn.Sequential(ConvNormAct(channels, width, 7, stride=2), nn.MaxPool2d(3, 2, 1))
    raise ValueError(f"stem_stride {stride}: expected 1, 2 or 4")
