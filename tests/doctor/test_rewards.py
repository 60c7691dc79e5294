"""Losses that reward wrong answers or ask for none, and the many that are sound; scores that are made larger."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor.finding import CannotJudge
from trainwell.doctor.head_check import wrong_initial_loss
from trainwell.doctor.patient import from_loop
from trainwell.doctor.reward_check import Rewards, rewards
from trainwell.doctor.sample import collect
from trainwell.doctor.trial import Trial, run_trial
from trainwell.tasks.likeness import added_angle
from trainwell.tasks.ordinal import conditional


def overlap(output: Tensor, target: Tensor) -> Tensor:
    """The share of chances and answers that overlaps: a score."""
    chances, answers = output.softmax(1), F.one_hot(target, output.shape[1]).float()
    return (2 * (chances * answers).sum() / (chances.sum() + answers.sum())).mean()


def asked(loss: Any, output: Tensor, target: Tensor, rest: tuple[Tensor, ...] = ()) -> Rewards | None:
    """What is found of a loss on these answers of a network."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Any:
            return (output * self.weight, *rest) if rest else output * self.weight

    model = Network()
    patient = from_loop(model, SGD(model.parameters(), 0.1), loss)
    sample = collect(patient, [(torch.zeros(len(target), 1), target)])
    return rewards(run_trial(patient, sample, {}))


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def correlation(output: Tensor, target: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([output[:, 0], target[:, 0]]))[0, 1]


