"""Scaled outputs to numbers in their own unit."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.loss import NUMBER_LOSSES
from trainwell.tasks.members import apart, member_weights, refuse_folds
from trainwell.tasks.task import Batch, Gathered, Loss, Metrics, Task, at_least_single


class Regress(Task):
    """One or several numbers for each row.

    A model gives (batch, targets) in scaled units, (batch, members, targets) for an ensemble; answers are kept within
    the range seen in training, widened by `margin` of it, and come back in the unit of the target.
    `center`, `scale`, `log`, `low` and `high` have one entry a target, as the fitted transform supplies them.
    """

    goal = ("rmse", "min")
    each = 1  # numbers that a model gives for a target

    def __init__(
        self,
        center: list[float],
        scale: list[float],
        log: list[bool],
        low: list[float],
        high: list[float],
        folds: int = 0,
        *,
        loss: str = "mse",
        delta: float = 1.0,
        margin: float = 0.0,
    ) -> None:
        if loss not in NUMBER_LOSSES:
            raise ValueError(f"loss {loss!r} does not fit numbers; choose one of {', '.join(NUMBER_LOSSES)}")
        self.row_loss = NUMBER_LOSSES[loss]
        self.arguments = {"delta": delta} if loss == "huber" else {}
        self.folds, self.log = folds, torch.tensor(log)
        self.center, self.scale = torch.tensor(center, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64)
        self.low, self.high = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
        if margin:
            span = (self.high - self.low) * margin
            self.low, self.high = self.low - span, self.high + span

    def output(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scaled answers: (batch, targets) or (batch, members, targets)."""
        output = at_least_single(model(*batch["inputs"]))
        return output[:, None] if output.dim() == 1 else output

    def cost(self, output: Tensor, target: Tensor) -> Tensor:
        """What each row's answer costs: (rows, targets * each), (rows, targets) -> (rows,)."""
        return self.row_loss(output, target, **self.arguments)

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        output = self.output(model, batch)
        target = batch["target"].to(output.dtype)
        target = target[:, None] if target.dim() == 1 else target
        wanted = target.shape[-1] * self.each
        if output.shape[-1] != wanted:
            raise InputError(f"model: gives {output.shape[-1]} numbers a row, the target asks for {wanted}")
        if output.dim() == 2:
            each = self.cost(output, target)
        else:
            rows = self.cost(*apart(output, target)).view(output.shape[:2])
            each = (rows * member_weights(output, batch, self.folds)).sum(1)
        if "weight" in batch:
            return Loss((each * batch["weight"]).sum(), batch["weight"].sum())
        return Loss(each.sum(), len(each))

    def unscale(self, scaled: Tensor) -> Tensor:
        """Scaled answers in the unit of the target: (batch, targets) -> (batch, targets)."""
        scaled = scaled.double()
        number = scaled * self.scale.to(scaled) + self.center.to(scaled)
        return torch.where(self.log.to(scaled.device), torch.expm1(number), number)

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"number": (batch, targets)} in the unit of the target; members are averaged before the unit is put back."""
        output = self.output(model, batch)
        refuse_folds(output, batch)
        if output.dim() == 3:
            output = (output * member_weights(output, batch, self.folds)[:, :, None]).sum(1)
        output = output.maximum(self.low.to(output)).minimum(self.high.to(output))
        return {"number": self.unscale(output)}

    def metrics(self) -> Metrics:
        def against(measure: Callable[[np.ndarray, np.ndarray], float]) -> Callable:
            def call(prediction: dict[str, np.ndarray], target: np.ndarray) -> float:
                truth = self.unscale(torch.as_tensor(target).view(len(target), -1)).numpy()
                return measure(prediction["number"].astype(np.float64), truth)

            return call

        return Gathered({"rmse": against(rmse), "mae": against(mae), "r2": against(r2)})


def rmse(number: np.ndarray, truth: np.ndarray) -> float:
    """The root of the mean squared error, in the unit of the target; over several targets their mean."""
    return float(np.sqrt(((number - truth) ** 2).mean(0)).mean())


def mae(number: np.ndarray, truth: np.ndarray) -> float:
    """The mean absolute error, in the unit of the target."""
    return float(np.abs(number - truth).mean())


def r2(number: np.ndarray, truth: np.ndarray) -> float:
    """The share of the target's variance that the answers explain; over several targets their mean."""
    left = ((number - truth) ** 2).sum(0)
    return float((1 - left / np.maximum(((truth - truth.mean(0)) ** 2).sum(0), 1e-12)).mean())
