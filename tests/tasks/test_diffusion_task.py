"""The diffusion task: its loss by formula, what it learns, guidance, seeds and bad wishes."""

import pytest
import torch
from generative_batches import batch_of, same_by_row, trained
from torch import nn

from trainwell.models.diffusion_mlp import DiffusionMLP
from trainwell.models.diffusion_unet import DiffusionUNet
from trainwell.models.latent_diffusion import LatentDiffusion
from trainwell.models.vae import ConvVAE
from trainwell.nn.diffusion import PATHS, PREDICTIONS, Flow, shares
from trainwell.nn.sampler import last
from trainwell.tasks.diffusion import Diffusion


class Knowing(nn.Module):
    """The best velocity on straight lines for data drawn from N(class, 0.5^2), N(0, 1) where the class is hidden."""

    classes = 3

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x, time, classes):
        mean = torch.where(classes < 0, 0, classes)[:, None].float()
        variance = torch.where(classes < 0, 1.0, 0.25)[:, None]
        signal, spread = 1 - time[:, None], time[:, None]
        surprise = (x - signal * mean) / (signal**2 * variance + spread**2)
        return spread * surprise - (mean + signal * variance * surprise)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_batch_is_its_rows(path, prediction):
    if (path, prediction) == ("flow", "noise"):
        with pytest.raises(ValueError, match=r"'noise' says nothing about data"):
            Diffusion((5,), path=path, prediction=prediction)
        return
    torch.manual_seed(0)
    model, batch = DiffusionMLP(5, 3, width=16), batch_of(torch.randn(8, 5), target=torch.arange(8) % 3)
    nn.init.normal_(model.leave.weight)
    same_by_row(Diffusion((5,), path=path, prediction=prediction), model, batch)


def left(task, variances):
    """The loss that no network can avoid on a Gaussian of these variances along its axes.

    Data and noise that mix to one x_t lie on a line; what is taught varies along it by the squared determinant of the
    two equations times variance / (signal^2 variance + spread^2).
    """
    time = task.path.times((torch.arange(10_000) + 0.5) / 10_000)
    signal, spread = task.path.signal(time), task.path.spread(time)
    of_data, of_noise = shares(task.path, task.prediction, time)
    each = (signal * of_noise - spread * of_data).square() * variances[:, None]
    return (each / (signal.square() * variances[:, None] + spread.square())).mean().item()


def test_the_loss_of_the_best_network_is_what_chance_leaves():
    rows = torch.arange(20_000)
    batch = {"inputs": (0.5 * torch.randn(20_000, 1),), "row": rows, "target": torch.zeros(20_000, dtype=torch.long)}
    task = Diffusion((1,), path=Flow(deviation=0.0))
    found = task.predict(Knowing().eval(), batch)["loss"].mean().item()
    assert found == pytest.approx(left(task, torch.tensor([0.25])), rel=0.05)


def test_samples_of_a_known_law_are_exact_and_keep_their_class():
    model, task = Knowing(), Diffusion((1,))
    for label in range(3):
        samples = task.sample(model, 2000, classes=label, steps=100)
        assert samples.mean().item() == pytest.approx(label, abs=0.05)
        assert samples.std().item() == pytest.approx(0.5, abs=0.05)
    heun = task.sample(model, 50, classes=1, steps=50, sampler="heun")
    torch.testing.assert_close(heun, task.sample(model, 50, classes=1, steps=500), atol=0.02, rtol=0)


def test_guidance_exaggerates_the_class():
    model, task = Knowing(), Diffusion((1,))
    means = [task.sample(model, 1000, classes=2, steps=50, guidance=g).mean().item() for g in (0.0, 1.0, 3.0)]
    assert means[0] == pytest.approx(0, abs=0.1) and means[1] == pytest.approx(2, abs=0.1) and means[2] > 2.3


