"""A recipe's network that cannot be mended in place to one that learns better, with which `fit` then starts afresh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import from_state
from trainwell.doctor.proof import OWN, Proof, keep_curves
from trainwell.doctor.remedy import Chart
from trainwell.doctor.suspect import Suspect
from trainwell.errors import InputError
from trainwell.recipe import Recipe, choices
from trainwell.train.state import State

LATEST = 0.5  # of the training, beyond which starting afresh costs more than is left
# What a key of a recipe's model may be changed to, by its value now, in the order in which changes add up.
STRAIGHT = (("activation", ("sigmoid", "tanh", "softmax"), "relu"),)
WAY_PAST = (("residual", (False,), True), ("norm", (None,), "layer"))
LEAKING = (("activation", ("relu",), "gelu"),)
LADDERS: dict[str, tuple[tuple[tuple[str, tuple[Any, ...], Any], ...], ...]] = {
    "vanishing-gradient": (STRAIGHT, WAY_PAST),
    "cannot-fit-one-batch": (STRAIGHT, WAY_PAST),
    "saturated-activations": (STRAIGHT,),
    "dying-relu": (LEAKING, WAY_PAST),
}


def proposals(name: str, part: dict[str, Any], kind: Callable[..., Any]) -> list[dict[str, Any]]:
    """Changes of a recipe's model against an ailment, each with those before it; only of keys that the model takes."""
    known = {key: part.get(key, each.default) for key, each in choices(kind).items()}
    found: list[dict[str, Any]] = []
    changes: dict[str, Any] = {}
    for rung in LADDERS.get(name, ()):
        step = {key: new for key, old, new in rung if key in known and known[key] in old}
        if step:
            changes = changes | step
            found.append(changes)
    return found


@dataclass
class Afresh:
    """How a training could begin again with another network of its recipe.

    kind: what the recipe's model names; again: a recipe to a training about to begin on the same rows.
    """

    recipe: Recipe
    kind: Callable[..., Any]
    again: Callable[[Recipe], State]

    def change(self, finding: Finding, suspect: Suspect, proof: Proof) -> dict[str, list[Any]] | None:
        """The first change whose network a copy proves clearly better from its first weights, by dotted key with the
        value before; nothing where none is, or where the budget for proofs is spent."""
        steps, defaults = max(50, suspect.length), choices(self.kind)
        own = None
        for changes in proposals(finding.name, self.recipe.model, self.kind):
            if not proof.may_spend((2 if own is None else 1) * steps, suspect.step, suspect.planned):
                return None
            try:
                state = self.again(changed(self.recipe, changes))
            except InputError:
                continue  # the model takes the key, but not this value with its others
            if own is None:
                tried = proof.compare(suspect.patient, suspect.batches, {OWN: suspect.start}, steps, judge=True)
                own = tried[OWN]
            words = told(changes)
            other = proof.compare(from_state(state), suspect.batches, {words: None}, steps, judge=True)[words]
            if other.end < 0.8 * own.end and not other.apart > own.apart:
                keep_curves(finding, {OWN: own, words: other})
                finding.evidence += f" On a copy, {steps} steps with {words} end at {other.end:.3g}, "
                finding.evidence += f"as it is at {own.end:.3g}."
                return {
                    f"model.{key}": [self.recipe.model.get(key, defaults[key].default), value]
                    for key, value in changes.items()
                }
        return None


def start_afresh(chart: Chart, finding: Finding) -> str | None:
    """The training begun again with another network, where a recipe says it and a copy has proved it."""
    changes = chart.propose(finding)
    if not changes:
        return None
    chart.wanted = changes
    return f"fit starts afresh with {told({key: new for key, (_, new) in changes.items()})}"


def changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with these arguments of its model."""
    for key, value in changes.items():
        recipe = recipe.set(f"model.{key}={value}")
    return recipe


def told(changes: dict[str, Any]) -> str:
    """The changes as `--set` takes them."""
    return " ".join(f"{key}={value}" for key, value in changes.items())
