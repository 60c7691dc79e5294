"""Small trainings with a fault built in or left out, for the doctor's tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor import Doctor


@cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Standardized digits: training inputs (1400, 64) and labels, held-out inputs and labels."""
    bunch = load_digits()
    x, y = torch.tensor(bunch.data, dtype=torch.float32), torch.tensor(bunch.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    x = (x - x[:1400].mean(0)) / (x[:1400].std(0) + 1.0)
    return x[:1400], y[:1400], x[1400:], y[1400:]


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU, head: nn.Module | None = None) -> nn.Sequential:
    """Linear layers of these widths with an activation between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    layers[-1:] = [head] if head is not None else []
    return nn.Sequential(*layers)


@dataclass
class Loop:
    """One hand-written training; each field may be given a fault."""

    model: Callable[[], nn.Module] = field(default=lambda: mlp(64, 64, 64, 10))
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = field(
        default=lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    )
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    data: Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]] = digits
    steps: int = 200
    batch: int = 64
    shuffle: bool = True
    zero_grad: bool = True
    evaluations: int = 0  # steps between two, 0 for none
    eval_mode: bool = False  # train in evaluation mode
    validate_in_train_mode: bool = False
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    change: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None  # of the batch, by step
    backward: Callable[[Tensor], Tensor] = field(default=lambda loss: loss)

    def batches(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1)
        while True:
            order = torch.randperm(len(x), generator=generator) if self.shuffle else torch.arange(len(x))
            for start in range(0, len(x) - self.batch + 1, self.batch):
                rows = order[start : start + self.batch]
                yield x[rows], y[rows]

    def run(
        self, mode: str | None = "watch", seed: int = 0, **options: Any
    ) -> tuple[Doctor | None, nn.Module, list[float]]:
        """Train with a doctor in this mode, or with none: (doctor, model, losses)."""
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        x, y, held_x, held_y = self.data()
        model = self.model()
        optimizer = self.optimizer(model)
        schedule = self.schedule(optimizer) if self.schedule else None
        doctor = None
        if mode is not None:
            options = {"held_out": [(held_x, held_y)], "steps": self.steps, **options}
            doctor = Doctor(model, optimizer, self.loss, mode=mode, **options)
        losses = []
        model.train(not self.eval_mode)
        for step, (inputs, target) in zip(range(self.steps), self.batches(x, y), strict=False):
            if self.change is not None:
                inputs, target = self.change(step, inputs, target)
            loss = self.loss(model(inputs), target)
            if self.zero_grad:
                optimizer.zero_grad()
            self.backward(loss).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if doctor is not None:
                doctor.watch(loss, inputs, target)
            losses.append(float(loss.detach()))
            if self.evaluations and (step + 1) % self.evaluations == 0:
                self.evaluate(model, held_x, held_y, doctor)
        if doctor is not None:
            doctor.close()
        return doctor, model, losses

    def evaluate(self, model: nn.Module, x: Tensor, y: Tensor, doctor: Doctor | None) -> None:
        model.train(self.validate_in_train_mode)
        with torch.no_grad():
            output = model(x)
            metrics = {"loss": float(self.loss(output, y))}
            if output.dim() == 2 and output.shape[1] > 1 and not y.is_floating_point():
                metrics["accuracy"] = float((output.argmax(1) == y).float().mean())
        model.train(not self.eval_mode)
        if doctor is not None:
            doctor.evaluated(**metrics)


def accuracy(model: nn.Module, loop: Loop) -> float:
    """On the loop's held-out rows, as in evaluation."""
    _, _, x, y = loop.data()
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


class Doubled(torch.autograd.Function):
    """What a loop's own function does to gradients no tape tells."""

    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        return value * 2

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient * 2
