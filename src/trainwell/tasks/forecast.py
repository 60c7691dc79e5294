"""Windows of a series to the steps that follow, scored on standardized values and answered in their own unit."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.loss import pinball
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single


class Forecast(Task):
    """The next `horizon` steps of every channel; missing true values count neither in the loss nor in the metrics.

    A model gives (batch, horizon, channels), standardized as its input, or (batch, members, horizon, channels) of
    members that learn by themselves and answer by their mean; `center` and `scale` have one entry a channel.
    With `quantiles`, such as 0.1 and 0.9, a further network a quantile learns by the pinball loss: outputs then have
    one more dimension behind the batch. Koenker & Bassett 1978. `margins` (quantiles, channels), standardized, is what
    held-out steps showed the quantiles to lack.
    """

    goal = ("mse", "min")

    def __init__(
        self,
        center: list[float],
        scale: list[float],
        margins: list[list[float]] | None = None,
        *,
        horizon: int = 24,
        loss: Literal["mse", "mae", "huber"] = "mse",
        quantiles: list[float] | None = None,
    ) -> None:
        self.center, self.scale = torch.tensor(center), torch.tensor(scale)
        self.horizon, self.loss_name = horizon, loss
        self.margins = torch.tensor(margins) if margins else None
        self.quantiles = sorted(quantiles or [])
        if not all(0 < each < 1 for each in self.quantiles) or len(set(self.quantiles)) < len(self.quantiles):
            raise ValueError(f"quantiles={quantiles}: expected different shares between 0 and 1, such as 0.1 and 0.9")

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """The standardized answers: (batch, 1 + quantiles, members, horizon, channels), the point forecast first."""
        output = at_least_single(model(*batch["inputs"]))
        output = output if self.quantiles else output.unsqueeze(1)
        output = output.unsqueeze(2) if output.dim() == 4 else output
        networks = 1 + len(self.quantiles)
        if output.dim() != 5 or output.shape[1] != networks or output.shape[3:] != (self.horizon, len(self.center)):
            raise InputError(
                f"model: gives {tuple(output.shape[3:])} a window, expected {self.horizon} steps of "
                f"{len(self.center)} channels" + (f" from each of {networks} networks" if networks > 1 else "")
            )
        return output

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        outputs, target = self.outputs(model, batch), batch["target"]
        known = target.isfinite()
        errors = torch.where(known, target, 0.0)[:, None, None] - outputs
        errors = torch.where(known[:, None, None], errors, 0.0)  # (batch, 1 + quantiles, members, horizon, channels)
        point = errors[:, 0]
        if self.loss_name == "mse":
            each = point.square()
        elif self.loss_name == "mae":
            each = point.abs()
        else:
            each = nn.functional.huber_loss(point, torch.zeros_like(point), reduction="none")
        total = each.mean(1).sum()
        for place, quantile in enumerate(self.quantiles, start=1):
            total = total + pinball(errors[:, place], quantile).mean(1).sum()
        return Loss(total, known.sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"scaled": (batch, horizon, channels), standardized, and "number", the same in the unit of each channel}.

        With quantiles also "quantiles": (batch, quantiles, horizon, channels), in the channels' units, rising.
        """
        outputs = self.outputs(model, batch).mean(2)
        answer = {"scaled": outputs[:, 0], "number": self.unscale(outputs[:, 0])}
        if self.quantiles:
            ends = outputs[:, 1:].sort(1).values
            ends = ends if self.margins is None else (ends + self.margins.to(ends)[:, None]).sort(1).values
            answer["quantiles"] = self.unscale(ends)
        return answer

    def margins_of(self, quantiles: Tensor, target: Tensor) -> list[list[float]]:
        """What to add to each quantile so that its share of these true values lies below it, by channel.

        Conformalized quantile regression, Romano et al. 2019, arXiv:1905.03222.
        quantiles: (windows, quantiles, horizon, channels), in units; target: (windows, horizon, channels), standardized
        """
        lacking = target[:, None] - (quantiles - self.center.to(quantiles)) / self.scale.to(quantiles)
        found = []
        for place, quantile in enumerate(self.quantiles):
            each = lacking[:, place].flatten(0, 1).double().numpy()  # (windows * horizon, channels)
            known = [column[np.isfinite(column)] for column in each.T]
            found.append([float(np.quantile(column, quantile)) if len(column) else 0.0 for column in known])
        return found

    def unscale(self, scaled: Tensor) -> Tensor:
        """Standardized values in the unit of each channel: (..., channels) -> (..., channels)"""
        return scaled * self.scale.to(scaled) + self.center.to(scaled)

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
