"""Batches as a loop hands them over to steps on rows drawn from all that were seen, where they come in a bad order."""

from typing import Any

import torch
from torch import Tensor

from trainwell.doctor.losses import scalar
from trainwell.doctor.patient import Patient

ROWS = 20_000  # that are kept at most
BYTES = 2**28  # of them all


class Replay:
    """Keeps rows of a loop's batches, each as likely as any other (Vitter 1985), and draws steps' rows from them.

    It does nothing until it is on. Rows of another shape than the first ones' are left out. Where the order is good and
    what a loop makes of its batches is not, `one_back` takes each step on the batch before, whole.
    """

    def __init__(self) -> None:
        self.on, self.least = False, 1  # rows that a step is taken on at least
        self.one_back = False
        self.latest: Any = None  # the batch that was handed over last
        self.store: tuple[Tensor, Tensor] | None = None
        self.count = 0  # rows in the store
        self.seen, self.spent, self.size = 0, 0, 0
        self.loss: Tensor | None = None  # of the rows that the latest step was taken on
        self.batch: Any = None  # those rows
        self.mark: Tensor | None = None  # the first row kept, by which the loop is known to have come round
        self.round = False  # whether it has, or as many rows were seen as are kept
        self.generator = torch.Generator().manual_seed(0)

    def learned_from(self, loss: Any, spare: Any) -> Any:
        """What a step's loss was, of what the loop told; spare: what of it nothing was learned from, if that is."""
        if self.loss is not None:
            return self.loss
        return scalar(loss) - scalar(spare.of_step) if spare is not None else loss

    def keep(self, batch: Any) -> bool:
        """Rows of a batch, (inputs, target), beside or in place of those kept; whether the loop has come round."""
        grew = self.grows
        if self.one_back:
            self.latest = batch
        elif self.on and is_pair(batch):
            self._keep(*batch)
        return grew and not self.grows

    def _keep(self, inputs: Tensor, target: Tensor) -> None:
        inputs, target = inputs.detach(), target.detach()
        if self.store is not None and any(
            one.shape[1:] != other.shape[1:] for one, other in zip(self.store, (inputs, target), strict=True)
        ):
            return
        self.size = max(len(inputs), self.least)
        if self.mark is None:
            self.mark = inputs[0].clone()
        else:
            again = (inputs == self.mark).flatten(1).all(1).any() if inputs[0].numel() > 1 else inputs.numel() == 0
            self.round = self.round or bool(again) or self.seen >= ROWS
        room = min(ROWS, BYTES * len(inputs) // max(1, inputs.nbytes + target.nbytes))
        free = max(0, min(len(inputs), room - self.count))
        self._make_room(self.count + free, inputs, target)
        assert self.store is not None
        for kept, rows in zip(self.store, (inputs, target), strict=True):
            kept[self.count : self.count + free] = rows[:free]
        self.count, self.seen = self.count + free, self.seen + free
        for row in range(free, len(inputs)):
            self.seen += 1
            place = int(torch.randint(self.seen, (1,), generator=self.generator))
            if place < self.count:
                self.store[0][place], self.store[1][place] = inputs[row], target[row]

    def _make_room(self, rows: int, inputs: Tensor, target: Tensor) -> None:
        """A store for so many rows, twice as large as the one before where that was too small."""
        if self.store is None:
            self.store = inputs.new_empty(0, *inputs.shape[1:]), target.new_empty(0, *target.shape[1:])
        if rows > len(self.store[0]):
            inputs, target = (
                torch.cat([each[: self.count], each.new_empty(2 * rows - self.count, *each.shape[1:])])
                for each in self.store
            )
            self.store = inputs, target

    @property
    def kept(self) -> tuple[Tensor, Tensor] | None:
        """The rows kept, (inputs, target)."""
        return None if self.store is None else (self.store[0][: self.count], self.store[1][: self.count])

    @property
    def grows(self) -> bool:
        """Whether the loop goes on showing rows that it has not shown, so that what is learned from changes."""
        return self.on and not self.round and not self.one_back

    def gradient(self, patient: Patient, turned: bool) -> None:
        """The gradient of the loss on as many rows as a batch has, in place of the loop's own.

        turned: whether the loop goes up its loss, which a remedy then turns round.
        """
        if not self.count and self.latest is None:
            return
        self.batch = self.latest if self.latest is not None else self.batches(1)[0]
        for optimizer in patient.optimizers.values():
            optimizer.zero_grad()
        with torch.enable_grad():
            loss = patient.loss(patient.model, self.batch)
            (
                (-1.0 if turned else patient.sign) * loss
            ).backward()  # as the loop does; what a remedy makes of that comes after
        self.loss, self.spent = loss.detach(), self.spent + 1

    def batches(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """So many batches of rows drawn from those kept."""
        kept = self.kept
        assert kept is not None
        inputs, target = kept
        drawn = torch.randint(len(target), (count, min(self.size, len(target))), generator=self.generator)
        return [(inputs[rows], target[rows]) for rows in drawn.to(target.device)]


def is_pair(batch: Any) -> bool:
    """Whether a batch is one tensor of inputs and one of targets, row by row."""
    whole = isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(each, Tensor) for each in batch)
    return whole and min(each.dim() for each in batch) > 0 and len(batch[0]) == len(batch[1])
