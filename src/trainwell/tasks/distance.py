"""Batches of real and generated rows to how far their distributions lie apart."""

import torch
from torch import Tensor

from trainwell.tasks.draws import signed
from trainwell.tasks.task import Batch


class Averages:
    """The means over all rows of those predictions that are one number a row; "loss" among them is the goal."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.rows = 0

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        single = {name: value for name, value in prediction.items() if value.dim() == 1}
        for name, value in single.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), dtype=torch.float64)) + value.double().sum().cpu()
        self.rows += len(batch["inputs"][0])

    def compute(self) -> dict[str, float]:
        return {name: float(value / max(self.rows, 1)) for name, value in self.sums.items()}


class ActiveUnits(Averages):
    """Also counts the code's units whose mean moves with the input: a variance above 0.01. Burda et al. 2015."""

    def __init__(self, threshold: float = 0.01) -> None:
        super().__init__()
        self.threshold = threshold
        self.codes: list[Tensor] = []

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        super().update(prediction, batch)
        self.codes.append(prediction["code"].float().cpu())

    def compute(self) -> dict[str, float]:
        variance = torch.cat(self.codes).var(0, correction=0)
        return {**super().compute(), "active_units": float((variance > self.threshold).sum())}


class SlicedDistance:
    """The sliced Wasserstein distance, in the data's own unit: sorted projections on random lines, compared pairwise.

    Rabin et al. 2011, doi:10.1007/978-3-642-24785-9_37. It needs no trained network, sees whole distributions, and is
    the same for the same samples; at most `most` rows are kept.
    """

    def __init__(self, lines: int = 128, most: int = 10_000) -> None:
        self.lines, self.most = lines, most
        self.real: list[Tensor] = []
        self.generated: list[Tensor] = []
        self.directions: Tensor | None = None

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        if sum(map(len, self.real)) >= self.most:
            return
        for rows, kept in ((signed(batch["inputs"][0]), self.real), (prediction["sample"], self.generated)):
            flat = rows.float().flatten(1).cpu()
            if self.directions is None:
                random = torch.Generator().manual_seed(0)
                directions = torch.randn(flat.shape[1], self.lines, generator=random)
                self.directions = directions / directions.norm(dim=0)
            kept.append(flat @ self.directions)

    def compute(self) -> dict[str, float]:
        real, generated = torch.cat(self.real).sort(0).values, torch.cat(self.generated).sort(0).values
        return {"distance": float((real - generated).square().mean().sqrt())}
