"""An eleventh list of faults to plant: 18 trainings as PyTorch is written now, and every ailment of the table in two.

Three loops over tables, three over pictures (plain, residual with batch norm, in patches), three recurrent ones, three
over text with attention, two of two players, two with a divergence, a plain autoencoder and an embedding by pairs. They
have settings in dataclasses, a Trainer, models that return their loss, rates that rise and fall by the step, losses of
several terms. Loops, mistakes and runner have the form of `benchmarks.doctor.loops`, and
`python -m benchmarks.doctor.loops --list inspection` runs them. Nine loops (shells, numerals, snapshots, spoken, load,
letters, articles, days, squeeze) tell the doctor what they hold out and what they evaluate, bard does so without a
loss, translate tells its loss and its steps, applicants its loss as the README's two lines do; pens, patches, twins,
the two players and ink tell no loss, and nothing but the samples that the players show and the divergence.

Written on 21 November 2026, 20:15 to 21:15 UTC, by somebody who had read the table of ailments, the README's lines of
use, the doctor's signature with the docstrings of its methods, and of the tenth list the names of its mistakes and the
loops on tables for their form, but no rule of the doctor, no test of it and no page of what it finds. What each mistake
is meant to be, by what other names it may rightly go, and whether anything in place could cure it was written down with
it; none was run under a doctor. So all of it is first contact. The under-used device is not here, as it needs an
accelerator. For each ailment one mistake is the table's row made plainly, and another is of another family, but for
what only players, a divergence or attention can have.

Then each was trained alone, seed 0, beside its healthy twin. Given up: a softmax before the loss of photos and of
patches (4 % each), one weight for all in the numerals (4 %), an encoder without gradients in translate (1 %), padding
that is learned in translate (2 %), a rate of one for twins (nothing), a likeness of nought by a logarithm in ink (the
loss was infinite, its gradients were not), and half precision for patches (15 times as slow). Of the kin, a hinge for
stamps, a plain recurrence for load and other rates of the players did not come near their loop, of which the last is
not in the list. Made sharper: raw amounts (the loop has plain descent now), a head for letters, the rate of articles,
spikes of translate, and what letters keep; milder: one shell a batch, momentum over photos, the rates of ink and days.
The rates of both players were changed until the healthy ones covered most of what is real, and all in bfloat16 stands
for bard alone, where of 40 % its low rate costs 30. All else was left as first written.

The least harm is 8 % (a letter that sees itself alone). Harm is a lower score, or in four leaks one that is too good
(by 10 % for German to come), or in six of slow loading, growing memory and slow steps the symptom: a step takes two to
five times as long where rows are read from files, memory grows by 140 and 160 megabytes, late steps are four and eight
times as long as early ones. Of the faults only seed 0 was tried. Some ailments are here more than thrice (a rate too
high eight times), so weigh them by ailment.
"""
