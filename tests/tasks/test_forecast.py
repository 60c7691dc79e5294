"""Forecasts: missing answers do not count, and numbers come back in their unit."""

import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.models.nlinear import NLinear
from trainwell.tasks import Forecast


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


def test_numbers_have_their_unit() -> None:
    task, model = Forecast([10.0, -5.0], [2.0, 3.0], horizon=4), NLinear(2, 4, lookback=12)
    answer = task.predict(model, batch())
    assert torch.allclose(answer["number"], answer["scaled"] * torch.tensor([2.0, 3.0]) + torch.tensor([10.0, -5.0]))


def test_a_network_of_another_shape_is_named() -> None:
    with pytest.raises(InputError, match="expected 4 steps of 2 channels"):
        Forecast([0.0, 0.0], [1.0, 1.0], horizon=4).loss(nn.Identity(), batch(), "model")
