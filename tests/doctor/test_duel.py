"""Two players that have gone apart in a hand-written loop: brought together in place, and healthy pairs left alone."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp

from trainwell.doctor import Doctor, players
from trainwell.doctor.aftercare import Before, improved, samples_worse
from trainwell.doctor.duel import _saturating, mend_players, slow_winner
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import from_loop
from trainwell.doctor.play import Play
from trainwell.doctor.remedy import Chart
from trainwell.doctor.series import Record

STEPS = 700
FAULT = Finding("one-player-wins", "discriminator", "warn", "", "", 0.75, 0, statistic={"distance": 0.5})


def blobs(rows: int, chance: torch.Generator) -> Tensor:
    """One tilted cloud off the middle: (rows, 4)."""
    return torch.randn(rows, 4, generator=chance).cumsum(1) + torch.tensor([2.0, -1.0, 0.0, 1.0])


def duel(
    mode: str | None,
    rates: tuple[float, float] = (1e-3, 1e-3),
    noise: float = 1.0,
    turns: int = 1,
    fading: bool = False,
) -> tuple[Doctor | None, float, nn.ModuleDict]:
    """rates: of generator and discriminator. The doctor, how far samples lie in the end, and both players."""
    torch.manual_seed(0)
    chance, drawn = (torch.Generator().manual_seed(each) for each in (1, 2))
    parts = nn.ModuleDict({"generator": mlp(8, 64, 64, 4), "discriminator": mlp(4, 64, 64, 1)})
    maker, judge = parts["generator"], parts["discriminator"]
    makes, judges = (
        torch.optim.Adam(each.parameters(), rate, betas=(0.5, 0.9))
        for each, rate in zip((maker, judge), rates, strict=True)
    )
    told = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
    doctor = Doctor(parts, {"generator": makes, "discriminator": judges}, mode=mode) if mode else None
    for step in range(STEPS):
        real = blobs(64, drawn)
        loss = told(judge(real), ones) + told(judge(maker(noise * torch.randn(64, 8, generator=drawn)).detach()), zeros)
        judges.zero_grad()
        loss.backward()
        judges.step()
        for _ in range(turns):
            answers = judge(maker(noise * torch.randn(64, 8, generator=drawn)))
            own = told(answers, ones)
            makes.zero_grad()
            own.backward()
            makes.step()
        if doctor is not None:
            doctor.watch({"generator": own, "discriminator": loss})
            if step % 25 == 24:
                with torch.no_grad():
                    doctor.generated(maker(noise * torch.randn(256, 8, generator=chance)), blobs(256, chance))
    if doctor is not None:
        doctor.close()
        assert not doctor.broken, doctor.broken
    with torch.no_grad():
        return (
            doctor,
            players.sample_distance(maker(noise * torch.randn(256, 8, generator=chance)), blobs(256, chance)),
            parts,
        )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"rates": (1e-5, 5e-3)}, "learning rates brought together: generator from 1e-05 to 0.001"),
        ({"noise": 0.02}, "the noise of generator times"),
        ({"turns": 6}, "one of 6 turns that generator takes"),
    ],
)
def test_players_that_have_gone_apart_are_brought_together(fault, words):
    doctor, reached, _ = duel("treat", **fault)
    assert [each.cured for each in doctor.findings if each.severity != "note"] == [True], str(doctor)
    assert (
        words in doctor.history[0]["change"] and "averaged" in doctor.history[-1]["change"] and len(doctor.history) == 2
    )
    assert reached < 0.1  # without a doctor 0.7, 1.3 and 1.4


@pytest.mark.parametrize(("mode", "turns"), [("treat", 1), ("ask", 6)])
def test_a_healthy_pair_and_one_that_is_only_asked_about_learn_as_if_nobody_looked(mode, turns):
    doctor, _, parts = duel(mode, turns=turns)
    assert not doctor.history and [each.name for each in doctor.findings] == (["one-player-wins"] if turns > 1 else [])
    assert turns == 1 or "one of 6 turns" in doctor.findings[0].remedy
    _, _, alone = duel(None, turns=turns)
    assert all(torch.equal(one, other) for one, other in zip(parts.parameters(), alone.parameters(), strict=True))


def test_a_loss_that_fades_for_the_generator_is_known_by_its_gradient():
    torch.manual_seed(0)
    answers = torch.randn(64, 1).sub(3).requires_grad_()
    zeros, ones = torch.zeros(64, 1), torch.ones(64, 1)
    score, share = F.binary_cross_entropy_with_logits, F.binary_cross_entropy
    for loss, fades in ((-score(answers, zeros), True), (score(answers, ones), False), (-answers.mean(), False)):
        (gradient,) = torch.autograd.grad(loss, answers)
        assert _saturating(answers.detach(), gradient) == fades
    shares = answers.detach().sigmoid().requires_grad_()
    for loss, fades in ((-share(shares, zeros), True), (share(shares, ones), False), (share(shares, zeros), False)):
        (gradient,) = torch.autograd.grad(loss, shares)
        assert _saturating(shares.detach(), gradient) == fades


def pair() -> tuple[nn.ModuleDict, Chart]:
    torch.manual_seed(0)
    parts = nn.ModuleDict({"generator": mlp(8, 16, 4), "discriminator": mlp(4, 16, 1)})
    optimizers = {name: torch.optim.Adam(each.parameters(), 1e-3) for name, each in parts.items()}
    patient = from_loop(parts, optimizers, None)
    patient.play = Play(noise={"generator": 1.0})
    return parts, Chart(patient, None, {}, False)


def pull(parts: nn.ModuleDict, fading: bool) -> Tensor:
    """The gradient at the generator's first weights."""
    parts.zero_grad()
    answers = parts["discriminator"](parts["generator"](torch.ones(4, 8).cumsum(0)))
    told = F.binary_cross_entropy_with_logits
    (-told(answers, torch.zeros(4, 1)) if fading else told(answers, torch.ones(4, 1))).backward()
    return parts["generator"][0].weight.grad.clone()


