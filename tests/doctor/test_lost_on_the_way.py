"""Updates that half-precision weights do not take, and gradients that lower blocks lose; each beside its twin."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from trainwell.doctor import Doctor
from trainwell.doctor.families import lost_depth
from trainwell.doctor.schedule import leaping, raised_late
from trainwell.doctor.series import Record
from trainwell.doctor.signal import vanishing_gradient


def half(rate: float, mode: str = "watch", steps: int = 300) -> tuple[Doctor, float]:
    """Digits by a network all in bfloat16, under plain descent; accuracy on the last rows."""
    torch.manual_seed(0)
    digits = load_digits()
    rows, target = torch.tensor(digits.data, dtype=torch.bfloat16) / 16, torch.tensor(digits.target)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    criterion = nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss=criterion, mode=mode, steps=steps)
    for _ in range(steps):
        which = torch.randint(1400, (32,))
        optimizer.zero_grad()
        loss = criterion(model(rows[which]), target[which])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows[which], target[which])
    doctor.close()
    return doctor, float((model(rows[1400:]).argmax(1) == target[1400:]).float().mean())


@pytest.mark.parametrize(("rate", "expected"), [(0.005, ["mixed-precision-underflow"]), (0.3, [])])
def test_weights_in_bfloat16_that_stay_as_they_are(rate, expected):
    doctor, _ = half(rate)
    assert [each.name for each in doctor.findings if each.severity != "note"] == expected


def test_weights_in_bfloat16_are_widened():
    doctor, treated = half(0.01, "treat")
    assert next(doctor.patient.bare.parameters()).dtype == torch.float32
    assert "float32" in doctor.history[0]["change"] and treated > half(0.01)[1] + 0.1


def record(began: float, now: float, *, attention: bool) -> Record:
    made = Record()
    made.facts["layers"] = ["first", "middle", "last"]
    for step in range(60):
        made.add(step + 1, "loss", "", 4.0)
    for step, share in ((1, began), (20, now), (40, now), (60, now)):
        for place, size in (("first", share), ("middle", 0.5), ("last", 1.0)):
            made.add(step, "gradient", place, size)
        if attention:
            made.add(step, "attention entropy", "blocks.0", 0.9)
    made.facts["step"] = 60
    return made


@pytest.mark.parametrize(
    ("began", "attention", "expected"),
    [(0.1, True, "transformer-instability"), (1e-5, True, "vanishing-gradient"), (0.1, False, "vanishing-gradient")],
)
def test_a_gradient_that_lower_blocks_lose_is_no_matter_of_depth(began, attention, expected):
    found = vanishing_gradient(record(began, 1e-6, attention=attention))
    assert found is not None and found.name == expected


def test_a_gradient_that_stays_is_not_told():
    assert vanishing_gradient(record(0.1, 0.1, attention=True)) is None
    assert lost_depth(record(1e-3, 1e-4, attention=True), ["first", "middle", "last"]) is None


def test_any_layer_that_loses_its_share_of_the_gradient_tells_of_it():
    made = record(1e-5, 1e-9, attention=True)  # as queries, which begin with little
    made.facts["layers"] = ["first", "lost", "middle", "last"]
    for step, size in ((1, 0.1), (20, 1e-6), (40, 1e-6), (60, 1e-6)):
        made.add(step, "gradient", "lost", size)
    found = vanishing_gradient(made)
    assert found is not None and (found.name, found.where) == ("transformer-instability", "lost")


def rates(values: list[float], losses: list[float] | None = None) -> Record:
    made = Record()
    steps = list(range(1, len(values) + 1))
    made.extend("rate", steps, values)
    made.extend("loss", steps, losses or [1.0] * len(values))
    made.facts["step"] = len(values)
    return made


def test_a_rate_that_leaps_and_comes_back_is_told_and_a_cycle_is_not():
    found = leaping(rates([0.06 if step % 40 == 39 else 0.001 for step in range(130)]))
    assert found is not None and found.name == "loss-spike" and "3 steps" in found.evidence
    assert leaping(rates([0.001 * (1 + abs(step % 40 - 20)) for step in range(130)])) is None
    assert leaping(rates([0.01 * 0.98 ** (step % 60) for step in range(130)])) is None


def test_a_rate_that_is_raised_in_the_midst_is_told_where_the_loss_rose():
    late = [0.001] * 80 + [0.04] * 30
    found = raised_late(rates(late, [1.0] * 80 + [3.0] * 30))
    assert found is not None and found.name == "learning-rate-too-high" and found.where == "schedule"
    assert raised_late(rates(late, [1.0] * 80 + [0.9] * 30)) is None
    warm = [0.0001 * (1 + step) for step in range(110)]
    assert raised_late(rates(warm, [1.0] * 80 + [3.0] * 30)) is None
