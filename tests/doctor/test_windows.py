"""Windows of one series dealt to both parts are told; those of an earlier and a later part are not."""

import pytest
import torch
from torch import Tensor

from trainwell.doctor.copies_check import copies
from trainwell.doctor.sample import Sample


def windows(values: Tensor, look_back: int) -> tuple[Tensor, Tensor]:
    """Windows at every step and the next value: (time,) or (time, channels) -> (rows, [channels,] time), (rows,)"""
    rows = values.unfold(0, look_back + 1, 1)
    return rows[..., :-1].contiguous(), rows[..., -1]


def parts(x: Tensor, y: Tensor, ours: Tensor, theirs: Tensor) -> tuple[Sample, Sample]:
    return Sample([x[ours]], y[ours]), Sample([x[theirs]], y[theirs])


def walk(steps: int, *channels: int) -> Tensor:
    return torch.randn(steps, *channels, generator=torch.Generator().manual_seed(3)).cumsum(0)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_windows_dealt_by_chance_are_told(channels):
    x, y = windows(walk(1500, *channels), 30)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    leaky = copies(*parts(x, y, order[:500], order[500:900]))
    assert leaky is not None and leaky.name == "data-leakage"
    early = torch.randperm(900, generator=torch.Generator().manual_seed(0))[:500]
    assert copies(*parts(x, y, early, torch.arange(931, 1400))) is None


def test_a_forecast_may_look_back_on_what_was_learned_from():
    x, y = windows(walk(1200), 120)
    # Each later window begins before the earlier part ends, and asks for what comes after it.
    assert copies(*parts(x, y, torch.arange(500), torch.arange(500, 610))) is None
    # Where the question is what the window itself shows, the same windows are known.
    kinds = (y > 0).long()
    assert copies(*parts(x, kinds, torch.arange(500), torch.arange(500, 560).repeat(2))) is not None


def test_values_that_come_again_by_themselves_are_no_windows():
    repeated = torch.sin(torch.arange(1500.0) % 50 * 0.1256637)  # a wave whose values come again exactly
    x, y = windows(repeated, 30)
    assert copies(*parts(x + 0.0, y, torch.arange(500), torch.arange(600, 900))) is None
    few = torch.randint(0, 5, (1500,), generator=torch.Generator().manual_seed(0)).float()
    x, y = windows(few, 30)
    assert copies(*parts(x, y, torch.arange(500), torch.arange(600, 900))) is None


def test_values_of_few_digits_come_again_and_leak_nothing():
    """Long windows before the first held-out hours lie in training; that their answers' values come again is chance."""
    x, y = windows((walk(1500, 3) * 4).round(), 200)
    assert copies(*parts(x, y, torch.arange(500), torch.arange(501, 601))) is None
    order = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    assert copies(*parts(x, y, order[:500], order[500:])) is not None


def test_windows_that_ask_for_one_of_their_channels_are_told_as_well():
    series = walk(1500, 3)
    rows = series.unfold(0, 36, 1)
    x, y = rows[..., :-6].contiguous(), rows[:, 1, -6:].contiguous()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    assert copies(*parts(x, y, order[:500], order[500:900])) is not None
    assert copies(*parts(x, y, torch.arange(500), torch.arange(540, 940))) is None
