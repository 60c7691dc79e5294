"""Rows of tokens beside a ridge, rows in two units, labels left out, places of one's own; each beside its twin."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainwell.doctor import Doctor
from trainwell.doctor.copies_check import _stretches
from trainwell.doctor.data_check import bad_features, targets_out_of_range
from trainwell.doctor.sample import Sample
from trainwell.doctor.start_check import _tables
from trainwell.doctor.wiring_check import _guessed_on
from trainwell.doctor.yardstick import counted, preprocessing_mismatch


def spoken_of(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of twelve words, of which the class says which come oftener."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 4, rows)
    words = np.where(chance.random((rows, 12)) < 0.4, 10 + labels[:, None], chance.integers(20, 60, (rows, 12)))
    return torch.tensor(words), torch.tensor(labels)


@pytest.mark.parametrize(("shuffled", "expected"), [(True, "label-noise"), (False, None)])
def test_labels_of_other_rows_of_tokens(shuffled, expected):
    rows, labels = spoken_of(512, 0)
    labels = labels[torch.randperm(512, generator=torch.Generator().manual_seed(0))] if shuffled else labels
    held_rows, held_labels = spoken_of(512, 1)
    sample, held = Sample(inputs=[rows], target=labels), Sample(inputs=[held_rows], target=held_labels)
    found = preprocessing_mismatch(sample, held, {"classes": 4})
    assert (found.name if found else None) == expected


def test_tokens_are_counted_three_times_at_most():
    found = counted(torch.tensor([[5, 5, 5, 5, 7], [7, 8, 9, 9, 9]]), np.array([5, 7, 9]))
    assert found is not None and found.tolist() == [[3, 1, 0], [0, 1, 3]]


def test_what_fills_rows_up_is_no_text_that_both_parts_share():
    row = np.array([4, 5, 6, 7, 8, 9, *[0] * 14])
    assert _stretches(row, 10) == set()
    assert len(_stretches(np.array([*range(4, 20), 0, 0, 0, 0]), 10)) == 8


@pytest.mark.parametrize(("factor", "expected"), [(1000.0, "bad-features"), (1.0, None)])
def test_rows_in_another_unit(factor, expected):
    torch.manual_seed(0)
    rows = torch.rand(400, 5) + 1
    rows[::20, 2] *= factor
    rows = (rows - rows.mean(0)) / rows.std(0)
    found = bad_features(Sample(inputs=[rows]), {})
    assert (found.name if found else None) == expected
    if found:
        assert "feature 2" in found.where and "unit" in found.cause


def test_a_long_tail_is_no_other_unit():
    torch.manual_seed(0)
    found = bad_features(Sample(inputs=[torch.randn(400, 5).mul(1.5).exp()]), {})
    assert found is not None and "unit" not in found.cause  # its single values far out are told as such


@pytest.mark.parametrize(("share", "expected"), [(0.2, "targets-out-of-range"), (0.0, None)])
def test_rows_whose_label_the_loss_leaves_out(share, expected):
    labels = torch.arange(300) % 5
    labels[: int(300 * share)] = -100
    found = targets_out_of_range(Sample(target=labels), {"loss": "cross_entropy", "classes": 5})
    assert (found.name if found else None) == expected


def test_places_of_ones_own_count_among_the_tables():
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.gain = nn.Parameter(torch.zeros(10, 16)), nn.Parameter(torch.ones(16))
            self.words, self.layer = nn.Embedding(9, 16), nn.Linear(16, 16)

    assert sorted(name for name, _ in _tables(Placed())) == ["place", "words"]


def test_a_translators_second_input_is_what_is_asked():
    german = torch.randint(3, 50, (8, 7))
    assert _guessed_on([torch.randint(3, 50, (8, 6)), german[:, :-1]], german[:, 1:])[0] == 1
    assert _guessed_on([torch.randint(3, 50, (8, 6))], german[:, 1:])[0] is None


def test_held_out_rows_of_one_tensor_end_nothing():
    torch.manual_seed(0)
    rows = torch.randn(256, 8)
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8))
    optimizer = torch.optim.Adam(model.parameters())
    doctor = Doctor(model, optimizer, held_out=[rows])
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(rows), rows)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows, rows)
    doctor.close()
    assert not doctor.broken
