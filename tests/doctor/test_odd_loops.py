"""Loops that do things in their own way, each watched without harm: scalers, several optimizers, ranks, no labels."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.probe import Probe
from trainwell.doctor.rounds import judge
from trainwell.doctor.series import Record

healthy = Loop()


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def rows(step: int) -> slice:
    return slice(step % 20 * 64, step % 20 * 64 + 64)


def scaled(rate: float, mode: str, watched: bool = True) -> tuple[Doctor | None, nn.Module]:
    """A training with a gradient scaler, whose first scale is far too large."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), rate, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode=mode, scaler=scaler) if watched else None
    for step in range(80):
        loss = F.cross_entropy(model(x[rows(step)]), y[rows(step)])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        if doctor is not None:
            doctor.watch(loss, x[rows(step)], y[rows(step)])
    if doctor is not None:
        doctor.close()
    return doctor, model


def test_gradient_scaler_that_looks_for_its_scale_is_no_ailment():
    doctor, model = scaled(0.05, "treat")
    assert named(doctor) == [] and doctor.history == []
    _, plain = scaled(0.05, "treat", watched=False)
    assert all(one.equal(other) for one, other in zip(model.parameters(), plain.parameters(), strict=True))


def test_several_optimizers_in_one_step():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 64, 10)
    optimizers = [SGD(model[0].parameters(), 0.05), Adam([*model[2].parameters(), *model[4].parameters()], 1e-3)]
    doctor = Doctor(model, optimizers, F.cross_entropy, mode="treat")
    for step in range(80):
        loss = F.cross_entropy(model(x[rows(step)]), y[rows(step)])
        for each in optimizers:
            each.zero_grad()
        loss.backward()
        for each in optimizers:
            each.step()
        doctor.watch(loss, x[rows(step)], y[rows(step)])
    doctor.close()
    assert named(doctor) == []
    assert "disconnected-parameters" in doctor.checks()["run"]


def test_optimizers_that_leave_a_layer_out_are_named():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 64, 10)
    optimizers = {"first": SGD(model[0].parameters(), 0.05), "last": SGD(model[4].parameters(), 0.05)}
    doctor = Doctor(model, optimizers, F.cross_entropy)
    for step in range(40):
        loss = F.cross_entropy(model(x[rows(step)]), y[rows(step)])
        model.zero_grad()
        loss.backward()
        for each in optimizers.values():
            each.step()
        doctor.watch(loss, x[rows(step)], y[rows(step)])
    doctor.close()
    assert named(doctor)[:1] == ["disconnected-parameters"]


def test_model_wrapped_for_ranks(tmp_path):
    torch.manual_seed(0)
    x, y, _, _ = digits()
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path}/meet")
    try:
        model = DistributedDataParallel(mlp(64, 64, 10))
        optimizer = SGD(model.parameters(), 5.0, momentum=0.9)
        doctor = Doctor(model, optimizer, F.cross_entropy)
        for step in range(40):
            loss = F.cross_entropy(model(x[rows(step)]), y[rows(step)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[rows(step)], y[rows(step)])
        doctor.close()
    finally:
        dist.destroy_process_group()
    assert named(doctor)[:1] == ["learning-rate-too-high"]


def test_loss_without_labels():
    torch.manual_seed(0)
    x, _, _, _ = digits()
    model = mlp(64, 16, 64)
    optimizer = Adam(model.parameters(), 1e-3)
    doctor = Doctor(model, optimizer, mode="treat")
    for step in range(60):
        loss = F.mse_loss(model(x[rows(step)]), x[rows(step)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch({"reconstruction": loss}, x[rows(step)])
    doctor.close()
    assert named(doctor) == [] and "no validation" in doctor.checks()["skipped"]["overfitting"]


def test_model_that_moves_and_batches_of_other_sizes():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), 0.1)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode="treat")
    for step in range(60):
        some = slice(0, 5 + 7 * (step % 11))
        loss = F.cross_entropy(model(x[some]), y[some], reduction="none")
        optimizer.zero_grad(set_to_none=False)
        loss.mean().backward()
        optimizer.step()
        doctor.watch(loss, x[some], y[some])
    doctor.close()
    assert named(doctor) == []


