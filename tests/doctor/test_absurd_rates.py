"""Rates by powers of ten too high are brought down to where a network learns, by however many powers that takes."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainwell.doctor import Doctor


def rows(numbers: bool) -> tuple[Tensor, Tensor]:
    x = torch.randn(2000, 20)
    return x, x[:, :1] * 2 + x[:, 1:2].abs() if numbers else (x[:, 0] + x[:, 1] > 0).long()


def network(answers: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, answers))


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, numbers: bool, mode: str, steps: int
) -> tuple[Doctor, float]:
    """The doctor, and the loss on all rows at the end as a share of what guessing costs."""
    x, y = rows(numbers)
    criterion: nn.Module = nn.MSELoss() if numbers else nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss=criterion, mode=mode)
    for _ in range(steps):
        batch = torch.randint(2000, (64,))
        optimizer.zero_grad()
        loss = criterion(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], y[batch])
    doctor.close()
    assert not doctor.broken
    with torch.no_grad():
        return doctor, float(criterion(model(x), y)) / (float(y.var()) if numbers else math.log(2))


@pytest.mark.parametrize("rate", [1e2, 1e4])
@pytest.mark.parametrize("numbers", [True, False])
def test_a_rate_that_runs_away_ends_where_the_network_learns(rate: float, numbers: bool) -> None:
    model = network(1 if numbers else 2)
    doctor, end = train(model, torch.optim.SGD(model.parameters(), lr=rate), numbers, "treat", 300)
    assert {"non-finite-values", "learning-rate-too-high"} & {each.name for each in doctor.findings}
    assert end < 0.1, [each["change"] for each in doctor.history]


def test_a_thousand_times_the_rate_is_told_as_that_though_no_hundredth_of_it_learns() -> None:
    model = network(1)
    doctor, end = train(model, torch.optim.SGD(model.parameters(), lr=30, momentum=0.9), True, "watch", 20)
    assert doctor.findings[0].name == "learning-rate-too-high" and "a thousandth" in doctor.findings[0].evidence
    assert not end < 1.0


@pytest.mark.parametrize("rate", [10.0, 100.0])
def test_a_loss_far_beyond_its_start_is_told_however_noisy_it_is(rate: float) -> None:
    model = network(1)
    doctor, end = train(model, torch.optim.Adam(model.parameters(), lr=rate), True, "watch", 40)
    assert doctor.findings[0].name == "learning-rate-too-high" and doctor.findings[0].step <= 20
    assert end > 100


def test_a_loss_that_no_copy_can_make_and_that_is_thrown_far_off_is_told_at_once() -> None:
    """It falls from where it was thrown to, which alone would be a loss on its way back."""
    x, y = rows(True)
    model = network(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=10.0)
    doctor = Doctor(model, optimizer)
    for _ in range(60):
        batch = torch.randint(2000, (64,))
        optimizer.zero_grad()
        loss = (model(x[batch]) - y[batch]).abs().pow(1.5).mean()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], y[batch])
    doctor.close()
    assert doctor.patient is not None and doctor.patient.loss_of is None
    assert doctor.findings[0].name == "learning-rate-too-high" and doctor.findings[0].step <= 20
