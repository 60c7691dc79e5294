"""A twelfth list of faults to plant: one plain harness, and every ailment of the table as a small change of its case.

A case is what a training is made of (network, rows, loss, optimizer, rate, schedule), and `case.train` trains any of
them by the same loop with the doctor's two lines. There are two tables (tumours, houses), two picture networks (plain,
and with batch norm), two recurrent ones (an LSTM over the rows of numerals, a GRU before a load), two transformers (a
writer of letters, a teller of languages), a variational autoencoder, and two pairs of players with a loop of their own.
Faults are changes of a field or two, in the most literal reading of the table: a rate times a hundred, labels shuffled,
all weights nought. Every ailment but the under-used device, which needs an accelerator, stands in two families of data
at least, posterior collapse in two variants of the one autoencoder. Loops, mistakes and runner have the form of
`benchmarks.doctor.loops`, and `python -m benchmarks.doctor.loops --list harness` runs them. Four loops (tumours,
numerals, load, languages) tell the doctor what they hold out, how many steps are planned and what they evaluate; the
players show samples and tell no loss; ink tells its divergence, and the others keep to the two lines.

Written on 21 November 2026, 23:23 to 24:05 UTC, by somebody who had read the table of ailments with how it is judged,
the README's lines of use, the doctor's signature with the docstrings of its methods, and of earlier lists the names of
mistakes of the eighth and some of the eleventh, with the docstrings of the ninth and eleventh; but no rule of the
doctor, no test of it, no page of what it finds, and no loop of an earlier list. What each mistake is meant to be, by
what other names it may rightly go, and whether anything in place could cure it was written down with it; none was run
under a doctor. So all of it is first contact.

214 mistakes were written at first, and before any was run they were cut to 131, at most three or four for an ailment,
by how plain they are and how they spread over the families. Then each was trained alone, seed 0, beside its healthy
twin. Given up: attention over the batch of languages (2 %), dropout at their examination (better than without; the
numerals have it now), their queries and keys times four hundred (5 %; photos have one channel now), a full batch of
houses (it diverged and was slow), half precision in the numerals (slow; the houses have it). Made sharper: a generator
that cannot follow among sketches (its judge took more turns at first), half precision for tumours has Adam now (plain
momentum lost nothing), and what is kept with its graph are scores, as a loss holds nothing after its backward pass.
Made milder, as they died at once and of something else, or could not begin (sentences fewer than a batch): momentum
before the load, one house a batch, the whole table of tumours (a rate of a hundred to twenty). One that could not be
built was mended, names that told a wrong number were set right, and sleeping rows sleep half as long. Of the healthy
loops, the photos were made smaller, the numerals wider, and the rates of both players changed until the healthy ones
covered most of what is real; the silent units, the swinging players, the Wasserstein loss and twenty to one among
numerals were changed until they came near their loop, and fifteen of 46 kin given up, most because they said nothing
new, batches of eight before the load and among houses, and twenty to one among languages because they learned too
little.

Harm is a lower score by a twentieth at least, or in four that leak one that is too good, or in six of slow loading,
growing memory and slow steps the symptom. Where a batch is made small, fewer rows are seen than by the healthy twin,
which is a part of the harm. The least harm is 7 % (a softmax before the loss of photos). Memory grows by 960 and 110
megabytes in 270 steps, rows that sleep are four fifths of a step or more, and steps that wait take about five and
thirty times as long as the others. Of the faults only seed 0 was tried. 129 mistakes and 31 kin are left; some ailments
are here more often than others, so weigh them by ailment.
"""
