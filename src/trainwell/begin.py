"""A plan and data to the moment before the first step: network, optimizers, loaders."""

from typing import Any

import torch
from torch import nn

from trainwell import build
from trainwell.data import Schema, Source, Split, Transform
from trainwell.plan import Plan
from trainwell.train import State
from trainwell.train.distributed import wrap


def begin(
    plan: Plan, data: Source, schema: Schema, parts: Split, transform: Transform, own: nn.Module | None
) -> tuple[State, Any, Any]:
    """The state before the first step, and the loaders."""
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
        build.initialize(model, sample, recipe.seed, getattr(loader, "tensors", {}).get("target"))
    state = build.build_state(recipe, model, task, device)
    state.model = wrap(state.model, task)
    return state, loader, held_out
