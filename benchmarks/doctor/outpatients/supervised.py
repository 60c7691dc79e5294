"""The supervised half of the fourteenth list: programs with losses, heads or loops of their own, and what goes wrong.

Written on 22 November 2026, 06:03 to 06:45 UTC, by somebody who had read the table of ailments with how it is judged,
the data's description, the signatures of the doctor and its `watch`, the harness, the infirmary's cases and names, the
eighth list's names with its runner, and the beginning of the fifth list's file of data; but no rule of the doctor, no
test of it and no page of what it finds. What each mistake is meant to be, by what other names it may rightly go, and
whether anything in place could cure it was written down before it was run; none was run under a doctor. So all of it
is first contact. Most programs keep to the two lines, some give a loss, and seven tell held-out rows or numbers.

Each healthy program and each awkward kin was trained alone, seed 0, with its rate, a third and three times of it:
neither is more than a tenth better. Mended until that was so, or until the loss did not stall: the cut points of
grades (begun apart), oil (fortnights held out, not the year after), the rates of quantiles, evidence, told, strings,
distilled, horizons, crowd and twice, alphabets (they are moved now), attacked (the attack grows), thawed (a head begun
at nought), duties (momentum diverged; it is a mistake now), voices (the hardest triplets collapsed; so are they), and
vowels (norms before, and a convolution). Of the mistakes only seed 0 was tried. Harm is a score lower by a tenth at
least, two that are too good, and four of which only the symptom is felt: memory grows by 200 and 300 megabytes.

Of 103 mistakes 18 were given up. Without harm: cut points taken out of the graph, three shells a batch, a season's
layer held still, no scale before the angles' softmax, attention's shares over the bags, and uncertainties begun large.
Seen by nobody who trains: tags read one word on, likings the wrong way round. Not to be had when their program was
mended: the first axis taken for places, and triplets of the like alone. Not what it was meant to be: a radius of
twenty, which stands still and does not swing. Too slow: answers of all days without their axis. The other six (four of
shuffled answers, a rate, a mixed label) were given up because their like stands here already. Made sharper: twenty
shells for sixty, a rate of thirty among alphabets, weights of experts at nought, eval mode from the first step among
photos, and steps of three for the crowd. The momentum of duties and the hardest triplets of voices were seen to fail
as healthy programs before they were named. Some ailments stand here more often than
others, so weigh them by ailment; those of generators and autoencoders are not in this half.
"""

from collections.abc import Callable

from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.outpatients import (
    supervised_attention,
    supervised_loops,
    supervised_marks,
    supervised_pictures,
    supervised_series,
    supervised_tables,
    supervised_text,
)

MODULES = (
    supervised_tables, supervised_series, supervised_pictures, supervised_text, supervised_marks, supervised_loops,
    supervised_attention,
)  # fmt: skip
LOOPS: dict[str, Callable[..., float]] = {each.__name__: each for module in MODULES for each in module.PROGRAMS}
AWKWARD: tuple[tuple[str, str], ...] = tuple(each for module in MODULES for each in module.AWKWARD)
MISTAKES: tuple[Mistake, ...] = tuple(each for module in MODULES for each in module.MISTAKES)
