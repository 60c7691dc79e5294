"""Feature maps to normalized feature maps: norms that torch does not have."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel. Ba et al. 2016, arXiv:1607.06450.

    x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    def forward(self, x: Tensor) -> Tensor:
        # channels last, where layer_norm normalizes, and back
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class FixedScaleBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose scale stays one and whose bias learns; statistics follow quickly, for short training.

    Jordan 2024, arXiv:2404.00498. The memory of the running statistics is 0.6, which torch writes as momentum 0.4.

    x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    fixed_scale = True  # transfer.freeze leaves the scale as it is

    def __init__(self, channels: int, *, eps: float = 1e-6, momentum: float = 0.4) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.weight.requires_grad_(False)


class GroupNorm(nn.GroupNorm):
    """Group norm that turns maps stored channels last around on a processor, where torch's kernel for them is slow.

    Wu & He 2018, arXiv:1803.08494. x: (batch, channels, height, width) -> (batch, channels, height, width)
    """

    def forward(self, x: Tensor) -> Tensor:
        last = x.device.type == "cpu" and x.dim() == 4 and not x.is_contiguous()
        if not (last and x.is_contiguous(memory_format=torch.channels_last)):
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)
