"""A source and wishes to what fit would do and why: the source as read, its schema and the plan."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from trainwell.build import choose_device
from trainwell.data import (
    Schema,
    Source,
    as_answers,
    as_boxes,
    as_language,
    as_likeness,
    as_pairs,
    as_segments,
    as_series,
    as_speech,
    as_tags,
    as_whole,
    drop_unlabelled,
    in_order,
    infer,
    infer_as,
    looks_like_answers,
    looks_like_boxes,
    looks_like_language,
    looks_like_pairs,
    looks_like_series,
    looks_like_tags,
    read,
    spoken_column,
)
from trainwell.errors import InputError
from trainwell.nn.keras_network import is_keras
from trainwell.plan import Plan, Reason, profile, propose
from trainwell.plan.fill import filler_of
from trainwell.plan.generative import NETWORKS, task_of
from trainwell.recipe import Recipe, seconds

# Kinds of work whose rows are steps or pieces of one whole, by the function from a source to those and their schema.
SEQUENCES: dict[str, Callable[..., tuple[Source, Schema]]] = {
    "forecast": lambda data, target, order, *rest: as_series(data, target, order),
    "language": lambda data, target, *rest: as_language(data, target),
    "masked_language": lambda data, target, *rest: as_language(data, target, "masked_language"),
    "span_corruption": lambda data, target, *rest: as_language(data, target, "span_corruption"),
    "segment": lambda data, target, order, schema, types, group: as_segments(data, target, types),
    "translate": lambda data, target, *rest: as_pairs(data, target),
    "tag": lambda data, target, *rest: as_tags(data, target),
    "answer": lambda data, target, *rest: as_answers(data, target),
    "summarize": lambda data, target, *rest: as_pairs(data, target, "summarize"),
    "recognize": lambda data, target, *rest: as_speech(data, target),
    "detect": lambda data, *rest: as_boxes(data),
    "likeness": lambda data, target, *rest: as_likeness(data, target),
}


def whole_rows(
    task: str,
    data: Source,
    target: str | None,
    order: str | None,
    schema: Schema | None,
    types: dict[str, Any] | None,
    group: str | None,
) -> tuple[Source, Schema]:
    """Rows to rebuild or to draw, and their schema."""
    return as_whole(data, task, target, types=types, group=group, order=order, schema=schema)


WHOLE: dict[str, Callable[..., tuple[Source, Schema]]] = {task: partial(whole_rows, task) for task in NETWORKS}


def sequence_of(data: Source, target: str | None, types: dict[str, Any] | None) -> str | None:
    """The kind of sequence that a source is where its user says nothing of columns; None for a table."""
    if "masks" in data.hints:
        return "segment"
    if looks_like_pairs(data):
        return "translate"
    if looks_like_boxes(data):
        return "detect"
    if looks_like_tags(data):
        return "tag"
    if looks_like_answers(data):
        return "answer"
    if not types and spoken_column(data, target):
        return "recognize"
    if target or types:
        return None
    return "forecast" if looks_like_series(data) else "language" if looks_like_language(data) else None


def as_table(
    data: Source,
    target: str | None,
    order: str | None,
    schema: Schema | None,
    types: dict[str, Any] | None,
    group: str | None,
) -> tuple[Source, Schema]:
    """The rows that have an answer, and the schema of the columns; rows without any are to be rebuilt."""
    schema = schema or infer(data, target=target, types=types, group=group, time=order)
    if group and data.hints.get("parts by name"):  # the user's way to split goes before what file names suggest
        data = replace(data, parts=None)
    if schema.task == "reconstruct":
        return as_whole(data, schema.task, schema=schema)
    return drop_unlabelled(data, schema), schema


def as_told(
    kind: str,
    task: str,
    data: Source,
    target: str | None,
    order: str | None,
    schema: Schema | None,
    types: dict[str, Any] | None,
    group: str | None,
) -> tuple[Source, Schema]:
    """As a table whose target is read as the kind that the named task asks for."""
    schema = schema or infer_as(kind, task, data, target=target, types=types, group=group, time=order)
    return as_table(data, target, order, schema, types, group)


TOLD: dict[str, Callable[..., tuple[Source, Schema]]] = {
    **{task: partial(as_told, "number", task) for task in ("regress", "gaussian", "quantile", "mixture")},
    **{task: partial(as_told, "category", task) for task in ("classify", "ordinal")},
}


def prepare(
    source: Any,
    target: str | None = None,
    *,
    task: str | None = None,
    model: str | nn.Module | None = None,
    recipe: str | Path | Recipe | None = None,
    changes: list[str] | None = None,
    types: dict[str, Any] | None = None,
    val: Any = None,
    test: Any = None,
    group: str | None = None,
    order: str | None = None,
    time: str | float | None = None,
    device: str = "auto",
    seed: int = 0,
    weights: str | Path | None = None,
    schema: Schema | None = None,
) -> tuple[Source, Schema, Plan]:
    """What `fit` would do with a source, and why: the source as read, its schema and the plan. Trains nothing.

    recipe: a file or Recipe that takes the place of the rules; group, order: columns to split by, as groups or
    in time; weights: a file, a run folder or hub:owner/name to start from; schema: instead of inferring one.
    """
    if recipe is not None and not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe)
    target = target or (recipe.target if recipe else None)
    types = types or (dict(recipe.types) if recipe else None)
    if recipe is not None:
        val = recipe.parts.get("val") if val is None else val
        test = recipe.parts.get("test") if test is None else test
        group, order = group or recipe.split.get("group"), order or recipe.split.get("time")
    data = read(
        source if source is not None else (recipe.source if recipe else None), target=target, val=val, test=test
    )
    task = task or _named_in(changes or [])
    found = task or (recipe.task.get("name") if recipe else task_of(model)) or sequence_of(data, target, types)
    kind, model = filler_of(found, model, told=bool(task or recipe))
    data, schema = {**SEQUENCES, **WHOLE, **TOLD}.get(kind or "", as_table)(data, target, order, schema, types, group)
    if recipe is not None:
        why = Reason("recipe", recipe.model.get("name", "own"), "a recipe was given: no rule changes it")
        plan = Plan(recipe, [why])
    else:
        name = "own" if isinstance(model, nn.Module) else model
        _check_model(name)
        plan = propose(profile(data, schema, choose_device(device), seconds(time)), name, task, _text(weights))
        plan.recipe.seed = seed
        plan.recipe.train["device"] = device
        plan.recipe.split |= {key: each for key, each in (("group", group), ("time", order)) if each is not None}
    if recipe is not None and device != "auto":
        plan.recipe.train["device"] = device
    if recipe is not None and weights is not None:
        plan.recipe.transfer["weights"] = str(weights)
    _change(plan, changes or [])
    schema = _ranked(schema, plan, data)
    if time is not None:
        plan.recipe.train["seconds"] = seconds(time)
    _remember(plan.recipe, source, data, schema, {"val": val, "test": test})
    plan.recipe.types = types or {}
    return data, schema, plan


def _change(plan: Plan, changes: list[str]) -> None:
    """Set what the user sets, one after the other."""
    for change in changes:
        plan.recipe = plan.recipe.set(change)
        key, _, value = change.partition("=")
        part = key.strip().partition(".")[0]
        plan.reasons = [_set_in_part(each) if each.key == part else each for each in plan.reasons]
        plan.reasons.append(Reason(key.strip(), value.strip(), "set by the user"))
    keys = {change.partition("=")[0].strip() for change in changes}
    mirrored = any(step.get("name") == "flip" for step in plan.recipe.augment)
    if "augment" in keys and "task.mirror" not in keys and not mirrored and plan.recipe.task.pop("mirror", False):
        plan.reasons = [each for each in plan.reasons if each.key != "answers"]
        why = "the augmentations that the user set do not mirror, so that left and right may differ"
        plan.reasons.append(Reason("answers", "by the picture as it is", why))


def _set_in_part(reason: Reason) -> Reason:
    """The choice of a part with a word that not all of it holds any more."""
    told = ", but for what you set"
    return reason if reason.choice.endswith(told) else Reason(reason.key, reason.choice + told, reason.why)


def _ranked(schema: Schema, plan: Plan, data: Source) -> Schema:
    """The schema with its classes in the order that an ordinal task has them; any other as it is."""
    if plan.recipe.task.get("name") != "ordinal" or schema.task != "classify":
        return schema
    return in_order(schema, plan.recipe.task.get("order"), data.origin)


def _named_in(changes: list[str]) -> str | None:
    """The task that the changes name, as `--set task.name=quantile` does."""
    found = [value.strip() for key, _, value in (each.partition("=") for each in changes) if key.strip() == "task.name"]
    return found[-1] if found else None


def _text(weights: str | Path | None) -> str | None:
    return None if weights is None else str(weights)


def _remember(recipe: Recipe, source: Any, data: Source, schema: Schema, parts: dict[str, Any]) -> None:
    """Where the data lies and what its target is, so that the recipe alone can be fitted again."""
    there = isinstance(source, str | Path) and Path(source).exists()
    recipe.source = str(Path(source).absolute()) if there else str(data.origin)
    recipe.parts = {key: str(each) for key, each in parts.items() if isinstance(each, str | Path)}
    recipe.target = ",".join(column.name for column in schema.targets) or None


def _check_model(model: Any) -> None:
    """Raises InputError for what is neither a name nor a network of torch."""
    if model is None or isinstance(model, str):
        return
    if is_keras(model):
        raise InputError(
            "model: this Keras model is not on its torch backend; set the environment variable KERAS_BACKEND=torch "
            "before keras is imported"
        )
    kind = f"the class {model.__name__}, not an instance" if isinstance(model, type) else f"a {type(model).__name__}"
    raise InputError(f"model: found {kind}; expected a name (`trainwell models` lists them) or an nn.Module")


UNNAMED = {  # work whose answer is in its input
    "language": "learns what comes next",
    "masked_language": "learns to fill holes",
    "span_corruption": "learns to fill gaps",
}


def announce(data: Source, schema: Schema, plan: Plan) -> str:
    """What is about to be learned, from what and with what, and the notes on the data, a line each."""
    if schema.task in NETWORKS:
        return "\n".join([_whole_words(data, schema, plan), *(f"note: {note}" for note in data.notes)])
    names = ", ".join(column.name for column in schema.targets)
    why = schema.targets[0].reason if len(schema.targets) == 1 else ""
    learns = f"learns {names}" + (f" ({why})" if why else "") if names else UNNAMED.get(schema.task, schema.task)
    inputs = [column for column in schema.inputs if column not in schema.targets]
    what = inputs[0].name if len(inputs) == 1 else f"{len(inputs)} columns"
    noun = "steps" if schema.task == "forecast" else "pieces" if schema.task in UNNAMED else "rows"
    first = f"{data.name}: {schema.rows:,} {noun}; {learns} from {what} with {plan.recipe.model.get('name')}"
    advice = [each.why for each in plan.reasons if "--weights" in each.why]  # what the user alone can do
    return "\n".join([first, *(f"note: {note}" for note in [*data.notes, *advice])])


def left_out(schema: Schema) -> list[str]:
    """A sentence for each reason why columns are not learned from, but for those that the user named."""
    reasons: dict[str, list[str]] = {}
    for column in schema.columns:
        if column.role == "ignored" and column.reason != "told by the user":
            reasons.setdefault(column.reason, []).append(repr(column.name))
    return [f"{', '.join(names)} left out: {reason}" for reason, names in reasons.items()]


def _whole_words(data: Source, schema: Schema, plan: Plan) -> str:
    """What is learned of rows that have no answer."""
    pictures = any(column.kind == "image" for column in schema.inputs)
    noun = "pictures" if pictures else f"rows of {len(schema.inputs)} columns"
    verb = "to rebuild" if schema.task == "reconstruct" else "to draw new"
    of = f" of {len(schema.classes)} classes" if schema.classes and schema.task != "reconstruct" else ""
    return f"{data.name}: {schema.rows:,} {noun}; learns {verb} ones{of} with {plan.recipe.model.get('name')}"
