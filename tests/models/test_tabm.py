"""TabM against a loop over members with each member's matrices written out."""

import pytest
import torch
from table_contract import contract, rows
from torch import nn

from trainwell.models.tabm import TabM
from trainwell.nn.ensemble import GroupLinear, MemberScale, RankOneLinear


def slow(model, numbers, categories, member):
    """One member's answer, layer by layer, from explicit weights."""
    group = member % model.groups
    x = numbers if model.numbers is None else model.numbers(numbers)[group].flatten(1)
    x = torch.cat([x, model.categories(categories)], 1)
    for layer in model.hidden:
        if isinstance(layer, MemberScale):
            x = x * layer.scale[member]
        elif isinstance(layer, RankOneLinear):
            outer = torch.outer(layer.before.scale[member], layer.after.scale[member])
            x = x @ (layer.weight[group] * outer) + layer.bias[member]
        elif isinstance(layer, GroupLinear):
            x = x @ layer.weight[group] + layer.bias[group, 0]
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
    return x @ model.head.weight[member] + model.head.bias[member, 0]


@pytest.mark.parametrize("variant", ["mini", "full"])
@pytest.mark.parametrize("bins", [0, 8])
@pytest.mark.parametrize("groups", [1, 3])
def test_is_the_loop_over_members(variant, bins, groups):
    torch.manual_seed(0)
    numbers, categories = rows()
    model = TabM(4, [3, 12], 2, members=6, groups=groups, width=16, depth=3, bins=bins, variant=variant)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.initialize(numbers, categories)
    got = model.eval()(numbers, categories)
    assert got.shape == (len(numbers), 6, 2)
    for member in range(6):
        torch.testing.assert_close(got[:, member], slow(model, numbers, categories, member), atol=1e-3, rtol=1e-3)


CHOICES = [{}, {"variant": "full"}, {"bins": 0}, {"members": 1}, {"groups": 2}, {"groups": 4, "variant": "full"}]


@pytest.mark.parametrize("choice", CHOICES)
def test_contract(choice):
    settings = {"members": 4, "width": 64, "bins": 8, "dropout": 0.0} | choice
    contract(lambda: TabM(4, [3, 12], 3, **settings), rate=0.01)


def test_groups_share_nothing_so_that_folds_stay_apart():
    numbers, categories = rows()
    model = TabM(4, [3, 12], 2, members=6, groups=3, width=16, bins=8)
    nn.init.normal_(model.numbers.weight)
    model(numbers, categories)[:, [1, 4]].sum().backward()  # the members of group 1
    for name, parameter in model.named_parameters():
        others = [0, 2] if len(parameter) == 3 else [0, 2, 3, 5]
        assert parameter.grad[others].abs().sum() == 0, name
        assert parameter.grad.abs().sum() > 0, name


def test_matrices_decay_and_nothing_else_does():
    model = TabM(4, [3, 12], 2, members=2, width=8, dropout=0.0, variant="full")
    names = {id(p): name for name, p in model.named_parameters()}
    decaying, others = ([names[id(p)] for p in group["params"]] for group in model.parameter_groups(0.1, 0.5))
    assert sorted(decaying) == ["head.weight", "hidden.0.weight", "hidden.2.weight", "numbers.weight"]
    assert len(decaying) + len(others) == len(names)


def test_tables_without_numbers_or_without_categories():
    codes = torch.randint(0, 3, (6, 2))
    assert TabM(0, [3, 3], 2, members=2)(torch.zeros(6, 0), codes).shape == (6, 2, 2)
    assert TabM(2, [], 2, members=2)(torch.randn(6, 2), torch.zeros(6, 0, dtype=torch.long)).shape == (6, 2, 2)


def test_members_share_all_but_scales_and_heads():
    few, many = (sum(p.numel() for p in TabM(4, [3], 1, members=k).hidden.parameters()) for k in (1, 11))
    assert many - few == 10 * (4 * 16 + 2)
    with pytest.raises(ValueError, match="known: full, mini"):
        TabM(4, [3], 1, variant="small")
    with pytest.raises(ValueError, match="8 members do not go into 3 groups"):
        TabM(4, [3], 1, members=8, groups=3)
