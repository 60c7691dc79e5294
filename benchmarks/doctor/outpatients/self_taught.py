"""The half of the list that learns without plain labels, or outside the usual."""

from collections.abc import Callable

from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.outpatients import (
    self_taught_acts,
    self_taught_densities,
    self_taught_laws,
    self_taught_views,
    self_taught_words,
)

PARTS = (self_taught_views, self_taught_words, self_taught_densities, self_taught_laws, self_taught_acts)
LOOPS: dict[str, Callable[..., float]] = {each.__name__: each for part in PARTS for each in part.PROGRAMS}
AWKWARD: tuple[tuple[str, str], ...] = tuple(each for part in PARTS for each in part.AWKWARD)
MISTAKES: tuple[Mistake, ...] = tuple(each for part in PARTS for each in part.MISTAKES)
