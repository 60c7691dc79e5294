"""Windows of a series to the steps that follow, scored on standardized values and answered in their own unit."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single


class Forecast(Task):
    """The next `horizon` steps of every channel; missing true values count neither in the loss nor in the metrics.

    A model gives (batch, horizon, channels), standardized as its input; `center` and `scale` have one entry a channel.
    """

    goal = ("mse", "min")

    def __init__(
        self,
        center: list[float],
        scale: list[float],
        *,
        horizon: int = 24,
        loss: Literal["mse", "mae", "huber"] = "mse",
    ) -> None:
        self.center, self.scale = torch.tensor(center), torch.tensor(scale)
        self.horizon, self.loss_name = horizon, loss

    def output(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's standardized answers: (batch, horizon, channels)."""
        output = at_least_single(model(*batch["inputs"]))
        if output.shape[1:] != (self.horizon, len(self.center)):
            raise InputError(
                f"model: gives {tuple(output.shape[1:])} a window, expected {self.horizon} steps of "
                f"{len(self.center)} channels"
            )
        return output

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        output, target = self.output(model, batch), batch["target"]
        known = target.isfinite()
        error = torch.where(known, output - torch.where(known, target, 0.0), 0.0)
        if self.loss_name == "mse":
            each = error.square()
        elif self.loss_name == "mae":
            each = error.abs()
        else:
            each = nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none")
        return Loss(each.sum(), known.sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"scaled": (batch, horizon, channels), standardized, and "number", the same in the unit of each channel}."""
        output = self.output(model, batch)
        return {"scaled": output, "number": output * self.scale.to(output) + self.center.to(output)}

    def metrics(self) -> Metrics:
        return Errors()


class Errors:
    """Mean squared and mean absolute error of standardized forecasts, summed batch by batch."""

    def __init__(self) -> None:
        self.squared = self.absolute = self.count = 0.0

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        target = batch["target"]
        known = target.isfinite()
        error = (prediction["scaled"] - target)[known].double()
        self.squared += float(error.square().sum())
        self.absolute += float(error.abs().sum())
        self.count += float(known.sum())

    def compute(self) -> dict[str, float]:
        count = max(self.count, 1.0)
        return {"mse": self.squared / count, "mae": self.absolute / count}
