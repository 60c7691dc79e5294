"""Training pictures beside held-out ones: brightened at random is no mismatch, scaled otherwise is."""

import pytest
import torch

from trainwell.doctor.sample import Sample
from trainwell.doctor.split_check import preprocessing_mismatch


def pictures(count: int, seed: int, brightness: float = 0.0) -> torch.Tensor:
    """Smooth pictures whose mean varies little, each brightened by chance within so many deviations."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 16, 16, generator=generator) + 0.1 * torch.randn(count, 3, 1, 1, generator=generator)
    return x + brightness * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)


def found(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return preprocessing_mismatch(Sample([ours]), Sample([theirs]), {}) is not None


def test_a_few_pictures_brightened_at_random_are_no_mismatch():
    alarms = [found(pictures(16, seed, brightness=2.5), pictures(64, 100 + seed)) for seed in range(40)]
    shifts = [pictures(16, seed, brightness=2.5).mean().abs() for seed in range(40)]
    assert max(shifts) > 0.6  # some of these are off by more than the rule's limit of half a deviation
    assert not any(alarms)


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: (x - 2.1) / 1.0, lambda x: x / 4, lambda x: x + 1.0])
@pytest.mark.parametrize("brightness", [0.0, 1.0])
def test_pictures_scaled_in_another_way_are(change, brightness):
    ours = pictures(64, 1, brightness)
    assert found(ours, change(pictures(64, 2)))
    assert not found(ours, pictures(64, 2))


def test_sequences_too():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(64, 30, 4, generator=generator) for _ in range(2))
    assert not found(ours, theirs)
    assert found(ours, 3 * theirs) and found(ours, theirs + 1)
