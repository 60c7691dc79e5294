"""What is told of weights alone: between players, and in loops whose loss cannot be made on a copy."""

import pytest
import torch
from torch import nn

from trainwell.doctor import Doctor, without_loss
from trainwell.doctor.patient import Patient
from trainwell.doctor.series import Record

PLAIN = ""
OF_SETTINGS = ("learning-rate-too-low", "learning-rate-too-high", "over-regularized")


def made(faulty: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    dropped = [nn.Dropout(0.97)] if faulty == "dropout" else []
    discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), *dropped, nn.Linear(32, 1))
    with torch.no_grad():
        for layer in generator[::2]:
            if faulty == "alike":
                layer.weight.fill_(0.1)
            if faulty == "large":
                layer.weight.mul_(30)
            if faulty == "sunk":
                layer.bias.fill_(-20.0)
        if faulty == "large":
            for layer in discriminator[::2]:
                layer.weight.mul_(30)
        if faulty == "alike":
            discriminator[0].weight.fill_(0.1)
    return generator, discriminator


def played(faulty: str, steps: int = 150, averaged: bool = False) -> Doctor:
    """Two players on points around a ring."""
    generator, discriminator = made(faulty)
    other = nn.ModuleDict({"average": made("")[0]}) if averaged else None
    rate = 1e-8 if faulty == "slow" else 1e-3
    learning = list(generator.parameters())[4:] if faulty == "loose" else list(generator.parameters())
    settings = {"lr": rate, "betas": (0.999 if faulty == "momentum" else 0.5, 0.999)}
    settings |= {"weight_decay": 50.0 if faulty == "decay" else 0.0}
    of_generator = torch.optim.AdamW(learning, **settings)
    of_discriminator = torch.optim.AdamW(discriminator.parameters(), **settings)
    players = {"generator": generator, "discriminator": discriminator} | ({"average": other} if other else {})
    optimizers = {"generator": of_generator, "discriminator": of_discriminator}
    doctor = Doctor(nn.ModuleDict(players), optimizers, mode="watch")
    score = nn.BCEWithLogitsLoss()
    for step in range(steps):
        if faulty == "cosine":
            for each in optimizers.values():
                each.param_groups[0]["lr"] = rate * (1 - step / steps) ** 6
        turn = torch.rand(64, 1) * 6.283
        real = torch.cat([turn.cos(), turn.sin()], 1)
        fake = generator(torch.randn(64, 4))
        own = score(discriminator(real), torch.ones(64, 1)) + score(discriminator(fake.detach()), torch.zeros(64, 1))
        of_discriminator.zero_grad()
        own.backward()
        of_discriminator.step()
        loss = score(discriminator(fake), torch.ones(64, 1))
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
        doctor.watch(loss + own)
    doctor.close()
    assert not doctor.broken
    return doctor


@pytest.mark.parametrize(
    ("faulty", "name"),
    [
        ("alike", "bad-initialization"),
        ("large", "bad-initialization"),
        ("sunk", "dying-relu"),
        ("loose", "disconnected-parameters"),
        ("slow", "learning-rate-too-low"),
        ("decay", "over-regularized"),
        ("momentum", "learning-rate-too-high"),
        ("dropout", "over-regularized"),
    ],
)
def test_players_are_told_what_their_weights_show(faulty: str, name: str) -> None:
    found = [each.name for each in played(faulty).findings if each.severity != "note"]
    assert found[:1] == [name]


def test_sound_players_are_told_nothing_of_their_weights() -> None:
    doctor = played(PLAIN)
    told = {each.name for each in doctor.findings}
    assert not told & {"bad-initialization", "dying-relu", "disconnected-parameters", *OF_SETTINGS}


def test_an_average_that_no_optimizer_holds_is_not_loose() -> None:
    doctor = played(PLAIN, averaged=True)
    assert not [each for each in doctor.findings if each.name == "disconnected-parameters"]


def test_a_rate_that_a_schedule_ends_is_not_too_low() -> None:
    doctor = played("cosine")
    assert not [each for each in doctor.findings if each.name == "learning-rate-too-low"]


@pytest.mark.parametrize(
    ("zero", "layers", "alike"), [((), 4, 0), ((1, 2, 3), 1, 0), ((0, 1, 2, 3), 4, 4)], ids=["none", "most", "all"]
)
def test_layers_begun_as_nothing_beside_others_are_meant(zero: tuple[int, ...], layers: int, alike: int) -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    for place in zero:
        nn.init.zeros_(model[place].weight)
    record = Record()
    without_loss.note(Patient(model, {"model": torch.optim.SGD(model.parameters(), lr=0.1)}), record)
    first = record.facts["first weights"]
    assert (first["layers"], len(first["alike"])) == (layers, alike)
