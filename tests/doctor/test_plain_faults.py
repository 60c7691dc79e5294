"""Plain slips in plain loops, each beside its twin: rare classes, labels counted from one, answers of other rows, a
state that begins anew, a head that reads two numbers, a training thrown off at its end, a rate beyond what is usual."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainwell.doctor import Doctor, minority
from trainwell.doctor.by_heart import overfitting
from trainwell.doctor.diagnosis import Diagnosis
from trainwell.doctor.finding import Finding
from trainwell.doctor.proof import Proof
from trainwell.doctor.regularization import over_regularized
from trainwell.doctor.series import Record

KINDS, LENGTH = 12, 16


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [each.name for each in doctor.findings if each.severity != "note"]


def learned(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int) -> Doctor:
    """A plain loop over rows and their classes, watched."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    doctor = Doctor(model, optimizer, mode="watch")
    for _ in range(steps):
        rows = torch.randint(len(x), (32,))
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    return doctor


# Classes.


def test_rows_of_all_rare_classes_are_counted_together() -> None:
    record = Record()
    record.facts["class shares"] = [[0, 0.47], [1, 0.47], [2, 0.03], [3, 0.03]]
    told = np.array([0] * 40 + [1] * 40 + [2] * 3 + [3] * 3)
    given = np.array([0] * 40 + [1] * 30 + [0] * 10 + [2, 0, 0] + [1, 1, 1])
    minority.note(record, 10, given, told)
    assert record.get("recall").values == [pytest.approx(1 / 6)]
    assert record.get("recall of common").values == [pytest.approx(70 / 80)]


@pytest.mark.parametrize(("off", "better"), [(0, 0.0), (-1, 1.0)])
def test_labels_counted_from_another_number(off: int, better: float) -> None:
    record, told = Record(), np.arange(180) % 9
    minority.note_other_labels(record, 10, told - off, told)
    assert record.facts["labels off by"] == off
    assert record.get("better by other labels").values == [pytest.approx(better)]


@pytest.mark.parametrize(
    ("highest", "expected"), [([0, 1, 0, 0, 1, 0], True), ([0] * 6, False), ([1, 1, 1, 1, 1, 1], False)]
)
def test_a_label_that_comes_now_and_then_is_a_rare_class_and_no_order(highest: list[int], expected: bool) -> None:
    record = Record({"classes": 2, "class of all first rows": 0})
    for place, each in enumerate(highest):
        record.add(10 * place, "label", "lowest", 0.0)
        record.add(10 * place, "label", "highest", float(each))
    record.add(50, "held out", "accuracy", 0.5)
    assert (minority.hardly_there(record) is not None) == expected
    record.add(60, "held out", "accuracy", 0.95)
    assert minority.hardly_there(record) is None


def test_rows_that_come_sorted_leave_their_first_class_behind() -> None:
    record = Record({"classes": 2, "class of all first rows": 0})
    for place, pair in enumerate([(0, 0), (0, 0), (0, 1), (0, 1), (1, 1), (1, 1)]):
        record.add(10 * place, "label", "lowest", float(pair[0]))
        record.add(10 * place, "label", "highest", float(pair[1]))
    assert minority.hardly_there(record) is None


# Sequences.


