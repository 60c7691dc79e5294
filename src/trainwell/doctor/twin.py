"""A suspected cause to proof: some 50 steps on a copy with the change, beside as many without it.

The original keeps its weights, its optimizer's state, its batch statistics and its random numbers, bit for bit.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.doctor.dropping import without_dropout
from trainwell.doctor.patient import Patient, first_tensor, leaving_no_trace, rows_of

Change = Callable[[nn.Module, dict[str, Optimizer]], None]  # made in place, on the copy
CLEARLY = 2.0  # standard errors of what one copy is ahead of another, step by step
RUN_AWAY = 1e4  # times its first loss, from where a copy does not come back within its steps


@dataclass
class Twin:
    """The losses of one copy, step by step; it ends where they are not finite or have run away."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    bounded: float = 0.0  # share of rows whose largest score ends right at 1, where none is above it
    before: float = math.nan  # the mean loss, before its steps, on batches that it is not trained on
    apart: float = math.nan  # the same after its steps

    @property
    def end(self) -> float:
        """The mean loss of the last fifth; infinite if it ran away."""
        if not self.losses or not math.isfinite(self.losses[-1]):
            return math.inf
        return float(np.mean(self.losses[-max(1, len(self.losses) // 5) :]))

    @property
    def start(self) -> float:
        return float(np.mean(self.losses[: max(1, len(self.losses) // 10)])) if self.losses else math.inf

    @property
    def fall(self) -> float:
        """By how much the loss fell from the first tenth to the last fifth."""
        return self.start - self.end

    def far_below(self, other: "Twin") -> bool:
        """Whether it ends lower than the other by a fifth of that one's loss; where losses go below zero, of which
        shares say little, also by more than the batches, which are the same for both, make by chance."""
        if not math.isfinite(other.end):
            return self.end < other.end
        count = max(1, len(other.losses) // 5)
        signed = min(*self.losses, *other.losses) < 0 and len(self.losses) == len(other.losses) and count > 4
        gains = np.subtract(other.losses[-count:], self.losses[-count:]) if signed else np.zeros(1)
        chance = CLEARLY * float(gains.std()) / math.sqrt(count)
        return self.end < other.end - max(0.2 * abs(other.end), chance)


def run_twin(
    patient: Patient,
    batches: Sequence[Any],
    steps: int = 50,
    change: Change | None = None,
    *,
    seconds: float = 10.0,
    apart: Sequence[Any] = (),
) -> Twin:
    """Train a copy on these batches over and over, after the change; a multi-player model's players take no turns here.

    apart: batches that it is judged on at the end, to tell learning from learning by heart.

    Raises RuntimeError for a patient whose loss is not known, or without batches.
    """
    if not batches:
        raise RuntimeError("no batches were kept to try a change on")
    if len(patient.players) > 1:
        raise RuntimeError("players that learn in turn have no single loss to compare")
    twin, began = Twin(), time.thread_time()
    with leaving_no_trace(), torch.enable_grad():
        model, optimizers = patient.copy()
        model.train(patient.bare.training)
        if change is not None:
            change(model, optimizers)
        (optimizer,) = optimizers.values()
        twin.before = _mean_of(patient, model, apart) if steps else math.nan
        for step in range(steps):
            loss = patient.loss(model, batches[step % len(batches)])
            value = float(loss.detach())
            twin.losses.append(value)
            if _gone(twin.losses) or time.thread_time() - began > seconds:
                break
            optimizer.zero_grad()
            loss.backward()
            if patient.scale != 1.0:
                torch._foreach_mul_([each.grad for each in model.parameters() if each.grad is not None], patient.scale)
            if patient.clip:
                nn.utils.clip_grad_norm_(model.parameters(), patient.clip)
            optimizer.step()
        twin.apart = _mean_of(patient, model, apart)
    twin.seconds = time.thread_time() - began
    return twin


@torch.no_grad()
def _mean_of(patient: Patient, model: nn.Module, batches: Sequence[Any]) -> float:
    """The mean loss of batches as a copy answers them in evaluation; no number without any."""
    if not batches:
        return math.nan
    mode = model.training
    model.eval()
    with leaving_no_trace(), torch.no_grad():
        mean = float(np.mean([float(patient.loss(model, each)) for each in batches]))
    model.train(mode)
    return mean


def _gone(losses: list[float]) -> bool:
    """Whether there is no coming back, so that further steps would tell nothing."""
    return not math.isfinite(losses[-1]) or losses[-1] > RUN_AWAY * max(losses[0], 0.0) > 0


def scaled_rate(factor: float) -> Change:
    """The rate of every group times the factor."""

    def change(model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * factor

    return change


def set_rate(rate: float) -> Change:
    """The rate of every group, whatever it was."""

    def change(model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate

    return change


def without_decay(model: nn.Module, optimizers: dict[str, Optimizer]) -> None:
    """No weight decay in any group."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            if "weight_decay" in group:
                group["weight_decay"] = 0.0


def one_batch(
    patient: Patient,
    batch: Any,
    steps: int,
    *,
    blank: bool = False,
    enough: float = 0.0,
    rows: int = 32,
    seconds: float = 4.0,
) -> Twin:
    """Adam on at most so many rows of a batch, dropout off, until `enough` of the first loss is left; inputs zero
    if blank."""
    twin, began = Twin(), time.thread_time()
    piece = _few(batch, rows)
    piece = _blanked(piece) if blank else piece
    with leaving_no_trace(), torch.enable_grad():
        model, _ = patient.copy()
        without_dropout(model, {})
        learning = [each for each in model.parameters() if each.requires_grad]
        if not learning:
            raise RuntimeError("no parameter asks for a gradient")
        answers: list[Any] = [None]
        model.register_forward_hook(lambda module, inputs, output: answers.__setitem__(0, output))
        optimizer = torch.optim.Adam(learning, lr=3e-3)
        for _ in range(steps):
            loss = patient.loss(model, piece)
            if not loss.requires_grad:
                raise RuntimeError("the loss does not depend on any parameter")
            value = float(loss.detach())
            twin.losses.append(value)
            if not math.isfinite(value) or value < enough * twin.losses[0] or time.thread_time() - began > seconds:
                break
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
        twin.bounded = _at_the_bound(first_tensor(answers[0]))
    twin.seconds = time.thread_time() - began
    return twin


@torch.no_grad()
def _at_the_bound(scores: torch.Tensor | None) -> float:
    """The share of rows whose largest score is within a twentieth of 1, if no score leaves -1 to 1; as of cosines."""
    if scores is None or scores.dim() != 2 or scores.shape[1] < 2 or not float(scores.abs().max()) < 1.0005:
        return 0.0
    return float((scores.abs().amax(1) > 0.95).float().mean())


def pieces(batches: Sequence[Any], rows: int) -> list[Any]:
    """The batches cut into smaller ones of so many rows each; what is left over of a batch is left out."""
    found = []
    for batch in batches:
        whole = rows_of(batch["inputs"] if isinstance(batch, dict) and "inputs" in batch else _parts(batch))
        found += [_few(batch, rows, start) for start in range(0, whole - rows + 1, rows)]
    return found


def _few(batch: Any, rows: int, start: int = 0) -> Any:
    """The first rows, or those from `start` on, of every tensor in a batch that has as many rows as its inputs."""
    whole = rows_of(batch["inputs"] if isinstance(batch, dict) and "inputs" in batch else _parts(batch))

    def cut(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[start : start + rows] if value.dim() and len(value) == whole else value
        if isinstance(value, dict):
            return type(value)({key: cut(each) for key, each in value.items()})
        if isinstance(value, tuple | list):
            return type(value)(cut(each) for each in value)
        return value

    return cut(batch)


def _parts(batch: Any) -> Any:
    if isinstance(batch, dict):
        return list(batch.values())
    return batch[0] if isinstance(batch, tuple | list) and batch else batch


def _blanked(batch: Any) -> Any:
    """The batch with zeros for its inputs."""

    def blank(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.zeros_like(value)
        return type(value)(blank(each) for each in value) if isinstance(value, tuple | list) else value

    if isinstance(batch, dict):
        return {**batch, "inputs": blank(batch["inputs"])} if "inputs" in batch else batch
    return type(batch)([blank(batch[0]), *batch[1:]])
