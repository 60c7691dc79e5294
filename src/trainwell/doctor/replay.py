"""Batches as a loop hands them over to steps on rows drawn from all that were seen, where they come in a bad order."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainwell.doctor.losses import scalar
from trainwell.doctor.patient import Patient, tensors_in
from trainwell.doctor.trial import each_tensor

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
        self.form: Any = None  # a batch of the loop, whose form drawn ones have
        self.store: list[Tensor] | None = None
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
        elif self.on and stands_in_rows(batch):
            self.form = batch if self.form is None else self.form
            self._keep([each.detach() for each in tensors_in(batch)])
        return grew and not self.grows

    def _keep(self, parts: list[Tensor]) -> None:
        if self.store is not None:
            if len(parts) != len(self.store):
                return
            pairs = [_of_one_width(*each, len(parts) > 2) for each in zip(self.store, parts, strict=True)]
            if any(one.shape[1:] != other.shape[1:] for one, other in pairs):
                return
            self.store, parts = [one for one, _ in pairs], [other for _, other in pairs]
        inputs, rows = parts[0], len(parts[-1])
        self.size = max(rows, self.least)
        if self.mark is None:
            self.mark = inputs[0].clone()
        else:
            self.round = self.round or self._comes_again(inputs) or self.seen >= ROWS
        room = min(ROWS, BYTES * rows // max(1, sum(each.nbytes for each in parts)))
        free = max(0, min(rows, room - self.count))
        self._make_room(self.count + free, parts)
        assert self.store is not None
        for kept, part in zip(self.store, parts, strict=True):
            kept[self.count : self.count + free] = part[:free]
        self.count, self.seen = self.count + free, self.seen + free
        for row in range(free, rows):
            self.seen += 1
            place = int(torch.randint(self.seen, (1,), generator=self.generator))
            if place < self.count:
                for kept, part in zip(self.store, parts, strict=True):
                    kept[place] = part[row]

    def _comes_again(self, inputs: Tensor) -> bool:
        """Whether the first row kept is among these; a single number tells nothing."""
        assert self.mark is not None
        if self.mark.numel() < 2:
            return False
        mark, inputs = _of_one_width(self.mark[None], inputs, True)
        return bool((inputs == mark).flatten(1).all(1).any())

    def _make_room(self, rows: int, parts: list[Tensor]) -> None:
        """A store for so many rows, twice as large as the one before where that was too small."""
        if self.store is None:
            self.store = [each.new_empty(0, *each.shape[1:]) for each in parts]
        if rows > len(self.store[0]):
            self.store = [
                torch.cat([each[: self.count], each.new_empty(2 * rows - self.count, *each.shape[1:])])
                for each in self.store
            ]

    @property
    def kept(self) -> list[Tensor] | None:
        """The rows kept: every tensor of the inputs, and the targets last."""
        return None if self.store is None else [each[: self.count] for each in self.store]

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

    def batches(self, count: int) -> list[Any]:
        """So many batches of rows drawn from those kept, in the form of the loop's own."""
        kept = self.kept
        assert kept is not None
        drawn = torch.randint(len(kept[-1]), (count, min(self.size, len(kept[-1]))), generator=self.generator)
        return [self._formed([each[rows] for each in kept]) for rows in drawn.to(kept[-1].device)]

    def _formed(self, parts: list[Tensor]) -> Any:
        given = iter(parts)
        return each_tensor(self.form, lambda _: next(given))


def stands_in_rows(batch: Any) -> bool:
    """Whether a batch is inputs, one tensor or several, and a tensor of targets, each of them row by row."""
    if not isinstance(batch, list | tuple) or len(batch) != 2 or not isinstance(batch[1], Tensor):
        return False
    parts = tensors_in(batch)
    return _of_tensors(batch[0]) and all(each.dim() and len(each) == len(parts[-1]) for each in parts)


def _of_tensors(value: Any) -> bool:
    """Whether a value is a tensor, or nothing but tensors in lists, tuples and dictionaries."""
    if isinstance(value, dict | list | tuple):
        return bool(value) and all(map(_of_tensors, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Tensor)


def _of_one_width(one: Tensor, other: Tensor, told: bool) -> tuple[Tensor, Tensor]:
    """Rows of numbers as long as the longest of both, noughts behind the shorter ones; told: whether something beside
    them says how long they are, such as lengths or a mask."""
    widths = [each.shape[1] if each.dim() > 1 else 0 for each in (one, other)]
    if not told or widths[0] == widths[1] or one.dim() != 2 or other.dim() != 2 or one.is_floating_point():
        return one, other
    padded = [F.pad(each, (0, max(widths) - each.shape[1])) for each in (one, other)]
    return padded[0], padded[1]
