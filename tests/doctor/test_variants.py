"""Further ways for a training to go wrong, each beside its healthy twin: labels, schedules, decay, order, copies."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, MultiStepLR

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, accuracy, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.dynamics import learning_rate_too_high, loss_spike
from trainwell.doctor.families import transformer_instability
from trainwell.doctor.gauges import structure
from trainwell.doctor.schedule import learning_rate_too_low
from trainwell.doctor.series import Record

healthy = Loop()
numbers = Loop(
    model=lambda: mlp(8, 32, 1),
    data=faults.regression(),
    loss=F.mse_loss,
    optimizer=lambda m: Adam(m.parameters(), 3e-3),
)
chance = torch.Generator().manual_seed(0)
tokens = (torch.randint(0, 12, (900, 1), generator=chance) + 5 * torch.arange(10)) % 12
tokens = torch.where(
    torch.rand(900, 10, generator=chance) < 0.2, torch.randint(0, 12, (900, 10), generator=chance), tokens
)


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def next_labels():
    x, y, held_x, held_y = digits()
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.45
    return x, torch.where(wrong, (y + 1) % 10, y), held_x, held_y


def noisy_copies():
    x, y, held_x, held_y = digits()
    near = x[:150] + 1e-3 * torch.randn(150, 64, generator=torch.Generator().manual_seed(2))
    return x, y, torch.cat([near, held_x]), torch.cat([y[:150], held_y])


def dead_sensor():
    x, y, held_x, held_y = (each.clone() for each in faults.regression()())
    x[:, 6], held_x[:, 6] = 3.0, 3.0
    return x, y, held_x, held_y


def together(turned: bool):
    """Features in correlated pairs; in the held-out rows in another order if turned."""

    def make():
        x, y, held_x, held_y = (each.clone() for each in faults.regression()())
        for rows in (x, held_x):
            rows[:, 1], rows[:, 3] = 0.3 * rows[:, 1] + rows[:, 0], 0.3 * rows[:, 3] - rows[:, 2]
        return x, y, held_x[:, [4, 0, 2, 6, 1, 5, 3, 7]] if turned else held_x, held_y

    return make


def in_order():
    x, y, held_x, held_y = faults.regression()()
    order = y[:, 0].argsort()
    return x[order], y[order], held_x, held_y


def own_tokens(shift: int):
    """Rows of tokens of which each, but for one in five, is the one before and 5; asked for so many places on."""
    target = tokens.roll(-shift, 1)
    return lambda: (tokens[:700], target[:700], tokens[700:], target[700:])


class Tokens(nn.Module):
    """Each place's next token. tokens: (batch, time) -> (batch, classes, time)"""

    def __init__(self, gain: float = 1.0, kind: type[nn.RNNBase] = nn.RNN) -> None:
        super().__init__()
        self.embed, self.recurrent, self.head = nn.Embedding(12, 16), kind(16, 24, batch_first=True), nn.Linear(24, 12)
        with torch.no_grad():
            self.recurrent.weight_hh_l0.mul_(gain)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.recurrent(self.embed(tokens))[0]).transpose(1, 2)


def dropped(share: float) -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(share), nn.Linear(64, 10))


