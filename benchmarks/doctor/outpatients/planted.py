"""The whole list of the outpatients: programs that learn from answers, and such that make their own."""

from benchmarks.doctor.outpatients import self_taught, supervised

LOOPS = supervised.LOOPS | self_taught.LOOPS
AWKWARD = (*supervised.AWKWARD, *self_taught.AWKWARD)
MISTAKES = (*supervised.MISTAKES, *self_taught.MISTAKES)
