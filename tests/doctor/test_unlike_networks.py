"""Networks and losses unlike most: inputs as one argument, graphs that are kept, answers that are no classes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor import Doctor


class Pair(nn.Module):
    """Numbers and lengths in one tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, both: tuple[Tensor, Tensor]) -> Tensor:
        numbers, lengths = both
        return self.layers(numbers * (torch.arange(6) < lengths[:, None]))


class Keeping(nn.Module):
    """A network that keeps its code, graph and all, for a penalty to be made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 16), nn.Linear(16, 3)
        self.code, self.all = torch.zeros(0), {"codes": [torch.zeros(0)]}

    def forward(self, x: Tensor) -> Tensor:
        self.code = self.inner(x).relu()
        self.all = {"codes": [self.code]}
        return self.outer(self.code)


def watched(model: nn.Module, loss, batch, mode: str, steps: int = 90) -> Doctor:
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, loss, mode=mode, steps=steps)
    for _ in range(steps):
        inputs, target = batch()
        optimizer.zero_grad()
        value = loss(model(inputs), target)
        value.backward()
        optimizer.step()
        doctor.watch(value, inputs, target)
    doctor.close()
    assert not doctor.broken, doctor.broken
    assert not doctor.record.facts.get("unread"), doctor.record.facts["unread"]
    return doctor


def rows(count: int = 32) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 6)
    return x, x[:, :3].argmax(1)


@pytest.mark.parametrize("mode", ["watch", "treat"])
def test_inputs_that_the_network_takes_as_one(mode):
    torch.manual_seed(0)

    def batch():
        x, y = rows()
        return (x, torch.randint(3, 7, (32,))), y

    doctor = watched(Pair(), F.cross_entropy, batch, mode)
    assert doctor.patient is not None and doctor.patient.whole and "cannot-fit-one-batch" in doctor.ran


@pytest.mark.parametrize("mode", ["watch", "treat"])
def test_a_network_that_keeps_a_graph_is_copied_without_it(mode):
    torch.manual_seed(0)
    doctor = watched(Keeping(), F.cross_entropy, rows, mode)
    assert "cannot-fit-one-batch" in doctor.ran


@pytest.mark.parametrize("mode", ["watch", "treat"])
def test_labels_beyond_the_answers_of_a_loss_of_pairs(mode):
    """Each half's rows are nearest to their like in the other; which kind they are is told, and none of the answers."""
    torch.manual_seed(0)

    def nearest(places: Tensor, kinds: Tensor) -> Tensor:
        first, second = F.normalize(places, dim=1).chunk(2)
        return F.cross_entropy(10 * first @ second.T, torch.arange(len(first)))

    def batch():
        x = torch.randn(16, 6)
        return torch.cat([x, x + 0.1 * torch.randn(16, 6)]), torch.randint(90, (16,)).repeat(2)

    watched(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)), nearest, batch, mode)


def test_a_reading_that_fails_ends_no_other(monkeypatch):
    from trainwell.doctor import gauges

    def fail(*_: object) -> None:
        raise IndexError("no such class")

    monkeypatch.setattr(gauges, "note_certainty", fail)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), 1e-7)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    for _ in range(120):
        x, y = rows()
        optimizer.zero_grad()
        value = F.cross_entropy(model(x), y)
        value.backward()
        optimizer.step()
        doctor.watch(value, x, y)
    doctor.close()
    assert not doctor.broken and doctor.record.facts["unread"] == {"certainty": "IndexError: no such class"}
    assert doctor.findings[0].name == "learning-rate-too-low"


@pytest.mark.parametrize("mode", ["watch", "treat"])
def test_a_loss_that_reads_a_penalty_off_the_loops_model_reads_it_off_a_copy(mode):
    torch.manual_seed(0)
    model = Keeping()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target) + 0.01 * model.code.square().mean()

    doctor = watched(model, loss, rows, mode)
    assert "cannot-fit-one-batch" in doctor.ran and doctor.patient is not None
    other, _ = doctor.patient.copy()
    kept = model.code
    with torch.no_grad():
        for each in other.parameters():
            each.mul_(2)
    x, y = rows()
    asked = doctor.patient.loss(other, (x, y))
    assert torch.isclose(asked, F.cross_entropy(other(x), y) + 0.01 * other.code.square().mean())
    assert model.code is kept
    asked.backward()
    assert all(each.grad is not None for each in other.parameters())
