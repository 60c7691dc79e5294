"""Labels of which a sample holds few kinds: rare ones are no finding, collapsed ones are."""

import torch

from trainwell.doctor.data_check import targets_out_of_range
from trainwell.doctor.sample import Sample

FACTS = {"loss": "cross_entropy", "classes": 13}


def found(target: torch.Tensor) -> bool:
    return targets_out_of_range(Sample([torch.zeros(len(target), 2)], target), FACTS) is not None


def test_rare_labels_among_words_are_no_finding():
    target = torch.zeros(400, dtype=torch.long)
    target[:30] = torch.arange(30) % 8
    assert not found(target)


def test_where_some_labels_are_seen_a_few_times_others_may_well_not_be():
    target = torch.arange(400) % 3
    target[:10] = torch.arange(10) % 5 + 3  # five kinds, twice each
    assert not found(target)


def test_labels_that_collapsed_are_found():
    assert found(torch.zeros(400, dtype=torch.long))  # all into one
    assert found(torch.arange(400) % 5)  # evenly into some
    assert not found(torch.arange(400) % 13)
