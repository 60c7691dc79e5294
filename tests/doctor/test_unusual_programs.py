"""Programs with losses, heads and loops of their own: what is right in them is no ailment, what is wrong is told."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from trainwell.doctor import Doctor
from trainwell.doctor.answers_check import wrong_train_eval_mode
from trainwell.doctor.guess import guess_of
from trainwell.doctor.order_check import data_not_shuffled
from trainwell.doctor.patient import Patient
from trainwell.doctor.sample import Sample, collect
from trainwell.doctor.trial import run_trial
from trainwell.doctor.twin import Twin


def rows(count: int = 1024) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 8, generator=generator)
    return x, x[:, 0] + 0.5 * x[:, 1] + 0.3 * torch.randn(count, generator=generator)


def network(answers: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, answers))


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Any, told: Any = None, steps: int = 150
) -> Doctor:
    """Batches of 64; loss_of: (model, inputs, targets) -> loss; told: the loss that the doctor hears of."""
    doctor = Doctor(model, optimizer, *([] if told is None else [told]))
    x, y = rows()
    torch.manual_seed(1)
    for _ in range(steps):
        batch = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        loss = loss_of(model, x[batch], y[batch])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], y[batch])
    doctor.close()
    assert not doctor.broken, doctor.broken
    return doctor


def alarms(doctor: Doctor) -> list[str]:
    return [each.name for each in doctor.findings if each.severity != "note"]


class Crowd(nn.Module):
    """Three networks at once."""

    def __init__(self) -> None:
        super().__init__()
        members = [network(1) for _ in range(3)]
        self.pattern = [members[0]]
        weights, _ = stack_module_state(members)  # type: ignore[arg-type]
        self.weights = nn.ParameterDict({name.replace(".", "_"): nn.Parameter(each) for name, each in weights.items()})

    def forward(self, x: Tensor) -> Tensor:
        def one(weights: dict[str, Tensor]) -> Tensor:
            return functional_call(self.pattern[0], weights, (x,)).squeeze(1)

        return torch.vmap(one)({name.replace("_", "."): each for name, each in self.weights.items()})


def test_networks_that_run_at_once_are_watched_to_the_end() -> None:
    model = Crowd()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    doctor = train(model, optimizer, lambda model, x, y: (model(x) - y).square().mean(), steps=60)
    assert len(doctor.record.get("loss")) == 60 and alarms(doctor) == []


def test_weights_of_a_loss_that_the_optimizer_holds_are_no_strangers() -> None:
    model, centres = network(6), nn.Parameter(torch.randn(4, 6))

    def angles(places: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(8 * F.normalize(places) @ F.normalize(centres).T, target)

    def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return angles(model(x), (y > 0).long() + 2 * (x[:, 2] > 0).long())

    known = torch.optim.Adam([*model.parameters(), centres], 3e-3)
    x, y = rows()
    doctor = Doctor(model, known, angles)
    for step in range(150):
        batch = slice(64 * (step % 16), 64 * (step % 16) + 64)
        target = (y[batch] > 0).long() + 2 * (x[batch, 2] > 0).long()
        known.zero_grad()
        loss = angles(model(x[batch]), target)
        loss.backward()
        known.step()
        doctor.watch(loss, x[batch], target)
    doctor.close()
    assert "disconnected-parameters" not in alarms(doctor)


def test_grades_are_scores_of_what_lies_below_not_of_classes() -> None:
    x, y = rows()
    grade = torch.bucketize(y, torch.tensor([-1.0, -0.3, 0.3, 1.0]))

    class Graded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.cuts = network(1), nn.Parameter(torch.tensor([-1.5, -0.5, 0.5, 1.5]))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) - self.cuts

    def likelihood(scores: Tensor, grade: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, (grade[:, None] > torch.arange(4)).float())

    model = Graded()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, likelihood)
    for step in range(120):
        batch = slice(64 * (step % 16), 64 * (step % 16) + 64)
        optimizer.zero_grad()
        loss = likelihood(model(x[batch]), grade[batch])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], grade[batch])
    doctor.close()
    assert "gradient-ascent" not in alarms(doctor)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_what_guessing_costs_is_that_of_the_best_constant(share: float) -> None:
    """Of a pinball loss the best constant is the quantile: Koenker and Bassett 1978."""

    def pinball(answer: Tensor, target: Tensor) -> Tensor:
        apart = target - answer.squeeze(1)
        return torch.maximum(share * apart, (share - 1) * apart).mean()

    model, (x, y) = network(1), rows(256)
    patient = Patient(
        model,
        {"": torch.optim.SGD(model.parameters(), 0.1)},
        lambda model, batch, player: pinball(model(batch[0]), batch[1]),
    )
    facts: dict[str, Any] = {}
    trial = run_trial(patient, collect(patient, [(x, y)]), facts)
    best = float(pinball(y.quantile(share).expand(256, 1), y))
    assert guess_of(trial) == pytest.approx(best, rel=0.02)
    assert facts["prior loss"] == pytest.approx(best, rel=0.02)


def test_a_loss_that_a_usual_one_comes_near_by_chance_is_not_taken_for_it() -> None:
    model = network(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    near = train(model, optimizer, lambda model, x, y: 1.0005 * F.mse_loss(model(x).squeeze(1), y), steps=20)
    assert near.patient is not None and near.patient.loss_of is None
    model = network(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    same = train(model, optimizer, lambda model, x, y: F.mse_loss(model(x).squeeze(1), y), steps=20)
    assert same.patient is not None and same.patient.loss_of is not None


class Cut(nn.Module):
    """Two networks, of which the first may be cut off."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.first, self.second, self.cut = network(8), network(1), cut

    def forward(self, x: Tensor) -> Tensor:
        code = self.first(x)
        return self.second(x + (code.detach() if self.cut else code)).squeeze(1)


