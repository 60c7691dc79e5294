"""Who watches a benchmark run: the doctor, other tools' rules on the same numbers, or a change made beforehand."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.faults import rate
from benchmarks.doctor.setups import Setup
from torch import Tensor, nn

from trainwell.doctor import Doctor
from trainwell.doctor.series import Record


class Criterion(nn.Module):
    """A training's loss as most loops have it, a module."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Any, target: Tensor) -> Tensor:
        return self.loss(output, target)


class Doctored:
    """The doctor in one of its modes.

    told: "all" that the loop knows; "lines", the two lines of the README, the criterion and each step's loss and rows,
    in a loop that evaluates batch by batch and says nothing of it; or "losses" alone.
    """

    def __init__(self, mode: str, told: str = "all") -> None:
        self.mode, self.told = mode, told

    def begin(self, setup: Setup, model: nn.Module, optimizer: torch.optim.Optimizer, held_out: Any) -> None:
        self.setup, self.model, self.held_out = setup, model, held_out
        if self.told == "all":
            self.doctor = Doctor(model, optimizer, setup.loss, mode=self.mode, held_out=held_out, steps=setup.steps)
        else:
            self.criterion = Criterion(setup.loss)
            self.doctor = Doctor(model, optimizer, self.criterion if self.told == "lines" else None, mode=self.mode)

    def step(self, loss: Tensor, x: Tensor, y: Tensor) -> None:
        self.doctor.watch(loss, *(() if self.told == "losses" else (x, y)))

    def evaluated(self, loss: float, accuracy: float | None) -> None:
        if self.told == "all":
            self.doctor.evaluated(loss=loss, **({} if accuracy is None else {"accuracy": accuracy}))
        elif self.told == "lines":
            training = self.model.training
            self.model.train(self.setup.validate_in_train_mode)
            with torch.no_grad():
                for inputs, target in self.held_out:
                    self.criterion(self.model(inputs), target)
            self.model.train(training)

    def end(self) -> None:
        self.doctor.close()


def tenth_and_clip(setup: Setup) -> Setup:
    """The rule of thumb: a tenth of the rate, gradients clipped at a norm of 1."""
    return clipped(rate(0.1)(setup))


def clipped(setup: Setup) -> Setup:
    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        made = setup.optimizer(model)

        def clip(*_: object) -> None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        made.register_step_pre_hook(clip)
        return made

    return replace(setup, optimizer=optimizer)


def fresh(setup: Setup) -> Setup:
    """Layers initialized again."""

    def model() -> nn.Module:
        made = setup.model()
        for each in made.modules():
            if hasattr(each, "reset_parameters"):
                each.reset_parameters()
        return made

    return replace(setup, model=model)


def at_random(setup: Setup, seed: int) -> Setup:
    """One remedy drawn by chance, from the start."""
    return random.Random(seed).choice([rate(0.1), rate(10.0), clipped, fresh, rate(1 / 3), rate(3.0)])(setup)


# Other tools' rules by their published definitions, on the numbers that the doctor's probes read.


def autotrainer(record: Record) -> list[str]:
    """AUTOTRAINER's five (Zhang et al., ICSE 2021), its accuracy limit of 60 % where there are classes."""
    found = []
    accuracy = record.get("held out", "accuracy").values
    poor = not accuracy or accuracy[-1] <= 0.6
    gradients = record.recent("gradient", 1)
    sizes = [float(gradients[name][-1]) for name in record.facts.get("layers", []) if name in gradients]
    if poor and len(sizes) > 1 and sizes[-1] > 0 and sizes[0] / sizes[-1] < 1e-3 and sizes[0] < 1e-4:
        found.append("vanishing-gradient")
    losses = record.get("loss").array
    if not np.isfinite(losses).all():
        found.append("non-finite-values")
    if len(sizes) > 1 and sizes[-1] > 0 and sizes[0] / sizes[-1] > 70:
        found.append("exploding-gradient")
    zeros = [record.get("zeros", place).values[-1] for place in record.places("zeros")]
    if poor and zeros and max(zeros) >= 0.7:
        found.append("dying-relu")
    epochs = [part.mean() for part in np.array_split(losses, max(1, len(losses) // 20))] if len(losses) else []
    swings = np.abs(np.diff(np.sign(np.diff(epochs)))) > 0 if len(epochs) > 2 else np.zeros(1, bool)
    large = np.abs(np.diff(epochs))[1:] >= 0.03 if len(epochs) > 2 else np.zeros(1, bool)
    if (swings & large.astype(bool)).mean() >= 0.2:
        found.append("oscillating-loss")
    if poor and len(epochs) > 2 and np.median(-np.diff(epochs)) < 0.01:
        found.append("plateau")
    return found


def sagemaker(record: Record) -> list[str]:
    """SageMaker Debugger's rules at their default limits."""
    found = []
    losses = record.get("loss").array
    if not np.isfinite(losses).all():
        found.append("non-finite-values")
    means = [(np.mean(part)) for part in np.array_split(losses, max(1, len(losses) // 10))]
    if len(means) > 1 and (np.diff(means) > -0.001 * np.abs(means[:-1])).any():
        found.append("plateau")
    gradients = record.recent("gradient", 1)
    if any(values[-1] < 1e-7 for values in gradients.values()):
        found.append("vanishing-gradient")
    zeros = [record.get("dead", place).values[-1] for place in record.places("dead")]
    if zeros and max(zeros) > 0.5:
        found.append("dying-relu")
    for name in record.places("update"):
        moved, size = record.get("update", name).array, record.get("weight", name).array
        count = min(len(moved), len(size))
        ratio = moved[:count] / (size[:count] + 1e-12)
        if count and (ratio.max() > 10 or ratio.min() < 1e-8):
            found.append("update-ratio-off")
            break
    held, trained = record.get("held out", "loss").array, losses[-40:]
    if len(held) and len(trained) and (held[-1] - np.mean(trained)) / max(np.mean(trained), 1e-9) > 0.1:
        found.append("overfitting")
    if (record.facts.get("class ratio") or 1) > 10:
        found.append("class-imbalance")
    return list(dict.fromkeys(found))
