"""The reconstruction task: its nats against torch, the bound as a bound, and each of its choices."""

import math

import pytest
import torch
from generative_batches import batch_of, same_by_row, trained
from torch.distributions import Bernoulli, Laplace, Normal

from trainwell.models.autoencoder import Autoencoder, ConvAutoencoder
from trainwell.models.vae import VAE, ConvVAE
from trainwell.nn.latent import log_normal
from trainwell.tasks.reconstruct import Reconstruct


def pictures(count=8, side=8):
    torch.manual_seed(0)
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)


def test_nats_are_those_of_torch():
    torch.manual_seed(0)
    output, x = torch.randn(2, 5, 7)
    black = (x > 0).float()
    for task, law, target in (
        (Reconstruct((7,), likelihood="bernoulli"), Bernoulli(logits=output), black),
        (Reconstruct((7,), deviation=0.3), Normal(output, 0.3), x),
        (Reconstruct((7,), likelihood="laplace", deviation=0.3), Laplace(output, 0.3), x),
    ):
        torch.testing.assert_close(task.nats(output, target), -law.log_prob(target).sum(1))


@pytest.mark.parametrize("choice", [{}, {"binarize": True}, {"corruption": "gaussian"}, {"corruption": "mask"}])
@pytest.mark.parametrize(
    "model", [lambda: ConvVAE(1, 8, 8, latent=3, maps=4), lambda: ConvAutoencoder(1, 8, 8, latent=3, maps=4)]
)
def test_a_batch_is_its_rows(choice, model):
    torch.manual_seed(0)
    same_by_row(Reconstruct((1, 8, 8), **choice), model(), batch_of(pictures()))


class LinearGaussian(VAE):
    """x = code + noise of deviation 0.5, one number: its posterior and evidence are known."""

    def decode(self, code):
        return code

    def encode(self, x):
        return self.shift + x * 0.8, torch.full_like(x, self.log_variance)


def known(shift, log_variance):
    model = LinearGaussian(1, latent=1).eval()
    model.shift, model.log_variance = shift, log_variance
    return model


def test_the_bound_is_tight_at_the_posterior_and_above_the_truth_elsewhere():
    """Posterior of x = z + 0.5 e: mean 0.8 x, variance 0.2; the evidence is N(0, 1.25)."""
    torch.manual_seed(0)
    x = torch.randn(4000, 1)
    task, batch = Reconstruct((1,), deviation=0.5), batch_of(x)
    truth = -log_normal(x, 0.0, math.log(1.25)).mean()
    tight = task.predict(known(0.0, math.log(0.2)), batch)["loss"].mean()
    assert tight.item() == pytest.approx(truth.item(), abs=0.02)
    for shift, log_variance in ((0.3, math.log(0.2)), (0.0, math.log(0.02)), (0.0, math.log(0.6))):
        assert task.predict(known(shift, log_variance), batch)["loss"].mean() > truth + 0.1


def test_beta_free_nats_and_warm_up():
    torch.manual_seed(0)
    model, batch = VAE(4, latent=2, widths=(8,)), batch_of(torch.randn(10, 4))

    def loss(**choice):
        model.train()
        model.seen.zero_()
        torch.manual_seed(1)
        return Reconstruct((4,), **choice).loss(model, batch, "model")

    plain = loss()
    reconstruction, kl = plain.logs["reconstruction"] * 10, plain.logs["kl"] * 10
    torch.testing.assert_close(plain.total, reconstruction + kl)
    torch.testing.assert_close(loss(beta=4.0).total, reconstruction + 4 * kl)
    torch.testing.assert_close(loss(free=100.0).total, reconstruction + 10 * 2 * 100.0)
    torch.testing.assert_close(loss(warmup=40).total, reconstruction + kl * 10 / 40)  # ten rows seen of forty
    assert loss(warmup=40).logs["beta"].item() == 0.25


def test_sparsity_is_charged_for_the_code():
    torch.manual_seed(0)
    model, batch = Autoencoder(4, latent=6, widths=(8,)), batch_of(torch.randn(10, 4))
    plain, sparse = Reconstruct((4,)), Reconstruct((4,), sparsity=2.0)
    charge = sparse.loss(model, batch, "model").total - plain.loss(model, batch, "model").total
    torch.testing.assert_close(charge, 2 * model.encode(batch["inputs"][0]).abs().sum(), atol=1e-3, rtol=1e-4)


def test_binarization_is_fresh_in_training_and_fixed_in_evaluation():
    model, batch = ConvVAE(1, 8, 8, latent=3, maps=4), batch_of(pictures())
    task = Reconstruct((1, 8, 8), binarize=True)
    first, second = task.clean(model, batch), task.clean(model, batch)
    assert set(first.unique().tolist()) == {0.0, 1.0} and not torch.equal(first, second)
    model.eval()
    assert torch.equal(task.clean(model, batch), task.clean(model, batch))
    grey = batch_of(torch.full((400, 1, 8, 8), 51, dtype=torch.uint8))
    assert task.clean(model, grey).mean().item() == pytest.approx(0.2, abs=0.01)


def test_denoising_learns_to_mend():
    """Points on a line in the plane, with noise across it: what comes back lies nearer to the line."""
    torch.manual_seed(0)
    along = torch.randn(256, 1)
    x = along @ torch.tensor([[1.0, 1.0]]) / 2**0.5
    task, model = Reconstruct((2,), corruption="gaussian", amount=0.3), Autoencoder(2, latent=2, widths=(32,))
    trained(task, model, [batch_of(x)], epochs=300, lr=5e-3)
    damaged = x + 0.3 * torch.randn_like(x)
    across = torch.tensor([1.0, -1.0]) / 2**0.5
    assert (model(damaged).output @ across).abs().mean() < 0.4 * (damaged @ across).abs().mean()


def test_a_variational_autoencoder_learns_and_samples():
    torch.manual_seed(0)
    x = torch.randn(512, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]])
    task, model = Reconstruct((2,), deviation=0.3), VAE(2, latent=2, widths=(32,))
    state = trained(task, model, [batch_of(x)] * 4, epochs=150, lr=5e-3, held_out=[batch_of(x)])
    truth = 2 * (1 + math.log(2 * math.pi)) / 2 + math.log(0.6)  # entropy of the data, in nats
    assert truth - 0.1 < state.metrics["loss"] < truth + 0.5
    assert state.metrics["active_units"] == 2
    samples = task.sample(model, 2000, seed=3)
    torch.testing.assert_close(samples.T.cov(), x.T.cov(), atol=0.25, rtol=0)


def test_samples_of_a_seed_are_always_the_same():
    model, task = ConvVAE(1, 8, 8, latent=3, maps=4), Reconstruct((1, 8, 8))
    first = task.sample(model, 300, seed=5)
    assert first.dtype == torch.uint8 and first.shape == (300, 1, 8, 8)
    assert torch.equal(task.sample(model, 12, seed=5), first[:12])
    assert not torch.equal(task.sample(model, 12, seed=6), first[:12])
    assert model.training


def test_bad_wishes_are_named():
    with pytest.raises(ValueError, match=r"no likelihood 'poisson'.*bernoulli"):
        Reconstruct((3,), likelihood="poisson")
    with pytest.raises(ValueError, match=r"no corruption 'blur'.*mask"):
        Reconstruct((3,), corruption="blur")
    with pytest.raises(ValueError, match=r"plain autoencoder"):
        Reconstruct((4,)).sample(Autoencoder(4), 2)
