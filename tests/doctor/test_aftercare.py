"""Slips of part of a loop, of rows and of recurrent layers beside the same done right; cures that do harm undone."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor, treatment
from trainwell.doctor.aftercare import does_harm, leapt, note_descent
from trainwell.doctor.cures import Cure
from trainwell.doctor.dynamics import gradient_ascent
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.noise import coin_pair
from trainwell.doctor.order_check import in_order, turned_answers
from trainwell.doctor.outside import training_state_lost
from trainwell.doctor.patient import from_loop
from trainwell.doctor.recurrent_check import bad_start, state_left_behind
from trainwell.doctor.remedy import Chart, even_rates
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def partly_cleared(head_only: bool) -> Doctor:
    """Forty steps in which all gradients are cleared, or those of the last layer alone."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 32, 10)
    optimizer, loss = SGD(model.parameters(), 0.02), nn.CrossEntropyLoss()
    doctor = Doctor(model, optimizer, loss, steps=40)
    for step in range(40):
        (model[-1] if head_only else model).zero_grad()
        rows = slice(32 * step, 32 * step + 32)
        value = loss(model(x[rows]), y[rows])
        value.backward()
        optimizer.step()
        doctor.watch(value, x[rows], y[rows])
    doctor.close()
    return doctor


def test_gradients_cleared_in_part_are_told():
    assert named(partly_cleared(True))[0] == "missing-zero-grad"
    assert "missing-zero-grad" not in named(partly_cleared(False))


def test_one_group_at_a_thousand_times_the_rate_is_cut_alone():
    model = mlp(64, 32, 10)
    groups = [{"params": model[0].parameters()}, {"params": model[-1].parameters(), "lr": 100.0}]
    patient = from_loop(model, SGD(groups, lr=0.1), nn.CrossEntropyLoss())
    finding = Finding("learning-rate-too-high", "optimizer", "critical", "", "", 0.9)
    refuted = Chart(patient, None, {}, own_loop=False)
    assert even_rates(refuted, finding) is None and patient.rate == 100.0
    assert "from 100 to 0.1" in even_rates(replace(refuted, does_best=lambda change: True), finding)
    assert patient.rate == 0.1
    assert even_rates(replace(refuted, does_best=lambda change: True), finding) is None  # no group is above the others


def gated(*shut: int) -> nn.LSTM:
    layer = nn.LSTM(8, 16)
    with torch.no_grad():
        for gate in shut:  # input, forget, cell, output
            layer.bias_ih_l0[16 * gate : 16 * gate + 16] = -9.0
    return layer


def test_gates_that_begin_shut_are_told_and_one_shut_gate_is_not():
    assert bad_start(gated(0, 1)).name == "bad-initialization"
    assert bad_start(gated(0)) is None
    assert bad_start(gated()) is None


def test_a_state_that_is_never_read_has_its_own_name():
    assert state_left_behind(["rnn.weight_hh_l0"]).name == "no-long-range-signal"
    assert state_left_behind(["rnn.weight_hh_l0", "head.weight"]) is None


def sample(x: torch.Tensor, y: torch.Tensor, batch: int) -> Sample:
    return Sample([x], y, sizes=[batch] * (len(x) // batch))


def test_rows_in_the_order_of_a_feature():
    x = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))
    y = torch.randint(0, 3, (256,), generator=torch.Generator().manual_seed(1))
    finding = in_order(sample(x[x[:, 1].argsort()], y, 64), {})
    assert finding.name == "data-not-shuffled" and "feature 1" in finding.evidence
    assert in_order(sample(x, y, 64), {}) is None
    assert in_order(sample(x[x[:, 1].argsort()], y, 64), {"ordered by design": True}) is None


def test_answers_turned_round_are_told():
    rows = torch.randint(0, 20, (24, 9), generator=torch.Generator().manual_seed(2))
    x, y = rows[:, :-1], rows[:, 1:]
    turned = torch.cat([each.t() for each in y.split(8)])
    assert turned_answers(sample(x, turned, 8), {}).name == "label-noise"
    assert turned_answers(sample(x, y, 8), {}) is None


def test_two_classes_labelled_by_chance():
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 5, 1000)
    scores = chance.normal(size=(1000, 5)) + 8 * (labels[:, None] == np.arange(5))
    blurred = scores.copy()
    blurred[np.isin(labels, (1, 3))] = 8 * np.array([0, 1, 0, 1, 0])
    blurred += 0.1 * chance.normal(size=blurred.shape)
    assert coin_pair(blurred, labels)[:2] == (1, 3)
    assert coin_pair(scores, labels) is None


def leaping(step: int, peak: float) -> Record:
    record = Record()
    for number in range(1, 60):
        record.add(number, "loss", "", peak if number >= step else 1.0 + 0.01 * (number % 3))
    return record


def test_weights_written_by_another_hand_and_a_leap_of_the_loss():
    lost, calm, always = leaping(50, 5.0), leaping(50, 1.0), leaping(50, 5.0)
    lost.add(50, "written outside", "", 1.0)
    calm.add(50, "written outside", "", 1.0)
    for step in range(1, 60):
        always.add(step, "written outside", "", 1.0)
    assert training_state_lost(lost).step == 50
    flipped = leaping(50, 5.0)
    flipped.add(50, "written outside", "", 1.0)
    flipped.add(50, "weights peaked", "", 900.0)
    assert training_state_lost(flipped).name == "loss-spike"
    # An average takes the weights' place at each evaluation; the batch after one of these is high by chance.
    swapped = leaping(99, 1.0)
    for step in range(20, 60, 10):
        swapped.add(step, "written outside", "", 1.0)
    swapped.get("loss").values[49] = 5.0
    with pytest.raises(CannotJudge):
        training_state_lost(swapped)
    # A loss that begins low cannot leap far, but it can be where it began.
    again, only = Record(), Record()
    for record in (again, only):
        for step in range(1, 120):
            record.add(step, "loss", "", 1.1 - 0.01 * ((step - 1) % 60))
    again.add(61, "written outside", "", 1.0)
    only.add(40, "written outside", "", 1.0)
    assert training_state_lost(again).step == 61
    with pytest.raises(CannotJudge):
        training_state_lost(only)
    for record in (calm, always):
        with pytest.raises(CannotJudge):
            training_state_lost(record)


