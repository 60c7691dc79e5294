"""A fourteenth list of faults to plant: programs as people write them, each in its own style and with its own loss.

The twelfth and the thirteenth list are one plain loop with other cases; this one is its opposite: 60 programs, no two
of one form, 32 that learn from answers (`supervised`) and 28 that make their own (`self_taught`): quantiles, survival,
grades, angular margins, a random field, speech's blanks, sharpness-aware steps, ensembles by vmap; contrast, codebooks,
flows, a Boltzmann machine, equations, rewards, graphs, tasks to learn from. 45 awkward kin beside the healthy programs,
160 mistakes. Most tell the doctor neither their loss nor what they hold out. `python -m benchmarks.doctor.loops --list
outpatients` runs it.

Written on 22 November 2026, 06:03 to 06:45 UTC, by two people, each of whom had read what the beginning of
`supervised` and of `self_taught` says, and no rule of the doctor. The rules were frozen at 06:36 UTC (bd4e215) and met
the list from 06:43 to 06:58 UTC.
"""
