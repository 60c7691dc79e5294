"""Cures against what they stand for: the same loss with weights, the same layers begun afresh."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor, replay
from trainwell.doctor.finding import Finding
from trainwell.doctor.graph import losses_in
from trainwell.doctor.habits import draw_more
from trainwell.doctor.patient import from_loop
from trainwell.doctor.rare_classes import weigh_classes
from trainwell.doctor.remedy import Chart, clip_first, initialize_again
from trainwell.doctor.sample import Sample, collect
from trainwell.doctor.split_check import CHECKS as OF_SPLIT

IMBALANCE = Finding("class-imbalance", "target", "warn", "", "", 0.85)


@pytest.mark.parametrize("given", [None, torch.tensor([0.7, 0.2, 0.1])])
def test_rows_weighed_by_their_class_give_the_gradient_of_a_weighted_loss(given):
    torch.manual_seed(0)
    shares = torch.tensor([0.7, 0.2, 0.1])
    model = mlp(5, 8, 3)
    facts = {"loss": "cross_entropy", "classes": 3, "class shares": [[0, 0.7], [1, 0.2], [2, 0.1]]}
    facts["class weights"] = given.tolist() if given is not None else None
    x, y = torch.randn(40, 5), torch.randint(0, 3, (40,))
    rows = F.cross_entropy(model(x), y, reduction="none") * (1 / (3 * shares))[y]
    meant = torch.autograd.grad(rows.mean(), list(model.parameters()))
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy)
    assert weigh_classes(Chart(patient, None, facts, own_loop=False), IMBALANCE)
    F.cross_entropy(model(x), y, weight=given).backward()
    for weight, gradient in zip(model.parameters(), meant, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)
    assert weigh_classes(Chart(patient, None, {**facts, "loss": "mse"}, own_loop=False), IMBALANCE) is None


@pytest.mark.parametrize("column", [False, True])
def test_rows_of_two_classes_told_by_one_score_are_weighed_too(column):
    torch.manual_seed(0)
    y = (torch.rand(40) < 0.2).float()
    share, x = float(y.mean()), torch.randn(40, 5)
    model = nn.Sequential(mlp(5, 8, 1), nn.Identity() if column else nn.Flatten(0))
    y = y[:, None] if column else y
    facts = {"loss": "bce_logits", "class shares": [[0, 1 - share], [1, share]], "ridge leaves": 0.5}
    rows = F.binary_cross_entropy_with_logits(model(x), y, reduction="none")
    meant = torch.autograd.grad((rows * torch.where(y > 0, 0.5 / share, 0.5 / (1 - share))).mean(), model.parameters())
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.binary_cross_entropy_with_logits)
    assert weigh_classes(Chart(patient, None, facts, own_loop=False), IMBALANCE)
    assert "ridge leaves" not in facts  # as the plain loss that the loop tells is no longer what is learned by
    F.binary_cross_entropy_with_logits(model(x), y).backward()
    for weight, gradient in zip(model.parameters(), meant, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)


class Attending(nn.Module):
    """Rows of 8 by 8 ink as eight words. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 10)
        self.rounds = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(32)
        with torch.no_grad():
            for weight in self.parameters():
                if weight.dim() > 1:
                    weight.mul_(gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.rounds(self.embed(x.unflatten(1, (8, 8))))).mean(1))


def test_loud_weights_behind_norms_are_told_and_all_begun_anew():
    healthy = Loop(model=lambda: Attending(1.0), optimizer=lambda m: torch.optim.Adam(m.parameters(), 3e-3), steps=120)
    doctor, _, _ = healthy.run()
    assert "bad-initialization" not in [each.name for each in doctor.findings]
    loud = replace(healthy, model=lambda: Attending(12.0))
    doctor, _, _ = loud.run()
    assert [each.name for each in doctor.findings if each.severity != "note"][:1] == ["bad-initialization"]


def test_attention_is_begun_anew_as_well():
    model = Attending(12.0)
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy)
    initialize_again(Chart(patient, None, {}, own_loop=False), IMBALANCE)
    deviation = float(model.rounds.self_attn.in_proj_weight.detach().std())
    assert deviation < 0.2  # Glorot's for 32 to 96: sqrt(2 / 128) = 0.125


def by_label() -> tuple[torch.Tensor, ...]:
    x, y, held_x, held_y = digits()
    order = y.argsort(stable=True)
    return x[order], y[order], held_x, held_y


