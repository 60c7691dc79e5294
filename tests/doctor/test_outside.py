"""What comes from outside the steps, and how a network answers: each slip beside the same done right."""

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
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.families import transformer_instability
from trainwell.doctor.finding import CannotJudge
from trainwell.doctor.order_check import data_not_shuffled
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record
from trainwell.doctor.yardstick import Skill, _judged, part_of

healthy = Loop(steps=90)


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


class Dropped(nn.Module):
    """Dropout as a function, told of the mode or not. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.first, self.head, self.told = nn.Linear(64, 64), nn.Linear(64, 10), told

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.dropout(torch.relu(self.first(x)), 0.4, self.training or not self.told))


class Drawing(nn.Module):
    """Draws its code by chance in either mode, as an autoencoder does. x: (batch, 64) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.head(x + 0.1 * torch.randn_like(x))


class Reader(nn.Module):
    """The next token by one round of attention. x: (batch, 12) -> (batch, 20, 12)"""

    def __init__(self, alone: bool, closed: bool = False) -> None:
        super().__init__()
        self.embed, self.mix, self.out, self.head = (
            nn.Embedding(20, 16), nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 20),
        )  # fmt: skip
        self.mask = ~torch.eye(12).bool() if alone else torch.ones(12, 12).triu(1).bool()
        if closed:  # a branch that starts at zero hands nothing on at first
            nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        query, key, value = self.mix(x).chunk(3, -1)
        scores = (query @ key.transpose(1, 2) / 4).masked_fill(self.mask, -torch.inf)
        return self.head(x + self.out(scores.softmax(-1) @ value)).transpose(1, 2)


def tokens():
    rows = torch.randint(0, 20, (800, 1), generator=torch.Generator().manual_seed(3))
    rows = (rows + torch.arange(13) ** 2) % 20
    return rows[:700, :-1], rows[:700, 1:], rows[700:, :-1], rows[700:, 1:]


def torn(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output.reshape(-1, 20), target.reshape(-1))


def laid_out(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output.transpose(1, 2).reshape(-1, 20), target.reshape(-1))


def time_first(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output.permute(2, 0, 1).reshape(-1, 20), target.T.reshape(-1))


text = Loop(model=lambda: Reader(False), data=tokens, optimizer=lambda m: Adam(m.parameters(), 3e-3), steps=40)


def halved(scale: float) -> Loop:
    def data():
        x, y, held_x, held_y = faults.regression()()
        return x.half(), (y * scale).half(), held_x.half(), (held_y * scale).half()

    return Loop(
        model=lambda: mlp(8, 32, 1).half(), data=data, loss=F.mse_loss,
        optimizer=lambda m: SGD(m.parameters(), 1e-3), steps=30,
    )  # fmt: skip


def rare():
    x, y, held_x, held_y = digits()
    keep, held = (y == 3) | (y == 5) & (torch.arange(len(y)) % 12 == 0), (held_y == 3) | (held_y == 5)
    return (
        x[keep].repeat(5, 1),
        (y[keep] == 5).long().repeat(5),
        held_x[held],
        (held_y[held] == 5).long(),
    )


def weighed(*weights: float) -> Loop:
    weight = torch.tensor(weights)
    return Loop(
        model=lambda: mlp(64, 32, 2), data=rare, loss=lambda o, t: F.cross_entropy(o, t, weight=weight), steps=40
    )


def flash(step: int, factor: float) -> Loop:
    return replace(healthy, change=lambda now, x, y: (factor * x, y) if now == step else (x, y))


