"""A blend of linear maps: each member is NLinear on its own stretch, and begins as the last value again."""

import pytest
import torch

from trainwell.models.linear_blend import LinearBlend
from trainwell.models.nlinear import NLinear


def test_each_member_is_an_nlinear_on_its_stretch():
    torch.manual_seed(0)
    blend, x = LinearBlend(3, 5, lookback=20, shares=(0.5, 1.0)), torch.randn(4, 20, 3)
    assert torch.allclose(blend(x), x[:, None, -1:].expand(4, 2, 5, 3))
    for place, length in enumerate((10, 20)):
        single = NLinear(3, 5, lookback=length)
        blend.maps[place].load_state_dict(single.linear.state_dict())
        assert torch.allclose(blend(x)[:, place], single(x[:, -length:]), atol=1e-6)


def test_shares_that_cannot_be():
    for shares in ((), (0.5, 1.2), (0.0,)):
        with pytest.raises(ValueError, match="shares"):
            LinearBlend(1, 1, shares=shares)