def text(shuffled: str, rows: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Letters of a few that each row has, and the next ones; other rows' if shuffled."""
    draw = torch.Generator().manual_seed(0)
    own = torch.rand(rows, KINDS, generator=draw).argsort(1)[:, :4]
    lines = own.gather(1, torch.randint(4, (rows, LENGTH + 1), generator=draw))
    asked = lines[:, 1:]
    if shuffled == "everywhere":
        asked = asked[torch.randperm(rows, generator=draw)]
    return lines[:, :-1], asked


class Writer(nn.Module):
    """Letters to scores of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.state = nn.Embedding(KINDS, 32), nn.GRU(32, 32, batch_first=True)
        self.head = nn.Linear(32, KINDS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.state(self.letters(tokens))[0])


def written(shuffled: str = "", steps: int = 260) -> Doctor:
    torch.manual_seed(0)
    tokens, asked = text(shuffled)
    model = Writer()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = Doctor(model, optimizer, mode="watch")
    for _ in range(steps):
        rows = torch.randint(len(tokens), (16,))
        answers = asked[rows]
        if shuffled == "within the batch":
            answers = answers[torch.randperm(16)]
        loss = functional.cross_entropy(model(tokens[rows]).flatten(0, 1), answers.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, tokens[rows], answers)
    doctor.close()
    return doctor


@pytest.mark.parametrize("shuffled", ["within the batch", "everywhere"])
def test_next_letters_of_other_rows(shuffled: str) -> None:
    assert named(written(shuffled))[:1] == ["label-noise"]


def test_next_letters_of_their_own_rows_are_told_nothing_of() -> None:
    assert not named(written())


class Squeezed(nn.Module):
    """Two branches that are added up into two numbers, of which the head makes the scores of many classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(12, width), nn.Linear(12, width), nn.Linear(width, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(x).tanh() + self.second(x).sin())


@pytest.mark.parametrize(("width", "expected"), [(2, ["underfitting"]), (24, [])])
def test_a_head_that_reads_two_numbers(width: int, expected: list[str]) -> None:
    torch.manual_seed(0)
    x = torch.randn(800, 12)
    y = x.argmax(1)
    assert named(learned(Squeezed(width), x, y, 320)) == expected


class Reader(nn.Module):
    """Rows of numbers to a class, by the state after the last step; anew: the state begins again before so many."""

    def __init__(self, anew: int = 0) -> None:
        super().__init__()
        self.anew, self.state, self.head = anew, nn.LSTM(4, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.anew:
            self.state(x[:, : -self.anew])
            x = x[:, -self.anew :]
        return self.head(self.state(x)[0][:, -1])


@pytest.mark.parametrize(("anew", "expected"), [(5, ["no-long-range-signal"]), (0, [])])
def test_a_state_that_begins_anew_on_its_way(anew: int, expected: list[str]) -> None:
    torch.manual_seed(0)
    x = torch.randn(512, 24, 4)
    y = (x[:, :, 0].mean(1) > 0).long()
    assert named(learned(Reader(anew), x, y, 150)) == expected


# Rates.


def stepped(mode: str, thrown: bool = False, head: float = 1.0, steps: int = 400) -> tuple[Doctor, float]:
    """A network on three classes under plain descent; its accuracy on other rows.

    thrown: three of the last steps at a thousand times the rate; head: times of the rate that the last layer has.
    """
    torch.manual_seed(0)
    x = torch.randn(1200, 12)
    y = x[:, :3].argmax(1)
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
    groups = [{"params": model[:4].parameters()}, {"params": model[4:].parameters(), "lr": 0.1 * head}]
    optimizer = torch.optim.SGD(groups if head != 1.0 else model.parameters(), lr=0.1)
    doctor = Doctor(model, optimizer, mode=mode)
    for step in range(steps):
        if thrown and step in (steps - 20, steps - 17):
            for group in optimizer.param_groups:
                group["lr"] *= 1e3 if step == steps - 20 else 1e-3
        rows = torch.randint(1000, (32,))
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    return doctor, float((model(x[1000:]).argmax(1) == y[1000:]).float().mean())


def test_what_is_thrown_off_at_the_end_goes_back_to_health() -> None:
    doctor, right = stepped("treat", thrown=True)
    assert any("the last healthy moment" in each["change"] for each in doctor.history)
    assert right > 0.8 > stepped("watch", thrown=True)[1]


def test_a_rate_beyond_all_that_is_usual_is_lowered_not_the_others_raised() -> None:
    doctor, right = stepped("treat", head=2000.0)
    assert "from 200 to 0.1" in doctor.history[0]["change"] and right > 0.8


# What the training has since borne out.


def evaluated(losses: list[float], accuracies: list[float] | None = None) -> Record:
    record = Record()
    record.facts |= {"prior loss": 0.7}
    record.extend("loss", list(range(1, 401)), [0.4 / step for step in range(1, 401)])
    for place, loss in enumerate(losses):
        record.add(40 * (place + 1), "held out", "loss", loss)
        if accuracies:
            record.add(40 * (place + 1), "held out", "accuracy", accuracies[place])
    return record


def test_a_harder_augmentation_from_which_held_out_rows_are_learned_is_a_note() -> None:
    diagnosis = Diagnosis(Proof(0.1), lambda: None)
    told = Finding("label-breaking-augmentation", "training rows", "warn", "It shows.", "So.", 0.75, 0)
    told.statistic["by ridge"] = True
    diagnosis.take(told, 0)
    diagnosis.reconsider(evaluated([0.6, 0.5]))
    assert diagnosis.findings[0].severity == "warn"
    diagnosis.reconsider(evaluated([0.6, 0.2, 0.15]))
    assert diagnosis.findings[0].severity == "note"


@pytest.mark.parametrize(("scale", "severity"), [(1.0, "note"), (3.0, "warn")])
def test_a_loss_that_rises_where_answers_stay_right_costs_little(scale: float, severity: str) -> None:
    losses = [scale * each for each in (0.12, 0.1, 0.09, 0.1, 0.12, 0.14, 0.15, 0.15, 0.16)]
    finding = overfitting(evaluated(losses, [0.97] * len(losses)))
    assert finding is not None and finding.severity == severity


# Decay.


def test_a_decay_that_takes_a_hundredth_of_every_weight_at_each_step() -> None:
    record = Record({"weight decay": 20.0, "weight decay in gradients": 0.0, "layers": ["first"], "prior loss": 1.0})
    for step in range(1, 241):
        record.add(step, "loss", "", 0.6 + 0.01 * (step % 2))
        record.add(step, "rate", "", 1e-3)
    for step, size in ((1, 0.4), (60, 0.1), (120, 0.05), (240, 0.03)):
        record.add(step, "weight", "first", size)
    record.facts["step"] = 240
    finding = over_regularized(record)
    assert finding is not None and finding.statistic["given"] == pytest.approx(0.02)
    record.facts["weight decay"] = 0.5
    usual = over_regularized(record)
    assert usual is None or "given" not in usual.statistic
