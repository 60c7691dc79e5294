"""A training about to begin to one that is done, all that listens beside it; begun afresh where the doctor asks."""

from dataclasses import asdict
from typing import Any

from trainwell import build
from trainwell.begin import Begun
from trainwell.doctor.afresh import Afresh
from trainwell.doctor.bedside import attend, begins_afresh
from trainwell.filming import Film
from trainwell.models import MODELS
from trainwell.plan import Plan, Reason
from trainwell.runs import RunFolder
from trainwell.telling import Telling
from trainwell.train import Events, State, train
from trainwell.train.checkpoint import load_state
from trainwell.train.distributed import rank
from trainwell.train.log import Bar, Checkpoints, Recorder


def learn(
    begun: Begun, folder: RunFolder, plan: Plan, mode: Any, transform: Any, *, quiet: bool, resumed: bool
) -> State:
    """Train, with record, progress, checkpoints and doctor listening; after Ctrl-C the run can be resumed.

    Where the doctor ends the training for another network to be trained, that is begun with the changed recipe in what
    is left of the time, and no third one after it. plan: its recipe holds what was changed. Gives the last state.
    """
    recipe, seconds = plan.recipe, build.settings_of(plan.recipe).seconds
    afresh = Afresh(recipe, MODELS[recipe.model["name"]], begun.again) if begun.again is not None else None
    if not _trained(begun, folder, plan, mode, transform, afresh, seconds, quiet=quiet, resumed=resumed):
        return begun.state
    assert begun.again is not None
    changes = {key: value for key, value in plan.recipe.model.items() if value != recipe.model.get(key)}
    plan.reasons += [
        Reason(f"model.{key}", str(value), "changed by the doctor, as Health tells") for key, value in changes.items()
    ]
    folder.write_json("plan.json", {"reasons": [asdict(each) for each in plan.reasons]})
    spent, begun = begun.state.seconds, begun._replace(state=begun.again(plan.recipe))
    seconds = None if seconds is None else max(1.0, seconds - spent)
    _trained(begun, folder, plan, mode, transform, None, seconds, quiet=quiet, resumed=False)
    return begun.state


def _trained(
    begun: Begun,
    folder: RunFolder,
    plan: Plan,
    mode: Any,
    transform: Any,
    afresh: Afresh | None,
    seconds: float | None,
    *,
    quiet: bool,
    resumed: bool,
) -> bool:
    """Train once; whether the doctor asks for another beginning."""
    state, loader, held_out, _ = begun
    events, settings = Events(), build.settings_of(plan.recipe)
    recorder = Recorder(folder if rank() == 0 else None).attach(events)
    if rank() == 0:
        Checkpoints(folder, events)
        Film(folder, held_out, seconds).attach(events)
        Telling(folder, transform, held_out, seconds).attach(events)
        if not quiet:
            Bar(recorder, seconds).attach(events)
    if resumed:
        load_state(folder, state)
    doctor = attend(mode, events, state, (loader, held_out), folder, plan, seconds=seconds, quiet=quiet, afresh=afresh)
    arguments = {name: getattr(settings, name) for name in ("epochs", "accumulate", "clip", "patience", "evaluations")}
    train(state, loader, held_out, events, seconds=seconds, **arguments)
    return begins_afresh(doctor)
