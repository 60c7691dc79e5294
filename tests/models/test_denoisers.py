"""Networks that separate data and noise: one contract for the U-Net, the transformer and the dense layers."""

import pytest
import torch

from trainwell.models.diffusion_mlp import DiffusionMLP
from trainwell.models.diffusion_unet import DiffusionUNet
from trainwell.models.dit import DiT, grid_positions

MAKERS = {
    "unet": (lambda classes: DiffusionUNet(2, 9, 14, classes, maps=8), (2, 9, 14)),
    "unet_deep": (
        lambda classes: DiffusionUNet(2, 9, 14, classes, maps=8, stages=(1, 1, 2), patch=1, blocks=2),
        (2, 9, 14),
    ),
    "dit": (lambda classes: DiT(2, 9, 14, classes, patch=4, hidden=32, depth=2), (2, 9, 14)),
    "mlp": (lambda classes: DiffusionMLP(6, classes, width=32, depth=2), (6,)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_contract(name):
    torch.manual_seed(0)
    make, shape = MAKERS[name]
    model, x = make(3), torch.randn(4, *shape)
    time, labels, target = torch.tensor([0.1, 0.4, 0.6, 0.9]), torch.tensor([0, 1, 2, -1]), torch.randn(4, *shape)
    assert model(x, time, labels).abs().max() == 0  # starts by predicting nothing
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    touched = set()
    for _ in range(40):
        loss = (model(x, time, labels) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        touched |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert loss < 0.5
    assert touched == {
        n for n, _ in model.named_parameters()
    }  # layers that start at zero wake up within the first steps
    model.eval()
    answer = model(x, time, labels)
    changed = x.clone()
    changed[0] += 1
    torch.testing.assert_close(model(changed, time, labels)[1:], answer[1:])
    assert not torch.allclose(model(x, time.flip(0), labels), answer)
    assert not torch.allclose(model(x, time, labels.flip(0)), answer)
    torch.testing.assert_close(model(x, time), model(x, time, torch.full((4,), -1)))
    fresh = make(3).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x, time, labels), answer)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(model, (x, time, labels), dynamic_shapes=(batch, batch, batch))
    torch.testing.assert_close(exported.module()(x[:3], time[:3], labels[:3]), answer[:3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_without_classes(name):
    make, shape = MAKERS[name]
    model = make(0)
    assert model.classes == 0 and not any("label" in n for n, _ in model.named_parameters())
    assert model(torch.randn(2, *shape), torch.rand(2)).shape == (2, *shape)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="4 stages after patches of 2 halve 8 x 28 pixels to less than 2"):
        DiffusionUNet(1, 8, 28, stages=(1, 1, 1, 1))
    with pytest.raises(ValueError, match="hidden 30"):
        DiT(1, 8, 8, hidden=30, heads=4)


def test_grid_positions_tell_all_places_apart():
    table = grid_positions(5, 7, 32)
    assert table.shape == (35, 32)
    assert (torch.cdist(table, table) + 10 * torch.eye(35)).min() > 0.3
