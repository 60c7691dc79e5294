"""Rounds of two players that a cure has cost, taken again on the noise and the real rows that were kept of them."""

import itertools
import math

import torch
from torch import Tensor, nn

from trainwell.doctor.patient import Patient
from trainwell.doctor.play import HEARD, MADE, OWN, REAL, Play, judging_player, making_player, mended_pull


def take_rounds(patient: Patient, count: int) -> int:
    """As many rounds as asked for, each kept batch twice at most; how many were taken.

    Each player learns from the pull at the discriminator's answers that was heard, as cures have mended it; where that
    does not make the whole loss, as beside a penalty, none is taken.
    """
    play = patient.play
    if play is None or play.unlike or not play.explained or len(play.real) < HEARD or len(play.noises) < HEARD:
        return 0
    if any(mended_pull(play, each) is None for each in (REAL, MADE, OWN)):
        return 0
    order, judge = _order(play), judging_player(patient)
    count = min(count, 2 * len(play.real) // max(1, order.count(judge)))
    if set(order) != {judge, making_player(patient)} or judge == making_player(patient):
        return 0
    real, noise = itertools.cycle(list(play.real)), itertools.cycle(list(play.noises))
    taken, play.again = 0, True
    try:
        for _ in range(count):
            for player in order:
                learned = (
                    _judge(patient, play, next(real), next(noise))
                    if player == judge
                    else _make(patient, play, next(noise))
                )
                if not learned:
                    return taken
                patient.optimizers[player].step()
            taken += 1
    finally:
        play.again = False
        for optimizer in patient.optimizers.values():
            optimizer.zero_grad()
    return taken


def _order(play: Play) -> list[str]:
    """The players of a round in turn, each once where several turns of one are no longer wanted."""
    return list(dict.fromkeys(play.round)) if "turns" in play.mended else list(play.round)


def _judge(patient: Patient, play: Play, real: Tensor, noise: Tensor) -> bool:
    """The discriminator's gradients on real and made rows; whether all are finite."""
    judge, maker = (patient.bare.get_submodule(each) for each in (play.judge, play.maker))
    judge.zero_grad()
    with torch.no_grad():
        made = maker(noise)
    _pull(judge(real), play, REAL)
    _pull(judge(made), play, MADE)
    return _finite(judge)


def _make(patient: Patient, play: Play, noise: Tensor) -> bool:
    judge, maker = (patient.bare.get_submodule(each) for each in (play.judge, play.maker))
    maker.zero_grad()
    with torch.enable_grad():
        answers = judge(maker(noise))
    _pull(answers, play, OWN)
    return _finite(maker)


def _pull(answers: Tensor, play: Play, kind: str) -> None:
    pull = mended_pull(play, kind)
    assert pull is not None
    answers.backward(pull.slope(answers.detach()).to(answers))


def _finite(part: nn.Module) -> bool:
    sizes = [float(each.grad.norm()) for each in part.parameters() if each.grad is not None]
    return math.isfinite(sum(sizes))
