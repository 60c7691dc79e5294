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
names it may rightly go, and whether anything in place could cure it was written down before any was run; none was run
under a doctor. So all of it is first contact, and nothing is kept apart. The under-used device is not here, as it
needs an accelerator.
"""
