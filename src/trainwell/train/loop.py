"""Batches to a trained model: the one loop, for every task and any number of players."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from trainwell.errors import InputError
from trainwell.tasks.task import Batch, Loss, player_module
from trainwell.train.allocator import keep_freed_memory
from trainwell.train.distributed import of_first_rank, sum_over_ranks, unsynced, world_size
from trainwell.train.evaluation import finish, judge
from trainwell.train.events import Events
from trainwell.train.interrupt import at_a_boundary
from trainwell.train.state import State


def train(
    state: State,
    loader: Any,
    held_out: Any = None,
    events: Events | None = None,
    *,
    epochs: float = 10,
    accumulate: int = 1,
    clip: float | None = None,
    patience: int | None = None,
    evaluations: int = 40,
    seconds: float | None = None,
) -> State:
    """Train until the epochs, the seconds or the patience run out, then put the best weights back.

    epochs: passes over the loader, a share of one allowed; accumulate: pieces that a batch is computed in, with one
    step for all; clip: largest gradient norm; patience: evaluations without a better goal; evaluations: at most so
    many, one an epoch at most; seconds: of wall clock, evaluation included. loader: iterable with len,
    `set_epoch(number)`, `iterate(start)`. Raises InputError where nothing can be learned, KeyboardInterrupt on Ctrl-C.
    """
    events, limit, began = events or Events(), seconds, time.perf_counter() - state.seconds
    if not len(loader):
        raise InputError("training: there is no batch to learn from; give more rows or a smaller batch_size")
    state.steps = max(1, math.ceil(epochs * len(loader)))
    every = max(1, len(loader) * math.ceil(epochs / max(1, evaluations))) if epochs >= 1 else state.steps
    judged = held_out is not None and len(held_out) > 0
    keep_freed_memory()
    events.emit("start", state)
    state.model.train()
    if state.passed >= state.steps:
        state.stopped = f"{epochs:g} epochs were done"
    with at_a_boundary(state), events.closing(state):
        while not state.stopped:
            loader.set_epoch(state.epoch)
            for raw in loader.iterate(state.batch):
                set_rates(state, limit)
                state.batch, state.passed = state.batch + 1, state.passed + 1
                for batch in state.task.batches(state.model, raw):
                    learn(state, batch, events, accumulate, clip)
                state.seconds = elapsed(began, limit)
                late = limit is not None and state.seconds >= limit
                done = state.passed >= state.steps or late
                if judged and (state.passed % every == 0 or done):
                    judge(state, held_out, events)
                    before, state.seconds = state.seconds, elapsed(began, limit)
                    if seconds is not None:  # leave time for the last evaluation
                        limit = seconds - (state.seconds - before)
                    if patience is not None and state.since_best >= patience:
                        state.stopped = f"no better {state.task.goal[0]} for {patience} evaluations"
                if done and not state.stopped:
                    state.stopped = f"{seconds:.0f} seconds were over" if late else f"{epochs:g} epochs were done"
                if state.interrupted:
                    raise KeyboardInterrupt
                if state.stopped:
                    break
            if not state.stopped or state.batch >= len(loader):
                state.epoch, state.batch = state.epoch + 1, 0
                events.emit("epoch", state)
    finish(state, events)
    return state


def learn(state: State, batch: Batch, events: Events, accumulate: int, clip: float | None) -> None:
    """One step of every player on a batch."""
    losses = {}
    for player, optimizer in state.optimizers.items():
        with taking_turn(state, player):
            loss = losses[player] = backward(state, batch, player, accumulate)
        if clip:
            torch.nn.utils.clip_grad_norm_(state.own[player], clip, foreach=True)
        if not events.listeners["gradient"] or events.emit("gradient", state, player, loss):
            optimizer.step()
        else:
            state.skipped += 1
        for each in state.own[player]:
            each.grad = None
    state.step += 1
    if state.average:
        state.average.update(state.step)
    events.emit("step", state, losses)


def backward(state: State, batch: Batch, player: str, accumulate: int) -> Loss:
    """Gradients of the mean loss: sums over pieces and ranks, divided once by the global count."""
    if accumulate == 1:
        with state.autocast():
            loss = state.task.loss(state.model, batch, player)
        learnable(loss, player).backward(seed(loss.total, share(loss.count)))
        return Loss(loss.total.detach(), loss.count, {name: each.detach() for name, each in loss.logs.items()})
    total: Any = torch.zeros((), device=state.device)
    counted: Any = 0.0
    logs: dict[str, Any] = {}
    part, parts = player_module(state.model, player), list(pieces(batch, accumulate))
    for number, piece in enumerate(parts, start=1):
        with unsynced(part, number < len(parts)):
            with state.autocast():
                loss = state.task.loss(state.model, piece, player)
            learnable(loss, player).backward()
        total, counted = total + loss.total.detach(), counted + loss.count
        logs = {name: logs.get(name, 0.0) + each.detach() / len(parts) for name, each in loss.logs.items()}
    gradients = [each.grad for each in state.own[player] if each.grad is not None]
    if gradients:
        torch._foreach_div_(gradients, share(counted))
    return Loss(total, counted, logs)


def learnable(loss: Loss, player: str) -> Tensor:
    """The loss's sum; raises InputError if no parameter can change it."""
    if not loss.total.requires_grad:
        raise InputError(
            f"training: the loss of {player!r} depends on no parameter that learns; "
            "unfreeze one, and give outputs that were not detached from the graph"
        )
    return loss.total


def seed(total: Tensor, divisor: Any) -> Tensor:
    """The gradient that a sum starts from to be divided, which saves the division forward and back."""
    return (1 / divisor).to(total) if isinstance(divisor, Tensor) else total.new_full((), 1 / divisor)


def share(count: Tensor | int | float) -> Any:
    """What a rank divides its sum by: the global count a rank, as gradients are then averaged over ranks."""
    ranks = world_size()
    if ranks > 1:
        count = sum_over_ranks(count) / ranks
    return count.clamp_min(1e-12) if isinstance(count, Tensor) else count or 1


def pieces(batch: Batch, number: int) -> Iterator[Batch]:
    """A batch cut into so many parts of nearly equal size; what has no entry a row goes to each part as it is."""

    def cut(value: Any, start: int, end: int) -> Any:
        if isinstance(value, tuple):
            return tuple(cut(each, start, end) for each in value)
        by_row = (isinstance(value, Tensor) and value.dim()) or isinstance(value, list)
        return value[start:end] if by_row and len(value) == rows else value

    rows = len(batch["inputs"][0])
    number = max(1, min(number, rows))
    for index in range(number):
        start, end = rows * index // number, rows * (index + 1) // number
        yield {name: cut(value, start, end) for name, value in batch.items()}


@contextlib.contextmanager
def taking_turn(state: State, player: str) -> Iterator[None]:
    """The others' parameters ask for no gradient while this player learns."""
    others = state.others[player]
    for each in others:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in others:
            each.requires_grad_(True)


def elapsed(began: float, limit: float | None) -> float:
    """Seconds since the training began; where they decide something, all ranks go by the first one's clock."""
    seconds = time.perf_counter() - began
    return seconds if limit is None else of_first_rank(seconds)


def set_rates(state: State, limit: float | None) -> None:
    """The schedule's factor on every base rate; where time is short, the clock drives the schedule."""
    progress = state.passed / state.steps
    if limit is not None:
        progress = max(progress, state.seconds / limit if limit > 0 else 1.0)
    factor = state.schedule(min(1.0, progress))
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
