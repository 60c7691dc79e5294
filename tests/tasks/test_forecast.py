"""Forecasts: missing answers do not count, and numbers come back in their unit."""

import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.models.linear_blend import LinearBlend
from trainwell.models.nlinear import NLinear
from trainwell.nn.side_by_side import SideBySide
from trainwell.tasks import Forecast
from trainwell.tasks.forecast import pinball


def batch(rows: int = 8) -> dict:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 12, 2, generator=random)
    return {"inputs": (x,), "target": torch.randn(rows, 4, 2, generator=random), "row": torch.arange(rows)}


def test_one_batch_of_eight_is_eight_of_one() -> None:
    task, model, whole = Forecast([0.0, 1.0], [1.0, 2.0], horizon=4), NLinear(2, 4, lookback=12), batch()
    loss = task.loss(model, whole, "model")
    parts = [
        task.loss(model, {"inputs": (whole["inputs"][0][i : i + 1],), "target": whole["target"][i : i + 1]}, "model")
        for i in range(8)
    ]
    assert torch.allclose(loss.total, sum(part.total for part in parts), rtol=1e-5)
    assert loss.count == sum(part.count for part in parts) == 64


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_missing_answers_do_not_count(loss: str) -> None:
    task, model, whole = Forecast([0.0, 0.0], [1.0, 1.0], horizon=4, loss=loss), NLinear(2, 4, lookback=12), batch()
    whole["target"][0] = float("nan")
    rest = {"inputs": (whole["inputs"][0][1:],), "target": whole["target"][1:]}
    found = task.loss(model, whole, "model")
    assert torch.allclose(found.total, task.loss(model, rest, "model").total) and found.count == 56
    found.total.backward()
    assert all(each.grad.isfinite().all() for each in model.parameters())
    metrics = task.metrics()
    with torch.no_grad():
        metrics.update(task.predict(model, whole), whole)
    error = task.predict(model, rest)["scaled"] - rest["target"]
    assert metrics.compute()["mse"] == pytest.approx(float(error.detach().square().mean()), rel=1e-6)


def test_quantiles_cost_the_pinball_loss_and_rise() -> None:
    task = Forecast([10.0, -5.0], [2.0, 3.0], horizon=4, quantiles=[0.9, 0.1])
    model = SideBySide(NLinear(2, 4, lookback=12) for _ in range(3))
    whole = batch()
    outputs = model(*whole["inputs"])
    assert outputs.shape == (8, 3, 4, 2) and task.quantiles == [0.1, 0.9]
    wanted = (outputs[:, 0] - whole["target"]).square().sum()
    for place, quantile in ((1, 0.1), (2, 0.9)):
        error = whole["target"] - outputs[:, place]
        wanted = wanted + torch.where(error > 0, quantile * error, (quantile - 1) * error).sum()
    assert torch.allclose(task.loss(model, whole, "model").total, wanted)
    answer = task.predict(model, whole)
    assert answer["quantiles"].shape == (8, 2, 4, 2)
    assert (answer["quantiles"][:, 0] <= answer["quantiles"][:, 1]).all()
    with pytest.raises(InputError, match="from each of 3 networks"):
        task.loss(NLinear(2, 4, lookback=12), whole, "model")
    with pytest.raises(ValueError, match="between 0 and 1"):
        Forecast([0.0], [1.0], quantiles=[0.1, 1.5])


def test_margins_make_each_quantile_keep_its_promise() -> None:
    random = torch.Generator().manual_seed(1)
    truth = torch.randn(500, 4, 2, generator=random) * torch.tensor([1.0, 3.0])
    truth[:5] = float("nan")
    task = Forecast([10.0, -5.0], [2.0, 3.0], horizon=4, quantiles=[0.1, 0.9])
    narrow = task.unscale(torch.zeros(500, 2, 4, 2))
    margins = torch.tensor(task.margins_of(narrow, truth))
    for place, share in ((0, 0.1), (1, 0.9)):
        below = (truth[5:] <= margins[place]).float().mean((0, 1))
        assert torch.allclose(below, torch.full((2,), share), atol=0.002)


def test_the_pinball_loss_is_lowest_at_its_quantile() -> None:
    values = torch.randn(4001, generator=torch.Generator().manual_seed(0))
    for quantile in (0.1, 0.5, 0.9):
        tried = torch.linspace(-2, 2, 401)
        costs = pinball(values[:, None] - tried, quantile).mean(0)
        assert abs(float(tried[costs.argmin()]) - float(values.quantile(quantile))) < 0.02


def test_members_learn_by_themselves_and_answer_by_their_mean() -> None:
    task, model, whole = Forecast([0.0, 0.0], [1.0, 1.0], horizon=4), LinearBlend(2, 4, lookback=12), batch()
    members = model(*whole["inputs"])
    assert members.shape == (8, 2, 4, 2)
    each = (members - whole["target"][:, None]).square().mean(1).sum()
    assert torch.allclose(task.loss(model, whole, "model").total, each)
    assert torch.allclose(task.predict(model, whole)["scaled"], members.mean(1))


def test_numbers_have_their_unit() -> None:
    task, model = Forecast([10.0, -5.0], [2.0, 3.0], horizon=4), NLinear(2, 4, lookback=12)
    answer = task.predict(model, batch())
    assert torch.allclose(answer["number"], answer["scaled"] * torch.tensor([2.0, 3.0]) + torch.tensor([10.0, -5.0]))


def test_a_network_of_another_shape_is_named() -> None:
    with pytest.raises(InputError, match="expected 4 steps of 2 channels"):
        Forecast([0.0, 0.0], [1.0, 1.0], horizon=4).loss(nn.Identity(), batch(), "model")
