"""Group norm of maps stored channels last: torch's own numbers, gradients and order in memory."""

import pytest
import torch
from torch import nn

from trainwell.nn.norm import GroupNorm


@pytest.mark.parametrize("shape", [(3, 8, 5, 4), (3, 8, 5), (2, 8), (3, 8, 1, 1)])
@pytest.mark.parametrize("last", [True, False])
def test_group_norm_equals_torchs_and_keeps_the_order_in_memory(shape, last):
    torch.manual_seed(0)
    ours, theirs = GroupNorm(4, 8).double(), nn.GroupNorm(4, 8).double()
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(mine.normal_())
    x, weight = 1 + 2 * torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    given = x.to(memory_format=torch.channels_last) if last and len(shape) == 4 else x
    given, x = given.detach().clone().requires_grad_(), x.detach().clone().requires_grad_()
    answer, wanted = ours(given), theirs(x)
    torch.testing.assert_close(answer, wanted)
    assert answer.stride() == given.stride()
    (answer * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(given.grad, x.grad)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_torchs_kernel_is_never_given_maps_stored_channels_last(monkeypatch):
    seen: list[torch.Tensor] = []
    plain = nn.GroupNorm.forward
    monkeypatch.setattr(nn.GroupNorm, "forward", lambda self, x: (seen.append(x), plain(self, x))[1])
    GroupNorm(2, 4)(torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last))
    assert seen[0].is_contiguous()
