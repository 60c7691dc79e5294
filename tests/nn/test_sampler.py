"""Samplers on a Gaussian, for which the best separation of data and noise is known."""

import math

import pytest
import torch

from trainwell.nn.diffusion import PATHS, Flow, Linear
from trainwell.nn.sampler import ddim, guided, heun, last

MEAN, DEVIATION = 1.5, 0.5


def exact(path):
    """What a perfect network tells about data drawn from N(MEAN, DEVIATION^2): the conditional expectations."""

    def call(mixed, time):
        signal, spread = path.signal(time)[:, None], path.spread(time)[:, None]
        surprise = (mixed - signal * MEAN) / (signal**2 * DEVIATION**2 + spread**2)
        return MEAN + signal * DEVIATION**2 * surprise, spread * surprise

    return call


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("sampler", [ddim, heun])
def test_a_gaussian_comes_out_of_the_noise(name, sampler):
    """The way is a scaling: noise z ends at MEAN + DEVIATION * z, up to what is left of the data at time 1."""
    path, start = PATHS[name](), torch.linspace(-2, 2, 9)[:, None].double()
    ends = last(sampler(exact(path), start, path, 200))
    torch.testing.assert_close(ends, MEAN + DEVIATION * start, atol=0.03, rtol=0)


def test_the_error_of_heun_falls_faster():
    path, start = Flow(), torch.linspace(-2, 2, 9)[:, None].double()

    def error(sampler, steps):
        return (last(sampler(exact(path), start, path, steps)) - MEAN - DEVIATION * start).abs().max().item()

    assert 1.6 < error(ddim, 20) / error(ddim, 40) < 2.4  # first order: half the step, half the error
    assert error(heun, 20) / error(heun, 40) > 3
    assert error(heun, 20) < error(ddim, 40)  # at the same number of looks


def test_eta_1_is_the_posterior_of_ddpm():
    """One step of the chain has the mean and variance of equation 7 of Ho et al. 2020."""
    path, generator = Linear(1000), torch.Generator().manual_seed(0)
    clean, count = torch.tensor([[0.7]]).double(), 40_000
    now, then = 600, 599
    kept = (1 - path.added).cumprod(0)
    mixed = torch.tensor([[0.3]]).double()
    beta, before, after = path.added[now - 1], kept[then - 1], kept[now - 1]
    mean = before.sqrt() * beta / (1 - after) * clean + (1 - beta).sqrt() * (1 - before) / (1 - after) * mixed
    variance = (1 - before) / (1 - after) * beta

    class OneStep(Linear):
        def grid(self, steps):
            return torch.tensor([now, then]) / 1000

    def knows(x, time):
        return clean.expand(len(x), 1), (x - after.sqrt() * clean) / (1 - after).sqrt()

    def fresh(step):
        return torch.randn(count, 1, generator=generator).double()

    found = last(ddim(knows, mixed.expand(count, 1), OneStep(1000), 1, eta=1.0, fresh=fresh))
    assert found.mean().item() == pytest.approx(mean.item(), abs=4 * math.sqrt(variance / count))
    assert found.var().item() == pytest.approx(variance.item(), rel=0.03)


def test_the_chain_with_noise_draws_the_gaussian():
    torch.manual_seed(0)
    path = Linear(1000)
    ends = last(ddim(exact(path), torch.randn(8000, 1), path, 500, eta=1.0, fresh=lambda step: torch.randn(8000, 1)))
    assert ends.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert ends.std().item() == pytest.approx(DEVIATION, abs=0.02)


def test_without_noise_the_way_is_fixed_and_shows_every_step():
    path, start = Flow(), torch.randn(3, 1)
    way = list(ddim(exact(path), start, path, 10))
    assert len(way) == 11 and torch.equal(way[0], start)
    assert torch.equal(way[-1], last(ddim(exact(path), start, path, 10)))


def test_bad_wishes_are_named():
    with pytest.raises(ValueError, match="steps 0"):
        last(ddim(exact(Flow()), torch.zeros(1, 1), Flow(), 0))
    with pytest.raises(ValueError, match="source"):
        last(ddim(exact(Flow()), torch.zeros(1, 1), Flow(), 3, eta=1.0))


def test_guidance_moves_away_from_no_class():
    told, untold = torch.tensor([1.0]), torch.tensor([0.5])
    assert [guided(told, untold, g).item() for g in (0.0, 1.0, 3.0)] == [0.5, 1.0, 2.0]
