"""Groups of an optimizer whose rates lie far apart: fresh weights left behind, and others that are meant to be."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from loops import digits, mlp

from trainwell.doctor import Doctor


def grouped(share: float, mode: str, trained: bool = False, steps: int = 200) -> tuple[Doctor, nn.Module]:
    """A network on digits whose first layer has this share of the rate of the others; trained: it was learned before
    and comes with the head drawn anew."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model, loss = mlp(64, 48, 10), nn.CrossEntropyLoss()

    def learn(optimizer: torch.optim.Optimizer, doctor: Doctor | None, count: int) -> None:
        for _ in range(count):
            rows = torch.randint(len(x), (32,))
            optimizer.zero_grad()
            value = loss(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            if doctor is not None:
                doctor.watch(value, x[rows], y[rows])

    if trained:
        learn(torch.optim.Adam(model.parameters(), 1e-2), None, 600)
        model[-1].reset_parameters()
    groups = [{"params": model[0].parameters(), "lr": 3e-3 * share}, {"params": model[1:].parameters()}]
    optimizer = torch.optim.Adam(groups, lr=3e-3)
    doctor = Doctor(model, optimizer, loss, mode=mode, steps=steps)
    learn(optimizer, doctor, steps)
    doctor.close()
    assert not doctor.broken, doctor.broken
    return doctor, model


def named(doctor: Doctor) -> list[str]:
    return [each.name for each in doctor.findings if each.severity != "note"]


def test_fresh_weights_left_behind_are_told_and_raised():
    doctor, _ = grouped(1e-5, "treat")
    rates = [group["lr"] for each in doctor.patient.optimizers.values() for group in each.param_groups]
    assert named(doctor) == ["update-ratio-off"] and doctor.findings[0].where == "0"
    assert rates == pytest.approx([3e-3, 3e-3])


@pytest.mark.parametrize("share", [0.0, 1e-2, 1.0])
def test_weights_kept_still_on_purpose_or_slowed_are_not_told(share):
    assert "update-ratio-off" not in named(grouped(share, "watch")[0])


def test_weights_that_came_trained_may_stay_what_they_are():
    assert not named(grouped(1e-5, "watch", trained=True)[0])
