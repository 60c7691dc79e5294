"""Two players: how far samples lie from real rows, which of both is told apart, and a generator that hears nothing."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp

from trainwell.doctor import Doctor, players
from trainwell.doctor.aftercare import harmed
from trainwell.doctor.finding import Finding
from trainwell.doctor.series import Record


def test_samples_of_the_same_source_lie_at_no_distance():
    torch.manual_seed(0)
    real, same = torch.randn(2, 256, 6)
    assert players.sample_distance(same, real) == pytest.approx(0, abs=0.03)
    assert players.sample_distance(torch.zeros(256, 6), real) > 0.3
    assert players.sample_distance(same + 3, real) > 1


def test_a_discriminator_is_known_by_its_one_number_a_row():
    torch.manual_seed(0)
    parts = nn.ModuleDict({"generator": mlp(4, 8, 4), "discriminator": nn.Sequential(nn.Linear(4, 1), nn.Dropout(0.5))})
    real = torch.randn(100, 4)
    fake = real - 5 * parts["discriminator"][0].weight.detach()
    shapes = mlp(3, 8, 1)
    chance = torch.get_rng_state()
    assert players.told_apart(parts, fake, real) > 0.9
    assert players.told_apart(parts, real, fake) < 0.1
    assert players.told_apart(shapes, fake, real) is None  # which takes no such rows
    assert parts["discriminator"].training and torch.get_rng_state().equal(chance)


def record(distances: list[float], told: float, loss: float) -> Record:
    made = Record()
    made.facts["players"] = 2
    for step in range(1, 601):
        made.add(step, "loss", "", 1.0)
        made.add(step, "player loss", "discriminator", loss * (1.05 if step % 2 else 0.95 if loss < 1 else 1.05))
        made.add(step, "player loss", "generator", 3.0)
        if step % 50 == 0:
            made.add(step, "sample spread", "", 0.8)
            made.add(step, "sample distance", "", distances[step // 50 - 1])
            made.add(step, "told apart", "", told)
    return made


NEARER = [0.9 * 0.75**each for each in range(12)]


def test_a_discriminator_that_is_always_right_wins_only_where_samples_get_no_better():
    finding = players.one_player_wins(record([0.5] * 12, 1.0, 0.3))
    assert finding is not None and finding.where == "discriminator"
    assert players.one_player_wins(record(NEARER, 1.0, 0.3)) is None
    assert players.one_player_wins(record([0.5] * 12, 0.9, 0.3)) is None
    assert players.one_player_wins(record([0.1] * 12, 1.0, 0.3)) is None  # as good as real ones


def test_a_discriminator_that_never_knows_loses_while_samples_are_bad():
    guessing = 2 * math.log(2) / 1.05
    finding = players.one_player_wins(record([0.8] * 12, 0.5, guessing))
    assert finding is not None and finding.where == "generator"
    assert players.one_player_wins(record([0.1] * 12, 0.5, guessing)) is None


def duel(cut: bool) -> Doctor:
    torch.manual_seed(0)
    parts = nn.ModuleDict({"generator": mlp(4, 16, 2), "discriminator": mlp(2, 16, 1)})
    optimizers = {name: Adam(each.parameters(), 1e-3) for name, each in parts.items()}
    doctor = Doctor(parts, optimizers, steps=150)
    ones, zeros = torch.ones(32, 1), torch.zeros(32, 1)
    for _ in range(150):
        real, fake = torch.randn(32, 2), parts["generator"](torch.randn(32, 4))
        judged = F.binary_cross_entropy_with_logits
        loss = judged(parts["discriminator"](real), ones) + judged(parts["discriminator"](fake.detach()), zeros)
        optimizers["discriminator"].zero_grad()
        loss.backward()
        optimizers["discriminator"].step()
        own = judged(parts["discriminator"](fake.detach() if cut else fake), ones)
        optimizers["generator"].zero_grad()
        own.backward()
        optimizers["generator"].step()
        doctor.watch({"generator": own, "discriminator": loss})
    doctor.close()
    assert not doctor.broken, doctor.broken
    return doctor


def test_a_generator_cut_off_from_its_judge_is_disconnected():
    findings = duel(cut=True).findings
    assert [each.name for each in findings][:1] == ["disconnected-parameters"] and "generator" in findings[0].where
    assert not duel(cut=False).findings


@pytest.mark.parametrize(("latest", "goes_on", "worse"), [(1.6, True, True), (1.2, True, False), (1.6, False, False)])
def test_a_cure_that_sends_samples_away_from_real_rows_is_known_after_two_evaluations(latest, goes_on, worse):
    """A slowed discriminator lets some generators run off; a pair begun anew is far from real rows at first rightly."""
    doctor = Doctor(nn.ModuleDict({name: mlp(2, 4, 1) for name in ("a", "b")}), None)
    doctor.patient.optimizers = {name: Adam(each.parameters()) for name, each in doctor.patient.bare.items()}
    finding = Finding("one-player-wins", "a", "warn", "", "", 0.8, 100, statistic={"distance": 1.0})
    for step in (150, 200):
        doctor.record.add(step, "sample distance", "", latest)
    treatment = SimpleNamespace(finding=finding, loss=1.0)
    assert harmed(doctor, treatment, goes_on) is worse
