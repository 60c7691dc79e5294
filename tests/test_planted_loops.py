"""The hand-written loops of the doctor's benchmark, three lists: names are known, and each comes to its second step."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the benchmarks lie beside the package

from benchmarks.doctor.infirmary import planted as infirmary
from benchmarks.doctor.infirmary import players
from benchmarks.doctor.judge import planted as judge
from benchmarks.doctor.loops import planted
from benchmarks.doctor.loops.nobody import Nobody
from benchmarks.doctor.outpatients import planted as outpatients

from trainwell.doctor.finding import AILMENTS


class Enough(Exception):
    """A loop has come far enough."""


class Impatient(Nobody):
    """Ends a loop at its second step."""

    steps = 0

    def watch(self, *parts: Any, **numbers: Any) -> None:
        self.steps += 1
        if self.steps == 2:
            raise Enough


@pytest.mark.parametrize("of", [planted, judge, infirmary])
def test_every_name_is_an_ailment_and_all_but_one_are_planted(of: Any) -> None:
    assert {name for each in of.MISTAKES for name in (each.ailment, *each.also)} <= set(AILMENTS)
    assert set(AILMENTS) - {each.ailment for each in of.MISTAKES} == {"underused-device"}  # which needs an accelerator
    pairs = [*((each.loop, each.name) for each in of.MISTAKES), *of.AWKWARD]
    assert len(set(pairs)) == len(pairs)


def test_the_outpatients_are_told_by_names_of_ailments_and_each_once() -> None:
    of = outpatients
    assert {name for each in of.MISTAKES for name in (each.ailment, *each.also)} <= set(AILMENTS)
    pairs = [*((each.loop, each.name) for each in of.MISTAKES), *of.AWKWARD]
    assert len(set(pairs)) == len(pairs) and {loop for loop, _ in pairs} <= set(of.LOOPS)


@pytest.mark.parametrize("of", [planted, judge])
def test_every_mistake_stands_in_its_loop(of: Any) -> None:
    for loop, name in [*((each.loop, each.name) for each in of.MISTAKES), *of.AWKWARD]:
        # a name that no line asks for would plant nothing and be counted as missed
        assert f'"{name}"' in inspect.getsource(sys.modules[of.LOOPS[loop].__module__]), (loop, name)


@pytest.mark.parametrize("loop", [*planted.LOOPS.values(), *judge.LOOPS.values()])
def test_a_loop_comes_to_its_second_step(loop: Callable[..., float], shared_data: Path) -> None:
    with pytest.raises(Enough):
        loop(Impatient, 0)


@pytest.mark.parametrize("name", infirmary.LOOPS)
def test_a_case_of_the_infirmary_has_all_its_changes(name: str, shared_data: Path) -> None:
    """A change whose name no mistake bears would never be planted, and a mistake without one could not be."""
    changes = (infirmary.FAULTS | players.FAULTS)[name]
    named = [*((each.loop, each.name) for each in infirmary.MISTAKES), *infirmary.AWKWARD]
    assert set(changes) == {each for loop, each in named if loop == name}
    with pytest.raises(Enough):
        infirmary.LOOPS[name](Impatient, 0)
