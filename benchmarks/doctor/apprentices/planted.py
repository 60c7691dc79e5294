"""The whole list of the apprentices: programs that tell what they see, and such that compose."""

from benchmarks.doctor.apprentices import composing, perceiving

LOOPS = perceiving.LOOPS | composing.LOOPS
AWKWARD = (*perceiving.AWKWARD, *composing.AWKWARD)
MISTAKES = (*perceiving.MISTAKES, *composing.MISTAKES)
