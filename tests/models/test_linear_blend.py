"""A blend of linear maps: each member is NLinear on its own stretch, and begins as the last value again."""

import pytest
import torch

from trainwell.models.linear_blend import LinearBlend
from trainwell.models.nlinear import NLinear
from trainwell.models.patch_blend import PatchBlend
from trainwell.train.optim import parameter_groups


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


def test_patches_are_one_more_member_at_a_rate_of_their_own():
    torch.manual_seed(0)
    blend, x = PatchBlend(3, 5, lookback=60, shares=(0.5, 1.0)).eval(), torch.randn(4, 60, 3)
    linear = LinearBlend(3, 5, lookback=60, shares=(0.5, 1.0))
    linear.load_state_dict({name: each for name, each in blend.state_dict().items() if name.startswith("maps")})
    assert blend(x).shape == (4, 3, 5, 3) and torch.equal(blend(x)[:, :2], linear(x))
    assert torch.allclose(blend(x)[:, 2], blend.patched(x[:, -30:]), atol=1e-6)
    groups = parameter_groups(blend, 1e-4, 0.0)
    assert [round(each["lr"], 9) for each in groups] == [1e-4, 1e-3]
    assert sum(len(each["params"]) for each in groups) == len(list(blend.parameters()))
