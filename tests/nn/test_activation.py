"""Activations by name, against closed forms."""

import math

import pytest
import torch

from trainwell.nn.activation import ACTIVATIONS, activation

X = torch.linspace(-4, 4, 33, dtype=torch.float64).reshape(3, 11)
PHI = 0.5 * (1 + torch.erf(X / math.sqrt(2)))
CLOSED = {
    "identity": X,
    "relu": X.clamp(min=0),
    "leaky_relu": torch.where(X > 0, X, 0.01 * X),
    "prelu": torch.where(X > 0, X, 0.25 * X),
    "sigmoid": 1 / (1 + torch.exp(-X)),
    "tanh": (torch.exp(2 * X) - 1) / (torch.exp(2 * X) + 1),
    "softmax": torch.exp(X) / torch.exp(X).sum(-1, keepdim=True),
    "elu": torch.where(X > 0, X, torch.expm1(X)),
    "selu": 1.0507009873554805 * torch.where(X > 0, X, 1.6732632423543772 * torch.expm1(X)),
    "gelu": X * PHI,
    "silu": X / (1 + torch.exp(-X)),
    "mish": X * torch.tanh(torch.log1p(torch.exp(X))),
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_each_is_its_closed_form(name):
    torch.testing.assert_close(activation(name).double()(X), CLOSED[name], atol=1e-7, rtol=1e-6)


def test_each_call_makes_a_module_of_its_own():
    assert activation("prelu") is not activation("prelu")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"no activation 'rellu'; known: elu.*tanh"):
        activation("rellu")