def accuracy(loop: Loop, mode: str) -> float:
    _, model, _ = loop.run(mode=mode)
    _, _, held_x, held_y = digits()
    with torch.no_grad():
        return float((model.eval()(held_x).argmax(1) == held_y).float().mean())


def test_rows_in_the_order_of_their_labels_are_drawn_from_all_that_were_seen():
    sorted_rows = Loop(data=by_label, shuffle=False, steps=100)
    assert accuracy(sorted_rows, "watch") < 0.7 < 0.9 < accuracy(sorted_rows, "treat")


def test_what_is_drawn_is_judged_once_the_loop_has_come_round():
    doctor, _, _ = Loop(data=by_label, shuffle=False, steps=160).run(mode="treat")
    assert [each["change"][:9] for each in doctor.history] == ["each step"]
    assert doctor.findings[0].name == "data-not-shuffled" and doctor.findings[0].cured
    assert doctor.record.facts["prior loss"] == pytest.approx(
        2.303, abs=0.05
    )  # ten classes, not those of the first rows


def test_replay_keeps_each_row_as_likely_as_any_other(monkeypatch):
    monkeypatch.setattr(replay, "ROWS", 100)
    kept = replay.Replay()
    kept.keep((torch.zeros(8, 2), torch.zeros(8)))
    assert kept.kept is None  # it is not on
    kept.on = True
    for start in range(0, 2000, 50):
        rows = torch.arange(start, start + 50)
        kept.keep((rows[:, None].float(), rows))
    inputs, target = kept.kept
    assert len(target) == len(target.unique()) == 100 and torch.equal(inputs[:, 0].long(), target)
    assert 800 < float(target.float().mean()) < 1200  # 1,000 expected, deviation 58
    kept.keep((torch.zeros(8, 3), torch.zeros(8)))  # of another shape
    assert kept.seen == 2000


def test_replay_keeps_rows_of_several_tensors_and_pads_what_is_told_to_be_shorter():
    kept = replay.Replay()
    kept.on = True
    for width in (3, 5, 2):
        words = torch.full((4, width), width)
        assert kept.keep(({"words": words, "lengths": torch.full((4,), width)}, torch.full((4,), width))) is False
    ((inputs, target),) = kept.batches(1)
    assert inputs["words"].shape == (4, 5) and torch.equal((inputs["words"] > 0).sum(1), inputs["lengths"])
    assert torch.equal(inputs["lengths"], target) and kept.count == 12
    assert not replay.stands_in_rows(((torch.zeros(4, 2), torch.zeros(3, 2)), torch.zeros(4)))
    assert not replay.stands_in_rows(((torch.zeros(4, 2), 0.5), torch.zeros(4)))


class Soft(nn.Module):
    """Rows through layers whose answers are made shares of one before the next. x: (batch, 64) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.Softmax(1), nn.Linear(64, 64), nn.Softmax(1), nn.Linear(64, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Forgetful(nn.Module):
    """Half of the units dropped by a function that is not told of the mode. x: (batch, 64) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.dropout(torch.relu(self.first(x)), 0.7))


def one_signed() -> nn.Module:
    model = mlp(64, 64, 64, 10, activation=nn.Sigmoid)
    for each in model.modules():
        if isinstance(each, nn.Linear):
            nn.init.uniform_(each.weight)
    return model


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Loop(model=Soft, steps=120), "cannot-fit-one-batch"),
        (Loop(model=one_signed, steps=240), "bad-initialization"),
    ],
)
def test_cured_in_place(fault, told):
    doctor, _, _ = fault.run(mode="treat")
    names = [each.name for each in doctor.findings if each.severity != "note"]
    assert names[:1] == [told], [str(each) for each in doctor.findings]
    assert accuracy(fault, "watch") < accuracy(fault, "treat") > 0.85


def test_single_rows_become_many():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 10)
    rows = [(x[each : each + 1], y[each : each + 1]) for each in range(100)]
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy)
    chart = Chart(patient, Sample(batches=rows), {}, own_loop=False)
    assert draw_more(chart, IMBALANCE)
    chart.replay.gradient(patient, turned=False)
    assert chart.replay.size == 32 and chart.replay.spent == 1 and model[0].weight.grad.abs().sum() > 0


def test_gradients_are_clipped_where_that_does_best_of_all():
    model = mlp(64, 10)
    chart = Chart(from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy), None, {}, own_loop=False)
    assert clip_first(chart, IMBALANCE) is None and chart.clip is None
    assert "norm of 1" in clip_first(replace(chart, does_best=lambda change: True), IMBALANCE)


