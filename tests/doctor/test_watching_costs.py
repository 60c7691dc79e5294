"""What a probe and a step note, against plain torch, and how little a step without a look may ask for."""

import gc
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from loops import digits, mlp
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from trainwell.doctor import Doctor, retake
from trainwell.doctor.course import learned
from trainwell.doctor.first_step import _fitted
from trainwell.doctor.noise import note_certainty
from trainwell.doctor.patient import from_loop
from trainwell.doctor.probe import Probe
from trainwell.doctor.pulse import Pulse, numbers
from trainwell.doctor.series import Record, correlation, median, quantile, smooth


class Counted(TorchDispatchMode):
    """Counts the operations that run inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen[str(function)] += 1
        return function(*args, **(kwargs or {}))


def steps(doctor, model, optimizer, count):
    x, y, _, _ = digits()
    for step in range(count):
        rows = slice(step % 20 * 64, step % 20 * 64 + 64)
        inputs, target = x[rows], y[rows]
        loss = F.cross_entropy(model(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if doctor is not None:
            doctor.watch(loss, inputs, target)


def watched(of_doctor=True):
    torch.manual_seed(0)
    model = mlp(64, 32, 10)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    doctor = Doctor(model, optimizer, F.cross_entropy) if of_doctor else None
    steps(doctor, model, optimizer, 62)  # 60 is a look, and the step before the next one is still far
    return doctor, model, optimizer


def test_a_step_between_looks_asks_for_little():
    """One reading of all four gradients, a number from each and from the loss, and no more than 42 calls in Python."""
    found = {}
    for of_doctor in (True, False):
        doctor, model, optimizer = watched(of_doctor)
        with Counted() as counted:
            steps(doctor, model, optimizer, 1)
        calls = Counter()
        sys.setprofile(lambda frame, event, _, calls=calls: calls.update([event]))
        steps(doctor, model, optimizer, 1)
        sys.setprofile(None)
        assert doctor is None or not doctor.broken
        found[of_doctor] = sum(counted.seen.values()), calls["call"]
    assert 0 < found[True][0] - found[False][0] <= 6
    assert 0 < found[True][1] - found[False][1] <= 42


def test_the_middle_of_values_is_numpys():
    generator = np.random.default_rng(0)
    for count in range(1, 70):
        values = generator.normal(size=count)
        assert median(values) == np.median(values) == median(values.tolist())
        values[generator.integers(count)] = np.nan
        assert np.isnan(median(values))
    assert np.isnan(median([]))
    assert median([1.0, np.inf, -np.inf]) == 1.0


def test_what_is_made_of_a_series_is_numpys():
    generator = np.random.default_rng(0)
    for count in range(1, 70):
        values = generator.normal(size=count)
        for share in (0.1, 0.25, 0.5, 0.9):
            assert quantile(values, share) == np.quantile(values, share)
        for window in (2, 5, 9):
            width = min(window, count)
            padded = np.concatenate([np.full(width - 1, values[0]), values])
            found = smooth(values, window)
            assert (found == [np.median(padded[at : at + width]) for at in range(count)]).all()
        other = values + generator.normal(size=count)
        if count > 2:
            assert correlation(values, other) == pytest.approx(np.corrcoef(values, other)[0, 1], abs=1e-12)
        values[generator.integers(count)] = np.nan
        assert np.isnan(quantile(values, 0.1))
        assert (
            np.isnan(smooth(values, 3)) == [np.isnan(values[max(0, at - 2) : at + 1]).any() for at in range(count)]
        ).all()
    assert correlation(np.ones(5), np.arange(5.0)) == 0.0


def test_what_many_rules_ask_for_is_made_anew_when_a_series_grows():
    record = Record()
    for step, value in enumerate((4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0)):
        record.add(step, "loss", "", value)
    assert learned(record) == learned(record) == 0.5
    record.extend("loss", [7, 8, 9], [1.0, 1.0, 1.0])
    assert learned(record) == 0.75
    record.facts["prior loss"] = 2.0
    assert learned(record) == 0.5


def test_shares_by_products_are_those_of_least_squares():
    torch.manual_seed(0)
    slope, pull = [torch.randn(40, 30), torch.randn(40)], [torch.randn(40, 30), torch.randn(40)]
    given = [0.7 * one + 3 * other + 0.1 * torch.randn_like(one) for one, other in zip(slope, pull, strict=True)]
    whole, *parts = (torch.cat([each.flatten() for each in group]).double() for group in (given, slope, pull))
    expected = torch.linalg.lstsq(torch.stack(parts, 1), whole[:, None]).solution[:, 0]
    shares, rest, sizes = _fitted(list(zip(given, slope, pull, strict=True)))
    left = whole - torch.stack(parts, 1) @ expected
    assert shares == pytest.approx(expected.tolist(), rel=1e-4)
    assert rest == pytest.approx(float(left.norm() / whole.norm()), rel=1e-3)
    assert sizes == pytest.approx([float(each.norm()) for each in parts], rel=1e-5)
    one = torch.ones(1)
    assert _fitted([(one, one, one)])[0] == (0.0, 0.0)  # one number says nothing of two


@pytest.mark.parametrize(("wrong", "asked"), [(0, 2), (1, 8)])
def test_of_rows_that_are_all_right_few_are_answered(wrong, asked):
    """A quarter of the 512 rows where none of them is wrong, else all."""
    model, record = nn.Linear(4, 4, bias=False), Record({"loss": "cross_entropy"})
    nn.init.eye_(model.weight)
    calls = []
    model.register_forward_hook(lambda *given: calls.append(1))
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), F.cross_entropy)
    target = torch.arange(64) % 4
    batches = [(F.one_hot(target, 4).float(), target) for _ in range(9)]
    batches[-1] = batches[-1][0], torch.cat([(target[:wrong] + 1) % 4, target[wrong:]])
    note_certainty(patient, record, batches, 40)
    assert len(calls) == asked
    assert record.get("wrong rows").values == [wrong / 512]


def test_numbers_of_a_look_are_those_of_plain_torch():
    torch.manual_seed(0)
    model, record = mlp(8, 16, 4), Record()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), Probe(model, record)
    parameters = list(model.parameters())
    x = torch.randn(2, 32, 8)
    model(x[0]).square().mean().backward()
    probe.remember(parameters)
    before = [each.grad.clone() for each in parameters]
    model(x[1])  # not listened to
    probe.listen()
    model(x[1]).square().mean().backward()  # adds up to what was there
    then = [each.detach().clone() for each in parameters]
    now = [each.grad.clone() for each in parameters]
    probe.gradients("model", parameters)
    optimizer.step()
    probe.updates("model")
    probe.quiet()
    probe.fetch(1)
    name = next(name for name, _ in model.named_parameters())
    changes = [each.detach() - one for each, one in zip(parameters, then, strict=True)]
    flat = [torch.cat([each.flatten() for each in group]) for group in (now, before, changes)]
    cosine = F.cosine_similarity(flat[0], flat[1], 0).item()
    alone = 1 - F.cosine_similarity(now[0].flatten(), (now[0] - before[0]).flatten(), 0)
    expected = {
        ("gradient", name): now[0].square().mean().sqrt().item(),
        ("weight", name): then[0].square().mean().sqrt().item(),
        ("update", name): changes[0].square().mean().sqrt().item(),
        ("cosine", ""): cosine,
        ("along gradient", ""): (flat[0] * flat[2]).sum().item(),
        ("piled", name): 1.0,
        ("zeros", "1 relu"): (F.linear(x[1], then[0], then[1]) <= 0).float().mean().item(),
        ("activation", "0 linear"): F.linear(x[1], then[0], then[1]).std().item(),
    }
    assert alone > 0.01
    for (quantity, place), value in expected.items():
        assert record.get(quantity, place).values == [pytest.approx(value, rel=1e-4, abs=1e-6)], quantity


@pytest.mark.parametrize("shape", [(64, 8), (64, 8, 5, 5)])
def test_a_unit_fires_where_any_number_of_it_is_above_zero(shape):
    """The units' axis is 1 here; one of them never fires, one but for a number that is none."""
    model, record = nn.ReLU(), Record()
    probe, x = Probe(model, record), torch.randn(shape)
    x[:, 2], x[:, 5] = -1.0, -1.0
    x[3, 5] = torch.nan
    for step in range(8):
        probe.listen()
        model(x.clone().requires_grad_())
        probe.quiet()
        probe.fetch(step)
    (units,) = probe.alive().values()
    assert units.tolist() == [each not in (2, 5) for each in range(8)]
    assert record.get("dead", "relu").values[-1] == pytest.approx(2 / 8)
    assert record.get("zeros", "relu").values[-1] == pytest.approx(1 - float((x > 0).sum()) / x.numel())


