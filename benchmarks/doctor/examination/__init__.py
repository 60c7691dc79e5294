"""A tenth list of faults to plant: 17 ordinary trainings, and every ailment of the table in two of them at least.

Most mistakes are the textbook's: what a course's exercise, a question on a forum or a report of a bug would show, and
in another family of network (tables, pictures, recurrent, transformers, two players, autoencoders) another form that is
as ordinary. Loops, mistakes and runner have the form of `benchmarks.doctor.loops`, and
`python -m benchmarks.doctor.loops --list examination` runs them. Seven of the loops (wine, tumours, homes, ink, photos,
scan, sunspots) and gpt tell the doctor what they hold out, and all of these but wine what they evaluate; pairs tells
it how many steps are planned; the other eight (views, denoise, words, gaps, the two players and the two autoencoders
with a divergence) tell it no more than the README's two lines do, five of them without a loss, but for the samples
that the players show and the divergence.

Written on 21 November 2026, 17:09 to 17:55 UTC, by somebody who had read the table of ailments, the README's lines of
use, the doctor's signature with the docstrings of its methods, and of the list before this one the plan and the loops
on tables, but no rule of the doctor, no test of it, no page of what it finds and no other list. What each mistake is
meant to be, by what other names it may rightly go, and whether anything in place could cure it was written down with
it; none was run under a doctor. So all of it is first contact. The under-used device is not here, as it needs an
accelerator.

Then each was trained alone, seed 0, beside its healthy twin; of 136 at first eight were given up, and three were
added. Five cost nothing or less than 5 %: wine sorted by its cultivar, gradients never cleared before wine, held-out
digits to 255, shares given to a likelihood, and views under a decay. An empty caption was harmless (a mask in gpt that
leaves a letter nothing has its place), fifteen turns of the judge over dots made them better, and one hidden unit for
homes died where it should have been narrow. The other two that were added are photos left in training, and an
optimizer whose first state is loaded at every step. A logarithm of one's own never met nought (a spread that may be
negative has its place), and weights that are all a hundredth cost too little (they are one now). Made sharper were
months without a count (anywhere in the series, before it is scaled), the maker of dots (eight turns; ten took too
long), the divergence of codes (two hundred times), and two leaks of memory that could hardly be seen (the homes' totals
are kept beyond their epoch, and gpt's answers in the place of its losses); made milder, because they died at once and
of something else, one home a batch, momentum before the sunspots, and the spikes of gpt's rate. Two kin were mended
(mostly dark, and the distance of Wasserstein, which reaches .70 where the plain players reach .89), and homes and ink
were made larger so that loading is not a third of their step. All the others were left as they were first written.

The least harm is 5 % (set to eval before the loop), and of the 23 % that all in bfloat16 costs, its low rate costs 15.
Harm is a lower score, or in four leaks one that is too good, or in seven of slow loading, growing memory and slow steps
the symptom: loading is nine tenths of a step, memory grows by 40 to 150 megabytes, late steps are 4 to 20 times as long
as early ones. Where a batch is one or two rows, and where each picture is opened, fewer rows are seen than by the
healthy twin, which is a part of the harm. Of the faults only seed 0 was tried.
"""
