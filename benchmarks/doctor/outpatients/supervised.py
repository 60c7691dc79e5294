"""The supervised half of the fourteenth list: every program, awkward variant and mistake of its modules."""

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
