"""Targets in raw units: answers put into them by a hook, learned as if the targets were standardized."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp

from trainwell.doctor import Doctor
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import from_loop
from trainwell.doctor.remedy import Chart
from trainwell.doctor.reward_check import _numbers
from trainwell.doctor.sample import Sample
from trainwell.doctor.units import in_units, scale_answers

X = torch.randn(256, 5, generator=torch.Generator().manual_seed(0))
PRICES = 30_000 * (X[:, :2].sum(1) + 0.1 * X[:, 2]) + 200_000


def steps(model: nn.Module, target: torch.Tensor, loss, count: int = 5) -> torch.Tensor:
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(count):
        optimizer.zero_grad()
        loss(model(X)[:, 0], target).backward()
        optimizer.step()
    return torch.cat([each.detach().flatten() for each in model.parameters()])


@pytest.mark.parametrize(("kind", "loss"), [("mse", F.mse_loss), ("mae", F.l1_loss)])
def test_answers_in_the_targets_units_are_learned_as_standardized_ones(kind, loss):
    """The same weights after some steps of SGD, whose steps a loss in raw units would make too long by far."""
    torch.manual_seed(0)
    plain = mlp(5, 8, 1)
    hooked = mlp(5, 8, 1)
    hooked.load_state_dict(plain.state_dict())
    sample = Sample([X], PRICES)
    chart = Chart(from_loop(hooked, torch.optim.SGD(hooked.parameters(), 0.1), loss), sample, {"loss": kind}, False)
    change = scale_answers(chart, Finding("wrong-initial-loss", "head", "warn", "", "", 0.8, 0))
    assert change is not None and in_units(hooked) and not in_units(plain)
    expected = steps(plain, (PRICES - PRICES.mean()) / PRICES.std(correction=0), loss)
    assert torch.allclose(steps(hooked, PRICES, loss), expected, atol=1e-4)
    assert torch.allclose(hooked(X)[:, 0], plain(X)[:, 0] * PRICES.std(correction=0) + PRICES.mean(), rtol=1e-3)


def test_standardized_targets_and_classes_are_left_as_they_are():
    model = mlp(5, 8, 1)
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), F.mse_loss)
    finding = Finding("wrong-initial-loss", "head", "warn", "", "", 0.8, 0)
    for target, kind in ((X[:, 0], "mse"), (PRICES, "cross_entropy"), (torch.full((256,), 3e5), "mse")):
        assert scale_answers(Chart(patient, Sample([X], target), {"loss": kind}, False), finding) is None
    assert not in_units(model)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss()])
def test_prices_in_dollars_are_learned_by_a_treated_loop(loss):
    torch.manual_seed(0)
    model = mlp(5, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, lambda output, target: loss(output[:, 0], target), mode="treat", steps=300)
    for _ in range(300):
        rows = torch.randint(256, (64,))
        optimizer.zero_grad()
        value = loss(model(X[rows])[:, 0], PRICES[rows])
        value.backward()
        optimizer.step()
        doctor.watch(value, X[rows], PRICES[rows])
    doctor.close()
    assert not doctor.broken
    assert doctor.findings[0].name == "wrong-initial-loss" and doctor.findings[0].cured, str(doctor)
    left = F.mse_loss(model(X)[:, 0], PRICES) / PRICES.var()
    assert left < 0.1, (float(left), doctor.history)


def test_a_network_of_several_answers_is_left_alone():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 1)

        def forward(self, x):
            return self.layer(x)[:, 0], x

    model = Both()
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), lambda both, y: F.mse_loss(both[0], y))
    finding = Finding("wrong-initial-loss", "head", "warn", "", "", 0.8, 0)
    sample = Sample([X], PRICES, [(X, PRICES)])
    assert scale_answers(Chart(patient, sample, {"loss": "mse"}, False), finding) is None and not in_units(model)


def test_an_absolute_error_of_answers_beyond_all_targets_is_not_blind_to_their_order():
    target = torch.rand(64) + 10
    better, worse, _ = _numbers(torch.randn(64) * 0.1, target)
    assert F.l1_loss(better, target) < 0.9 * F.l1_loss(worse, target)


@pytest.mark.parametrize("summed", [False, True], ids=["a mean", "summed over each row"])
def test_what_guessing_costs_of_many_columns_is_their_entropies(summed: bool) -> None:
    torch.manual_seed(0)
    shares = torch.linspace(0.05, 0.95, 30)
    x = (torch.rand(512, 30) < shares).float()
    model = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 30))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def cost(output, target):
        entries = nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return entries.sum(-1).mean() if summed else entries.mean()

    doctor = Doctor(model, optimizer, loss=cost, mode="watch")
    for at in range(0, 512, 32):
        optimizer.zero_grad()
        loss = cost(model(x[at : at + 32]), x[at : at + 32])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at : at + 32], x[at : at + 32])
    doctor.close()
    entropies = -(shares * shares.log() + (1 - shares) * (1 - shares).log())
    expected = float(entropies.sum() if summed else entropies.mean())
    assert doctor.record.facts["prior loss"] == pytest.approx(expected, rel=0.03)
