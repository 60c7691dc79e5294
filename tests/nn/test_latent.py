"""Codes and their cost against torch.distributions."""

import math

import torch
from torch.distributions import Independent, Normal, kl_divergence

from trainwell.nn.latent import between, draw, free_nats, kl_to_standard_normal, log_normal


def test_kl_and_density_are_those_of_torch():
    torch.manual_seed(0)
    mean, log_variance, x = torch.randn(3, 7, 4).double()
    normal = Normal(mean, (0.5 * log_variance).exp())
    standard = Normal(torch.zeros_like(mean), 1.0)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), kl_divergence(normal, standard))
    torch.testing.assert_close(log_normal(x, mean, log_variance), Independent(normal, 1).log_prob(x))
    torch.testing.assert_close(log_normal(x), Independent(standard, 1).log_prob(x))


def test_draw_has_the_mean_and_deviation_it_was_told():
    torch.manual_seed(0)
    mean, log_variance = torch.tensor([2.0, -1.0]), torch.tensor([math.log(9.0), math.log(0.25)])
    codes = draw(mean, log_variance, torch.randn(200_000, 2))
    torch.testing.assert_close(codes.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(codes.std(0), torch.tensor([3.0, 0.5]), atol=0.03, rtol=0)


def test_free_nats_charge_only_what_exceeds_them():
    kl = torch.tensor([[0.0, 2.0], [0.2, 4.0]])  # batch means 0.1 and 3
    assert free_nats(kl, 0.0).item() == kl.sum().item()
    torch.testing.assert_close(free_nats(kl, 0.5), torch.tensor(2 * (0.5 + 3.0)))


def test_a_great_circle_keeps_the_length():
    first, second = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    codes = between(first, second, 5)
    torch.testing.assert_close(codes.norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(codes[0], first)
    torch.testing.assert_close(codes[-1], second)
    torch.testing.assert_close(between(first, first, 3), first.expand(3, 3))
