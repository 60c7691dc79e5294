"""Cures that lose little: float16 widened, missing values by answers, penalties left out, idle steps taken again."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainwell.doctor import Doctor
from trainwell.doctor.finding import Finding
from trainwell.doctor.memory import long_memory, turned_round
from trainwell.doctor.noise import _only_by_heart
from trainwell.doctor.patient import Patient
from trainwell.doctor.remedy import Chart, leave_out_answers
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record
from trainwell.doctor.standardize import _told_by_answers

COLUMNS = 6


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, COLUMNS, generator=generator)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(COLUMNS, 32), nn.ReLU(), nn.Linear(32, 2))


def train(model, optimizer, change=lambda x: x, penalty=lambda model: 0.0, steps=160, **told) -> Doctor:
    """Batches of 32 under a treating doctor."""
    criterion = nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss=criterion, mode="treat", steps=steps, **told)
    x, y = rows(1024)
    for step in range(steps):
        picked = torch.randint(0, len(x), (32,), generator=torch.Generator().manual_seed(step))
        inputs = change(x[picked])
        optimizer.zero_grad()
        loss = criterion(model(inputs), y[picked])
        (loss + penalty(model)).backward()
        optimizer.step()
        doctor.watch(loss, inputs, y[picked])
    doctor.close()
    assert not doctor.broken
    return doctor


def right(model, change=lambda x: x) -> float:
    x, y = rows(512, 1)
    with torch.no_grad():
        return float((model(change(x)).argmax(1) == y).float().mean())


def names(doctor: Doctor) -> list[str]:
    return [each.name for each in doctor.findings if each.severity != "note"]


def test_weights_of_float16_are_widened_and_their_inputs_with_them() -> None:
    model = network().half()
    doctor = train(model, torch.optim.Adam(model.parameters(), 3e-3), change=lambda x: x.half())
    assert names(doctor)[0] == "mixed-precision-underflow"
    assert all(each.dtype == torch.float32 for each in model.parameters())
    assert right(model, lambda x: x.half()) > 0.95


def test_updates_that_bfloat16_loses_are_told_and_its_weights_widened() -> None:
    model = network().bfloat16()
    doctor = train(model, torch.optim.Adam(model.parameters(), 1e-4), change=lambda x: x.bfloat16())
    assert names(doctor)[0] == "mixed-precision-underflow"
    assert all(each.dtype == torch.float32 for each in model.parameters())


def test_bfloat16_weights_whose_steps_it_holds_are_no_fault() -> None:
    model = network().bfloat16()
    assert not names(train(model, torch.optim.SGD(model.parameters(), 0.1), change=lambda x: x.bfloat16(), steps=60))


def test_held_out_rows_that_the_model_does_not_take_end_no_watching() -> None:
    model = network()
    doctor = train(model, torch.optim.Adam(model.parameters(), 3e-3), held_out=[(torch.randn(300, 2), rows(300)[1])])
    assert doctor.held is None and not names(doctor)


def test_missing_values_are_put_where_their_answers_say() -> None:
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    y = (2 * x[:, :1] + 0.1 * torch.randn(2000, 1, generator=torch.Generator().manual_seed(1))).double()
    high = x[:, 0] > 1.0
    numbers = x.double().numpy().copy()
    numbers[high.numpy(), 0] = np.nan
    numbers[::7, 1] = np.nan  # by chance
    put = _told_by_answers(numbers, numbers, Sample([x], y))
    assert float(put[0]) == pytest.approx(float(x[high, 0].mean()), rel=0.1)
    assert float(put[1]) == 0.0


def test_classes_tell_of_missing_values_too() -> None:
    x, y = rows(2000)
    numbers = x.double().numpy().copy()
    numbers[numbers[:, 0] > 1.0, 0] = np.nan
    put = _told_by_answers(numbers, numbers, Sample([x], y))
    assert float(put[0]) > 0.5 and not put[1:].any()


def penalized(share: float, kind: str):
    def penalty(model: nn.Module) -> Tensor:
        weights = torch.cat([each.flatten() for each in model.parameters()])
        return share * (weights.abs().sum() if kind == "absolute" else weights.square().sum())

    return penalty


@pytest.mark.parametrize("kind", ["absolute", "squares"])
def test_a_penalty_that_the_told_loss_leaves_out_is_found_at_the_first_step_and_left_out(kind: str) -> None:
    model = network()
    doctor = train(model, torch.optim.Adam(model.parameters(), 3e-3), penalty=penalized(3.0, kind))
    assert names(doctor) == ["over-regularized"] and doctor.findings[0].step == 1
    assert right(model) > 0.9


@pytest.mark.parametrize("kind", ["absolute", "squares"])
def test_a_usual_penalty_is_no_fault(kind: str) -> None:
    model = network()
    assert not names(train(model, torch.optim.Adam(model.parameters(), 3e-3), penalty=penalized(1e-4, kind)))


def test_steps_of_a_gradient_made_anew_are_those_of_the_batch_before() -> None:
    def cut(model: nn.Module) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-6)

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    optimizer.register_step_pre_hook(lambda *_: cut(model))
    doctor = train(model, optimizer)
    assert doctor.replay.one_back and "on the batch before" in doctor.history[0]["change"]
    assert right(model) > 0.9


def test_steps_that_a_rate_far_too_low_left_idle_are_made_up_for() -> None:
    model = network()
    doctor = train(model, torch.optim.SGD(model.parameters(), 1e-6), steps=200)
    assert names(doctor)[0] == "learning-rate-too-low"
    assert doctor.retake.spent >= 20 and "made up for" in doctor.history[0]["change"]


def test_betas_the_wrong_way_round_are_told_and_turned() -> None:
    model = network()
    doctor = train(model, torch.optim.Adam(model.parameters(), 3e-3, betas=(0.999, 0.9)))
    assert names(doctor)[0] == "learning-rate-too-high" and "wrong way round" in doctor.findings[0].cause
    assert doctor.patient is not None and right(model) > 0.95


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.5, 0.9), (0.0, 0.9), (0.95, 0.95)])
def test_betas_in_use_are_not_turned_round(betas) -> None:
    assert turned_round({"betas": betas}) is None
    assert turned_round({"betas": (0.999, 0.9)}) == (0.999, 0.9)
    assert turned_round({"momentum": 0.99}) is None


def test_a_memory_longer_than_the_training_needs_no_proof() -> None:
    record = Record({"memory": 1000.0, "steps": 200, "prior loss": 1.0})
    for step in range(60):
        record.add(step, "loss", "", 1.0)
    record.facts["step"] = 60
    finding = long_memory(record)
    assert finding is not None and "given" in finding.statistic
    longer = copy.deepcopy(record)
    longer.facts["steps"] = 5000
    finding = long_memory(longer)
    assert finding is not None and "given" not in finding.statistic


def test_labels_that_held_out_rows_bear_out_are_not_called_shuffled() -> None:
    record = Record({"loss": "cross_entropy", "prior loss": 1.1, "commonest class": 0.34, "held-out rows": 500})
    for step in range(40):
        record.add(step, "loss", "", 1.1 - 0.027 * step)
    for step, accuracy in enumerate([0.46, 0.47, 0.46, 0.47]):
        record.add(10 * step, "held out", "loss", 1.2 + 0.2 * step)
        record.add(10 * step, "held out", "accuracy", accuracy)
    assert _only_by_heart(record) is None
    record.get("held out", "accuracy").values[:] = [0.35, 0.33, 0.34, 0.36]
    assert _only_by_heart(record) is not None


class Split(nn.Module):
    """Scores of two kinds, as of what is said and by whom."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Linear(COLUMNS, 2), nn.Linear(COLUMNS, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.one(x), self.other(x)


