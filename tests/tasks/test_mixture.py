"""Mixture: its density against torch.distributions, one part as a gaussian, and parts that begin apart."""

import pytest
import torch
from spread_tasks import TARGET, outputs, task
from test_classify import Fixed, batch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from trainwell.tasks.task import divide


def test_the_loss_is_the_mixtures_likelihood() -> None:
    made = task("mixture", parts=3)
    given = outputs(made, 10)
    share, mean, deviation = made.each_part(given.view(10, 2, 9))
    reference = MixtureSameFamily(Categorical(logits=share), Normal(mean, deviation))
    expected = -reference.log_prob(TARGET).mean()
    torch.testing.assert_close(divide(made.loss(Fixed(given), batch(TARGET), "model")), expected)
    given.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: made.cost(x, TARGET), given)


def test_one_part_is_a_gaussian() -> None:
    one, gaussian = task("mixture", parts=1), task("gaussian", beta=0.0)
    given = outputs(gaussian, 10)
    shared = torch.cat([torch.zeros(10, 2, 1, dtype=torch.float64), given.view(10, 2, 2)], -1).flatten(1)
    torch.testing.assert_close(one.cost(shared, TARGET), gaussian.cost(given, TARGET))
    first, second = (made.predict(Fixed(of), batch(TARGET)) for made, of in ((one, shared), (gaussian, given)))
    for name in ("number", "quantiles", "nll"):
        torch.testing.assert_close(first[name], second[name])


def test_members_and_parts_are_one_mixture() -> None:
    made = task("mixture", parts=2)
    given = outputs(made, 10, 3)
    share, mean, deviation = made.each_part(given.view(10, 3, 2, 6))
    densities = MixtureSameFamily(Categorical(logits=share), Normal(mean, deviation)).log_prob(TARGET[:, None]).exp()
    slope = made.slope(TARGET)
    expected = -(densities.mean(1).log() + slope).mean(1)
    torch.testing.assert_close(made.predict(Fixed(given), batch(TARGET))["nll"], expected)


def test_a_number_that_is_one_of_two_things_is_learned_as_two() -> None:
    """Minus 1 or 1 by chance: two narrow parts gain what one wide normal cannot; alike parts would stay alike."""
    made, wide = task("mixture", targets=1, parts=2), task("gaussian", targets=1, beta=0.0)
    random = torch.Generator().manual_seed(0)
    target = torch.where(torch.rand(400, 1, generator=random) < 0.5, -1.0, 1.0)
    target += 0.05 * torch.randn(400, 1, generator=random)
    lost = {}
    for each in (made, wide):
        free = torch.zeros(1, each.outputs, requires_grad=True)
        optimizer = torch.optim.Adam([free], 0.05)
        for _ in range(300):
            optimizer.zero_grad()
            loss = each.cost(free.expand(400, -1), target).mean()
            loss.backward()
            optimizer.step()
        lost[each] = loss.item()
    assert lost[wide] == pytest.approx(1.42, abs=0.05)  # log(sqrt(2 pi e)), the entropy of a normal of variance 1
    assert lost[made] < -0.7  # log(2) + log(0.05 sqrt(2 pi e)) is -0.88


def test_parts_that_cannot_be() -> None:
    for parts in (0, -2):
        with pytest.raises(ValueError, match=f"mixture of {parts} parts"):
            task("mixture", parts=parts)
