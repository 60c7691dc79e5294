"""One cause and its faces: what is told, what is taken for a sign, and what copies make of a training that lags."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop

from trainwell.doctor.course import beyond_ridge
from trainwell.doctor.diagnosis import Diagnosis, is_sign
from trainwell.doctor.dynamics import class_imbalance, loss_spike
from trainwell.doctor.finding import Finding
from trainwell.doctor.proof import OWN, TENTH, Proof, confirm
from trainwell.doctor.series import Record
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.twin import Twin


def told(*found: Finding) -> tuple[list[str], list[str]]:
    """Names of findings and of symptoms after these were taken in, with nothing to try them on."""
    diagnosis = Diagnosis(Proof(0.1), lambda: None)
    for finding in found:
        diagnosis.take(finding, finding.step)
    return [each.name for each in diagnosis.findings], [each.name for each in diagnosis.symptoms]


def finding(name: str, step: int = 0, sure: float = 0.9, severity: str = "warn") -> Finding:
    return Finding(name, "model", severity, "It shows.", "Because.", sure, step)  # type: ignore[arg-type]


def test_what_shows_in_the_course_is_no_second_cause() -> None:
    assert told(finding("cross-sample-leak"), finding("dying-relu", 100)) == (["cross-sample-leak"], ["dying-relu"])
    assert told(finding("preprocessing-mismatch"), finding("label-noise", 90))[0] == ["preprocessing-mismatch"]


def test_a_cause_takes_the_place_of_a_sign() -> None:
    assert told(finding("underfitting", 80), finding("loss-spike", 200)) == (["loss-spike"], ["underfitting"])


def test_before_the_first_step_a_lack_of_power_is_a_cause() -> None:
    assert not is_sign(finding("underfitting", 0)) and is_sign(finding("underfitting", 80))
    assert told(finding("underfitting", 0), finding("transformer-instability", 20))[0] == ["underfitting"]


@pytest.mark.parametrize("first", [finding("data-leakage"), finding("memory-leak", 20), finding("dying-relu", 20, 0.4)])
def test_what_harms_no_training_or_is_in_doubt_hides_no_cause(first: Finding) -> None:
    assert "learning-rate-too-high" in told(first, finding("learning-rate-too-high", 60))[0]


def test_two_faults_that_show_by_themselves_are_both_told() -> None:
    assert told(finding("cross-sample-leak"), finding("missing-zero-grad", 20))[0] == [
        "cross-sample-leak",
        "missing-zero-grad",
    ]


def test_how_the_answers_are_off_is_no_second_cause_of_a_training_that_goes_badly() -> None:
    for later in ("class-imbalance", "overfitting"):
        assert told(finding("learning-rate-too-high", 40), finding(later, 100)) == (["learning-rate-too-high"], [later])
        assert later in told(finding("data-leakage"), finding(later, 100))[0]


def pulled(steps: int, strength: float) -> Loop:
    """The weights drawn to zero by a hand that is not the optimizer's, between all steps."""

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        made = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def pull(*_: object) -> None:
            for each in model.parameters():
                if each.grad is not None:
                    each.grad.add_(strength * each.detach().sign())

        made.register_step_pre_hook(pull)
        return made

    return Loop(optimizer=optimizer, steps=steps)


def test_a_penalty_on_each_gradient_is_not_taken_for_gradients_that_pile_up() -> None:
    doctor = pulled(120, 0.05).run()[0]
    names = [each.name for each in doctor.findings if each.severity != "note"]
    assert names and "missing-zero-grad" not in names


def losses(values: list[float]) -> Record:
    record = Record({"prior loss": 1.0})
    for step, value in enumerate(values, 1):
        record.add(step, "loss", "", value)
    return record


def test_a_leap_that_threw_the_training_back_is_a_spike_and_one_that_did_not_is_none() -> None:
    noise = torch.randn(120, generator=torch.Generator().manual_seed(0)) * 0.03
    before = (0.5 + noise[:40]).tolist()
    assert loss_spike(losses([*before, 80.0, *(0.7 + noise[40:100]).tolist()])).step == 41  # type: ignore[union-attr]
    assert loss_spike(losses([*before, 80.0, *(0.5 + noise[40:100]).tolist()])) is None


