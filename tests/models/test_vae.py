"""What a variational autoencoder adds: draws, and a count of the rows it has trained on."""

import torch

from trainwell.models.vae import VAE


def test_codes_are_drawn_while_training_and_the_mean_otherwise():
    torch.manual_seed(0)
    model, x = VAE(10, latent=4, widths=(16,)), torch.randn(5, 10)
    assert not torch.equal(model(x).code, model(x).code)
    model.eval()
    answer = model(x)
    assert torch.equal(answer.code, answer.mean)
    noise = torch.randn(5, 4)
    drawn = model(x, noise)
    torch.testing.assert_close(drawn.code, answer.mean + (0.5 * answer.log_variance).exp() * noise)


def test_the_rows_seen_are_counted_and_kept():
    model, x = VAE(10, latent=4, widths=(16,)), torch.randn(5, 10)
    assert [model(x).seen.item(), model(x).seen.item()] == [5, 10]
    again = VAE(10, latent=4, widths=(16,))
    again.load_state_dict(model.state_dict())
    assert again(x).seen.item() == 15
    model.eval()
    assert model(x).seen.item() == 10
