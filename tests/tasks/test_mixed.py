"""Mixed distributions against torch.distributions: density, share below, quantiles; knots on probability paper."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, MixtureSameFamily, Normal

from trainwell.tasks.mixed import Knots, Normals

LEVELS = torch.tensor([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99], dtype=torch.float64)


def normals(rows: int = 6, parts: int = 4, targets: int = 2, seed: int = 0, spread: float = 1.0) -> Normals:
    random = torch.Generator().manual_seed(seed)
    share = torch.rand(rows, parts, targets, generator=random, dtype=torch.float64)
    mean = torch.randn(rows, parts, targets, generator=random, dtype=torch.float64) * spread
    deviation = torch.rand(rows, parts, targets, generator=random, dtype=torch.float64) + 0.05
    return Normals(share / share.sum(1, keepdim=True), mean, deviation)


def reference(mixed: Normals) -> MixtureSameFamily:
    share, mean, deviation = (each.movedim(1, -1) for each in (mixed.share, mixed.mean, mixed.deviation))
    return MixtureSameFamily(Categorical(share), Normal(mean, deviation))


def test_density_share_and_mean_equal_torch() -> None:
    mixed = normals()
    x = torch.linspace(-3, 3, 6, dtype=torch.float64)[:, None].expand(6, 2)
    torch.testing.assert_close(mixed.log_density(x), reference(mixed).log_prob(x))
    share, density = mixed.below(x[:, None])
    torch.testing.assert_close(share[:, 0], reference(mixed).cdf(x))
    torch.testing.assert_close(density[:, 0], reference(mixed).log_prob(x).exp())
    torch.testing.assert_close(mixed.middle(), reference(mixed).mean)


@given(st.integers(0, 1000), st.integers(1, 6), st.sampled_from([0.0, 1.0, 30.0]))
def test_quantiles_undo_the_share_below(seed: int, parts: int, spread: float) -> None:
    mixed = normals(parts=parts, seed=seed, spread=spread)
    found = mixed.quantile(LEVELS)
    torch.testing.assert_close(mixed.below(found)[0], LEVELS[None, :, None].expand_as(found), atol=1e-4, rtol=0)
    assert (found.diff(dim=1) >= 0).all()


def test_one_normal_has_its_own_quantiles() -> None:
    mixed = normals(parts=1)
    expected = Normal(mixed.mean, mixed.deviation).icdf(LEVELS[None, :, None])
    torch.testing.assert_close(mixed.quantile(LEVELS), expected)


def test_a_part_without_a_share_does_not_count() -> None:
    """As a member that learned from a row and may not answer for it."""
    mixed = normals(parts=2)
    far = Normals(
        torch.cat([mixed.share, torch.zeros_like(mixed.share[:, :1])], 1),
        torch.cat([mixed.mean, torch.full_like(mixed.mean[:, :1], 1e6)], 1),
        torch.cat([mixed.deviation, torch.full_like(mixed.deviation[:, :1], 1e-3)], 1),
    )
    torch.testing.assert_close(far.quantile(LEVELS), mixed.quantile(LEVELS), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(far.log_density(mixed.mean[:, 0]), mixed.log_density(mixed.mean[:, 0]))


def test_members_are_mixed_and_not_averaged() -> None:
    """Two members that are sure of different answers: the interval spans both, a mean of parameters would span none."""
    one = torch.ones(1, 2, 1)
    mixed = Normals(one / 2, torch.tensor([[[-3.0], [3.0]]]), one * 0.1)
    low, high = mixed.quantile(torch.tensor([0.05, 0.95]))[0, :, 0].tolist()
    assert low == pytest.approx(-3 - 0.1 * 1.2816, abs=1e-3) and high == pytest.approx(3 + 0.1 * 1.2816, abs=1e-3)


def test_knots_of_a_normal_are_that_normal() -> None:
    levels = torch.tensor([0.1, 0.3, 0.5, 0.9], dtype=torch.float64)
    normal = Normal(torch.tensor(2.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
    knots = Knots(torch.ones(1, 1, 1, dtype=torch.float64), normal.icdf(levels)[None, None, :, None], levels)
    torch.testing.assert_close(knots.quantile(LEVELS)[0, :, 0], normal.icdf(LEVELS))  # beyond the outer knots too
    x = torch.linspace(0, 4, 9, dtype=torch.float64)[None, :, None]
    share, density = knots.below(x)
    torch.testing.assert_close(share, normal.cdf(x))
    torch.testing.assert_close(density, normal.log_prob(x).exp())


@given(st.integers(0, 1000), st.booleans())
def test_mixed_knots_rise_and_keep_their_levels(seed: int, heaped: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    steps = torch.rand(3, 5, 7, 2, generator=random, dtype=torch.float64)
    knots = torch.where(steps < 0.3, 0.0, steps).cumsum(2) if heaped else (steps + 0.01).cumsum(2)
    mixed = Knots(torch.full((3, 5, 2), 0.2, dtype=torch.float64), knots, LEVELS)
    found = mixed.quantile(LEVELS)
    assert found.isfinite().all() and (found.diff(dim=1) >= 0).all()
    share = mixed.below(found)[0]
    if heaped:  # the share jumps where values are equal: no value has a share within the jump
        wanted = LEVELS[None, :, None]
        assert (mixed.below(found - 1e-4)[0] <= wanted + 1e-4).all()
        assert (mixed.below(found + 1e-4)[0] >= wanted - 1e-4).all()
    else:
        torch.testing.assert_close(share, LEVELS[None, :, None].expand_as(share), atol=1e-4, rtol=0)


def test_packing_keeps_all() -> None:
    mixed = normals()
    again = Normals.of(mixed.packed())
    torch.testing.assert_close(again.quantile(LEVELS), mixed.quantile(LEVELS))
    knots = Knots(mixed.share, mixed.mean[:, :, None] + LEVELS[:, None], LEVELS)
    torch.testing.assert_close(Knots.of(knots.packed(), LEVELS).quantile(LEVELS), knots.quantile(LEVELS))