def squares(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(output, F.one_hot(target, 10).float())


def logarithms(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(output.log(), (target + 4).log())


def schedule(make) -> Loop:
    return replace(healthy, schedule=make)


text = Loop(model=Tokens, data=own_tokens(1), optimizer=lambda m: Adam(m.parameters(), 3e-3), steps=120)
kept: list[torch.Tensor] = []
# ailment, the broken run, its healthy twin
CASES = {
    "the next class's label": ("label-noise", replace(healthy, data=next_labels), healthy),
    "rate gone in a few steps": (
        "learning-rate-too-low",
        schedule(lambda o: ExponentialLR(o, 0.7)),
        schedule(lambda o: CosineAnnealingLR(o, 200)),
    ),
    "milestones counted in steps": (
        "learning-rate-too-low",
        schedule(lambda o: MultiStepLR(o, [2, 4, 6])),
        schedule(lambda o: MultiStepLR(o, [100, 150])),
    ),
    "warm-up without end": (
        "learning-rate-too-low",
        schedule(lambda o: LambdaLR(o, lambda step: (step + 1) / 1e6)),
        schedule(lambda o: LambdaLR(o, lambda step: min(1.0, (step + 1) / 50))),
    ),
    "decay with momentum": (
        "over-regularized",
        replace(healthy, optimizer=lambda m: SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=0.3)),
        replace(healthy, optimizer=lambda m: SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)),
    ),
    "dropout of nearly all": (
        "over-regularized",
        replace(healthy, model=lambda: dropped(0.95)),
        replace(healthy, model=lambda: dropped(0.3)),
    ),
    "decay in Adam's gradient": (
        "over-regularized",
        replace(healthy, optimizer=lambda m: Adam(m.parameters(), 3e-3, weight_decay=1.0)),
        replace(healthy, optimizer=lambda m: Adam(m.parameters(), 3e-3, weight_decay=1e-4)),
    ),
    "ten sigmoids on numbers": (
        "vanishing-gradient",
        replace(numbers, model=lambda: mlp(8, *[32] * 10, 1, activation=nn.Sigmoid)),
        replace(numbers, model=lambda: mlp(8, 32, 1, activation=nn.Sigmoid)),
    ),
    "a dead sensor": ("bad-features", replace(numbers, data=dead_sensor), numbers),
    "copies with a little noise": ("data-leakage", replace(healthy, data=noisy_copies), healthy),
    "answers that were not shifted": ("data-leakage", replace(text, data=own_tokens(0)), text),
    "held-out columns in another order": (
        "preprocessing-mismatch",
        replace(numbers, data=together(True)),
        replace(numbers, data=together(False)),
    ),
    "rows in the order of their answers": (
        "data-not-shuffled",
        replace(numbers, data=in_order, shuffle=False),
        replace(numbers, shuffle=False),
    ),
    "squared error of one-hot rows": ("loss-head-mismatch", replace(healthy, loss=squares), healthy),
    "logarithm of plain outputs": (
        "loss-head-mismatch",
        replace(numbers, loss=logarithms),
        replace(numbers, model=lambda: mlp(8, 32, 1, head=nn.Softplus()), loss=logarithms),
    ),
    "recurrent weights too large": ("bad-initialization", replace(text, model=lambda: Tokens(12.0)), text),
    "recurrent gates too large": (
        "bad-initialization",
        replace(text, model=lambda: Tokens(12.0, nn.LSTM)),
        replace(text, model=lambda: Tokens(1.0, nn.LSTM)),
    ),
    "losses kept": (
        "memory-leak",
        replace(healthy, backward=lambda loss: kept.append(loss) or loss),
        replace(healthy, backward=lambda loss: kept.append(loss.detach()) or loss),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_named_on_the_broken_run(case):
    ailment, broken, _ = CASES[case]
    doctor, _, losses = broken.run()
    assert named(doctor)[:1] == [ailment], f"{doctor}\n{np.round(losses[::20], 3)}"


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][2] is not healthy])
def test_silent_on_the_healthy_twin(case):
    doctor, _, losses = CASES[case][2].run()
    assert named(doctor) == [], f"{doctor}\n{np.round(losses[::20], 3)}"


def test_left_in_eval_mode_after_an_evaluation():
    held: list[nn.Module] = []

    def make() -> nn.Module:
        held.append(faults.normed(0.2))
        return held[-1]

    def forget(step, x, y):
        held[-1].train(step < 60)
        return x, y

    loop = replace(healthy, model=make, change=forget)
    assert named(loop.run()[0])[:1] == ["wrong-train-eval-mode"]
    assert named(replace(loop, change=None).run()[0]) == []


def record(losses, rates=None, **facts) -> Record:
    made = Record(facts)
    for step, loss in enumerate(losses, 1):
        made.add(step, "loss", "", float(loss))
        made.add(step, "rate", "", 0.1 if rates is None else float(rates[step - 1]))
    return made


def test_an_easy_first_batch_is_no_rise_of_the_loss():
    noise = np.random.default_rng(0).normal(0, 0.12, 60)
    steady = 1.0 + noise
    steady[0] = 0.7
    assert learning_rate_too_high(record(steady, **{"prior loss": 1.0})) is None
    found = learning_rate_too_high(record(steady * np.linspace(1, 3, 60), **{"prior loss": 1.0}))
    assert found is not None and found.statistic["diverging"]


def test_hard_batches_now_and_then_are_no_spike():
    draw = np.random.default_rng(0)
    uneven = np.where(draw.random(90) < 0.3, 1.0, 0.1) + draw.normal(0, 0.01, 90)
    uneven[70:] = np.where(np.arange(20) % 3 == 2, 0.1, 1.0)
    assert loss_spike(record(uneven)) is None
    even = 0.1 + draw.normal(0, 0.01, 90)
    even[70:] += 0.9
    assert loss_spike(record(even)) is not None


