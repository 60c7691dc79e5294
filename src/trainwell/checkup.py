"""A source to what ails it before a step is taken: data, split, wiring, one batch to learn by heart."""

from typing import Any

from trainwell import build
from trainwell.begin import begin
from trainwell.data import split
from trainwell.doctor import Doctor
from trainwell.doctor.patient import from_state
from trainwell.doctor.sample import read
from trainwell.prepare import prepare
from trainwell.recipe import check


def checkup(source: Any = None, target: str | None = None, **wishes: Any) -> Doctor:
    """The doctor after its checks before training, of what `fit` would train on a source; nothing is written.

    wishes: as in `prepare`. Raises InputError for input that its user can mend.
    """
    data, schema, plan = prepare(source, target, **wishes)
    parts = split(data, schema, seed=plan.recipe.seed, **check(plan.recipe.split, split, "split"))
    transform = build.fit_transform(plan.recipe, data, schema, parts.train, None)
    state, loader, held_out, _ = begin(plan, data, schema, parts, transform, None)
    doctor = Doctor(held_out=held_out)
    doctor.record.facts["task scales"] = state.task.raw
    doctor.record.facts["steps"] = int(build.settings_of(plan.recipe).epochs * len(loader))
    doctor.record.facts["augmented"] = getattr(loader, "transform", None) is not None
    doctor.guarded(lambda: doctor.start(from_state(state)))
    doctor.check(read(loader))
    doctor.detach()
    return doctor
