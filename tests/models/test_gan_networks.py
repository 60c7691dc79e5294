"""Generators and discriminators: shapes, gradients, no leak, reload, export, norms and classes."""

import pytest
import torch

from trainwell.models.gan import DCGAN, GAN, NORMS

SHAPES = {"vectors": (5,), "pictures": (1, 9, 12)}


def make(kind, classes=0, **choices):
    return (
        GAN(5, classes, latent=6, widths=(32, 32), **choices)
        if kind == "vectors"
        else DCGAN(1, 9, 12, classes, latent=6, maps=8, **choices)
    )


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("classes", [0, 3])
def test_contract(kind, classes):
    torch.manual_seed(0)
    model, noise = make(kind, classes), torch.randn(4, 6)
    labels = torch.tensor([0, 1, 2, 1]) if classes else None
    rows = model(noise, labels)
    scores = model.discriminator(rows, labels)
    assert rows.shape == (4, *SHAPES[kind]) and scores.shape == (4,)
    scores.square().sum().backward()
    quiet = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not quiet, f"no gradient: {quiet}"
    model.eval()
    rows, scores = model(noise, labels), model.discriminator(rows.detach(), labels)
    changed = noise.clone()
    changed[0] += 1
    torch.testing.assert_close(model(changed, labels)[1:], rows[1:])
    fresh = make(kind, classes).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(noise, labels), rows)
    inputs = (noise,) if labels is None else (noise, labels)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(model, inputs, dynamic_shapes=tuple(batch for _ in inputs))
    torch.testing.assert_close(exported.module()(*[each[:3] for each in inputs]), rows[:3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", SHAPES)
def test_spectral_norm_bounds_the_discriminator(kind, norm):
    torch.manual_seed(0)
    model = make(kind, norm=norm)
    for parameter in model.discriminator.parameters():
        parameter.data *= 300
    x = torch.rand(64, *SHAPES[kind]) * 2 - 1
    for _ in range(30):
        score = model.discriminator(x)
    near = model.discriminator(x + 1e-3 * torch.randn_like(x))
    steep = ((near - score).abs() / 1e-3 > 50).any()
    if norm == "spectral":
        assert not steep
    elif norm == "none":
        assert steep


def test_the_class_changes_the_row_and_the_score():
    torch.manual_seed(0)
    model, noise = make("pictures", 3).eval(), torch.randn(1, 6)
    rows = [model(noise, torch.tensor([label])) for label in range(3)]
    assert not torch.allclose(rows[0], rows[1]) and not torch.allclose(rows[1], rows[2])
    scores = [model.discriminator(rows[0], torch.tensor([label])).item() for label in range(3)]
    assert len(set(scores)) == 3
    with pytest.raises(ValueError, match=r"classes"):
        model(noise)
    assert make("pictures", 3, conditional=False)(torch.randn(2, 6)).shape == (2, 1, 9, 12)


def test_an_unknown_norm_is_named():
    for kind in SHAPES:
        with pytest.raises(ValueError, match=r"no norm 'layer'.*spectral"):
            make(kind, norm="layer")


def test_only_the_sign_of_bits_is_read():
    torch.manual_seed(0)
    model = GAN(3, latent=6, bits=4)
    noise = torch.randn(5, 6)
    louder = torch.cat([noise[:, :4] * 7, noise[:, 4:]], 1)
    assert torch.equal(model(noise), model(louder))
    assert not torch.equal(model(noise), model(torch.cat([noise[:, :4], noise[:, 4:] * 7], 1)))
    with pytest.raises(ValueError, match="bits 9"):
        GAN(3, latent=6, bits=9)


@pytest.mark.parametrize("kind", SHAPES)
def test_at_first_the_noise_says_more_than_the_class(kind):
    """With class vectors as long as the noise a generator learns one picture a class and passes over the noise."""
    torch.manual_seed(0)
    model = make(kind, 10).eval()
    noise, classes = torch.randn(200, 6), torch.arange(10)
    same = torch.zeros(200, dtype=torch.long)
    by_noise = model(noise, same).flatten(1).var(0).mean()
    by_class = model(noise[:1].expand(10, -1), classes).flatten(1).var(0).mean()
    assert by_noise > 2 * by_class