CASES = {
    "dropout that is not told": (
        "wrong-train-eval-mode",
        replace(healthy, model=lambda: Dropped(False), steps=40),
        replace(healthy, model=lambda: Dropped(True), steps=40),
    ),
    "scores in the order of memory": ("loss-head-mismatch", replace(text, loss=torn), replace(text, loss=laid_out)),
    "a mask that shows each itself": (
        "no-long-range-signal",
        replace(text, model=lambda: Reader(True)),
        replace(text, model=lambda: Reader(False, True)),
    ),
    "answers that float16 does not hold": ("mixed-precision-underflow", halved(2e4), halved(1.0)),
    "a loss that float16 does not hold": ("mixed-precision-underflow", halved(3e3), halved(0.5)),
    "weights like the shares": ("class-imbalance", weighed(0.92, 0.08), weighed(0.08, 0.92)),
    "one batch a thousand times too bright": ("loss-spike", flash(40, 3e3), flash(40, 1.5)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_named_first_and_not_in_the_healthy_twin(case):
    ailment, broken, twin = CASES[case]
    doctor, _, _ = broken.run()
    assert named(doctor)[:1] == [ailment], [str(each) for each in doctor.findings]
    assert ailment not in named(twin.run()[0])


def test_scores_with_time_first_are_laid_out_rightly():
    assert "loss-head-mismatch" not in named(replace(text, loss=time_first).run()[0])


def test_numbers_drawn_by_design_are_no_fault():
    found = named(replace(healthy, model=Drawing).run()[0])
    assert not {"wrong-train-eval-mode", "cross-sample-leak"} & set(found)


def back_and_forth(restores: tuple[int, ...], averaged: bool = False) -> Doctor:
    """A loop that saves its weights at step 5 and puts them back at others, or swaps an average in and out."""
    torch.manual_seed(0)
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    doctor = Doctor(model, optimizer, F.cross_entropy, held_out=[(held_x, held_y)], steps=80)
    kept: dict[str, torch.Tensor] = {}
    for step, (inputs, target) in zip(range(80), healthy.batches(x, y), strict=False):
        if step == 5:
            kept = {name: each.clone() for name, each in model.state_dict().items()}
        if step in restores:
            own = {name: each.clone() for name, each in model.state_dict().items()}
            model.load_state_dict(kept)
            if averaged:
                model.load_state_dict(own)
        loss = F.cross_entropy(model(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, inputs, target)
    doctor.close()
    return doctor


def test_weights_put_back_again_and_again_are_told():
    assert named(back_and_forth((30, 50, 65)))[:1] == ["training-state-lost"]
    for other in (back_and_forth((30,)), back_and_forth((20, 40, 60), averaged=True)):
        assert "training-state-lost" not in named(other)


def test_rows_that_come_again_are_counted_once():
    x, y = torch.randn(100, 5), torch.arange(100) % 2
    part = part_of(Sample([x.repeat(3, 1)], y.repeat(3), [], [100] * 3))
    assert part is not None and len(part) == 100


@pytest.mark.parametrize(("end", "severity"), [(0.1, "note"), (2.4, "warn")])
def test_large_attention_scores_of_a_training_that_has_come_far_are_a_note(end, severity):
    record = Record()
    for step in range(1, 101):
        record.add(step, "loss", "", max(end, 2.5 - 0.1 * step))
    for step in (80, 90, 100):
        record.add(step, "attention score", "block", 50.0 + step)
    assert transformer_instability(record).severity == severity


def test_a_ridge_worse_than_guessing_on_both_parts_says_nothing():
    ours, theirs, carried, learned = (Skill(each, 0.03) for each in (-0.1, -0.6, 0.1, 0.7))
    assert _judged(ours, theirs, carried, 0.0, 300) is None
    assert _judged(learned, Skill(0.0, 0.03), carried, 0.0, 300) is not None
    assert _judged(learned, Skill(0.0, 0.3), carried, 0.0, 300) is None  # so far off it may be by chance


def test_answers_that_are_not_finite_have_no_order():
    target = torch.where(torch.arange(256)[:, None] % 3 == 0, torch.inf, torch.randn(256, 1))
    with pytest.raises(CannotJudge):
        data_not_shuffled(Sample([torch.randn(256, 4)], target, [], [64] * 4), {})


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("every", [1, 2])
def test_a_checkpoint_taken_up_between_the_update_and_its_telling(old, every):
    """Weights of the first steps are told, the same weights written anew are not; rows may be added up over steps."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    early = {name: each.clone() for name, each in model.state_dict().items()}
    for step in range(160):
        rows = torch.randint(len(x), (64,))
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        if step % every == every - 1:
            optimizer.step()
            optimizer.zero_grad()
        if step == 99:
            model.load_state_dict(early if old else model.state_dict())
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert ("training-state-lost" in named(doctor)) == old, str(doctor)