def odd(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """A loss that no usual one is, so that no copy can make it."""
    return (model(x) - y).abs().pow(1.5).mean()


def test_weights_that_no_gradient_reaches_are_told_without_a_loss() -> None:
    for cut in (True, False):
        model = Cut(cut)
        doctor = train(model, torch.optim.Adam(model.parameters(), 3e-3), odd)
        assert ("disconnected-parameters" in alarms(doctor)) is cut


@pytest.mark.parametrize("handed", [True, False])
def test_layers_freed_in_the_midst_belong_to_an_optimizer(handed: bool) -> None:
    model, (x, y) = network(1), rows()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), 0.05)
    doctor = Doctor(model, optimizer, F.mse_loss)
    for step in range(160):
        if step == 60:
            model[0].requires_grad_(True)
            if handed:
                optimizer.add_param_group({"params": list(model[0].parameters())})
        batch = slice(64 * (step % 16), 64 * (step % 16) + 64)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x[batch]), y[batch, None])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], y[batch, None])
    doctor.close()
    assert ("disconnected-parameters" in alarms(doctor)) is not handed


class Spikes(nn.Module):
    """A network that draws its inputs by their own odds, or leaves units out by hand."""

    def __init__(self, dropping: bool) -> None:
        super().__init__()
        self.body, self.dropping = network(2), dropping

    def forward(self, x: Tensor) -> Tensor:
        drawn = x * torch.bernoulli(torch.full_like(x, 0.5)) if self.dropping else torch.bernoulli(x.sigmoid())
        return self.body(drawn)


def test_spikes_drawn_by_their_odds_are_no_dropout() -> None:
    x, y = rows(256)
    for dropping in (True, False):
        model = Spikes(dropping)
        patient = Patient(
            model,
            {"": torch.optim.SGD(model.parameters(), 0.1)},
            lambda model, batch, player: F.cross_entropy(model(batch[0]), batch[1]),
        )
        trial = run_trial(patient, collect(patient, [(x, (y > 0).long())]), {})
        assert (wrong_train_eval_mode(trial) is not None) is dropping


def test_batches_that_hold_all_kinds_in_turn_are_shuffled_enough() -> None:
    blocks = torch.arange(4).repeat_interleave(16)
    x = torch.randn(64, 3)
    made = Sample([x.repeat(6, 1)], blocks.repeat(6), sizes=[64] * 6)
    assert data_not_shuffled(made, {"classes": 4}) is None
    ordered = Sample([x.repeat(6, 1)], torch.arange(4).repeat_interleave(96), sizes=[64] * 6)
    assert data_not_shuffled(ordered, {"classes": 4}) is not None
    begun = Sample([x.repeat(6, 1)], torch.zeros(384, dtype=torch.long), sizes=[64] * 6)
    assert data_not_shuffled(begun, {"classes": 4}) is not None


def test_words_that_move_far_while_the_loss_falls_are_at_no_rate_too_high() -> None:
    torch.manual_seed(0)
    table, true = nn.Embedding(200, 16), torch.randn(200, 4)
    nn.init.normal_(table.weight, std=0.01)
    optimizer = torch.optim.Adagrad(table.parameters(), 0.1)
    doctor = Doctor(table, optimizer)
    for _ in range(200):
        one, other = torch.randint(200, (2, 256))
        wanted = (true[one] * true[other]).sum(1)
        optimizer.zero_grad()
        loss = ((table(one) * table(other)).sum(1) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        doctor.watch(loss)
    doctor.close()
    assert alarms(doctor) == []


def test_answers_of_other_rows_are_told_where_nothing_is_learned() -> None:
    for shuffled in (True, False):
        model, (x, y) = network(1), rows(8192)
        y = y[torch.randperm(len(y))] if shuffled else y
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        doctor = Doctor(model, optimizer, lambda answer, target: F.mse_loss(answer.squeeze(1), target))
        torch.manual_seed(0)
        for _ in range(330):
            batch = torch.randint(len(x), (256,))
            optimizer.zero_grad()
            loss = F.mse_loss(model(x[batch]).squeeze(1), y[batch])
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[batch], y[batch])
        doctor.close()
        assert alarms(doctor)[:1] in (["plateau"], ["label-noise"]) if shuffled else alarms(doctor) == []


def test_of_losses_below_zero_the_lower_one_is_better() -> None:
    own, other = Twin([-135.0, -141.0]), Twin([-135.0, -134.0])
    assert not other.far_below(own) and not own.far_below(other)
    assert Twin([-135.0, -180.0]).far_below(own)


@pytest.mark.parametrize("turned", [True, False])
def test_a_loss_without_a_bottom_is_told(turned: bool) -> None:
    """A likelihood of normal errors falls ever more slowly below zero; with the spread turned round it falls on."""
    model = network(2)
    sign = -1.0 if turned else 1.0

    def likelihood(answer: Tensor, target: Tensor) -> Tensor:
        mean, spread = answer.unbind(1)
        return (sign * spread + (target - mean).square() * (-2 * spread).exp() / 2).mean()

    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    x, _ = rows()
    doctor = Doctor(model, optimizer, likelihood)
    for step in range(200):
        batch = slice(64 * (step % 16), 64 * (step % 16) + 64)
        optimizer.zero_grad()
        loss = likelihood(model(x[batch]), 0.1 * x[batch, 0])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[batch], 0.1 * x[batch, 0])
    doctor.close()
    assert (alarms(doctor)[:1] == ["gradient-ascent"]) is turned, alarms(doctor)