def test_the_step_at_which_the_loss_leapt():
    assert leapt(leaping(40, 5.0)) == 40
    assert leapt(leaping(40, 1.0)) is None


def test_updates_that_went_down_at_first_do_not_turn():
    first, later = Record(), Record()
    for step in range(1, 20):
        first.add(step, "along gradient", "", -1.0)
        later.add(step, "along gradient", "", 1.0)
        later.add(step, "loss", "", float(step))
    assert gradient_ascent(later).name == "gradient-ascent"
    note_descent(first)
    later.facts = first.facts
    assert gradient_ascent(later) is None


def test_harm_is_a_loss_beyond_what_was_before_and_at_the_start():
    assert does_harm(np.full(20, 3.0), before=1.0, start=2.0)
    assert not does_harm(np.full(20, 3.0), before=1.0, start=2.8)
    assert not does_harm(np.full(20, -1.0), before=-2.0, start=-1.5)


def test_a_cure_that_makes_it_worse_is_undone(monkeypatch):
    def spoil(chart, finding):
        for optimizer in chart.patient.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = 30.0
        return "learning rate to 30"

    monkeypatch.setitem(treatment.CURES, "missing-zero-grad", (Cure(spoil, "spoil"),))
    loop = replace(Loop(steps=120), zero_grad=False, optimizer=lambda m: SGD(m.parameters(), 0.01))
    doctor, _, _ = loop.run("treat")
    changes = [each["change"] for each in doctor.history if each["finding"] == "missing-zero-grad"]
    assert changes[0] == "learning rate to 30" and changes[-1].startswith("undone"), changes
    assert doctor.patient.rate < 1


@pytest.mark.parametrize("by_name", [False, True])
def test_a_schedule_goes_on_over_parameters_that_were_given_to_the_optimizer(by_name):
    """A schedule holds a rate for each group that it was made with."""

    def head_alone(model):
        given = model[-1].named_parameters() if by_name else model[-1].parameters()
        return SGD(list(given), 0.1, momentum=0.9)

    loop = Loop(
        model=lambda: mlp(64, 64, 10),
        optimizer=head_alone,
        schedule=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.99**step),
        steps=80,
    )
    doctor, model, losses = loop.run("treat")
    assert "disconnected-parameters" in named(doctor) and len(losses) == 80
    (group,) = doctor.patient.optimizers["model"].param_groups
    assert len(group["params"]) == len(list(model.parameters())), [str(each) for each in doctor.findings]
    assert group["lr"] == pytest.approx(0.1 * 0.99**80)
    assert len(group.get("param_names", group["params"])) == len(group["params"])


def test_an_optimizer_that_remembers_what_it_no_longer_holds():
    """Adagrad remembers each parameter from the start on; taken out of its groups, they stay in its state."""

    def head_alone(model):
        optimizer = torch.optim.Adagrad(model.parameters(), 0.05)
        optimizer.param_groups[0]["params"] = list(model[-1].parameters())
        return optimizer

    for mode in ("watch", "treat"):
        doctor, _, _ = Loop(model=lambda: mlp(64, 64, 10), optimizer=head_alone, steps=60).run(mode)
        assert "disconnected-parameters" in named(doctor)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda each: torch.optim.lr_scheduler.LambdaLR(each, lambda step: min(1.0, (step + 1) / 50)),
        lambda each: torch.optim.lr_scheduler.OneCycleLR(each, 3.0, total_steps=121),
    ],
)
def test_a_rate_cut_from_the_first_weights_stays_cut_under_a_schedule_that_makes_it_anew(schedule):
    """Going back to the first weights once gave the optimizer new groups, which nobody remembered to have cut."""
    taken = []

    def adam(model):
        optimizer = torch.optim.Adam(model.parameters(), 3.0)
        optimizer.register_step_post_hook(lambda each, *_: taken.append(each.param_groups[0]["lr"]))
        return optimizer

    loop = Loop(optimizer=adam, schedule=schedule, steps=120, evaluations=20)
    doctor, _, losses = loop.run("treat")
    assert named(doctor)[0] == "learning-rate-too-high", [str(each) for each in doctor.findings]
    assert losses[-1] < 1.0 and max(taken[60:]) <= 0.31, taken[30:]


@pytest.mark.parametrize("steps_both", [True, False])
def test_one_of_two_optimizers_that_never_steps(steps_both):
    torch.manual_seed(0)
    x, y, _, _ = digits()
    trunk, head = nn.Sequential(nn.Linear(64, 32), nn.ReLU()), nn.Linear(32, 10)
    model = nn.Sequential(trunk, head)
    optimizers = [torch.optim.Adam(each.parameters(), 1e-3) for each in (trunk, head)]
    doctor = Doctor(model, optimizers, nn.CrossEntropyLoss())
    for _ in range(140):
        rows = torch.randint(len(x), (64,))
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        for optimizer in optimizers[0 if steps_both else 1 :]:
            optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert named(doctor) == ([] if steps_both else ["disconnected-parameters"])
