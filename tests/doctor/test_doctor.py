"""Every ailment that a small run can show: named on the broken run, silent on its healthy twin."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, accuracy, mlp

from trainwell.doctor import AILMENTS, Doctor


def sgd(rate: float, **options: float):
    return lambda model: SGD(model.parameters(), lr=rate, **options)


def adam(rate: float):
    return lambda model: Adam(model.parameters(), lr=rate)


healthy = Loop()
numbers = Loop(model=lambda: mlp(8, 32, 1), data=faults.regression(), loss=F.mse_loss, optimizer=adam(3e-3))
normed = Loop(model=lambda: faults.normed(0.2), evaluations=20)
two = replace(healthy, model=lambda: mlp(8, 32, 2), data=faults.two_classes)
deep = replace(healthy, model=lambda: mlp(64, *[32] * 12, 10, activation=nn.Sigmoid))


def poisoned(step, inputs, target):
    if step == 60:
        inputs = inputs.clone()
        inputs[5, 3] = float("nan")
    return inputs, target


# ailment, what the finding may be called, the broken run, its healthy twin
CASES = {
    "raw units": ("input-not-normalized", replace(healthy, data=faults.raw_units), healthy),
    "outliers": ("bad-features", replace(numbers, data=faults.outliers), numbers),
    "blank inputs": ("bad-features", replace(healthy, change=lambda s, x, y: (torch.zeros_like(x), y)), healthy),
    "rare class missed": (
        "class-imbalance",
        replace(
            healthy,
            model=lambda: mlp(8, 16, 2),
            data=faults.rare_class(0.9),
            evaluations=50,
            optimizer=sgd(0.01),
            steps=150,
        ),
        replace(healthy, model=lambda: mlp(8, 16, 2), data=faults.rare_class(0.0), evaluations=50),
    ),
    "labels of other rows": (
        "label-noise",
        replace(healthy, data=faults.wrong_labels(1.0), steps=500, evaluations=30),
        replace(healthy, steps=500, evaluations=30),
    ),
    "part of the labels wrong": ("label-noise", replace(healthy, data=faults.wrong_labels(0.4)), healthy),
    "rows in both parts": ("data-leakage", replace(healthy, data=faults.rows_in_both), healthy),
    "answer among the inputs": ("data-leakage", replace(two, data=faults.answer_among_inputs), two),
    "all targets ignored": (
        "targets-out-of-range",
        replace(healthy, change=lambda s, x, y: (x, torch.full_like(y, -100))),
        healthy,
    ),
    "held-out rows unscaled": ("preprocessing-mismatch", replace(healthy, data=faults.shifted_held_out), healthy),
    "sorted rows": ("data-not-shuffled", replace(healthy, data=faults.sorted_by_label, shuffle=False), healthy),
    "softmax twice": (
        "loss-head-mismatch",
        replace(healthy, model=lambda: mlp(64, 64, 10, head=nn.Softmax(-1))),
        replace(healthy, model=lambda: mlp(64, 64, 10)),
    ),
    "nll of plain scores": (
        "loss-head-mismatch",
        replace(healthy, loss=F.nll_loss),
        replace(healthy, loss=F.nll_loss, model=lambda: mlp(64, 64, 10, head=nn.LogSoftmax(-1))),
    ),
    "relu for any number": (
        "loss-head-mismatch",
        replace(numbers, model=lambda: mlp(8, 32, 1, head=nn.ReLU())),
        numbers,
    ),
    "squared error on a sure sigmoid": (
        "learning-slowdown",
        replace(healthy, model=faults.sure_of_everything, loss=faults.squared_error),
        replace(healthy, model=lambda: mlp(64, 32, 10, head=nn.Sigmoid()), loss=faults.squared_error),
    ),
    "negated loss": ("gradient-ascent", replace(healthy, loss=lambda o, t: -F.cross_entropy(o, t), steps=60), healthy),
    "negated backward": ("gradient-ascent", replace(healthy, backward=lambda loss: -loss, optimizer=sgd(0.1)), healthy),
    "maximize": ("gradient-ascent", replace(healthy, optimizer=sgd(0.01, maximize=True)), healthy),
    "raw targets": ("wrong-initial-loss", replace(numbers, data=faults.regression(100.0, 500.0)), numbers),
    "weights too large": ("bad-initialization", replace(healthy, model=faults.scaled_weights(20.0)), healthy),
    "weights too small": ("bad-initialization", replace(healthy, model=faults.scaled_weights(0.005)), healthy),
    "equal weights": ("bad-initialization", replace(healthy, model=faults.constant_weights), healthy),
    "all weights zero": (
        "bad-initialization",
        replace(healthy, model=lambda: faults.zeroed(mlp(64, 32, 32, 10))),
        replace(healthy, model=faults.ZeroEnds),
    ),
    "unused layer": ("disconnected-parameters", replace(healthy, model=faults.Unused), healthy),
    "half the optimizer": (
        "disconnected-parameters",
        replace(healthy, optimizer=lambda m: SGD(list(m.parameters())[-2:], lr=0.1)),
        healthy,
    ),
    "gradients pile up": ("missing-zero-grad", replace(healthy, zero_grad=False), healthy),
    "gradients pile up under Adam": (
        "missing-zero-grad",
        replace(healthy, zero_grad=False, optimizer=adam(1e-3)),
        replace(healthy, optimizer=adam(1e-3)),
    ),
    "trained in eval mode": ("wrong-train-eval-mode", replace(normed, eval_mode=True), normed),
    "validated in train mode": ("wrong-train-eval-mode", replace(normed, validate_in_train_mode=True), normed),
    "rows mixed": ("cross-sample-leak", replace(healthy, model=faults.MixesRows), normed),
    "input ignored": ("cannot-fit-one-batch", replace(healthy, model=faults.IgnoresInput), healthy),
    "twelve sigmoids": (
        "vanishing-gradient",
        deep,
        replace(deep, model=lambda: mlp(64, 32, 32, 10, activation=nn.Sigmoid)),
    ),
    "twelve sigmoids under Adam": (
        "vanishing-gradient",
        replace(deep, optimizer=adam(1e-3)),
        replace(healthy, optimizer=adam(1e-3)),
    ),
    "dead from the start": ("dying-relu", replace(healthy, model=faults.shifted_bias(-30.0)), healthy),
    "saturated": (
        "saturated-activations",
        replace(healthy, model=faults.shifted_bias(8.0, activation=nn.Tanh)),
        replace(healthy, model=lambda: mlp(64, 64, 64, 10, activation=nn.Tanh)),
    ),
    "one poisoned row": ("non-finite-values", replace(healthy, change=poisoned), healthy),
    "rate of 1 with momentum": ("learning-rate-too-high", replace(healthy, optimizer=sgd(1.0, momentum=0.9)), healthy),
    "Adam at 0.3": (
        "learning-rate-too-high",
        replace(healthy, optimizer=adam(0.3)),
        replace(healthy, optimizer=adam(3e-3)),
    ),
    "rate of 1e-5": ("learning-rate-too-low", replace(healthy, optimizer=sgd(1e-5, momentum=0.9)), healthy),
    "Adam at 1e-6": (
        "learning-rate-too-low",
        replace(healthy, optimizer=adam(1e-6)),
        replace(healthy, optimizer=adam(1e-3)),
    ),
    "rate of 0": ("learning-rate-too-low", replace(healthy, optimizer=sgd(0.0)), healthy),
    "few noisy rows": (
        "overfitting",
        replace(healthy, data=faults.few_and_noisy, steps=600, evaluations=30, batch=50, optimizer=adam(3e-3)),
        replace(healthy, evaluations=20, optimizer=adam(1e-3)),
    ),
}


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_named_on_the_broken_run(case):
    name, broken, _ = CASES[case]
    doctor, _, _ = broken.run()
    assert named(doctor)[:1] == [name], f"{doctor}"
    finding = next(each for each in doctor.findings if each.name == name)
    assert finding.evidence and finding.cause and 0 < finding.confidence <= 1


@pytest.mark.parametrize("case", CASES)
def test_silent_on_the_healthy_twin(case):
    doctor, _, _ = CASES[case][2].run()
    assert named(doctor) == [], f"{doctor}"


def test_every_finding_named_here_is_in_the_table():
    assert {name for name, _, _ in CASES.values()} <= set(AILMENTS) and len(AILMENTS) == 47


CURABLE = {
    "raw units": 0.9,
    "softmax twice": 0.9,
    "squared error on a sure sigmoid": 0.75,
    "negated backward": 0.85,
    "weights too large": 0.9,
    "weights too small": 0.9,
    "equal weights": 0.9,
    "half the optimizer": 0.9,
    "gradients pile up": 0.9,
    "twelve sigmoids under Adam": 0.75,
    "dead from the start": 0.9,
    "saturated": 0.9,
    "one poisoned row": 0.9,
    "rate of 1 with momentum": 0.9,
    "Adam at 0.3": 0.9,
    "rate of 1e-5": 0.8,
    "Adam at 1e-6": 0.85,
}


@pytest.mark.parametrize("case", CURABLE)
def test_treated(case):
    _, broken, _ = CASES[case]
    doctor, model, _ = broken.run("treat")
    assert doctor.history and not doctor.broken
    assert accuracy(model, broken) >= CURABLE[case], f"{doctor}\n{doctor.history}"


@pytest.mark.parametrize(
    "case", ["rate of 1 with momentum", "rows mixed", "one poisoned row", "validated in train mode"]
)
def test_watching_changes_nothing_bit_for_bit(case):
    loop = CASES[case][1]
    _, plain, losses = loop.run(None)
    _, watched, same = loop.run("watch")
    assert torch.tensor(losses).equal(torch.tensor(same)) or any(value != value for value in losses)
    for one, other in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        assert one.equal(other) or (one.isnan() == other.isnan()).all()


def test_healthy_run_is_left_alone_in_treat_mode():
    _, plain, _ = normed.run(None)
    doctor, treated, _ = normed.run("treat")
    assert doctor.history == []
    for one, other in zip(plain.state_dict().values(), treated.state_dict().values(), strict=True):
        assert one.equal(other)


def test_ask_mode_proposes_and_changes_nothing():
    loop = CASES["rate of 1 with momentum"][1]
    _, plain, _ = loop.run(None)
    doctor, asked, _ = loop.run("ask")
    assert doctor.history == [] and "rate" in doctor.findings[0].remedy
    for one, other in zip(plain.state_dict().values(), asked.state_dict().values(), strict=True):
        assert one.equal(other)


def test_error_inside_the_doctor_leaves_the_training_going(capsys, monkeypatch):
    def fails(self):
        raise ZeroDivisionError("made to fail")

    monkeypatch.setattr(Doctor, "_look", fails)
    _, _, losses = healthy.run(None)
    doctor, _, same = healthy.run("treat")
    assert losses == same and "made to fail" in doctor.broken
    assert capsys.readouterr().err.count("stopped watching") == 1
    assert "made to fail" in doctor.checks()["broken"] and str(doctor).count("made to fail") == 1
    assert "broken" not in Doctor().checks()


def test_says_what_could_not_run():
    doctor, _, _ = healthy.run()
    checks = doctor.checks()
    assert "validation" in checks["skipped"]["overfitting"]
    assert set(checks["run"]) | set(checks["skipped"]) == set(AILMENTS)
