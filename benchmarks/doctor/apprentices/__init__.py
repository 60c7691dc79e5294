"""A fifteenth list of faults to plant: the programs of tutorials, courses and kernels, and their readers' slips.

52 programs rebuilt from memory, 26 that tell what they see (`perceiving`: tables, pictures, sounds, series) and 26 that
compose (`composing`: text, transformers, what makes and what acts), 45 awkward kin, 187 mistakes. A third give their
loss, a third tell what they hold out, the others keep to the two lines. `python -m benchmarks.doctor.loops --list
apprentices` runs it.

Written on 22 November 2026, 09:09 to 09:56 UTC, by two people, each of whom had read what the beginning of `perceiving`
and of `composing` says, and no rule of the doctor. Afterwards the keyword by which held-out rows are told was put right
in eleven lines, which had been misnamed to them. The rules were frozen at 10:03 UTC (the state before them is main's
b0bfac6, the tapes among them are new) and met the list from 10:04 to 10:18 UTC.
"""
