"""A ninth list of faults to plant: 17 whole trainings, and every ailment of the table in them, once plainly, once not.

The list is written as an outside judge would write it who has the table of 47 ailments in hand: each row of it is
planted in two families of network at least (tables, pictures, recurrent, transformers, two players, autoencoders with
a divergence), in its textbook form in one and in a subtler one in the other. Where an ailment belongs to one family
(two players, a posterior, a transformer's first steps), it stands in two networks of that family; a part of a
recurrence that is missing stands in a transformer as a mask. Loops, mistakes and runner have the form of
`benchmarks.doctor.loops`, and `python -m benchmarks.doctor.loops --list judge` runs them. Six of the loops (houses,
credit, digits, photos, heard, grid) and the sketches tell the doctor what they hold out, how many steps are planned
and what they evaluate; the other ten tell it no more than the README's two lines do, the players without a loss.

Written on 21 November 2026, 14:25 to 15:15 UTC, by somebody who had read the table of ailments, the README and the
doctor's signature, of the list before this one its docstring and the first lines of its plan, but no rule of the
doctor, no test of it, no page of what it finds and no other list. What each mistake is meant to be, by what other
names it may rightly go, and whether anything in place could cure it was written down with it; none was run under a
doctor. So all of it is first contact, and nothing is kept apart. The under-used device is not here, as it
needs an accelerator.

Then each was trained alone, seed 0, beside its healthy twin, and of 124 at first thirteen were given up. Five cost
nothing or less than 5 %: the state of the batch before (even at six times its size), shares given to a loss of scores
where words are heard, shares of rows among digits, an hourly cut before the oil (the words have it now), logarithms of
shares that may be nought. One was dead and not oscillating (a momentum of .99 for the sketches), and seven said nothing
new: three other rates, a width of four, a sleep, sixty photos, a high rate for glyphs. Places were taken by answers
between nought and one, a cut at every frame, and three pictures that hold what is no number. Made sharper were sigmoids
that are sure (by plain descent), a recurrence that grows (a gain of 1.15 to 1.4), attention on one frame (12 to 60) and
norms behind (a rate of .01 to .03); made milder, because they died at once and of something else, prices in another
unit, one house at a time, momentum before the oil, the whole table and bfloat16 (a rate at which single precision
reaches .913 and bfloat16 .840 of .957). Two healthy kin that were not healthy were given up, and two were mended. All
the others were left as they were first written. The least harm is 6 % (a single unit, new tables, dropped out at the
examination), and the least that is too good 4 % (test photos). Harm is a lower score, or in three leaks one that is too
good, or in seven of slow loading, growing memory and slow steps the symptom, of which the time was looked at: slow
steps are 6 to 37 times as long as before, slow loading is three quarters of a step. Where a batch is made small, fewer
rows are seen than by the healthy twin, which is a part of the harm. Only seed 0 was tried.
"""
