"""RealMLP: its data-driven start, its members' independence, its rates, and the contract of table models."""

import pytest
import torch
from table_contract import contract, rows

from trainwell.models.realmlp import ParametricActivation, RealMLP, TangentLinear


@pytest.mark.parametrize("choice", [{}, {"members": 3}, {"activation": "selu", "members": 2, "depth": 1}])
def test_contract(choice):
    contract(lambda: RealMLP(4, [3, 12], 3, width=64, dropout=0.0, **choice), rate=0.03)


def test_members_are_independent_networks():
    torch.manual_seed(0)
    numbers, codes = rows()
    packed = RealMLP(4, [3, 12], 2, members=3, width=16).eval()
    packed.initialize(numbers, codes)
    together = packed(numbers, codes)
    assert together.shape == (len(numbers), 3, 2)
    for member in range(3):
        alone = RealMLP(4, [3, 12], 2, width=16).eval()
        alone.load_state_dict({name: value[member : member + 1] for name, value in packed.state_dict().items()})
        torch.testing.assert_close(alone(numbers, codes), together[:, member], atol=1e-5, rtol=1e-5)
    together[:, 1].sum().backward()
    for name, parameter in packed.named_parameters():
        assert parameter.grad[[0, 2]].abs().sum() == 0, name


def test_start_gives_every_unit_variance_one_and_a_bend_among_the_rows():
    torch.manual_seed(0)
    numbers, codes = rows(500)
    numbers = numbers * 50 + 7  # even when nobody scaled the columns
    model = RealMLP(4, [3, 12], 1, members=2, width=32)
    model.initialize(numbers, codes)
    x = model.embed(numbers, codes)
    for layer in model.hidden:
        if isinstance(layer, TangentLinear):
            sums = layer(x)
            torch.testing.assert_close(sums.std(1, correction=0), torch.ones(2, 32), atol=1e-3, rtol=1e-3)
            assert (sums.min(1).values < 0).all() and (sums.max(1).values > 0).all()  # 0, the bend, lies inside
        x = x if isinstance(layer, torch.nn.Dropout) else layer(x)


def test_the_activations_strength_goes_from_nothing_to_all():
    layer = ParametricActivation(2, 3, "mish")
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(layer(x), torch.nn.functional.mish(x))
    torch.nn.init.zeros_(layer.strength)
    torch.testing.assert_close(layer(x), x)


def test_rates_by_kind_of_parameter():
    model = RealMLP(4, [3, 12], 1, width=8)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in model.parameter_groups(1.0, 0.5) for p in g["params"]}
    assert len(rates) == len(names)
    assert rates["scale"] == (6.0, 0.5)
    assert rates["head.weight"] == rates["hidden.0.weight"] == rates["embeddings.0.weight"] == (1.0, 0.5)
    assert rates["hidden.0.bias"] == rates["hidden.1.strength"] == rates["waves.frequency"] == (0.1, 0.0)


def test_tables_without_numbers_or_without_categories():
    model = RealMLP(0, [3], 1)
    model.initialize(torch.zeros(6, 0), torch.randint(0, 3, (6, 1)))
    assert model(torch.zeros(6, 0), torch.randint(0, 3, (6, 1))).shape == (6, 1)
    assert RealMLP(3, [], 1, members=2)(torch.randn(6, 3), torch.zeros(6, 0, dtype=torch.long)).shape == (6, 2, 1)
