"""A batch to what it means: the loss to lower, the numbers to report, the answer to give."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Answers = dict[str, np.ndarray]  # what a task predicts, by name, one row an example
Batch = dict[str, Any]  # "inputs": tuple of tensors for model(*inputs); "target", "row": tensors; more if a task asks


class Loss:
    """A sum of losses and over how many it was summed, so that padding, accumulation and ranks give one number."""

    __slots__ = ("count", "logs", "total")

    def __init__(self, total: Tensor, count: Tensor | int | float, logs: dict[str, Tensor] | None = None) -> None:
        self.total, self.count, self.logs = total, count, logs or {}


class Metrics(Protocol):
    """Predictions batch by batch to named numbers at the end."""

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None: ...

    def compute(self) -> dict[str, float]: ...


class Gathered:
    """Metrics that need all rows at once: keeps predictions and targets on the processor, then calls each function.

    functions: name -> function of (prediction arrays by name, target array) -> float
    """

    def __init__(self, functions: dict[str, Any]) -> None:
        self.functions = functions
        self.predictions: list[dict[str, np.ndarray]] = []
        self.targets: list[np.ndarray] = []

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        if not self.functions:
            return
        self.predictions.append(
            {
                name: (value.float() if value.dtype == torch.bfloat16 else value).detach().cpu().numpy()
                for name, value in prediction.items()
            }
        )
        self.targets.append(batch["target"].cpu().numpy())

    def compute(self) -> dict[str, float]:
        if not self.predictions:
            return {}
        prediction = {name: np.concatenate([part[name] for part in self.predictions]) for name in self.predictions[0]}
        target = np.concatenate(self.targets)
        return {name: float(function(prediction, target)) for name, function in self.functions.items()}


class Task:
    """Six members decide a kind of work; everything but the loss has a default.

    `goal` names the metric that chooses the best checkpoint and whether more or less of it is better. `raw` says that
    the task scales its inputs itself, so that pictures reach the model as bytes rather than normalized.
    """

    players: tuple[str, ...] = ("model",)  # the parts that learn in turn, one optimizer each; "model" is the whole
    goal: tuple[str, str] = ("loss", "min")
    raw: bool = False

    @classmethod
    def asks(cls, outputs: int, **arguments: Any) -> int:
        """How many numbers a model gives a row, where the data has so many targets or classes; arguments: a recipe's"""
        return outputs

    def batches(self, model: nn.Module, batch: Batch) -> Iterator[Batch]:
        """Batches to learn from; a policy samples, scores and yields here."""
        yield batch

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        """The loss that the player lowers on this batch, as a sum with its count."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """What metrics, explain and deploy read, by name, one row an example."""
        return {"output": model(*batch["inputs"])}

    def merge(self, answers: Answers) -> Answers:
        """Answers to pieces as one to each row of a source; most rows are read in one piece."""
        return answers

    def metrics(self) -> Metrics:
        """A fresh accumulator of the numbers to report."""
        return Gathered({})


def at_least_single(x: Tensor) -> Tensor:
    """Half formats to float32, wider ones as they are: what losses are computed in."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def player_module(model: nn.Module, player: str) -> nn.Module:
    """The part of the model that this player trains: the whole for "model", else the submodule of that name."""
    return model if player == "model" else model.get_submodule(player)


def divide(loss: Loss) -> Tensor:
    """The mean loss of a batch; zero over zero is zero."""
    count = torch.as_tensor(loss.count, device=loss.total.device, dtype=torch.float32)
    return loss.total / count.clamp_min(1e-12)
