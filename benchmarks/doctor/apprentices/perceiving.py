"""The perceiving half of the fifteenth list: tables, pictures, sounds and series, as tutorials and kernels learn them.

Written on 22 November 2026, 09:09 to 09:55 UTC, by somebody who had read the table of ailments with how it is judged,
the data's description, the fourteenth list's readers of data and the first half of its tables (for the form), the
eighth list's names and readers with its runner, and how the doctor is called; but no rule of the doctor, no test of
it, no page of what it finds. None was run under a doctor. The programs are from memory, in other words and often
smaller: tutorials, the free books, kernels, blogs. Ten give their loss, seven held-out rows; the rest the two lines.

Each healthy program and each awkward kin was trained alone with seed 0, the program with a third and three times its
rate too: none is more than a tenth better, no kin more than a tenth worse. Mended until then: the blocks' and the nine
layers' rates, the new head's, the score of the tabular learner (Gini's coefficient for the area, which shows harm
better), the causal convolutions (they told a difference, and hardly any of it), the waves (wider, as loud as each
other), and the streets (clipped, fading, judged by pixels of the same days: their overlaps swung by a fifth).

Harm was measured with seed 0: a score lower by a tenth at least, four that are too good, and four of which only the
symptom is felt (memory grows by 190 megabytes, steps take nearly four times as long after half the training, two load
for most of the time). What each is called, by what other names it may go, and whether it is curable was written before
the first run, except for those sharpened. What is curable was thought, not tried. Given up as harmless: sorted flowers,
a decay of twenty before norms, chances over the batch of the official digits, their test rows in bytes, bytes in the
first convolutions, a temperature of three hundred, the first axis taken for days, a cycle stepped once an epoch, clips
drawn backward, sorted lengths, and a running loss with its graph (backward had freed what it held). Given up as the
sixth and seventh of their ailment: four wrong losses. Sharpened: the gap's mark, the right angles, the thousandth of a
normal, one photo for two, the hints (their weight), sixty clips, photos moved about, two hundred photos judged.

Weak: many programs take less than a second (tables, books' digits), two take more than eight while others use the
machine; the new head has 100 steps. Least harm, 14 to 21 %: embeddings forty wide, the long cycle, photos' first
weights each epoch, tiny weights in the blocks, eval mode, moved masks, sixty clips. There are 100 mistakes, more than
the 70 that were asked for; 40 ailments, none more than five times, 13 only once. Those of generators, attention,
memory of updates and devices are not here.
"""

from collections.abc import Callable

from benchmarks.doctor.apprentices import (
    perceiving_answers,
    perceiving_borrowed,
    perceiving_digits,
    perceiving_photos,
    perceiving_places,
    perceiving_series,
    perceiving_sounds,
    perceiving_tables,
)
from benchmarks.doctor.loops.planted import Mistake

MODULES = (
    perceiving_tables, perceiving_answers, perceiving_digits, perceiving_photos, perceiving_borrowed,
    perceiving_places, perceiving_series, perceiving_sounds,
)  # fmt: skip
LOOPS: dict[str, Callable[..., float]] = {each.__name__: each for module in MODULES for each in module.PROGRAMS}
AWKWARD: tuple[tuple[str, str], ...] = tuple(each for module in MODULES for each in module.AWKWARD)
MISTAKES: tuple[Mistake, ...] = tuple(each for module in MODULES for each in module.MISTAKES)
