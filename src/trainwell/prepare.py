"""A source and wishes to what fit would do and why: the source as read, its schema and the plan."""

from pathlib import Path
from typing import Any

from torch import nn

from trainwell.build import choose_device
from trainwell.data import Schema, Source, drop_unlabelled, infer, read
from trainwell.plan import Plan, profile, propose
from trainwell.recipe import Recipe, seconds


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
    schema: Schema | None = None,
) -> tuple[Source, Schema, Plan]:
    """What `fit` would do with a source, and why: the source as read, its schema and the plan. Trains nothing.

    recipe: a file or Recipe that takes the place of the rules; group, order: columns to split by, as groups or
    in time; schema: takes the place of what would be inferred.
    """
    if recipe is not None and not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe)
    target = target or (recipe.target if recipe else None)
    types = types or (dict(recipe.types) if recipe else None)
    data = read(
        source if source is not None else (recipe.source if recipe else None), target=target, val=val, test=test
    )
    if schema is None:
        schema = infer(data, target=target, types=types, group=group, time=order)
    data = drop_unlabelled(data, schema)
    if recipe is not None:
        plan = Plan(recipe)
    else:
        name = "own" if isinstance(model, nn.Module) else model
        plan = propose(profile(data, schema, choose_device(device), seconds(time)), name, task)
        plan.recipe.seed = seed
        plan.recipe.train["device"] = device
        plan.recipe.split |= {key: each for key, each in (("group", group), ("time", order)) if each is not None}
    for change in changes or []:
        plan.recipe = plan.recipe.set(change)
    if time is not None:
        plan.recipe.train["seconds"] = seconds(time)
    plan.recipe.source = (
        str(Path(source).absolute()) if isinstance(source, str | Path) and Path(source).exists() else str(data.origin)
    )
    plan.recipe.parts = {key: str(each) for key, each in (("val", val), ("test", test)) if isinstance(each, str | Path)}
    plan.recipe.target = ",".join(column.name for column in schema.targets) or None
    plan.recipe.types = types or {}
    return data, schema, plan
