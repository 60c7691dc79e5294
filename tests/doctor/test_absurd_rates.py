"""Rates by powers of ten too high are brought down to where a network learns, by however many powers that takes."""

import pytest
import torch
from torch import Tensor, nn

from trainwell.doctor import Doctor


def rows(numbers: bool) -> tuple[Tensor, Tensor]:
    x = torch.randn(2000, 20)
    return x, x[:, :1] * 2 + x[:, 1:2].abs() if numbers else (x[:, 0] + x[:, 1] > 0).long()


@pytest.mark.parametrize("rate", [1e2, 1e4])
@pytest.mark.parametrize("numbers", [True, False])
def test_a_rate_that_runs_away_ends_where_the_network_learns(rate: float, numbers: bool) -> None:
    torch.manual_seed(0)
    x, y = rows(numbers)
    model = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1 if numbers else 2)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    criterion: nn.Module = nn.MSELoss() if numbers else nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss=criterion, mode="treat")
    for _ in range(300):
        batch = torch.randint(2000, (64,))
        optimizer.zero_grad()
        loss = criterion(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], y[batch])
    doctor.close()
    assert not doctor.broken
    assert {"non-finite-values", "learning-rate-too-high"} & {each.name for each in doctor.findings}
    with torch.no_grad():
        assert float(criterion(model(x), y)) < 0.15, [each["change"] for each in doctor.history]