def test_a_gradient_that_is_the_backward_pass_own_is_no_pile():
    torch.manual_seed(0)
    model, record = mlp(8, 16, 4), Record()
    probe, parameters = Probe(model, record), list(model.parameters())
    for step in range(2):
        model.zero_grad()
        if step:
            probe.listen()
        model(torch.randn(32, 8)).square().mean().backward()
        (probe.gradients("model", parameters) if step else probe.remember(parameters))
    probe.fetch(1)
    assert record.get("piled", "0.weight").values == [0.0]


def test_time_in_line_is_taken_off_all_steps_alike(monkeypatch):
    line = iter([0.0, 2.0])
    clock = iter([0.0, 1.0, 1.5, 3.0, 3.0, 4.0])
    monkeypatch.setattr("trainwell.doctor.pulse.queued", lambda: next(line))
    monkeypatch.setattr("trainwell.doctor.pulse.time.perf_counter", lambda: next(clock))
    pulse, record = Pulse(), Record()  # at 0
    pulse.stamp()  # at 1
    pulse.arrived()  # at 1.5
    pulse.beat(1, torch.tensor(2.0), 0.1)  # at 3
    pulse.stamp()  # at 3
    pulse.hand_over(record)  # at 4, of which 2 in line
    assert record.get("seconds").values == [1.0] and record.get("waiting").values == [0.25]
    assert record.get("loss").values == [2.0] and record.get("rate").values == [0.1]
    assert not pulse.steps and record.facts["highest rate"] == 0.1


def test_numbers_of_all_kinds_are_fetched_in_their_order():
    values = [1.5, torch.tensor(2.0), torch.ones(1, dtype=torch.float64, requires_grad=True) * 3, torch.tensor(4), 5]
    assert numbers(values) == [1.5, 2.0, 3.0, 4.0, 5.0]


def test_a_treatment_keeps_no_batches_beyond_those_kept_for_steps_taken_again(monkeypatch):
    """The latest batches are let go of as others come, whatever was treated in the meantime."""
    monkeypatch.setattr(retake, "BYTES", 20 * 67 * 64 * 4)  # some twenty batches
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = mlp(64, 64, 10)
    optimizer = torch.optim.SGD(model.parameters(), 30.0)
    doctor = Doctor(model, optimizer, loss=F.cross_entropy, mode="treat", steps=200)
    for _ in range(200):
        rows = torch.randint(len(x), (67,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    assert doctor.history and not doctor.broken
    gc.collect()
    alive = sum(type(each) is torch.Tensor and each.shape == (67, 64) for each in gc.get_objects())
    assert alive <= 20 + len(doctor.batches) + 5
