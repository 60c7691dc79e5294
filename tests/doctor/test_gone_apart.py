"""Two players heard pass by pass: told early, rounds taken again, wires mended; healthy pairs of other kinds silent."""

import copy
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp

from trainwell.doctor import Doctor
from trainwell.doctor.answers_pulled import pull_of
from trainwell.doctor.averaged import Averaged
from trainwell.doctor.finding import Finding
from trainwell.doctor.play import Play
from trainwell.doctor.rounds_again import take_rounds

BCE = F.binary_cross_entropy_with_logits


def ring(rows: int) -> Tensor:
    """Eight heaps on a circle: (rows, 2)."""
    angle = torch.randint(8, (rows,)) * math.pi / 4
    return torch.stack([angle.cos(), angle.sin()], 1) * 2 + 0.05 * torch.randn(rows, 2)


def wants(answers: Tensor, answer: float) -> Tensor:
    return BCE(answers, torch.full_like(answers, answer))


LOSSES = {
    "scores": (lambda real, made: wants(real, 1) + wants(made, 0), lambda made: wants(made, 1)),
    "squares": (
        lambda real, made: (real - 1).square().mean() + made.square().mean(),
        lambda a: (a - 1).square().mean(),
    ),
    "hinge": (lambda real, made: F.relu(1 - real).mean() + F.relu(1 + made).mean(), lambda made: -made.mean()),
    "critic": (lambda real, made: made.mean() - real.mean(), lambda made: -made.mean()),
    "found out": (lambda real, made: wants(real, 1) + wants(made, 0), lambda made: wants(made, 0)),
    "squashed": (
        lambda real, made: wants(real.sigmoid(), 1) + wants(made.sigmoid(), 0),
        lambda made: wants(made.sigmoid(), 1),
    ),
}


class Game:
    """A pair on the ring, told to a doctor; `turn` plays one round."""

    def __init__(
        self, loss: str = "scores", rates: tuple[float, float] = (1e-3, 1e-3), mode: str = "watch", numbers: int = 4,
        cut: bool = False, bytes_of_real: bool = False, critic_turns: int = 1, bounded: bool = False,
    ) -> None:  # fmt: skip
        torch.manual_seed(0)
        self.judged, self.made = LOSSES[loss]
        self.cut, self.critic_turns, self.numbers, self.clip = cut, critic_turns, numbers, loss == "critic"
        self.scale = 100.0 if bytes_of_real else 0.25
        maker = mlp(numbers, 32, 32, 2)
        self.parts = nn.ModuleDict(
            {"maker": nn.Sequential(maker, nn.Tanh()) if bounded else maker, "judge": mlp(2, 32, 32, 1)}
        )
        self.optimizers = {
            name: torch.optim.Adam(part.parameters(), rate, betas=(0.5, 0.9))
            for (name, part), rate in zip(self.parts.items(), rates, strict=True)
        }
        self.doctor = Doctor(self.parts, self.optimizers, mode=mode)
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def round(self, told: bool = True) -> None:
        maker, judge = self.parts["maker"], self.parts["judge"]
        for _ in range(self.critic_turns):
            rows, noise, own = self.scale * ring(32), torch.randn(32, self.numbers), torch.randn(32, self.numbers)
            self.batches.append((rows, noise, own))
            loss = self.judged(judge(rows), judge(maker(noise).detach()))
            self.optimizers["judge"].zero_grad()
            loss.backward()
            self.optimizers["judge"].step()
            if self.clip:
                for weight in judge.parameters():
                    weight.data.clamp_(-0.1, 0.1)
        fake = maker(own)
        answer = self.made(judge(fake.detach() if self.cut else fake))
        self.optimizers["maker"].zero_grad()
        answer.backward()
        self.optimizers["maker"].step()
        if told:
            self.doctor.watch({"maker": answer, "judge": loss})

    def play(self, rounds: int) -> Doctor:
        for _ in range(rounds):
            self.round()
        assert not self.doctor.broken, self.doctor.broken
        return self.doctor


