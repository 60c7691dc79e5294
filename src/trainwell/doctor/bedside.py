"""A training of this package's own to one with a doctor beside it: told as it happens, its changes in the recipe."""

import dataclasses
import sys
from typing import Any

from trainwell.doctor.afresh import Afresh
from trainwell.doctor.doctor import Doctor
from trainwell.doctor.ward import Mode
from trainwell.errors import InputError, suggest
from trainwell.recipe import Recipe
from trainwell.runs import RunFolder
from trainwell.train.distributed import rank
from trainwell.train.events import Events
from trainwell.train.state import State

MODES = ("treat", "watch", "ask")


def mode_of(wish: str | None) -> Mode | None:
    """The doctor's mode, None for no doctor; raises InputError for a word that is none."""
    if wish is None or wish in MODES:
        return wish  # type: ignore[return-value]
    raise InputError(f"--doctor {wish}: no such way to doctor; {suggest(str(wish), MODES)}; --no-doctor leaves it out")


def attend(
    mode: Mode | None,
    events: Events,
    state: State,
    parts: tuple[Any, Any],
    folder: RunFolder,
    plan: Any,
    *,
    seconds: float | None = None,
    quiet: bool = False,
    afresh: Afresh | None = None,
) -> Doctor | None:
    """Let a doctor listen to the events of a training that is about to begin or to go on; the first rank alone has one.

    parts: the loaders to learn from and to judge by; plan: its `recipe` takes the changes as the training ends, and is
    written into the folder with them; seconds: that the training may take, where that is limited; afresh: how it could
    begin again with another network, which it then is the caller's to do.
    """
    if mode is None or rank() != 0:
        return None
    doctor = Doctor(mode=mode, folder=folder)
    doctor.record.facts |= {"seconds": seconds, "best kept": True, "task scales": state.task.raw}
    doctor.record.facts["in order of time"] = plan.in_order_of_time
    doctor.earlier = folder.read_lines("findings.jsonl")
    if (folder.path / "history.json").exists():
        doctor.history = [each for each in folder.read_json("history.json") if isinstance(each, dict)]
    if not quiet:
        doctor.tell = lambda text: print(text, file=sys.stderr)
    doctor.treatments.afresh = afresh
    changed = len(doctor.history)
    before = {each["finding"] for each in doctor.history if each.get("afresh")}

    def close(state: State) -> None:
        for each in doctor.earlier:  # what the training before this one was given up for
            if each.get("name") in before and each.get("cured") is None:
                each["cured"] = not doctor.diagnosis.has(each["name"])
                doctor.write(folder)
        if len(doctor.history) > changed:
            plan.recipe = prescribed(plan.recipe, doctor.history[changed:])
            folder.write_text("recipe.yaml", plan.recipe.to_yaml())

    doctor.attach(events, state, loader=parts[0], held_out=parts[1])
    events.on("close", close)
    return doctor


def begins_afresh(doctor: Doctor | None) -> bool:
    """Whether the training was ended for another one to begin with the changed recipe."""
    return doctor is not None and doctor.treatments.chart is not None and bool(doctor.treatments.chart.wanted)


def prescribed(recipe: Recipe, history: list[dict[str, Any]]) -> Recipe:
    """The recipe with the changes of a treatment, so that the same training can be started without the ailment.

    A rate is changed by its factor, as groups of parameters may have rates of their own.
    """
    for entry in history:
        for key, (before, after) in entry.get("recipe", {}).items():
            section, _, name = key.partition(".")
            held = getattr(recipe, section).get(name)
            if key == "optimizer.lr" and held and before:
                own = {player: _slowed(part, after / before) for player, part in recipe.optimizer.items()}
                recipe = dataclasses.replace(recipe, optimizer=own)
                after = float(f"{held * after / before:.6g}")
            recipe = recipe.set(f"{key}={'null' if after is None else after}")
    return recipe


def _slowed(part: Any, factor: float) -> Any:
    """What a player has of its own, its rate times the factor."""
    return {**part, "lr": float(f"{part['lr'] * factor:.6g}")} if isinstance(part, dict) and "lr" in part else part
