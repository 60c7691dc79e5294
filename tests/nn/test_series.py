"""Parts for series against NumPy."""

import numpy as np
import pytest
import torch

from trainwell.nn.series import MovingAverage, SequenceBatchNorm, SeriesPatches, WindowNorm


def test_windows_lose_mean_and_spread():
    x = torch.randn(3, 50, 2) * 7 + 4
    normed, mean, deviation = WindowNorm()(x)
    assert torch.allclose(normed.mean(1), torch.zeros(3, 2), atol=1e-5)
    assert torch.allclose(normed.var(1, correction=0), torch.ones(3, 2), atol=1e-4)
    assert torch.allclose(normed * deviation + mean, x, atol=1e-5)
    assert WindowNorm()(torch.full((1, 5, 1), 3.0))[0].eq(0).all()  # a constant window


def test_moving_average_is_numpys():
    x = np.random.default_rng(0).normal(size=20)
    padded = np.concatenate([np.full(2, x[0]), x, np.full(2, x[-1])])
    got = MovingAverage(5)(torch.tensor(x).view(1, -1, 1)).flatten()
    assert np.allclose(got.numpy(), np.convolve(padded, np.ones(5) / 5, "valid"))
    with pytest.raises(ValueError, match="odd length, not 4"):
        MovingAverage(4)


def test_patches_overlap_and_end_with_the_newest_step():
    patches = SeriesPatches(21, 4, patch=8, stride=4)
    x = torch.arange(42.0).view(1, 21, 2)
    got = patches(x)
    assert got.shape == (2, 4, 4) and patches.start == 1
    last = patches.embedding(x[0, 13:21, 1]) + patches.position[3]
    assert torch.allclose(got[1, 3], last, atol=1e-4)
    with pytest.raises(ValueError, match="lookback 7 is shorter than one patch of 8"):
        SeriesPatches(7, 4, patch=8)


def test_batch_norm_over_all_places():
    x = torch.randn(4, 5, 3) * 2 + 1
    y = SequenceBatchNorm(3)(x)
    assert torch.allclose(y.mean((0, 1)), torch.zeros(3), atol=1e-5)