def named(doctor: Doctor) -> list[str]:
    return [each.name for each in doctor.findings if each.severity != "note"]


@pytest.mark.parametrize(
    ("loss", "form", "wanted"),
    [
        (lambda a: wants(a, 0.9), "scores", 0.9),
        (lambda a: -wants(a, 0.0), "scores", 0.0),
        (lambda a: (a - 1).square().mean(), "squares", 1.0),
        (lambda a: F.binary_cross_entropy(a.sigmoid(), torch.ones_like(a)), "scores", 1.0),
        (lambda a: wants(a.sigmoid(), 1.0), "shares taken for scores", 1.0),
    ],
)
def test_what_a_loss_wants_of_answers_is_read_off_its_gradient(loss, form, wanted):
    torch.manual_seed(0)
    answers = torch.randn(64, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(answers), answers)
    pull = pull_of(answers, gradient)
    assert pull is not None and pull.form == form and pull.wanted == pytest.approx(wanted, abs=1e-4)
    assert torch.allclose(pull.slope(answers.detach()), gradient, atol=1e-6)
    assert pull.value(answers.detach()) == pytest.approx(loss(answers).item(), rel=1e-4)


@pytest.mark.parametrize("loss", [lambda a: -a.mean(), lambda a: F.relu(1 - a).mean(), lambda a: a.pow(4).mean()])
def test_what_no_known_loss_wants_is_taken_for_none(loss):
    torch.manual_seed(0)
    answers = torch.randn(64, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(answers), answers)
    assert pull_of(answers, gradient) is None


def test_answers_far_out_are_not_taken_for_squashed_ones():
    torch.manual_seed(0)
    for offset, wanted in ((9.0, 1.0), (-9.0, 0.0)):
        answers = torch.randn(64, 1).add(offset).requires_grad_()
        (gradient,) = torch.autograd.grad(wants(answers, wanted), answers)
        pull = pull_of(answers, gradient)
        assert pull is None or pull.form == "scores"


def test_shares_are_told_from_scores():
    torch.manual_seed(0)
    shares = torch.rand(64, 1).mul(0.8).add(0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(F.binary_cross_entropy(shares, torch.full_like(shares, 0.9)), shares)
    pull = pull_of(shares, gradient)
    assert pull is not None and pull.form == "shares" and pull.wanted == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(
    ("fault", "name", "by"),
    [
        ({"rates": (5e-2, 1e-3)}, "one-player-wins", 20),
        ({"rates": (1e-3, 1e-7)}, "one-player-wins", 70),
        ({"loss": "found out"}, "one-player-wins", 60),
        ({"loss": "squashed"}, "loss-head-mismatch", 20),
        ({"cut": True}, "disconnected-parameters", 30),
        ({"bytes_of_real": True, "bounded": True}, "input-not-normalized", 20),
        ({"numbers": 1}, "mode-collapse", 20),
        ({"rates": (0.3, 0.3)}, "learning-rate-too-high", 80),
    ],
)
def test_what_keeps_two_players_from_learning_is_told_before_any_sample_is_shown(fault, name, by):
    doctor = Game(**fault).play(by)
    assert named(doctor)[:1] == [name], str(doctor)


@pytest.mark.parametrize(
    "pair",
    [
        {}, {"loss": "squares"}, {"loss": "hinge"}, {"loss": "critic", "rates": (5e-4, 5e-4)}, {"bounded": True},
        {"rates": (2e-4, 8e-4)}, {"critic_turns": 5}, {"rates": (1e-4, 1e-3)},
    ],
)  # fmt: skip
def test_pairs_of_any_usual_kind_are_left_alone(pair):
    doctor = Game(**pair).play(250)
    assert not named(doctor), str(doctor)
    assert len(doctor.record.get("heard distance")) > 10


def test_rounds_taken_again_are_those_of_the_loop():
    game = Game(mode="treat")
    game.play(30)
    play = game.doctor.patient.play
    assert play.explained and play.round == ["judge", "maker"]
    twin = Game()
    twin.parts.load_state_dict(game.parts.state_dict())
    for (name, one), other in zip(twin.optimizers.items(), game.optimizers.values(), strict=True):
        one.load_state_dict(copy.deepcopy(other.state_dict()))
        assert name in game.optimizers
    noise = [each for _, *both in game.batches for each in both]
    play.real.clear()
    play.real.extend(rows for rows, _, _ in game.batches[:6])
    play.noises.clear()
    play.noises.extend(noise[:12])
    game.doctor.retake.under_way = True
    assert take_rounds(game.doctor.patient, 6) == 6
    with pytest.MonkeyPatch.context() as patch:
        shown = iter([each for batch in game.batches[:6] for each in batch])
        patch.setattr(sys.modules[__name__], "ring", lambda rows: next(shown) / twin.scale)
        patch.setattr(torch, "randn", lambda *size: next(shown))
        for _ in range(6):
            twin.round(told=False)
    for one, other in zip(twin.parts.parameters(), game.parts.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_no_round_is_taken_again_where_more_than_the_answers_is_paid_for():
    game = Game("critic", mode="treat")
    game.play(30)
    before = [each.clone() for each in game.parts.parameters()]
    assert take_rounds(game.doctor.patient, 10) == 0
    assert all(torch.equal(one, other) for one, other in zip(before, game.parts.parameters(), strict=True))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"loss": "found out"}, "wants its rows to be taken for real"),
        ({"loss": "squashed"}, "without the loop's sigmoid"),
        ({"cut": True}, "with their graph"),
        ({"bytes_of_real": True, "bounded": True}, "brought from"),
    ],
)
def test_what_is_wrong_between_the_parts_is_mended_and_the_steps_are_made_up_for(fault, words):
    doctor = Game(**fault, mode="treat").play(40)
    change = doctor.history[0]["change"]
    assert words in change and ("made up for" in change or "bytes_of_real" in fault)
    distance = Game(**fault, mode="treat").play(600).record.get("heard distance")
    alone = Game(**fault).play(600).record.get("heard distance")
    assert distance.last(3).mean() < 0.7 * alone.last(3).mean()


