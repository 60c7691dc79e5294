"""Initializers against the variances of their papers, and the signal that comes out of deep stacks."""

import pytest
import torch
from torch import nn

from trainwell.nn.activation import ACTIVATIONS, activation
from trainwell.nn.init import INITIALIZERS, MATCHING, initialize, initialize_for

VARIANCE = {"glorot": lambda i, o: 2 / (i + o), "he": lambda i, o: 2 / i, "lecun": lambda i, o: 1 / i}
NAMES = [f"{paper}_{shape}" for paper in VARIANCE for shape in ("uniform", "normal")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("layer", "inputs", "outputs"),
    [
        (nn.Linear(300, 200), 300, 200),
        (nn.Conv2d(40, 60, 3), 360, 540),
        (nn.ConvTranspose2d(40, 60, 3), 360, 540),
    ],
)
def test_variance_is_the_papers(name, layer, inputs, outputs):
    torch.manual_seed(0)
    nn.init.ones_(layer.bias)
    initialize(layer, name)
    expected = VARIANCE[name.partition("_")[0]](inputs, outputs)
    assert layer.weight.var().item() == pytest.approx(expected, rel=0.03)
    assert layer.weight.mean().item() == pytest.approx(0, abs=4 * (expected / layer.weight.numel()) ** 0.5)
    assert layer.bias.abs().max() == 0
    if name.endswith("uniform"):
        assert layer.weight.abs().max().item() <= (3 * expected) ** 0.5 * 1.0001


def test_orthogonal_keeps_lengths():
    layer = initialize(nn.Linear(50, 50), "orthogonal")
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(50), atol=1e-5, rtol=0)


def test_every_activation_has_its_match():
    assert set(MATCHING) == set(ACTIVATIONS)
    assert set(MATCHING.values()) <= set(INITIALIZERS)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"softmax", "sigmoid"}))
def test_the_matching_one_keeps_a_deep_signal_alive(name):
    torch.manual_seed(0)
    layers = []
    for _ in range(10):
        layers += [nn.Linear(256, 256), activation(name)]
    stack = nn.Sequential(*layers)
    x = torch.randn(512, 256)
    default = stack(x).std().item()
    matched = initialize_for(stack, name)(x).std().item()
    assert 0.1 < matched < 10
    assert matched > default  # torch's own start has a third of the variance, and the signal fades


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="known: glorot_normal"):
        initialize(nn.Linear(2, 2), "xavier")
    with pytest.raises(ValueError, match="known: elu"):
        initialize_for(nn.Linear(2, 2), "rellu")
