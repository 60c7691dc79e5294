"""Leaps of the loss that come again, and an optimizer that another has taken the place of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainwell.doctor import spikes
from trainwell.doctor.series import Record


def record(leaps: list[int], height: float = 1.6, lasting: int = 10, rates: dict[int, float] | None = None) -> Record:
    """A loss of 600 steps that falls with some noise and is `height` times as high for some steps from each leap on."""
    made, chance = Record(), np.random.default_rng(0)
    made.facts["prior loss"] = 4.0
    for step in range(1, 601):
        loss = (2 + 2 * np.exp(-step / 80)) * (1 + 0.02 * chance.standard_normal())
        loss *= height if any(at <= step < at + lasting for at in leaps) else 1.0
        made.add(step, "loss", "", float(loss))
        made.add(step, "rate", "", (rates or {}).get(step, 1e-3))
    return made


def test_a_falling_loss_has_no_leaps_and_one_leap_is_not_told_here():
    assert spikes.leaps(record([])) == [] and spikes.loss_spike(record([])) is None
    assert spikes.leaps(record([300])) == [299] and spikes.loss_spike(record([300])) is None


@given(st.lists(st.integers(2, 9).map(lambda each: 60 * each), min_size=3, unique=True))
def test_leaps_that_come_again_are_told_where_they_came(places: list[int]):
    made = record(places)
    assert [made.get("loss").steps[each] for each in spikes.leaps(made)] == sorted(places)
    finding = spikes.loss_spike(made)
    assert finding is not None and finding.step == min(places)


def test_a_single_hard_batch_is_no_leap_and_neither_is_a_schedule_that_starts_anew():
    assert spikes.leaps(record([150, 250, 350], lasting=1)) == []
    again = {step: 3e-3 for at in (150, 250, 350) for step in range(at - 1, at + 40)}
    assert spikes.leaps(record([150, 250, 350], rates=again)) == []


def test_a_rate_that_leaps_before_the_loss_does_is_named():
    finding = spikes.loss_spike(record([150, 250, 350], rates={149: 0.03, 249: 0.03, 349: 0.03}))
    assert finding is not None and "schedule" in finding.cause


def test_an_optimizer_that_counts_no_further_while_the_loss_leaps_was_replaced():
    for leaps, replaced in (([520], True), ([], False)):
        made = record(leaps, lasting=100)
        for step in range(60, 601, 60):
            made.add(step, "optimizer step", "", float(min(step, 520)))
        assert (spikes.training_state_lost(made) is not None) is replaced
    made = record([520], lasting=100)
    for step in range(60, 601, 60):
        made.add(step, "optimizer step", "", float(step - 3 * (step > 500)))  # steps that a scaler has skipped
    assert spikes.training_state_lost(made) is None