def test_zero_initialized_projections_are_not_dead():
    class Residual(nn.Module):
        """Two branches whose last layer starts at zero, as GPT's projections may. x: (batch, 64) -> (batch, 10)"""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(64, 64), nn.Linear(64, 10)
            self.branches = nn.ModuleList([mlp(64, 128, 64) for _ in range(2)])
            for branch in self.branches:
                nn.init.zeros_(branch[-1].weight)
                nn.init.zeros_(branch[-1].bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for branch in self.branches:
                x = x + branch(F.layer_norm(x, (64,)))
            return self.head(x)

    assert named(replace(healthy, model=Residual, optimizer=lambda m: Adam(m.parameters(), 1e-3)).run()[0]) == []


def test_plateau():
    def drawn(step, x, y):
        return x, torch.randint(0, 10, y.shape, generator=torch.Generator().manual_seed(step))

    doctor = replace(healthy, change=drawn, steps=300).run(held_out=None)[0]
    assert named(doctor)[:1] == ["label-noise"] and "plateau" in {each.name for each in doctor.symptoms}
    assert named(replace(healthy, steps=300).run(held_out=None)[0]) == []


def recorded(update: float, use: float) -> list[str]:
    """What the rules say of a record whose steps change each layer by this share, on a device used so much."""
    record = Record({"layers": ["a.weight", "b.weight"], "rows a batch": 64, "loss": "mse"})
    for step in range(200):
        record.add(step, "loss", "", 2.3 - 0.001 * step)
        record.add(step, "rate", "", 0.1)
        if step % 10 == 0:
            for name in record.facts["layers"]:
                record.add(step, "weight", name, 1.0)
                record.add(step, "update", name, update)
            record.add(step, "device use", "", use)
            record.add(step, "device memory", "", 0.1)
    return [finding.name for finding in judge(record)[0]]


@pytest.mark.parametrize("name", ["update-ratio-off", "underused-device"])
def test_rules_on_records(name):
    assert name in recorded(0.2, 0.1)
    assert name not in recorded(1e-3, 0.95)


@pytest.mark.parametrize("mode", ["watch", "treat"])
def test_gradients_of_the_words_of_a_batch_alone(mode):
    torch.manual_seed(0)
    x, y = torch.randint(0, 50, (640, 12)), torch.randint(0, 2, (640,))
    x[y == 1, :4] = torch.randint(40, 50, (int((y == 1).sum()), 4))
    model = nn.Sequential(nn.EmbeddingBag(50, 16, sparse=True), nn.Linear(16, 2))
    optimizer = torch.optim.Adagrad(model.parameters(), 0.05)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode=mode, held_out=[(x[576:], y[576:])], steps=100)
    for step in range(100):
        picked = rows(step % 9)
        loss = F.cross_entropy(model(x[picked]), y[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[picked], y[picked])
    doctor.close()
    assert named(doctor) == []


def test_a_rectifier_of_one_number_and_a_loss_below_zero_end_no_watch():
    """A hinge on a scalar inside the network, and a score that has no floor."""

    class Hinged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp(64, 32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) + 0.1 * F.relu(self.inner[0].weight.square().mean() - 0.01)

    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = Hinged()
    optimizer = SGD(model.parameters(), 0.05)
    doctor = Doctor(model, optimizer)
    for step in range(120):
        loss = F.cross_entropy(model(x[rows(step)]), y[rows(step)]) - 9
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows(step)], y[rows(step)])
    doctor.close()
    assert not doctor.broken, doctor.broken


def test_a_reading_that_fails_within_a_pass_leaves_the_pass_alone(monkeypatch):
    """What the doctor looks at lies in the loop's own forward, which goes on whatever becomes of the look."""
    monkeypatch.setattr(
        Probe, "see", lambda *arguments: (_ for _ in ()).throw(IndexError("an answer of another shape"))
    )
    doctor, _, losses = healthy.run("watch")
    assert losses == healthy.run(None)[2] and not doctor.broken
    assert "another shape" in doctor.record.facts["unread"]["activations"]
