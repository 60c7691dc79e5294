"""Codes among numbers, pictures rounded away and layers too narrow, each beside what looks alike and is right."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor.bottleneck import narrowest
from trainwell.doctor.columns_check import one_value
from trainwell.doctor.sample import Sample

chance = np.random.default_rng(0)
NUMBERS = chance.normal(size=(400, 4)).astype(np.float32)


def told(*inputs: torch.Tensor) -> str | None:
    found = one_value(Sample(list(inputs)))
    return found and found.evidence


@pytest.mark.parametrize("code", [-999.0, 1e6])
@pytest.mark.parametrize("count", [5, 40, 160])
def test_a_number_that_stands_for_a_missing_one(code, count):
    table = NUMBERS.copy()
    table[chance.permutation(400)[:count], 2] = code
    evidence = told(torch.tensor(table))
    assert evidence is not None and f"{count} of 400 rows" in evidence and "column 2" in evidence


def test_columns_that_only_look_like_it():
    """Zeros of a skewed column, a one-hot column, a heavy tail, a meter's ceiling, a single slip."""
    rows = len(NUMBERS)
    for column in (
        np.where(chance.random(rows) < 0.4, 0.0, chance.exponential(size=rows)),
        (chance.random(rows) < 0.1).astype(float),
        np.exp(3 * chance.normal(size=rows)),
        np.minimum(chance.normal(size=rows), 1.0),
        np.where(np.arange(rows) == 7, 1e5, chance.normal(size=rows)),
    ):
        table = NUMBERS.copy()
        table[:, 1] = column
        assert told(torch.tensor(table)) is None, column[:9]


def test_pictures_rounded_away_and_drawings():
    bytes_ = torch.randint(0, 256, (64, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    evidence = told((bytes_ // 255).float())
    assert evidence is not None and "2 different values" in evidence
    assert told(bytes_ / 255) is None
    assert told((bytes_[:, :1] > 240).float()) is None  # a drawing, a sixteenth of it ink


def test_the_narrowest_layer():
    assert narrowest(mlp(64, 32, 3, 10)) == ("2", 3)
    assert narrowest(nn.Linear(4, 2)) is None
    both = nn.ModuleDict({"read": nn.LSTM(8, 5, bidirectional=True), "head": nn.Linear(10, 3)})
    assert narrowest(both) == ("read", 10)


@pytest.mark.parametrize(("width", "name"), [(1, "underfitting"), (32, None)])
def test_one_unit_for_ten_classes(width, name):
    loop = Loop(model=lambda: mlp(64, width, 10), loss=F.cross_entropy, data=digits, steps=60)
    doctor, _, _ = loop.run("watch")
    found = [each for each in doctor.findings if each.step == 0 and each.severity != "note"]
    assert [each.name for each in found] == ([name] if name else []), [str(each) for each in found]
    assert not name or "gives 1 number a row" in found[0].evidence
