"""Damage does what its name says, and the same noise does the same damage."""

import pytest
import torch

from trainwell.nn.corrupt import CORRUPTIONS


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage(name):
    torch.manual_seed(0)
    x, noise = torch.full((50, 1000), 0.5), torch.randn(50, 1000)
    found = CORRUPTIONS[name](x, noise, 0.3)
    assert torch.equal(found, CORRUPTIONS[name](x, noise, 0.3))
    if name == "gaussian":
        assert (found - x).std().item() == pytest.approx(0.3, abs=0.01)
    else:
        assert (found != x).float().mean().item() == pytest.approx(0.3, abs=0.01)
    if name == "salt":
        assert (found == 1).float().mean().item() == pytest.approx(0.15, abs=0.01)