def test_what_a_head_lacks_is_put_on_each_of_several_answers() -> None:
    def both(outputs, target):
        return nn.functional.nll_loss(outputs[0], target) + nn.functional.nll_loss(outputs[1], target)

    model = Split()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    doctor = Doctor(model, optimizer, loss=both, mode="treat", steps=100)
    x, y = rows(1024)
    for step in range(100):
        picked = torch.randint(0, len(x), (64,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = both(model(x[picked]), y[picked])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[picked], y[picked])
    doctor.close()
    assert not doctor.broken and names(doctor)[0] == "loss-head-mismatch"
    assert float(loss.detach()) > 0 and torch.allclose(model(x)[0].exp().sum(1), torch.ones(len(x)), atol=1e-5)


def test_a_cure_after_which_the_network_takes_no_batch_is_taken_off_again(monkeypatch) -> None:
    from trainwell.doctor import cures

    def spoil(chart, finding):
        chart.patient.bare.register_forward_hook(lambda module, inputs, output: output[:, :, None, 5])
        return "something that does not fit"

    monkeypatch.setitem(cures.CURES, "learning-rate-too-low", (cures.Cure(spoil, "something", "first"),))
    model = network()
    hooks = len(model._forward_hooks)
    doctor = train(model, torch.optim.SGD(model.parameters(), 1e-6))
    assert names(doctor)[0] == "learning-rate-too-low"
    assert all(each["finding"] != "learning-rate-too-low" for each in doctor.history)
    assert len(model._forward_hooks) == hooks


def by_logarithm(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy by hand, of shares that are nought or one where rows are told apart well."""
    shares = torch.sigmoid(40 * scores[:, 1])
    return -(labels * shares.log() + (1 - labels) * (1 - shares).log()).mean()


@pytest.mark.parametrize(("mode", "expected"), [("watch", False), ("treat", True)])
def test_answers_whose_logarithm_is_not_finite_are_left_out_and_the_others_learned(mode: str, expected: bool) -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = Doctor(model, optimizer, loss=by_logarithm, mode=mode, steps=200)
    x, y = rows(1024)
    for step in range(200):
        picked = torch.randint(0, len(x), (32,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = by_logarithm(model(x[picked]), y[picked])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[picked], y[picked])
    doctor.close()
    assert not doctor.broken and names(doctor)[0] == "non-finite-values"
    assert any("left out" in each["change"] for each in doctor.history) is expected
    x, y = rows(512, 1)
    with torch.no_grad():
        assert (float(((model(x)[:, 1] > 0) == y).float().mean()) > 0.9) is expected


@pytest.mark.parametrize(("size", "expected"), [(1.0, True), (1e9, False)], ids=["a network that works", "a run-away"])
def test_answers_of_a_network_that_has_run_away_are_left_as_they_are(size: float, expected: bool) -> None:
    model = nn.Linear(COLUMNS, 2)
    chart = Chart(Patient(model, {"": torch.optim.SGD(model.parameters(), 0.1)}), None, {}, own_loop=False)
    finding = Finding("non-finite-values", "", "critical", "", "", 0.99, 1, statistic={"origin": "loss"})
    assert leave_out_answers(chart, finding) is not None
    output = model(size * rows(8)[0])
    output.backward(torch.full_like(output, float("nan")))
    assert model.weight.grad is not None
    assert bool(model.weight.grad.isfinite().all()) is expected is bool(chart.facts.get("answers left out", False))