CLASSES = drawn(30, 3), torch.arange(30) % 3
SOUND = {
    "cross-entropy": (F.cross_entropy, *CLASSES),
    "cross-entropy less two": (lambda o, y: F.cross_entropy(o, y) - 2, *CLASSES),
    "one less the overlap": (lambda o, y: 1 - overlap(o, y), *CLASSES),
    "less the overlap": (lambda o, y: -overlap(o, y), *CLASSES),
    "margins": (F.multi_margin_loss, *CLASSES),
    "chances and their logarithm": (lambda o, y: F.nll_loss(o.log(), y), drawn(30, 3).softmax(1), CLASSES[1]),
    "places in a picture": (F.cross_entropy, drawn(9, 3, 4, 5), torch.arange(180).reshape(9, 4, 5) % 3),
    "steps of a text": (
        lambda o, y: F.cross_entropy(o.flatten(0, 1), y.flatten()),
        drawn(9, 4, 3),
        torch.arange(36).reshape(9, 4) % 3,
    ),
    "left out": (F.cross_entropy, drawn(30, 3), torch.where(torch.arange(30) % 4 > 0, torch.arange(30) % 3, -100)),
    "squares": (F.mse_loss, drawn(40, 2), drawn(2, 40).T),
    "absolutes": (F.l1_loss, drawn(40, 1), drawn(1, 41)[:, 1:].T),
    "two classes": (F.binary_cross_entropy_with_logits, drawn(40), (torch.arange(40) % 2).float()),
    "less the correlation": (lambda o, y: -correlation(o, y), drawn(40, 1), drawn(2, 40).T[:, :1] ** 2),
}
TURNED = {
    "the overlap": (overlap, *CLASSES),
    "cross-entropy, negated": (lambda o, y: -F.cross_entropy(o, y), *CLASSES),
    "chances without a minus": (lambda o, y: o.softmax(1).gather(1, y[:, None]).mean(), *CLASSES),
    "the correlation": (lambda o, y: correlation(o, y), drawn(40, 1), drawn(2, 40).T[:, :1]),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_losses_are_lower_for_better_answers(name: str):
    found = asked(*SOUND[name])
    assert found is not None
    assert found.better < found.worse and not found.turned and not found.blind


@pytest.mark.parametrize("name", TURNED)
def test_scores_without_their_minus_are_told(name: str):
    found = asked(*TURNED[name])
    assert found is not None and found.turned


def test_squares_of_all_pairs_ask_for_no_row_s_own_answer():
    by_hand = asked(lambda o, y: ((o - y[:, 0]) ** 2).mean(), drawn(40, 1), drawn(2, 40).T[:, :1])
    assert by_hand is not None and by_hand.blind
    right = asked(lambda o, y: ((o - y) ** 2).mean(), drawn(40, 1), drawn(2, 40).T[:, :1])
    assert right is not None and not right.blind


def test_codes_that_are_compared_with_each_other_are_not_judged():
    def apart(o: Tensor, y: Tensor) -> Tensor:
        near = torch.cdist(o, o)
        return (near * (y[:, None] == y)).mean() - near.mean()

    assert asked(apart, drawn(30, 8), CLASSES[1]) is None


def test_answers_in_several_parts_keep_the_others():
    told = asked(lambda o, y: F.cross_entropy(o[0], y) + o[1].square().mean(), *CLASSES, rest=(drawn(30, 2),))
    assert told is not None and told.better < told.worse


def test_a_loss_that_asks_for_more_than_answers_is_left_alone():
    model = mlp(4, 8, 3)
    patient = from_loop(model, SGD(model.parameters(), 0.1), lambda o, y: F.cross_entropy(o, y))
    trial = run_trial(patient, collect(patient, [(drawn(30, 4), CLASSES[1])]), {})
    patient.loss_of = lambda network, batch, player: network[0](batch[0]).mean()  # no such layer in what only answers
    assert rewards(trial) is None


def test_a_score_is_made_larger_and_treated_as_one():
    """A loop that makes its overlap smaller: named before it costs a step, and what follows judges the right way."""
    rate = {"optimizer": lambda model: Adam(model.parameters(), 3e-3), "evaluations": 40}
    doctor, model, _ = Loop(loss=overlap, **rate).run("treat")
    assert doctor is not None and not doctor.broken
    assert [each.name for each in doctor.findings if each.severity != "note"] == ["gradient-ascent"]
    assert doctor.history[0]["step"] <= 1 and "negated" in doctor.history[0]["change"]
    _, _, x, y = digits()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9
    sound, _, _ = Loop(loss=lambda o, y: -overlap(o, y), **rate).run("watch")
    assert sound is not None and not [each.name for each in sound.findings if each.severity != "note"]


def test_a_constant_taken_off_a_loss_is_no_turned_sign():
    doctor, _, losses = Loop(loss=lambda o, y: F.cross_entropy(o, y) - 2).run("treat")
    _, _, alone = Loop(loss=lambda o, y: F.cross_entropy(o, y) - 2).run(None)
    assert doctor is not None and not doctor.history and losses == alone


class Cosines(nn.Module):
    """The cosines between features and a direction for each class, times a number. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.body, self.directions, self.times = mlp(64, 64, 32), nn.Parameter(torch.randn(10, 32)), times

    def forward(self, x: Tensor) -> Tensor:
        return self.times * F.normalize(self.body(x), dim=1) @ F.normalize(self.directions, dim=1).T


def test_cosines_given_to_cross_entropy_are_told_and_multiplied():
    doctor, _, _ = Loop(model=lambda: Cosines(1.0)).run("treat")
    assert doctor is not None and [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"]
    assert doctor.history[0]["change"].startswith("the scores multiplied by 16")
    scaled, _, _ = Loop(model=lambda: Cosines(6.0)).run("watch")
    assert scaled is not None and not scaled.findings


class Directions(NamedTuple):
    """What a network that tells likeness gives: where a row lies, and how near each class is."""

    place: Tensor
    cosine: Tensor


def begun(network: nn.Module, loss: Any) -> Trial:
    x, y, _, _ = digits()
    patient = from_loop(network, SGD(network.parameters(), 0.1), loss)
    return run_trial(patient, collect(patient, [(x[:256], y[:256])]), {})


class Near(nn.Module):
    def __init__(self, loud: float) -> None:
        super().__init__()
        self.body, self.loud = mlp(64, 32, 10), loud

    def forward(self, x: Tensor) -> Directions:
        scores = self.body(x) * self.loud
        return Directions(scores, scores / (1 + scores.abs()))


def margin(output: Directions, target: Tensor) -> Tensor:
    own = F.one_hot(target, 10).bool()
    return F.cross_entropy(torch.where(own, added_angle(output.cosine, 0.3), output.cosine) * 32, target)


def steps_up(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(conditional(output.tile(1, 4)), target * 4)


@pytest.mark.parametrize(("network", "loss"), [(lambda: Near(0.1), margin), (lambda: mlp(64, 32, 10), steps_up)])
def test_a_loss_that_begins_high_by_itself_is_no_fault_of_the_head(network, loss):
    torch.manual_seed(0)
    with pytest.raises(CannotJudge, match="scores of zero cost"):
        wrong_initial_loss(begun(network(), loss))


def test_a_loud_head_is_told_however_it_answers():
    torch.manual_seed(0)
    by_name = begun(Near(60.0), lambda output, target: F.cross_entropy(output.place, target))
    plain = begun(nn.Sequential(mlp(64, 32, 10), Louder()), F.cross_entropy)
    for trial in (by_name, plain):
        finding = wrong_initial_loss(trial)
        assert finding is not None and "scores are too large" in finding.cause


class Louder(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 60 * x
