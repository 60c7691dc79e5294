"""The game of two players: losses and penalties by formula, turns, and that it finds a distribution."""

import pytest
import torch
from generative_batches import batch_of, same_by_row, trained
from torch.nn import functional as F

from trainwell.models.gan import DCGAN, GAN
from trainwell.tasks.gan import GAMES, PENALTIES, Adversarial, real_slope, unit_slope


def test_the_games_are_those_of_their_papers():
    real, fake = torch.tensor([2.0, -0.5]), torch.tensor([-1.5, 0.3])
    one, zero = torch.ones(2), torch.zeros(2)

    def verdict(score, truth):
        return F.binary_cross_entropy_with_logits(score, truth, reduction="none")

    expected = {
        "non_saturating": (verdict(real, one) + verdict(fake, zero), verdict(fake, one)),
        "minimax": (verdict(real, one) + verdict(fake, zero), -verdict(fake, zero)),
        "hinge": (torch.tensor([0.0, 1.5]) + torch.tensor([0.0, 1.3]), -fake),
        "wasserstein": (fake - real, -fake),
        "least_squares": ((real - 1) ** 2 + fake**2, (fake - 1) ** 2),
        "relativistic": (verdict(real - fake, one), verdict(fake - real, one)),
    }
    for name, (discriminator, generator) in expected.items():
        torch.testing.assert_close(GAMES[name].discriminator(real, fake), discriminator)
        torch.testing.assert_close(GAMES[name].generator(real, fake), generator)


def test_penalties_measure_the_slope():
    weight = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(6, 2), torch.randn(6, 2)

    def plane(x):
        return x @ weight + 1

    torch.testing.assert_close(real_slope(plane, real, fake), torch.full((6,), 12.5))
    torch.testing.assert_close(PENALTIES["r1_r2"](plane, real, fake), torch.full((6,), 25.0))
    torch.testing.assert_close(unit_slope(plane, real, fake), torch.full((6,), 16.0))
    # A score of half the squared length times a has the slope a * x: the penalties and what they teach a, by hand.
    steepness = torch.tensor(1.5, requires_grad=True)
    for name, lengths in {"r1": real.square().sum(1), "r1_r2": (real.square() + fake.square()).sum(1)}.items():
        bowl = PENALTIES[name](lambda x: steepness * x.square().sum(1) / 2, real, fake)
        torch.testing.assert_close(bowl, 1.5**2 * lengths / 2)
        (taught,) = torch.autograd.grad(bowl.sum(), steepness)
        torch.testing.assert_close(taught, 1.5 * lengths.sum())


def test_a_relativistic_player_is_taught_by_the_gap_alone():
    real, fake = torch.tensor([2.0, -0.5], requires_grad=True), torch.tensor([-1.5, 0.3], requires_grad=True)
    game = GAMES["relativistic"]
    for player, ahead, behind in ((game.discriminator, real, fake), (game.generator, fake, real)):
        pull = 1 / (1 + torch.exp(ahead - behind)).detach()  # the chance given to the wrong order of each pair
        for score, sign in ((ahead, -1), (behind, 1)):
            (gradient,) = torch.autograd.grad(player(real, fake).sum(), score)
            torch.testing.assert_close(gradient, sign * pull)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("penalty", [None, *PENALTIES])
def test_each_player_moves_its_own_weights_alone(game, penalty):
    torch.manual_seed(0)
    model, task = DCGAN(1, 8, 8, 3, latent=4, maps=4), Adversarial((1, 8, 8), game=game, penalty=penalty)
    x = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    batch = batch_of(x, target=torch.tensor([0, 1, 2, 0, 1, 2]))
    for player, other in (("discriminator", "generator"), ("generator", "discriminator")):
        model.zero_grad()
        model.get_submodule(other).requires_grad_(False)
        loss = task.loss(model, batch, player)
        (loss.total / loss.count).backward()
        model.get_submodule(other).requires_grad_(True)
        assert loss.count == 6
        assert any(p.grad is not None and p.grad.any() for p in model.get_submodule(player).parameters())
        assert all(p.grad is None for p in model.get_submodule(other).parameters())


def test_a_batch_is_its_rows():
    torch.manual_seed(0)
    model = GAN(3, 2, latent=4, widths=(8, 8))
    batch = batch_of(torch.randn(8, 3), target=torch.arange(8) % 2)
    same_by_row(Adversarial((3,)), model, batch)