def test_the_gradient_of_a_loss_that_fades_is_made_that_of_one_that_does_not_and_comes_off_again():
    parts, chart = pair()
    wanted, fading = pull(parts, False), pull(parts, True)
    chart.patient.play.saturates["discriminator"] = True
    before = Before.of(chart.patient, chart, {}, 0)
    assert "-log D(fake)" in mend_players(chart, FAULT)
    assert torch.allclose(pull(parts, True), wanted, rtol=1e-4, atol=1e-8)
    assert torch.equal(pull(parts, False), wanted)  # of a loss that is right already
    assert before.fits(chart.patient, chart)
    before.put_back(chart.patient, chart)
    assert torch.equal(pull(parts, True), fading)


def test_what_nothing_is_seen_to_be_wrong_with_is_not_mended_but_its_winner_slowed():
    _, chart = pair()
    assert mend_players(chart, FAULT) is None
    assert "discriminator divided by 3" in slow_winner(chart, FAULT)
    rates = [each.param_groups[0]["lr"] for each in chart.patient.optimizers.values()]
    assert rates == pytest.approx([1e-3, 1e-3 / 3])


def test_a_player_with_several_turns_sits_out_all_but_one():
    play = Play(mended=frozenset({"turns"}), rounds={"generator": 6.0, "discriminator": 1.0})
    assert [play.may_step("generator") for _ in range(12)] == 2 * [False, False, False, False, False, True]
    assert all(play.may_step("discriminator") for _ in range(3))


def test_a_cure_of_two_players_is_judged_by_their_samples():
    record = Record()
    for step, distance in enumerate([0.5, 0.4, 0.2, 0.2, 0.2]):
        record.add(step, "sample distance", "", distance)
    assert improved(record, FAULT, 1.0, 5.0) and not samples_worse(record, FAULT)
    for step in range(3):
        record.add(step, "sample distance", "", 0.9)
    assert not improved(record, FAULT, 1.0, 0.1) and samples_worse(record, FAULT)
