"""Feed-forward parts against their formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.nn.feed_forward import FeedForward, GatedFeedForward, SquaredReLU, cap, feed_forward_activation


def test_plain_and_gated_are_the_formulas():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8)
    plain, gated = FeedForward(8, 12), GatedFeedForward(8, 12)
    assert torch.allclose(plain(x), plain.down(F.gelu(plain.up(x))))
    assert torch.allclose(gated(x), (F.silu(x @ gated.gate.weight.T) * (x @ gated.up.weight.T)) @ gated.down.weight.T)
    assert SquaredReLU()(torch.tensor([-2.0, 3.0])).tolist() == [0, 9]


def test_scores_are_capped_smoothly():
    scores = torch.tensor([-1e6, -0.01, 0.0, 0.01, 1e6])
    assert torch.allclose(cap(scores, 15.0), torch.tensor([-15.0, -0.01, 0.0, 0.01, 15.0]), atol=1e-6)


def test_activations_by_name():
    assert isinstance(feed_forward_activation("relu2"), SquaredReLU)
    assert isinstance(feed_forward_activation("silu"), nn.SiLU)
    x = torch.randn(5)
    assert torch.allclose(feed_forward_activation("gelu_tanh")(x), F.gelu(x, approximate="tanh"))
    with pytest.raises(ValueError, match="geluu"):
        feed_forward_activation("geluu")