@pytest.mark.parametrize(("path", "prediction"), [("flow", "velocity"), ("linear", "noise"), ("cosine", "velocity")])
def test_it_learns_a_gaussian(path, prediction):
    torch.manual_seed(0)
    mean, mixing = torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.5], [0.0, 0.5]])
    batches = [batch_of(torch.randn(256, 2) @ mixing + mean) for _ in range(50)]
    model, task = DiffusionMLP(2, width=32, depth=2, waves=()), Diffusion((2,), path=path, prediction=prediction)
    state = trained(task, model, batches, epochs=8, lr=3e-3, held_out=batches[:4])
    best = left(task, torch.linalg.eigvalsh(mixing.T @ mixing))
    assert 0.93 * best < state.metrics["loss"] < 1.1 * best
    samples = task.sample(model, 3000, steps=40)
    torch.testing.assert_close(samples.mean(0), mean, atol=0.25, rtol=0)
    torch.testing.assert_close(samples.T.cov(), (mixing.T @ mixing), atol=0.35, rtol=0)


def test_classes_are_hidden_for_a_share_of_the_rows_in_training_alone():
    torch.manual_seed(0)
    model, task = DiffusionMLP(2, 3), Diffusion((2,), drop=0.2)
    batch = batch_of(torch.randn(5000, 2), target=torch.arange(5000) % 3)
    hidden = (task.classes(model, batch) < 0).float().mean().item()
    assert hidden == pytest.approx(0.2, abs=0.02)
    model.eval()
    assert torch.equal(task.classes(model, batch), batch["target"])


def test_samples_of_a_seed_are_always_the_same():
    torch.manual_seed(0)
    model, task = DiffusionUNet(1, 8, 8, 3, maps=8), Diffusion((1, 8, 8))
    nn.init.normal_(model.leave.weight, std=0.1)
    first = task.sample(model, 6, steps=4, seed=5, eta=1.0)
    assert first.dtype == torch.uint8 and first.shape == (6, 1, 8, 8) and model.training
    again = task.sample(model, 3, steps=4, seed=5, eta=1.0)
    assert (again.int() - first[:3].int()).abs().max() <= 1  # a batch of another size may round otherwise
    other = task.sample(model, 3, steps=4, seed=6, eta=1.0)
    assert (other.int() - first[:3].int()).abs().max() > 10
    rows = torch.arange(3)
    film = list(task.film(model.eval(), rows, classes=torch.tensor([0, 1, 2]), steps=4, seed=5, eta=1.0))
    assert len(film) == 5
    assert (task.rows(model, film[-1]).int() - again.int()).abs().max() <= 1
    assert torch.equal(last(iter(film)), film[-1])


def test_bad_wishes_are_named():
    plain, classed, task = DiffusionMLP(2), DiffusionMLP(2, 3), Diffusion((2,))
    for model, wish, words in (
        (plain, {"steps": 0}, "steps 0"),
        (plain, {"guidance": 2.0}, "knows no classes"),
        (plain, {"classes": 1}, "without classes"),
        (classed, {"classes": 7}, "class 7 was not trained"),
        (classed, {"sampler": "euler"}, "no sampler 'euler'"),
    ):
        with pytest.raises(ValueError, match=words):
            task.sample(model, 2, **wish)
    with pytest.raises(ValueError, match=r"no path 'edm'.*cosine"):
        Diffusion((2,), path="edm")


def test_codes_of_an_autoencoder_can_be_learned_instead():
    torch.manual_seed(0)
    autoencoder = ConvVAE(1, 8, 8, latent=3, maps=4)
    model, task = LatentDiffusion(autoencoder, DiffusionMLP(3, 2, width=16)), Diffusion((1, 8, 8))
    x = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    model.initialize(x)
    batch = batch_of(x, target=torch.arange(64) % 2)
    codes = task.data(model, batch)
    torch.testing.assert_close(codes.std(0), torch.ones(3), atol=1e-3, rtol=0)
    before = {name: p.clone() for name, p in autoencoder.state_dict().items()}
    trained(task, model, [batch], epochs=3)
    assert all(torch.equal(p, before[name]) for name, p in autoencoder.state_dict().items())
    assert task.sample(model, 5, classes=1, steps=3, guidance=2.0).shape == (5, 1, 8, 8)