def test_a_critic_takes_several_steps_and_goes_on_where_it_stopped():
    torch.manual_seed(0)
    model = GAN(2, latent=4, widths=(8, 8))
    task = Adversarial((2,), game="wasserstein", penalty="gradient", critic_steps=3)
    batches = [batch_of(torch.randn(16, 2)) for _ in range(2)]

    def moved(epochs):
        before = {name: p.clone() for name, p in model.named_parameters()}
        trained(task, model, batches, epochs=epochs, schedule="constant")
        return {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}

    assert moved(1) == {"discriminator"}  # batches 1 and 2
    assert model.turns.item() == 2
    assert moved(0.5) == {"discriminator", "generator"}  # batch 3
    assert moved(1) == {"discriminator"}


def test_it_finds_a_gaussian():
    """A plane Gaussian, drawn anew for each batch, comes out with its mean and spread."""
    torch.manual_seed(0)
    mean, mixing = torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.5], [0.0, 0.5]])
    batches = [batch_of(torch.randn(128, 2) @ mixing + mean) for _ in range(50)]
    model, task = GAN(2, latent=4, widths=(32, 32)), Adversarial((2,), penalty="r1", weight=0.3)
    state = trained(task, model, batches, epochs=14, lr=2e-3, betas=(0.0, 0.99), held_out=batches[:8])
    samples = task.sample(model, 4000, seed=1)
    torch.testing.assert_close(samples.mean(0), mean, atol=0.3, rtol=0)
    torch.testing.assert_close(samples.T.cov(), (mixing.T @ mixing), atol=0.4, rtol=0)
    assert state.metrics["distance"] < 0.3


def test_samples_have_seeds_and_classes():
    torch.manual_seed(0)
    model, task = DCGAN(1, 8, 8, 3, latent=4, maps=4), Adversarial((1, 8, 8))
    first = task.sample(model, 6, seed=4)
    assert first.dtype == torch.uint8 and first.shape == (6, 1, 8, 8)
    assert torch.equal(task.sample(model, 4, seed=4), first[:4])
    sevens = task.sample(model, 6, classes=1, seed=4)
    assert (
        torch.equal(sevens[1], first[1]) and torch.equal(sevens[4], first[4]) and not torch.equal(sevens[0], first[0])
    )
    assert torch.equal(task.sample(model, 6, classes=[0, 1, 2], seed=4), first)
    with pytest.raises(ValueError, match=r"class 3 was not trained.*0 to 2"):
        task.sample(model, 2, classes=3)
    with pytest.raises(ValueError, match=r"without classes"):
        task.sample(GAN(2, latent=4), 2, classes=1)


def test_bad_choices_are_named():
    with pytest.raises(ValueError, match=r"no game 'wgan'.*wasserstein"):
        Adversarial((2,), game="wgan")
    with pytest.raises(ValueError, match=r"no penalty 'gp'.*gradient"):
        Adversarial((2,), penalty="gp")
    for faintest in (0.6, -0.1):
        with pytest.raises(ValueError, match=rf"faintest {faintest}: .*at most the blur of 0.5"):
            Adversarial((2,), blur=0.5, faintest=faintest)


def test_blur_falls_to_nothing_and_is_the_same_for_both():
    torch.manual_seed(0)
    task, model = Adversarial((2,), blur=0.8, blurred=4, penalty=None), GAN(2)
    x = torch.zeros(20_000, 2)
    deviations = []
    for _ in range(5):
        (batch,) = task.batches(model, {"inputs": (x,), "row": torch.arange(len(x))})
        deviations.append(task.hazy(x, batch).std().item())
    wanted = [0.8 * max(0.0, 1 - turn / 4) ** 2 for turn in range(1, 6)]
    assert deviations == pytest.approx(wanted, rel=0.02)
    falling = Adversarial((2,), blur=0.8, blurred=4, faintest=0.05)
    hazes = [falling.haze({"turn": turn}) for turn in range(6)]
    assert hazes == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.0, 0.0])  # halved at each, and none after the last
    plain = Adversarial((2,))
    (batch,) = plain.batches(model, {"inputs": (x,)})
    assert plain.hazy(x, batch) is x
