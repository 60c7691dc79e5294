"""The half of the list that learns without plain labels, or outside the usual.

Written on 22 November 2026, 06:17 to 06:43 UTC, by somebody who had read the table of ailments with how it is judged,
the data's description, the runner with what makes a mistake, the harness and parts of the infirmary, and the signatures
of the doctor; but no rule of it, no test and no page of what it finds. What each mistake is meant to be was written
down before it was run; none was run under a doctor.

Each healthy program was trained alone, seed 0, with its rate, a third and three times of it: none is more than a tenth
better. Of 78 mistakes three were given up: two without harm (momentum at six tenths, a first layer at three) and one
that no ailment of the table fits (a target copy never renewed). Made sharper, as they did not harm at first: blocks
with norms behind, a decay among two languages, functions few in number, a file opened for each batch, and what is kept
of two views. Two awkward kin were replaced, as they were worse than their loop, and the rates of eight programs and a
fault of the maze's replay were mended before. Every mistake scores a tenth lower at least, or too good (three), or is
one of four symptoms. Weak: patches score .39 where the mean picture has .29, and the machine of Boltzmann breaks down
at three times its rate. Shuffled answers stand here eight times and a wrong sign seven times, so weigh by ailment.
"""

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
