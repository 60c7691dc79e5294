"""How a treated training ends, and rates that are looked for on both sides of those that a proof had tried."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from loops import digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.finish import Finish, peaks
from trainwell.doctor.patient import from_loop
from trainwell.doctor.series import Record


def treated(rate: float, steps: int = 300, schedule=None) -> tuple[Doctor, list[float], nn.Module]:
    """A network on digits under a treating doctor; the doctor, the rates that its steps were taken at, the network."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 48, 10)
    optimizer, loss = torch.optim.SGD(model.parameters(), rate, momentum=0.9), nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss, mode="treat", steps=steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule) if schedule else None
    for _ in range(steps):
        rows = torch.randint(len(x), (32,))
        optimizer.zero_grad()
        value = loss(model(x[rows]), y[rows])
        value.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        doctor.watch(value, x[rows], y[rows])
    doctor.close()
    assert not doctor.broken, doctor.broken
    used = [rate for each in (*doctor.episodes, doctor.record) for rate in each.get("rate").values]
    return doctor, used, model


def right(model: nn.Module) -> float:
    _, _, x, y = digits()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def test_a_rate_far_too_low_is_raised_by_more_than_a_thousand():
    doctor, used, model = treated(1e-7)
    assert doctor.findings[0].name in ("learning-rate-too-low", "update-ratio-off")
    assert 1e-3 < max(used) < 1.0 and right(model) > 0.9


def test_the_rate_goes_down_after_a_treatment_where_no_schedule_lowers_it():
    _, used, _ = treated(1e-6)
    assert used[-1] < 0.05 * max(used) and used[int(0.79 * len(used))] > 0.9 * max(used)


def test_a_loop_without_treatment_keeps_its_rate():
    doctor, used, _ = treated(0.05)
    assert not doctor.history and set(used) == {0.05}


def test_a_rate_that_falls_by_itself_is_left_alone():
    finish, model = Finish(), mlp(4, 4, 2)
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    record = Record({"steps": 100})
    record.extend("rate", list(range(90)), [0.1 * (1 - step / 100) for step in range(90)])
    finish.begin()
    finish.lower(patient, record, 90)
    assert patient.rate == 0.1


def test_a_lowered_rate_lasts_for_one_step():
    finish, model = Finish(), mlp(4, 4, 2)
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    record = Record({"steps": 100})
    record.extend("rate", list(range(90)), [0.1] * 90)
    finish.begin()
    finish.lower(patient, record, 90)
    assert patient.rate == pytest.approx(0.05)
    finish.stepped(patient)
    assert patient.rate == 0.1


@pytest.mark.parametrize("good", [True, False])
def test_the_average_takes_over_only_where_it_does_better(good):
    """Weights that swing about a minimum have it for their average; weights on their way there do not."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    doctor = Doctor(model, optimizer, nn.MSELoss(), mode="treat")
    doctor.step, doctor.batches = 100, [(torch.ones(8, 1), torch.ones(8, 1))]
    finish = Finish()
    finish.begin()
    for step in range(100):
        nn.init.constant_(model.weight, 1 + (-1) ** step if good else step / 99)
        finish.stepped(doctor.patient)
    finish.end(doctor)
    assert float(model.weight.detach()) == pytest.approx(1.0, abs=0.15) and bool(doctor.history) == good


def test_a_rate_that_leaps_for_a_step_is_held_at_the_usual_one():
    finish, model = Finish(), mlp(4, 4, 2)
    patient = from_loop(model, torch.optim.Adam(model.parameters(), 0.1), nn.CrossEntropyLoss())
    (optimizer,) = patient.optimizers.values()
    finish.begin()
    used = []
    for step in range(30):
        optimizer.param_groups[0]["lr"] = 4.0 if step == 20 else 0.1 + 0.001 * step
        finish.lower(patient, Record({"steps": 300}), step, level=True)
        used.append(patient.rate)
        finish.stepped(patient)
    assert max(used) < 0.13 and min(used) == 0.1


def test_a_schedule_that_begins_again_is_no_leap():
    restarts = Record()
    restarts.extend("rate", list(range(90)), [0.1 * (1 - step % 30 / 30) for step in range(90)])
    leaping = Record()
    leaping.extend("rate", list(range(90)), [4.0 if step == 70 else 0.1 for step in range(90)])
    assert peaks(leaping) and not peaks(restarts)
