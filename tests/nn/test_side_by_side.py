"""Networks side by side give what each gives alone."""

import torch
from torch import nn

from trainwell.nn.side_by_side import SideBySide


def test_answers_are_stacked_behind_the_batch():
    torch.manual_seed(0)
    parts = [nn.Linear(3, 2) for _ in range(4)]
    x = torch.randn(5, 3)
    found = SideBySide(parts)(x)
    assert found.shape == (5, 4, 2)
    assert all(torch.equal(found[:, place], part(x)) for place, part in enumerate(parts))
