"""A source to what ails it before a step is taken: data, split, wiring, one batch to learn by heart."""

import sys
from typing import Any

from trainwell import build
from trainwell.audit import audit
from trainwell.begin import begin
from trainwell.data import split
from trainwell.doctor import Doctor
from trainwell.doctor.patient import from_state
from trainwell.doctor.sample import read
from trainwell.prepare import announce, left_out, prepare
from trainwell.recipe import check


def checkup(source: Any = None, target: str | None = None, *, quiet: bool = False, **wishes: Any) -> Doctor:
    """The doctor after its checks before training, of what `fit` would train on a source; nothing is written.

    quiet: without the remarks on what was read; wishes: as in `prepare`. Raises InputError for input that its user can
    mend.
    """
    data, schema, plan = prepare(source, target, **wishes)
    parts = split(data, schema, seed=plan.recipe.seed, **check(plan.recipe.split, split, "split"))
    transform = build.fit_transform(plan.recipe, data, schema, parts.train, None)
    state, loader, held_out, _ = begin(plan, data, schema, parts, transform, None)
    if not quiet:
        lines = [announce(data, schema, plan), *(f"note: {note}" for note in (*left_out(schema), *transform.notes))]
        print("\n".join(lines), file=sys.stderr)
    doctor = Doctor(held_out=held_out)
    doctor.diagnosis.findings += audit(data, schema, plan.recipe.split)
    doctor.ran |= {each.name for each in doctor.findings}  # by the source itself, whatever asks for more of its rows
    doctor.record.facts["in order of time"] = plan.in_order_of_time
    doctor.record.facts["task scales"] = state.task.raw
    doctor.record.facts["steps"] = int(build.settings_of(plan.recipe).epochs * len(loader))
    doctor.record.facts["augmented"] = getattr(loader, "transform", None) is not None
    doctor.guarded(lambda: doctor.start(from_state(state)))
    doctor.check(read(loader))
    doctor.detach()
    return doctor
