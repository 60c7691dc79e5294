"""Schedules against torch's and their closed forms."""

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainwell.train.schedule import (
    SCHEDULES,
    Constant,
    Cosine,
    Linear,
    LogCosine,
    OneCycle,
    Plateau,
    Step,
    Trapezoid,
    Triangle,
)

STEPS = 200


def torchs(make):
    """The factor of a torch scheduler at each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, factors = make(optimizer), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(STEPS):
            factors.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    return factors


def mine(schedule, last=STEPS):
    return [schedule(step / last) for step in range(STEPS)]


def close(left, right):
    assert left == pytest.approx(right, abs=1e-9)


def test_against_torch():
    torch_schedules = torch.optim.lr_scheduler
    close(
        mine(Cosine(final=0.1, warmup=0.0)), torchs(lambda o: torch_schedules.CosineAnnealingLR(o, STEPS, eta_min=0.1))
    )
    close(mine(Linear(final=0.2, warmup=0.0)), torchs(lambda o: torch_schedules.LinearLR(o, 1.0, 0.2, STEPS)))
    close(mine(Step(every=0.25, factor=0.3)), torchs(lambda o: torch_schedules.StepLR(o, STEPS // 4, 0.3)))
    close(mine(Constant()), [1.0] * STEPS)
    cycle = OneCycle(up=(0.25 * STEPS - 1) / (STEPS - 1), start=0.04, final=4e-6)
    close(
        mine(cycle, STEPS - 1),
        torchs(lambda o: torch_schedules.OneCycleLR(o, 1.0, total_steps=STEPS + 1 - 1, pct_start=0.25)),
    )
    warm = torchs(
        lambda o: torch_schedules.SequentialLR(
            o,
            [torch_schedules.LinearLR(o, 1e-12, 1.0, 50), torch_schedules.CosineAnnealingLR(o, STEPS - 50)],
            milestones=[50],
        )
    )
    close(mine(Cosine(warmup=0.25)), warm)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Trapezoid(warmup=0.1, decay=0.5, final=0.2), {0: 0, 0.05: 0.5, 0.1: 1, 0.3: 1, 0.5: 1, 0.75: 0.6, 1: 0.2}),
        (Triangle(up=0.25, start=0.2, final=0.05), {0: 0.2, 0.125: 0.6, 0.25: 1, 0.625: 0.525, 1: 0.05}),
        (OneCycle(up=0.5, start=0.2, final=0.0), {0: 0.2, 0.25: 0.6, 0.5: 1, 0.75: 0.5, 1: 0}),
        (LogCosine(bumps=4), {0: 0, 1: 0, 1 / 15: 0, 3 / 15: 0, 7 / 15: 0, (math.sqrt(2) - 1) / 15: 1}),
        (Step(), {0: 1, 0.33: 1, 1 / 3: 0.1, 2 / 3: 0.01, 0.99: 0.01}),
        (Linear(warmup=0.2), {0: 0, 0.1: 0.5, 0.2: 1, 0.6: 0.5, 1: 0}),
        (Constant(warmup=0.5), {0: 0, 0.25: 0.5, 0.5: 1, 1: 1}),
    ],
)
def test_closed_forms(schedule, points):
    for progress, factor in points.items():
        assert schedule(progress) == pytest.approx(factor, abs=1e-9), progress


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_factors_are_shares(name, progress):
    factor = SCHEDULES[name]()(progress)
    assert 0 <= factor <= 1 and math.isfinite(factor)


@pytest.mark.parametrize("make", [lambda: OneCycle(up=1.0), lambda: Triangle(up=1.0), lambda: Cosine(warmup=1.0)])
def test_edges_are_finite(make):
    assert all(math.isfinite(make()(progress)) for progress in (0.0, 0.5, 1.0))


def test_plateau_equals_torch():
    goals = [5, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.0)
    schedule, best = Plateau(factor=0.5, patience=2), math.inf
    for goal in goals:
        schedule.observe(goal < best)
        best = min(best, goal)
        theirs.step(goal)
        assert schedule(0.5) == optimizer.param_groups[0]["lr"]
    assert schedule(0.5) == 0.5**4
