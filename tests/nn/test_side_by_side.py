"""Networks side by side give what each gives alone."""

import torch
from torch import nn

from trainwell.models.linear_blend import LinearBlend
from trainwell.nn.side_by_side import SideBySide


def test_answers_are_stacked_behind_the_batch():
    torch.manual_seed(0)
    parts = [nn.Linear(3, 2) for _ in range(4)]
    x = torch.randn(5, 3)
    found = SideBySide(parts)(x)
    assert found.shape == (5, 4, 2)
    assert all(torch.equal(found[:, place], part(x)) for place, part in enumerate(parts))


def test_all_begin_where_the_first_begins_and_the_others_learn_faster():
    torch.manual_seed(0)
    model = SideBySide(LinearBlend(2, 3, lookback=8) for _ in range(3))
    x, target = torch.randn(50, 8, 2), torch.randn(50, 3, 2)
    with torch.no_grad():
        model.initialize(x, target=target)
    alone = LinearBlend(2, 3, lookback=8)
    with torch.no_grad():
        alone.initialize(x, target)
    found = model(x)
    assert all(torch.equal(found[:, place], alone(x)) for place in range(3)) and found.abs().sum() > 0
    assert [group["lr"] for group in model.parameter_groups(0.1, 0.0)] == [0.1, 1.0, 1.0]
    assert [group["lr"] for group in SideBySide([nn.Linear(2, 2)] * 2).parameter_groups(0.1, 0.0)] == [0.1, 0.1]