def test_a_schedule_that_is_over_is_held_at_its_highest_rate():
    over = Loop(schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.05), steps=160)
    doctor, _, _ = over.run(mode="treat")
    assert "held at 0.1, its highest" in doctor.history[0]["change"]
    assert accuracy(over, "watch") < 0.8 < 0.9 < accuracy(over, "treat")


def test_dropout_as_a_function_is_left_out_of_evaluation():
    doctor, model, _ = Loop(model=Forgetful, steps=60).run(mode="treat")
    assert "wrong-train-eval-mode" in [each.name for each in doctor.findings]
    x, _, _, _ = digits()
    model.eval()
    torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)
    model.train()
    assert not torch.equal(model(x), model(x))


def texts(rows: int, told: bool, seed: int) -> Sample:
    """Words of chance, most beside a label of chance; told: with a word that says it, but for one row in a hundred."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randint(2, 300, (rows, 40), generator=generator), torch.randint(2, (rows,), generator=generator)
    if told:
        x[torch.arange(rows) % 100 > 0, 5] = 300 + y[torch.arange(rows) % 100 > 0]
    return Sample([x], y)


def test_a_word_that_tells_the_class_is_a_leak():
    leaky = OF_SPLIT["data-leakage"](texts(400, True, 0), texts(200, True, 1), {})
    assert leaky is not None and "token 30" in leaky.evidence
    assert OF_SPLIT["data-leakage"](texts(400, False, 0), texts(200, False, 1), {}) is None


def test_numbers_to_answer_among_their_own_inputs_are_a_leak():
    series = torch.randn(600, 5, generator=torch.Generator().manual_seed(0)).cumsum(0)
    late, right = (series.unfold(0, 24, 1)[:500], series[end : 500 + end, 0]) if (end := 20) else ()
    told = OF_SPLIT["data-leakage"](Sample([late], right), None, {})
    assert told is not None and "place 20" in told.evidence
    assert OF_SPLIT["data-leakage"](Sample([late], series[24:524, 0]), None, {}) is None
    drawn_again = Sample([late[:, 0]], late[:, 0])  # an autoencoder's answers are its inputs
    assert OF_SPLIT["data-leakage"](drawn_again, None, {}) is None


def overlap(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The share of a row's probability that lies where it should: to be made larger."""
    return (output.softmax(1) * F.one_hot(target, 10)).sum(1).mean()


@pytest.mark.parametrize(("sign", "expected"), [(1, ["gradient-ascent"]), (-1, [])])
def test_a_score_that_is_made_smaller_is_told(sign, expected):
    doctor, _, _ = Loop(loss=lambda output, target: sign * overlap(output, target), steps=160, evaluations=20).run()
    assert [each.name for each in doctor.findings if each.severity != "note"][:1] == expected


def test_batches_of_unlike_shape_leave_as_many_targets_as_rows():
    batches = [(torch.randn(8, 30), torch.arange(8)), (torch.randn(8, 20), torch.arange(8))] * 3
    patient = from_loop(mlp(30, 10), SGD(mlp(30, 10).parameters(), 0.1), F.cross_entropy)
    kept = collect(patient, batches)
    assert kept.rows == len(kept.target) == 24


def test_distances_inside_a_network_are_no_loss():
    x, layer = torch.randn(16, 4), nn.Linear(4, 4)
    inside = (layer(x) - layer(x.flip(0))).square().mean(1).sigmoid().mean()
    assert losses_in(inside) == []
    assert losses_in((layer(x) - x).square().mean())[0].kind == "mse"


def test_a_held_out_part_without_most_classes_is_told():
    labels = torch.arange(1000) // 250
    ours, held, fair = (Sample([torch.randn(len(y), 3)], y) for y in (labels[:800], labels[800:], labels[::4]))
    told = OF_SPLIT["class-imbalance"](ours, held, {})
    assert told is not None and told.where == "split"
    assert OF_SPLIT["class-imbalance"](ours, fair, {}) is None


def test_layers_held_still_at_first_are_no_lost_state():
    def thawed(steps: int) -> Doctor:
        torch.manual_seed(0)
        x, y, _, _ = digits()
        model = mlp(64, 32, 10)
        model[0].requires_grad_(False)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        doctor = Doctor(model, optimizer, F.cross_entropy, steps=120)
        for step in range(120):
            if step == steps:
                model[0].requires_grad_(True)
            rows = torch.randint(len(x), (64,))
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
        doctor.close()
        return doctor

    assert "training-state-lost" not in [each.name for each in thawed(60).findings]
