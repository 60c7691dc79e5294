"""A network to a rougher, faster copy of itself: its large layers in eight bits, everything else shared with it."""

import copy
import warnings

import torch
from torch import Tensor, nn

from trainwell.nn.packed import SMALLEST, copies_of, put

NAMES = ("quantize_weight", "pack_quantized_matrix", "int8_weight_fp32_activation")
# These kernels are marked as going away: where a torch lacks them, there is no rough copy, and nothing else changes.
KNOWN = all(hasattr(torch, f"fbgemm_{'' if 'pack' in name else 'linear_'}{name}") for name in NAMES)
KNOWN = KNOWN and "fbgemm" in torch.backends.quantized.supported_engines


class RoughLinear(nn.Module):
    """A linear layer with weights and inputs in eight bits, sums in 32, for inference on a processor.

    One scale for the weights and one for each call's inputs. Jacob et al. 2017, arXiv:1712.05877.
    x: (..., inputs) float32 -> (..., outputs)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach()
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the kernels' going away, see above
            numbers, self.offsets, self.scale, self.zero = torch.fbgemm_linear_quantize_weight(weight)
            self.numbers, self.packed = numbers, torch.fbgemm_pack_quantized_matrix(numbers)
            self(weight[:1])  # the first call warns too

    def forward(self, x: Tensor) -> Tensor:
        return torch.fbgemm_linear_int8_weight_fp32_activation(
            x, self.numbers, self.packed, self.offsets, self.scale, self.zero, self.bias
        )


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
