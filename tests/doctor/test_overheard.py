"""A loop that evaluates and tells the doctor nothing of it: what its criterion is asked without gradient is heard."""

import copy

import pytest
import torch
from torch import Tensor, nn

from trainwell.doctor import Doctor

ROWS, COLUMNS = 256, 8


def rows(seed: int, count: int = ROWS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, COLUMNS, generator=generator)
    return x, (x[:, 0] + 0.5 * x[:, 1] + 0.3 * torch.randn(count, generator=generator) > 0).long()


def train(held: list[tuple[Tensor, Tensor]], steps: int = 120, told: bool = False, first: bool = False) -> Doctor:
    """Two lines in a loop that evaluates every 20 steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer, criterion = torch.optim.Adam(model.parameters(), 3e-3), nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss=criterion)
    x, y = rows(0)
    for step in range(steps):
        if (step % 20 == 19 or (first and step == 0)) and held:
            model.eval()
            with torch.no_grad():
                losses = [criterion(model(inputs), target) for inputs, target in held]
            model.train()
            if told:
                doctor.evaluated(loss=float(torch.stack(losses).mean()) + 1.0)
        picked = torch.randint(0, len(x), (32,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = criterion(model(x[picked]), y[picked])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[picked], y[picked])
    doctor.close()
    assert not doctor.broken
    return doctor


def names(doctor: Doctor) -> set[str]:
    return {each.name for each in doctor.findings if each.severity != "note"}


@pytest.mark.parametrize("first", [False, True], ids=["later", "before the first step"])
def test_rows_in_other_units_where_they_are_judged_are_found(first: bool) -> None:
    x, y = rows(1)
    held = [(20 * x[:128] + 5, y[:128]), (20 * x[128:] + 5, y[128:])]
    assert "preprocessing-mismatch" in names(train(held, first=first))


def test_nothing_is_found_in_rows_of_the_same_kind() -> None:
    assert not names(train([rows(1)]))


def test_losses_and_accuracies_are_those_of_the_pass() -> None:
    held = [rows(1, 100), rows(2, 60)]
    heard = train(held).record
    assert len(heard.get("held out", "loss")) == 6
    assert 0.6 < heard.get("held out", "accuracy").values[-1] <= 1


def test_rows_that_were_learned_from_are_not_held_out() -> None:
    assert train([rows(0)]).held is None
    held = train([rows(1)]).held
    assert held is not None and held.rows == ROWS


def test_what_is_told_counts_and_not_what_is_heard() -> None:
    told, heard = (train([rows(1)], told=each).record.get("held out", "loss").values for each in (True, False))
    assert len(told) == len(heard) == 6
    assert all(one == pytest.approx(other + 1.0, abs=1e-4) for one, other in zip(told, heard, strict=True))


def test_a_training_goes_on_bit_for_bit_where_it_is_heard() -> None:
    def losses(watched: bool) -> list[float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(COLUMNS, 32), nn.Dropout(0.2), nn.ReLU(), nn.Linear(32, 2))
        optimizer, criterion = torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()
        doctor = Doctor(model, optimizer, loss=criterion) if watched else None
        x, y = rows(0)
        found = []
        for step in range(60):
            if step % 10 == 9:
                with torch.no_grad():
                    criterion(model.eval()(rows(1)[0]), rows(1)[1])
                model.train()
            optimizer.zero_grad()
            loss = criterion(model(x[:64]), y[:64])
            loss.backward()
            optimizer.step()
            if doctor is not None:
                doctor.watch(loss, x[:64], y[:64])
            found.append(float(loss.detach()))
        return found

    assert losses(True) == losses(False)


def test_a_copy_of_the_model_is_not_heard() -> None:
    model, criterion = nn.Linear(COLUMNS, 2), nn.CrossEntropyLoss()
    doctor = Doctor(model, torch.optim.SGD(model.parameters(), 0.1), loss=criterion)
    average = copy.deepcopy(model)
    with torch.no_grad():
        criterion(average(rows(1)[0]), rows(1)[1])
    assert doctor.overheard is not None and doctor.overheard.rows == 0
