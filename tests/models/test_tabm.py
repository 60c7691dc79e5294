"""TabM against a loop over members with each member's matrices written out."""

import pytest
import torch
from table_contract import contract, rows
from torch import nn
from torch.nn import functional as F

from trainwell.models.tabm import TabM


def slow(model, numbers, categories, member):
    """One member's answer, layer by layer, from explicit weights."""
    x = torch.cat([model.numbers(numbers).flatten(1) if model.numbers else numbers, model.categories(categories)], 1)
    for layer in model.hidden:
        if hasattr(layer, "scale"):
            x = x * layer.scale[member]
        elif hasattr(layer, "shared"):
            matrix = layer.shared.weight * torch.outer(layer.after.scale[member], layer.before.scale[member])
            x = F.linear(x, matrix, layer.bias[member])
        elif isinstance(layer, nn.Linear):
            x = F.linear(x, layer.weight, layer.bias)
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
    return F.linear(x, model.head.weight[member].T, model.head.bias[member, 0])


@pytest.mark.parametrize("variant", ["mini", "full"])
@pytest.mark.parametrize("bins", [0, 8])
def test_is_the_loop_over_members(variant, bins):
    torch.manual_seed(0)
    numbers, categories = rows()
    model = TabM(4, [3, 12], 2, members=5, width=16, depth=3, bins=bins, embedding=6, variant=variant)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.initialize(numbers, categories)
    got = model.eval()(numbers, categories)
    assert got.shape == (len(numbers), 5, 2)
    for member in range(5):
        torch.testing.assert_close(got[:, member], slow(model, numbers, categories, member), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("choice", [{}, {"variant": "full"}, {"bins": 0}, {"members": 1}])
def test_contract(choice):
    settings = {"members": 4, "width": 64, "bins": 8, "dropout": 0.0} | choice
    contract(lambda: TabM(4, [3, 12], 3, **settings), rate=0.01)


def test_tables_without_numbers_or_without_categories():
    codes = torch.randint(0, 3, (6, 2))
    assert TabM(0, [3, 3], 2, members=2)(torch.zeros(6, 0), codes).shape == (6, 2, 2)
    assert TabM(2, [], 2, members=2)(torch.randn(6, 2), torch.zeros(6, 0, dtype=torch.long)).shape == (6, 2, 2)


def test_members_share_all_but_scales_and_heads():
    few, many = (sum(p.numel() for p in TabM(4, [3], 1, members=k).hidden.parameters()) for k in (1, 11))
    assert many - few == 10 * (4 * 16 + 2)
    with pytest.raises(ValueError, match="known: full, mini"):
        TabM(4, [3], 1, variant="small")