def test_a_cool_down_at_the_end_is_no_schedule_that_ended_early():
    early, late = [0.1] * 10 + [1e-4] * 90, [0.1] * 90 + [1e-4] * 10
    losses = np.linspace(2.3, 2.0, 100)
    for planned in (0, 200):
        found = learning_rate_too_low(record(losses, early, steps=planned))
        assert found is not None and found.where == "schedule"
        assert learning_rate_too_low(record(losses, late, steps=planned // 2)) is None
    lone = [0.1] * 40 + [100.0] + [0.1] * 159
    assert learning_rate_too_low(record(np.linspace(2.3, 1.0, 200), lone)) is None
    restarts = 0.05 * (1 + np.cos(np.pi * (np.arange(200) % 60) / 60))
    assert learning_rate_too_low(record(np.linspace(2.3, 1.0, 200), restarts)) is None


@pytest.mark.parametrize(
    ("structure", "scores", "found"),
    [(1.0, [80] * 5, True), (3.0, [80] * 5, False), (3.0, [80, 90, 200, 220, 250], True), (1.0, [2] * 5, False)],
    ids=["fresh and large", "trained and large", "trained and growing", "fresh and small"],
)
def test_attention_is_judged_against_the_first_step_where_weights_came_in_trained(structure, scores, found):
    made = record([1.0] * 50, **{"trained before": structure})
    for step, score in zip(range(10, 60, 10), scores, strict=True):
        made.add(step, "attention score", "layer.0", float(score))
        made.add(step, "attention entropy", "layer.0", 0.5)
    assert (transformer_instability(made) is not None) == found


def test_structure_tells_trained_weights_from_fresh_ones():
    torch.manual_seed(0)
    model = mlp(64, 64, 64, 10)
    fresh = structure(model)
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(30.0)
    assert 0.8 < fresh < 1.2 and abs(structure(model) - fresh) < 1e-3
    _, model, _ = replace(healthy, optimizer=lambda m: Adam(m.parameters(), 3e-3), steps=300).run(None)
    assert structure(model) > 1.2 * fresh


def test_missing_values_as_a_number_do_not_swell_what_inputs_are_divided_by():
    def coded(missing: float):
        def make():
            x, y, held_x, held_y = (each.clone() for each in faults.regression()())
            lost = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) < 0.003
            return x.masked_fill(lost, missing), y, held_x, held_y

        return make

    doctor, model, _ = replace(numbers, data=coded(-999.0), steps=300).run("treat")
    _, plain, _ = replace(numbers, data=coded(0.0), steps=300).run(None)
    _, _, x, y = faults.regression()()
    ours, theirs = (float(F.mse_loss(each(x), y).detach()) for each in (model, plain))
    assert named(doctor)[:1] == ["bad-features"] and ours < 1.5 * theirs + 0.02, (ours, theirs, doctor.history)


def test_float16_is_given_an_epsilon_that_it_can_hold():
    loop = replace(
        healthy,
        model=lambda: mlp(64, 64, 64, 10).half(),
        change=lambda step, x, y: (x.half(), y),
        loss=lambda output, target: F.cross_entropy(output.float(), target),
        optimizer=lambda m: Adam(m.parameters(), 1e-3),
    )
    doctor, _, losses = loop.run("treat", held_out=None)
    assert "mixed-precision-underflow" in named(doctor) and np.mean(losses[-10:]) < 0.5, f"{doctor}{losses[::20]}"


@pytest.mark.parametrize(
    ("loop", "change"),
    [
        (replace(healthy, model=lambda: mlp(64, *[32] * 12, 10, activation=nn.Sigmoid), steps=300), "residual"),
        (replace(CASES["rate gone in a few steps"][1], steps=300), "held"),
        (replace(CASES["decay with momentum"][1], steps=300), "weight decay"),
    ],
    ids=["twelve sigmoids", "rate gone", "decay"],
)
def test_treated(loop, change):
    doctor, model, losses = loop.run("treat")
    made = [each["change"] for each in doctor.history]
    assert not doctor.broken and change in made[0], (doctor.broken, made)
    assert accuracy(model, loop) > 0.9, f"{doctor}\n{made}\n{np.round(losses[::20], 3)}"
