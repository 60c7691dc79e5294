"""The multi-layer perceptron: shapes, choices by name, and what it learns."""

import pytest
import torch
from torch import nn

from trainwell.models.mlp import MLP
from trainwell.nn.activation import ACTIVATIONS

CHOICES = [
    {},
    {"widths": (32,), "activation": "selu", "initialization": "orthogonal"},
    {"norm": "batch", "dropout": 0.1},
    {"norm": "layer", "residual": True, "activation": "gelu", "widths": (24, 24, 48)},
    {"norm": "rms", "activation": "prelu"},
    {"widths": ()},
]


@pytest.mark.parametrize("choice", CHOICES)
def test_contract(choice):
    torch.manual_seed(0)
    model = MLP(12, 3, **choice)
    x, y = torch.randn(16, 3, 2, 2), torch.arange(16) % 3
    assert model(x).shape == (16, 3)
    assert torch.equal(model(x.flatten(1)), model(x)) or choice.get("dropout")
    nn.functional.cross_entropy(model(x), y).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters())
    model.eval()
    before = model(x)
    changed = x.clone()
    changed[0] += 1
    torch.testing.assert_close(model(changed)[1:], before[1:])  # nothing leaks between rows
    fresh = MLP(12, 3, **choice).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), before)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(x[:5]), before[:5])


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_memorizes_a_batch_with_any_activation(name):
    torch.manual_seed(0)
    model = MLP(8, 3, widths=(64, 64), activation=name)
    x, y = torch.randn(12, 8), torch.arange(12) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss < (0.9 if name == "identity" else 0.05)


def test_learns_xor_which_a_perceptron_cannot():
    torch.manual_seed(0)
    x, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    model = MLP(2, 2, widths=(8,), activation="tanh")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert model(x).argmax(1).tolist() == y.tolist()


def test_residual_adds_the_input():
    model = MLP(6, 2, widths=(6,), residual=True)
    block = model.hidden[0]
    x = torch.randn(3, 6)
    torch.testing.assert_close(model.hidden(x), x + block.block(x))


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="known: batch, layer, rms"):
        MLP(2, 2, norm="group")
    with pytest.raises(ValueError, match="no activation"):
        MLP(2, 2, activation="rellu")
    with pytest.raises(ValueError, match="no initialization"):
        MLP(2, 2, initialization="xavier")
