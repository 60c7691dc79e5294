"""Steps of a network that was mended: others than it had while ill where those bring it nowhere, else its own."""

import pytest
import torch
from tests.doctor.test_repairs import network, right, rows, train
from torch import nn
from torch.optim import SGD, AdamW

from trainwell.doctor.follow_up import quicken
from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import Proof
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.usual_steps import stand_in


def suspect_of(model: nn.Module, optimizer: torch.optim.Optimizer, gone: float = 0.0, ahead: float = 1.0) -> Suspect:
    x, y = rows(1024)
    batches = [(x[at : at + 32], y[at : at + 32]) for at in range(0, 1024, 32)]
    criterion = nn.CrossEntropyLoss()
    patient = Patient(model, {"": optimizer}, lambda each, batch, _: criterion(each(batch[0]), batch[1]))
    return Suspect(patient, batches, lambda *_: None, 30, 0, gone=gone, ahead=ahead)


def test_plain_descent_that_gets_nowhere_becomes_adam() -> None:
    model = network()
    optimizer = SGD(model.parameters(), lr=1e-3)
    words = quicken(suspect_of(model, optimizer), Proof(0.3))
    assert words is not None and words.startswith("steps by Adam")
    assert stand_in(optimizer) is not None


def test_adam_that_gets_nowhere_takes_longer_steps() -> None:
    model = network()
    optimizer = AdamW(model.parameters(), lr=1e-4)
    words = quicken(suspect_of(model, optimizer), Proof(0.3))
    assert words is not None and words.startswith("learning rate times 10")
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("rate", "told"),
    [(0.3, {}), (1e-3, {"gone": 0.6}), (1e-3, {"ahead": 10.0})],
    ids=["a rate by which it learns", "a training that has come far", "a warm-up"],
)
def test_steps_that_do_are_left_alone(rate: float, told: dict[str, float]) -> None:
    model = network()
    optimizer = SGD(model.parameters(), lr=rate)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    assert quicken(suspect_of(model, optimizer, **told), Proof(0.3)) is None
    assert stand_in(optimizer) is None and optimizer.param_groups[0]["lr"] == rate
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_a_training_mended_of_huge_weights_is_brought_on() -> None:
    model = network()
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(1000)
    doctor = train(model, SGD(model.parameters(), lr=1e-3))
    changes = [each["change"] for each in doctor.history]
    assert any("steps by Adam" in each for each in changes), changes
    assert any("; then steps by Adam" in str(each) for each in doctor.findings)
    assert right(model) > 0.9
