"""Autoencoders: shapes, gradients, no leak between rows, reload, export, and that they learn to copy."""

import pytest
import torch

from trainwell.models.autoencoder import Autoencoder, ConvAutoencoder
from trainwell.models.vae import VAE, ConvVAE

PICTURE = (2, 9, 12)
MAKERS = {
    "dense": lambda: Autoencoder(216, latent=12, widths=(64,)),
    "conv": lambda: ConvAutoencoder(*PICTURE, latent=12, maps=8),
    "vae": lambda: VAE(216, latent=12, widths=(64,)),
    "conv_vae": lambda: ConvVAE(*PICTURE, latent=12, maps=8, hidden=32),
}


@pytest.mark.parametrize("name", MAKERS)
def test_contract(name):
    torch.manual_seed(0)
    model, x = MAKERS[name](), torch.randn(6, *PICTURE)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(250):
        answer = model(x) if not hasattr(model, "seen") else model(x, torch.zeros(6, 12))
        loss = (answer.output.flatten(1) - x.flatten(1)).square().mean()
        if hasattr(model, "seen"):
            loss = loss + 1e-4 * answer.log_variance.square().mean()
        optimizer.zero_grad()
        loss.backward()
        if not step:
            quiet = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
            assert not quiet, f"no gradient: {quiet}"
        optimizer.step()
    assert loss < 0.1  # six pictures by heart
    model.eval()
    answer = model(x)
    assert answer.code.shape == (6, 12) and answer.output.flatten(1).shape == (6, 216)
    changed = x.clone()
    changed[0] += 1
    torch.testing.assert_close(model(changed).output[1:], answer.output[1:])
    assert torch.equal(model.decode(answer.code), answer.output)
    fresh = MAKERS[name]().eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x).output, answer.output)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(x[:3])[0], answer.output[:3], atol=1e-5, rtol=1e-5)


def test_a_picture_and_its_vector_are_one_to_dense_models():
    x = torch.randn(3, *PICTURE)
    for name in ("dense", "vae"):
        model = MAKERS[name]().eval()
        assert torch.equal(model(x).output, model(x.flatten(1)).output)
