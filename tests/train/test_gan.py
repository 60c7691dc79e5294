"""Two players in the one loop: a generator finds the modes of eight Gaussians, and each leaves the other alone."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from toy import Events, TinyLoader, state_of, train

from trainwell.tasks.task import Loss, Task


class Adversaries(nn.Module):
    """A generator of points and a discriminator that scores them."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )
        self.discriminator = nn.Sequential(
            nn.Linear(2, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )


class Gan(Task):
    """The relativistic pairing loss with a penalty on the slope at real and at generated points."""

    players = ("discriminator", "generator")

    def loss(self, model, batch, player):
        real = batch["inputs"][0]
        noise = batch["noise"] if "noise" in batch else torch.randn(len(real), 16, dtype=real.dtype)
        fake = model.generator(noise)
        if player == "generator":
            score = model.discriminator(fake) - model.discriminator(real)
            return Loss(F.softplus(-score).sum(), len(real))
        real, fake = real.clone().requires_grad_(), fake.detach().requires_grad_()
        of_real, of_fake = model.discriminator(real), model.discriminator(fake)
        slopes = torch.autograd.grad(of_real.sum() + of_fake.sum(), (real, fake), create_graph=True)
        penalty = sum(each.square().sum() for each in slopes)
        return Loss(F.softplus(of_fake - of_real).sum() + 0.1 * penalty, len(real))


def eight(number: int) -> torch.Tensor:
    """Points around eight places on a circle of radius 2, each with deviation 0.05."""
    generator = torch.Generator().manual_seed(0)
    angle = torch.randint(8, (number,), generator=generator) * (math.pi / 4)
    places = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    return places + 0.05 * torch.randn(number, 2, generator=generator)


def test_a_gan_finds_eight_gaussians():
    torch.manual_seed(0)
    model = Adversaries()
    state = state_of(model, Gan(), name="adam", lr=2e-3)
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            group["betas"] = (0.0, 0.99)
    data = eight(128 * 50)
    train(state, TinyLoader(data, torch.zeros(len(data)), 128), epochs=20)
    with torch.no_grad():
        points = model.generator(torch.randn(2000, 16))
    angle = torch.arange(8) * (math.pi / 4)
    distance = torch.cdist(points, 2 * torch.stack([angle.cos(), angle.sin()], 1))
    near = distance.min(1).values < 0.5
    found = torch.bincount(distance.argmin(1)[near], minlength=8)
    assert (found >= 60).all(), found  # each place gets at least a quarter of its share
    assert near.float().mean() > 0.75, near.float().mean()


def test_a_turn_moves_its_player_alone():
    torch.manual_seed(0)
    model = Adversaries(8)
    model.generator[0].requires_grad_(False)
    seen = []

    def look(state, player, loss):
        other = "generator" if player == "discriminator" else "discriminator"
        part, rest = state.model.get_submodule(player), state.model.get_submodule(other)
        assert all(each.grad is None for each in rest.parameters())
        assert any(each.grad is not None for each in part.parameters())
        assert all(each.requires_grad for each in rest.parameters()) == (other == "discriminator")
        seen.append(player)

    data = eight(16)
    train(state_of(model, Gan()), TinyLoader(data, data[:, 0], 8), events=Events().on("gradient", look), epochs=1)
    assert seen == ["discriminator", "generator"] * 2
    assert [each.requires_grad for each in model.generator.parameters()] == [False, False, True, True, True, True]
