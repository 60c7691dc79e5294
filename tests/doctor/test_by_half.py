"""Few rows, none held out: told where what one half teaches says nothing of the other, and where it does, not."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from trainwell.doctor import Doctor
from trainwell.doctor.by_half import halves
from trainwell.doctor.patient import Patient
from trainwell.doctor.suspect import Suspect

ROWS, COLUMNS = 96, 40


def rows(told: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, COLUMNS, generator=generator)
    return x, (x[:, 0] > 0).long() if told else torch.randint(0, 2, (ROWS,), generator=generator)


@pytest.mark.parametrize(
    ("told", "held", "expected"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_rows_learned_by_heart_where_none_are_held_out(told: bool, held: bool, expected: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer, criterion = Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss()
    x, y = rows(told)
    x = torch.cat([x[:, :1] * 6, x[:, 1:]], 1) if told else x  # of which even half of the rows tell
    doctor = Doctor(model, optimizer, loss=criterion, mode="watch")
    for step in range(200):
        picked = torch.randint(0, ROWS, (32,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = criterion(model(x[picked]), y[picked])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[picked], y[picked])
        if held and step % 50 == 49:
            doctor.evaluated(loss=0.01)
    doctor.close()
    assert not doctor.broken
    by_half = [each for each in doctor.findings if "by half" in each.statistic]
    assert bool(by_half) is expected
    assert all("other half" in each.evidence and "hold rows out" in each.remedy for each in by_half)


def test_halves_share_no_row_and_keep_the_form_of_batches() -> None:
    x, y = rows(told=True)
    batches = [[x[at : at + 32], y[at : at + 32]] for at in (0, 32, 16, 64)]
    model = nn.Linear(COLUMNS, 2)
    patient = Patient(model, {"": Adam(model.parameters())}, lambda each, batch, _: each(batch[0]).sum())
    found = halves(Suspect(patient, batches, lambda *_: None, 0, 0))
    assert found is not None and all(isinstance(each, list) for part in found for each in part)
    one, other = (torch.cat([each[0] for each in part]) for part in found)
    assert len(one) == len(other) == ROWS // 2
    assert not (one[:, None] == other[None]).all(-1).any()
    assert sorted(torch.cat([one, other])[:, 0].tolist()) == sorted(x[:, 0].tolist())


def test_batches_of_no_rows_have_no_halves() -> None:
    model = nn.Linear(2, 1)
    patient = Patient(model, {"": Adam(model.parameters())}, lambda each, batch, _: each(batch).sum())
    assert halves(Suspect(patient, [torch.ones(4, 2)], lambda *_: None, 0, 0)) is None
