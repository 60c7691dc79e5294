"""A model part-way to its metrics: judged on held-out batches, its best weights kept and put back at the end."""

import contextlib
import math
from typing import Any

import torch

from trainwell.errors import InputError, suggest
from trainwell.train.distributed import of_first_rank
from trainwell.train.events import Events
from trainwell.train.state import State


def evaluate(state: State, loader: Any) -> dict[str, float]:
    """The task's metrics over a loader, by the averaged weights where there are any; the model's mode is put back.

    Where the task's goal is its loss, the mean loss of its first player is among them.
    """
    task, metrics, training = state.task, state.task.metrics(), state.model.training
    total, count = 0.0, 0.0
    state.model.eval()
    try:
        with state.average.swapped() if state.average else contextlib.nullcontext(), torch.no_grad():
            for batch in loader:
                with state.autocast():
                    prediction = task.predict(state.model, batch)
                    loss = task.loss(state.model, batch, task.players[0]) if task.goal[0] == "loss" else None
                metrics.update(prediction, batch)
                if loss is not None:
                    total, count = total + float(loss.total), count + float(loss.count)
    finally:
        state.model.train(training)
    return {**({"loss": total / max(count, 1e-12)} if task.goal[0] == "loss" else {}), **metrics.compute()}


def judge(state: State, held_out: Any, events: Events) -> None:
    """Evaluate, remember the weights if the goal is the best so far, and tell the listeners."""
    name, direction = state.task.goal
    state.metrics = evaluate(state, held_out)
    if name not in state.metrics:
        raise InputError(f"task: the goal {name!r} is not among its metrics; {suggest(name, state.metrics)}")
    value = of_first_rank(state.metrics[name])
    better = state.best is None or (value < state.best if direction == "min" else value > state.best)
    if better and math.isfinite(value):
        keep_weights(state)
        state.best, state.best_step, state.since_best = value, state.step, 0
    else:
        state.since_best += 1
    if hasattr(state.schedule, "observe"):
        state.schedule.observe(state.since_best == 0)
    events.emit("evaluate", state, state.metrics)


@torch.no_grad()
def keep_weights(state: State) -> None:
    """Copy the weights that evaluation saw to `best_weights`, in the memory that they took before."""
    with state.average.swapped() if state.average else contextlib.nullcontext():
        weights = state.model.state_dict()
        if state.best_weights is None:
            state.best_weights = {name: each.detach().clone() for name, each in weights.items()}
        else:
            for name, each in weights.items():
                state.best_weights[name].copy_(each)


def finish(state: State, events: Events) -> None:
    """Leave the model, and its average, with the best weights, in evaluation mode."""
    if state.best_weights is None and state.average:
        keep_weights(state)
    if state.best_weights is not None:
        state.model.load_state_dict(state.best_weights)
    if state.average:
        state.average.reset()
    state.model.eval()
    events.emit("end", state)
