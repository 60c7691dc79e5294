"""A cure that begins again from earlier weights to the steps that it cost, taken again at once on the rows of then."""

import statistics
from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.doctor.patient import Patient
from trainwell.doctor.rounds_again import take_rounds

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

BYTES = 2**26  # of batches that are kept at most
LEAST = 5  # steps lost that are worth it
SPOILED = 10.0  # times the usual loss, from which on a batch is left out
YOUNG = 150  # rounds of two players that are taken again of a training whose length is not known
TRIED_ON = 48  # batches that cures are tried on at most
SHARE = 0.4  # of the training's steps that may be taken again, in all
SHARE_OF_DONE = 0.6  # of those done so far, where nobody told how many are to come


def bytes_of(batch: Any) -> int:
    """What the tensors of a batch take, however it holds them."""
    if isinstance(batch, Tensor):
        return batch.nbytes
    several = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, tuple | list) else ()
    return sum(map(bytes_of, several))


class Retake:
    """Keeps a loop's latest batches, and takes the steps that were lost again, with the loop's own optimizer.

    A schedule of rates is not moved by them. It needs to know how the loop makes its loss.
    """

    def __init__(self) -> None:
        self.batches: deque[Any] = deque()
        self.bytes, self.spent, self.under_way = 0, 0, False
        self.losses: list[float] = []  # of the steps under way

    def keep(self, batch: Any) -> None:
        """The latest batch beside those before it."""
        self.batches.append(batch)
        self.bytes += bytes_of(batch)
        while self.bytes > BYTES and self.batches:
            self.bytes -= bytes_of(self.batches.popleft())

    def take(self, doctor: "Ward", lost: int) -> int:
        """As many steps as were lost, on the latest batches; how many were taken."""
        patient, planned = doctor.patient, int(doctor.record.facts.get("steps") or 0)
        if patient is not None and patient.play is not None:
            return self._rounds(doctor, patient, lost)
        room = int(SHARE * planned if planned else SHARE_OF_DONE * doctor.step) - self.spent
        drawn = doctor.replay.on
        count = min(lost, room, lost if drawn else 2 * len(self.batches))
        if patient is None or patient.loss_of is None or count < LEAST or not self._plain(doctor):
            return 0
        (optimizer,) = patient.optimizers.values()
        learning = [each for group in optimizer.param_groups for each in group["params"]]
        training, batches = patient.bare.training, doctor.replay.batches(count) if drawn else self.latest(count)
        self.under_way = True
        try:
            patient.model.train(training or bool(doctor.treatments.chart and doctor.treatments.chart.train_mode))
            self.losses = []
            for step in range(count):
                if not self._step(doctor, optimizer, learning, batches[step % len(batches)]):
                    break
                self.spent += 1
        finally:
            optimizer.zero_grad()
            patient.model.train(training)
            self.under_way = False
        return count

    def _rounds(self, doctor: "Ward", patient: Patient, lost: int) -> int:
        """The same of two players, by rounds."""
        planned = int(doctor.record.facts.get("steps") or 0)
        room = (int(SHARE * planned) if planned else max(int(SHARE * doctor.step), YOUNG)) - self.spent
        self.under_way = True
        try:
            made = 0 if min(lost, room) < LEAST or doctor.scaler is not None else take_rounds(patient, min(lost, room))
        finally:
            self.under_way = False
        self.spent += made
        return made

    def draw(self, doctor: "Ward") -> None:
        """Half of the steps that were taken while not all rows were known, on rows drawn from all of them."""
        made = self.take(doctor, doctor.step // 2)
        self.batches.clear()  # what the loop shows is kept by the replay from now on
        self.bytes = 0
        if made and doctor.history:
            doctor.history[-1]["change"] += f", {made} steps more once all were known"

    def latest(self, count: int = TRIED_ON) -> list[Any]:
        """The latest batches, at most so many, oldest first."""
        return list(self.batches)[-count:]

    def _step(self, doctor: "Ward", optimizer: torch.optim.Optimizer, learning: list[Any], batch: Any) -> bool:
        """One step; False where its gradient is not finite, so that none was taken."""
        patient = doctor.patient
        assert patient is not None
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = patient.loss(patient.model, batch)
            value = float(loss.detach())
            if self.losses and abs(value) > SPOILED * abs(statistics.median(self.losses)):
                return True  # a batch that spoiled the training once is left out
            self.losses.append(value)
            chart = doctor.treatments.chart
            sign = -1.0 if chart is not None and chart.turn_sign else patient.sign  # which the remedy turns round again
            (sign * loss).backward()  # as the loop does
        if patient.scale != 1.0:
            torch._foreach_mul_([each.grad for each in learning if each.grad is not None], patient.scale)
        total = nn.utils.clip_grad_norm_(learning, patient.clip or float("inf"))
        if not bool(torch.isfinite(total)):
            return False
        doctor.treatments.before_step(learning, total)
        optimizer.step()
        return True

    @staticmethod
    def _plain(doctor: "Ward") -> bool:
        """Whether a step is one pass over rows that are known and one update of one optimizer, without a scale."""
        assert doctor.patient is not None
        one = len(doctor.patient.optimizers) == 1 and not doctor.closures
        return one and doctor.state is None and doctor.scaler is None and not doctor.replay.grows
