"""Batches as a loop hands them over to steps on rows drawn from all that were seen, where they come in a bad order."""

from typing import Any

import torch
from torch import Tensor

from trainwell.doctor.patient import Patient

ROWS = 20_000  # that are kept at most
BYTES = 2**28  # of them all


class Replay:
    """Keeps rows of a loop's batches, each as likely as any other (Vitter 1985), and draws steps' rows from them.

    It does nothing until it is on. Rows of another shape than the first ones' are left out.
    """

    def __init__(self) -> None:
        self.on, self.least = False, 1  # rows that a step is taken on at least
        self.kept: tuple[Tensor, Tensor] | None = None
        self.seen, self.spent, self.size = 0, 0, 0
        self.loss: Tensor | None = None  # of the rows that the latest step was taken on
        self.batch: tuple[Tensor, Tensor] | None = None  # those rows
        self.mark: Tensor | None = None  # the first row kept, by which the loop is known to have come round
        self.round = False  # whether it has, or as many rows were seen as are kept
        self.generator = torch.Generator().manual_seed(0)

    def keep(self, batch: Any) -> bool:
        """Rows of a batch, (inputs, target), beside or in place of those kept; whether the loop has come round."""
        grew = self.grows
        if self.on and is_pair(batch):
            self._keep(*batch)
        return grew and not self.grows

    def _keep(self, inputs: Tensor, target: Tensor) -> None:
        inputs, target = inputs.detach(), target.detach()
        if self.kept is not None and any(
            one.shape[1:] != other.shape[1:] for one, other in zip(self.kept, (inputs, target), strict=True)
        ):
            return
        self.size = max(len(inputs), self.least)
        if self.mark is None:
            self.mark = inputs[0].clone()
        else:
            again = (inputs == self.mark).flatten(1).all(1).any() if inputs[0].numel() > 1 else inputs.numel() == 0
            self.round = self.round or bool(again) or self.seen >= ROWS
        room = min(ROWS, BYTES * len(inputs) // max(1, inputs.nbytes + target.nbytes))
        if self.kept is None:
            self.kept = inputs[:0], target[:0]
        free = max(0, room - len(self.kept[0]))
        self.kept = torch.cat([self.kept[0], inputs[:free]]), torch.cat([self.kept[1], target[:free]])
        self.seen += min(free, len(inputs))
        for row in range(free, len(inputs)):
            self.seen += 1
            place = int(torch.randint(self.seen, (1,), generator=self.generator))
            if place < len(self.kept[0]):
                self.kept[0][place], self.kept[1][place] = inputs[row], target[row]

    @property
    def grows(self) -> bool:
        """Whether the loop goes on showing rows that it has not shown, so that what is learned from changes."""
        return self.on and not self.round

    def gradient(self, patient: Patient) -> None:
        """The gradient of the loss on as many rows as a batch has, in place of the loop's own."""
        count = len(self.kept[0]) if self.kept is not None else 0
        if self.kept is None or not count:
            return
        (self.batch,) = self.batches(1)
        for optimizer in patient.optimizers.values():
            optimizer.zero_grad()
        with torch.enable_grad():
            loss = patient.loss(patient.model, self.batch)
            loss.backward()
        self.loss, self.spent = loss.detach(), self.spent + 1

    def batches(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """So many batches of rows drawn from those kept."""
        assert self.kept is not None
        inputs, target = self.kept
        drawn = torch.randint(len(target), (count, min(self.size, len(target))), generator=self.generator)
        return [(inputs[rows], target[rows]) for rows in drawn.to(target.device)]


def is_pair(batch: Any) -> bool:
    """Whether a batch is one tensor of inputs and one of targets, row by row."""
    whole = isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(each, Tensor) for each in batch)
    return whole and min(each.dim() for each in batch) > 0 and len(batch[0]) == len(batch[1])
