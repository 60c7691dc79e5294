"""A thirteenth list of faults to plant: other rows and other networks for the plain harness of the twelfth.

The loop and many of the changes are those of `benchmarks.doctor.harness`; what is new are the cases. There are two
tables (shells, a number; lumps in mammograms, one in 43 harmful), three networks of pictures (layers with batch norm,
a residual net under a cosine, a transformer of patches), one of spoken digits (convolutions over time), three of text
(a GRU that spells names, a bag of words that judges films, a transformer that writes captions), an LSTM before the
sun's spots, two variational autoencoders (convolutions over written characters, layers over moments of speech), and two
pairs of players (places on a map, tiny grey photos) with a loop of their own. Plain descent, momentum and Adam train
them. Eight of the fourteen (shells, digits, patches, spoken, names, critics, captions, sunspots) tell the doctor what
they hold out; the players show samples, and the two autoencoders tell their divergence. Every ailment but the
under-used device is planted in two cases at least. `python -m benchmarks.doctor.loops --list infirmary` runs it.

Written on 22 November 2026, 03:14 to 03:49 UTC, by somebody who had read the table of ailments with how it is judged,
the README of the data, the twelfth list whole (with its names, notes and what it accepts), the runner and the test of
the lists; but no rule of the doctor, no test of it, no page of what it finds and no other list. What each mistake is
meant to be, by what other names it may rightly go, and whether anything in place could cure it was written down with
it; none was run under a doctor. So all of it is first contact.

132 mistakes were written, and each was trained alone, seed 0, beside its healthy twin. Then 23 were given up: two that
did not harm (a recurrence without gradients, as the head made do with what it was given, and one window a batch before
the sun, 5 %), and 21 of ailments that stood there three to five times, whatever they did, or that were slow. One
shell a batch was put in, and half precision moved from the recordings, where it was slow, to the moments. Made sharper:
missing lumps (one cell in twelve, not in fifty) and both faults of the moments (the loudness, which one number tells,
is taken off). Made milder: the rate of the shells that should swing (eighty to thirty; it became no number), and one
channel for the ear became two (it never began). A root whose slope PyTorch masks did nothing, and logarithms of what is
below nought stand in its place. The recordings were in order of digit and speaker, so that the first forty held one
digit: they are mixed now. The objects and the characters were made smaller, as they were slow. Of the healthy kin eight
missed their loop by more than a twentieth at first and were given more steps or less of what was awkward.

Harm is a lower score by a tenth at least (the least, 13 %, is the first axis of the months taken for time), in four
that leak one that is too good, and in six of slow loading, growing memory and slow steps the symptom (memory grows by
330 and 94 megabytes in 310 steps). The score of the characters is low when healthy (a seventh of the mean picture's
nats is saved, with 7.6 nats of divergence), so that a cure there is told on a narrow scale. Of the faults only seed 0
was tried. 110 mistakes and 38 kin are left.
"""
