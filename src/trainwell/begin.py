"""A plan and data to the moment before the first step: network, optimizers, loaders."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from trainwell import build
from trainwell.data import Schema, Source, Split, Transform
from trainwell.plan import Plan
from trainwell.recipe import Recipe
from trainwell.train import State
from trainwell.train.distributed import wrap


class Begun(NamedTuple):
    """The state before the first step, the loaders, and how such a state is made again by another recipe; nothing
    where the network is its user's own."""

    state: State
    loader: Any
    held_out: Any
    again: Callable[[Recipe], State] | None


def begin(plan: Plan, data: Source, schema: Schema, parts: Split, transform: Transform, own: nn.Module | None) -> Begun:
    """The moment before the first step of what a plan says."""
    recipe = plan.recipe
    settings = build.settings_of(recipe)
    device = build.choose_device(settings.device)
    torch.manual_seed(recipe.seed)
    task = build.build_task(recipe, schema, transform)
    model = build.build_model(recipe, transform, own)
    loader, held_out, sample = build.loaders(recipe, transform, data, parts, device)
    if own is not None and not task.raw:
        plan.recipe = recipe = build.adapt(recipe, model, sample, task)
        task = build.build_task(recipe, schema, transform)
    elif own is None:
        build.initialize(model, sample, recipe.seed, _target_of(loader))
    state = build.build_state(recipe, model, task, device)
    state.model = wrap(state.model, task)

    def again(recipe: Recipe) -> State:
        model = build.build_model(recipe, transform)
        build.initialize(model, sample, recipe.seed, _target_of(loader))
        state = build.build_state(recipe, model, task, device)
        state.model = wrap(state.model, task)
        return state

    return Begun(state, loader, held_out, again if own is None and not recipe.transfer else None)


def _target_of(loader: Any) -> Any:
    """The targets of a loader that holds them."""
    return getattr(loader, "tensors", {}).get("target")