def test_a_rare_class_that_weighs_as_much_as_the_others_is_no_imbalance() -> None:
    shares = {"class ratio": 40.0, "class shares": [[0, 40 / 41], [1, 1 / 41]]}
    record = Record(dict(shares))
    for step in (30, 60, 90):
        record.add(step, "recall", "", 0.0)
    assert class_imbalance(record) is not None
    record.facts["class weights"] = [1.0, 20.0]
    assert class_imbalance(record) is None
    record.facts["class weights"] = [2.0, 1.0]
    assert class_imbalance(record) is not None


def test_held_out_rows_answered_better_than_by_a_ridge() -> None:
    record = Record({"ridge": 0.6, "commonest class": 0.1})
    assert not beyond_ridge(record)
    record.add(50, "held out", "accuracy", 0.5)
    assert not beyond_ridge(record)
    record.add(100, "held out", "accuracy", 0.7)
    assert beyond_ridge(record)


class Normed(nn.Module):
    """Batch norm with this momentum. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64, momentum=momentum), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(3 * x + 5)


def test_kept_statistics_that_lag_behind_are_told_of() -> None:
    doctor = Loop(model=lambda: Normed(0.001), steps=200).run()[0]
    assert [each.name for each in doctor.findings if each.severity != "note"] == ["wrong-train-eval-mode"]
    assert "kept" in doctor.findings[0].evidence
    sound = replace(Loop(steps=200), model=lambda: Normed(0.1)).run()[0]
    assert not [each.name for each in sound.findings if each.severity != "note"]


def test_what_was_learned_counts_from_guessing() -> None:
    """First weights that are worse than guessing make a training that hardly learns look as if it went well."""
    kept = {OWN: Twin([1.46] + [0.7] * 33), TENTH: Twin([1.46] + [0.46] * 33)}
    for guess, proven in ((1.0, True), (math.inf, False)):
        proof = Proof(0.1)
        proof.kept["start"] = 20, kept
        suspect = Suspect(None, [], lambda model, optimizers: None, 20, 240, 0.5, 0.77, guess)  # type: ignore[arg-type]
        assert (confirm(finding("learning-rate-too-high", 20), suspect, proof) is not None) == proven


def test_what_lies_open_is_no_sign_of_what_it_leads_to() -> None:
    unfit = Finding("cannot-fit-one-batch", "model", "critical", "", "", 0.9, 0)
    cut = Finding("no-long-range-signal", "weight_hh_l0", "critical", "", "", 0.9, 20, statistic={"cut": True})
    assert told(unfit, cut)[0] == ["no-long-range-signal"]
    narrow = Finding("underfitting", "before head", "warn", "", "", 0.8, 200, statistic={"narrow": 2})
    slow = Finding("learning-rate-too-low", "optimizer", "warn", "", "", 0.9, 240)
    assert told(narrow, slow)[0] == ["underfitting"]
    group = Finding("update-ratio-off", "first", "warn", "", "", 0.8, 0, statistic={"group": True, "given": 1e-3})
    assert told(group, slow)[0] == ["update-ratio-off"]


def test_a_suspicion_that_the_training_bears_out_not_to_harm_it_becomes_a_note() -> None:
    diagnosis = Diagnosis(Proof(0.1), lambda: None)
    rare = Finding("class-imbalance", "target", "warn", "", "", 0.85, 100, statistic={"recall": [0.0, 0.1, 0.1]})
    unseen = Finding("class-imbalance", "target", "warn", "", "", 0.85, 0)
    linear = Finding("underfitting", "between the layers", "warn", "", "", 0.8, 0)
    diagnosis.findings = [rare, unseen, linear]
    record = Record()
    for step in range(100):
        record.add(step + 1, "loss", "", 1.0 if step < 20 else 0.001)
    for step, recall in ((50, 0.1), (75, 0.8), (100, 0.8)):
        record.add(step, "recall", "", recall)
    diagnosis.reconsider(record)
    assert [each.severity for each in diagnosis.findings] == ["note", "warn", "note"]
