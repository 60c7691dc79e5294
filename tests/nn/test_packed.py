"""Packed weights: equal results, and nothing left behind."""

import gc
import weakref

import pytest
import torch
from torch import nn

from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.llama import Llama
from trainwell.models.t5 import T5
from trainwell.nn.packed import PackedLinear, is_packed, packed


@pytest.fixture(autouse=True)
def small_layers_too(monkeypatch):
    monkeypatch.setattr("trainwell.nn.packed.SMALLEST", 1)


@pytest.mark.parametrize("rows", [1, 4, 16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(8, 40), (40, 8), (24, 24)])
def test_layers_give_equal_results_for_any_number_of_rows(rows, bias, sizes):
    torch.manual_seed(0)
    layer = nn.Linear(*sizes, bias=bias)
    twin = PackedLinear(layer.weight, layer.bias, rows=rows)
    with torch.no_grad():
        for shape in ((1,), (rows, 1), (3, 7), (2, 3, 5)):
            x = torch.randn(*shape, sizes[0])
            assert torch.allclose(twin(x), layer(x), atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("kind", [GPT2, GPT, Llama])
def test_models_give_equal_results_and_come_back_as_they_were(kind, rows):
    torch.manual_seed(0)
    model = kind(50, width=32, depth=2, heads=4, **({"key_heads": 2} if kind is not GPT2 else {})).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        tokens = torch.randint(0, 50, (rows, 6))
        wanted, state = model(tokens), {k: v.clone() for k, v in model.state_dict().items()}
        modules = [name for name, _ in model.named_modules()]
        with packed(model, rows=rows), packed(model, rows=rows):
            assert any(isinstance(part, PackedLinear) for part in model.modules())
            assert torch.allclose(model(tokens), wanted, atol=1e-5)
        assert [name for name, _ in model.named_modules()] == modules
        assert not any(isinstance(part, PackedLinear) for part in model.modules())
        assert torch.equal(model(tokens), wanted)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_encoder_decoders_and_bfloat16_too():
    torch.manual_seed(0)
    model = T5(50, width=32, depth=1, heads=4, head_width=8, hidden=64).eval()
    source, target = torch.randint(0, 50, (2, 6)), torch.randint(0, 50, (2, 3))
    for kind, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        model = model.to(kind)
        with torch.no_grad():
            wanted = model(source, target)
            with packed(model, rows=2):
                assert torch.allclose(model(source, target), wanted, atol=near)


def test_copies_are_kept_until_a_weight_changes():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4)), torch.randn(2, 4)
    optimizers = [torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused) for fused in (True, False)]

    def step(optimizer):
        model(x).sum().backward()
        optimizer.step()

    changes = [
        lambda: step(optimizers[0]),
        lambda: step(optimizers[1]),
        lambda: model[0].weight.data.mul_(2),  # which leaves no trace in the count of changes
        lambda: model.load_state_dict({key: value + 1 for key, value in model.state_dict().items()}),
        lambda: model.requires_grad_(False).double().float(),
    ]
    for change in changes:
        with packed(model, rows=2):
            first = model[0]
        with packed(model, rows=3), torch.no_grad():
            assert model[0] is first
        assert is_packed(model, rows=2)
        change()
        assert not is_packed(model, rows=2)
        with torch.no_grad():
            wanted = model(x)
            with packed(model, rows=2):
                assert model[0] is not first and torch.allclose(model(x), wanted, atol=1e-5)


def test_copies_go_with_the_model():
    model = nn.Sequential(nn.Linear(4, 5))
    with packed(model, rows=2):
        gone = weakref.ref(model[0])
    del model
    gc.collect()
    assert gone() is None


def test_an_error_inside_leaves_the_model_whole():
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(KeyError), packed(model, rows=1):
        raise KeyError
    assert type(model[0]) is nn.Linear