def test_a_mended_pull_is_that_of_the_loss_that_is_meant():
    game = Game("found out", mode="treat")
    game.play(40)
    parts, noise = game.parts, torch.randn(16, 4)
    parts.zero_grad()
    wants(parts["judge"](parts["maker"](noise)), 0).backward()
    mended = [each.grad.clone() for each in parts["maker"].parameters()]
    game.doctor.patient.play.mended = frozenset()
    parts.zero_grad()
    wants(parts["judge"](parts["maker"](noise)), 1).backward()
    wanted = [each.grad for each in parts["maker"].parameters()]
    # as heavy as for the batches of 32 that it was read from
    assert all(torch.allclose(2 * one, other, rtol=1e-3, atol=1e-7) for one, other in zip(mended, wanted, strict=True))


@pytest.mark.parametrize("better", [True, False])
def test_an_average_takes_the_weights_place_unless_it_does_worse(better):
    game = Game(mode="treat")
    game.play(30)
    doctor, averaged = game.doctor, Averaged()
    averaged.begin(doctor, Finding("one-player-wins", "judge", "warn", "", "", 0.8))
    doctor.history.append({"step": 30, "change": "", "reason": "", "finding": "one-player-wins"})
    averaged.add(doctor.patient)
    kept = [each.clone() for each in game.parts["maker"].parameters()]
    spoil = averaged.mean.values() if not better else game.parts["maker"].state_dict().values()
    for each in spoil:
        each.mul_(30)
    averaged.settle(doctor)
    assert len(doctor.history) == (2 if better else 1)
    assert all(torch.equal(one, other) for one, other in zip(kept, game.parts["maker"].parameters(), strict=True))


def test_the_batches_that_are_kept_for_lost_rounds_are_counted_as_the_doctors_own():
    play = Play()
    play.keep(play.real, torch.zeros(10, 10), True)
    play.keep(play.noises, torch.zeros(10, 4), True)
    assert play.bytes == 4 * (100 + 40)
