"""A network to a rougher, faster copy of itself: its large layers in sixteen bits, everything else shared with it."""

import copy
import warnings

import torch
from torch import Tensor, nn

from trainwell.nn.packed import SMALLEST, copies_of, put

NAMES = ("fbgemm_pack_gemm_matrix_fp16", "fbgemm_linear_fp16_weight_fp32_activation")
# These kernels are marked as going away: where a torch lacks them, there is no rough copy, and nothing else changes.
KNOWN = all(hasattr(torch, name) for name in NAMES) and "fbgemm" in torch.backends.quantized.supported_engines


class RoughLinear(nn.Module):
    """A linear layer with weights in float16, which are half as many bytes to read, for inference on a processor.

    Inputs and sums stay float32; weights beyond float16's range become its largest. x: (..., inputs) -> (..., outputs)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach()
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the kernels' going away, see above
            self.packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
            self(weight[:1])  # the first call warns too

    def forward(self, x: Tensor) -> Tensor:
        return torch.fbgemm_linear_fp16_weight_fp32_activation(x, self.packed, self.bias)


def roughened(model: nn.Module) -> nn.Module | None:
    """A copy of the model in evaluation mode that shares its weights but for the large layers; None where no kernel is.

    It goes stale when the weights of those layers change.
    """
    weights = list(model.parameters())
    if not KNOWN or any(weight.device.type != "cpu" or weight.dtype != torch.float32 for weight in weights):
        return None
    shared = {id(each): each for each in (*weights, *model.buffers())}
    twin = copy.deepcopy(model, shared).eval()
    for part in twin.modules():  # what watches the model shall not see its copy
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    put(twin, copies_of(twin, lambda weight: weight.numel() >= SMALLEST, RoughLinear))
    return twin
