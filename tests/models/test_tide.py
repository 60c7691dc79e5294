"""TiDE: shapes, a gradient on every weight, and what it may see."""

import torch

from trainwell.models.tide import TiDE


def parts(batch: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = (batch, 12, 3), (batch, 12, 2), (batch, 16, 6)
    return tuple(torch.randn(shape, generator=random) for shape in shapes)


def test_every_weight_learns_and_rows_stay_apart():
    torch.manual_seed(0)
    model = TiDE(3, 4, 2, 6, lookback=12, width=16, dropout=0.0)
    inputs = parts()
    answer = model(*inputs)
    assert answer.shape == (5, 4, 3)
    answer.square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.parameters())
    assert torch.allclose(model(*(each[2:3] for each in inputs)), answer[2:3], atol=1e-5)


def test_all_three_inputs_matter_and_none_is_needed():
    torch.manual_seed(0)
    model, inputs = TiDE(3, 4, 2, 6, lookback=12).eval(), parts()
    answer = model(*inputs)
    for place in range(3):
        changed = [each.clone() for each in inputs]
        changed[place][:, 3] += 1.0
        assert not torch.allclose(model(*changed), answer, atol=1e-6)
    alone = TiDE(3, 4, 0, 6, lookback=12).eval()
    assert alone(inputs[0], torch.zeros(5, 12, 0), inputs[2]).shape == (5, 4, 3)
