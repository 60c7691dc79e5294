"""Activations by name, against closed forms."""

import math

import pytest
import torch
from torch.nn import functional as F

from trainwell.nn.activation import ACTIVATIONS, TanhGELU, activation

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


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_gelu_by_tanh_learns_what_torchs_does(kind):
    torch.manual_seed(0)
    x = torch.cat((torch.linspace(-12, 12, 301), 3 * torch.randn(2**19))).to(kind)[1:].view(4, -1).t()
    weight = torch.randn(x.shape).to(kind)
    ours, theirs = x.clone().requires_grad_(), x.clone().double().requires_grad_()
    answer, wanted = TanhGELU()(ours), F.gelu(theirs, approximate="tanh")
    assert answer.dtype == kind and answer.shape == x.shape
    close = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.01}[kind]
    torch.testing.assert_close(answer.double(), wanted, atol=close, rtol=close)
    (answer * weight).sum().backward()
    (wanted * weight.double()).sum().backward()
    torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=4 * close, rtol=close)
    with torch.no_grad():
        assert torch.equal(TanhGELU()(x), F.gelu(x, approximate="tanh"))


def test_gelu_by_tanh_has_a_second_gradient():
    x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(TanhGELU(), x)
