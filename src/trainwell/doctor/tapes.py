"""The first steps of a loop that does not tell its loss to a patient whose copies can be trained on them all the same.

Where neither the loop's own function nor a usual one gives the told loss, what the loop calls between two steps is kept
for some steps (`tape.py`), and made again with a copy's weights: the batches of such a patient are those steps.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainwell.doctor.examine import examine_tapes
from trainwell.doctor.finding import UNFIT
from trainwell.doctor.first_step import check_first_step
from trainwell.doctor.losses import scalar
from trainwell.doctor.patient import Patient, leaving_no_trace
from trainwell.doctor.probe import is_compiled, marked
from trainwell.doctor.tape import Recorder, Tape
from trainwell.train.distributed import world_size

if TYPE_CHECKING:
    from trainwell.doctor.doctor import Doctor

LEAST, MOST = 4, 16  # tapes from which copies are trained, and that are kept
CHECKED = 2  # tapes that are held against the loss that they are of
CARRIED = 100.0  # times the first step's loss, beyond which what is asked of the first weights comes of later ones
BYTES = 64 * 2**20  # of what all of them hold together
ALIKE = 0.01  # of a multiple, by which the multiples of several steps may differ
SAME = 1e-4  # share of the loss by which one made anew may differ


class Tapes:
    """Hears a loop's steps until there are enough to train copies on, or it is known how the loss is made."""

    def __init__(self, doctor: "Doctor") -> None:
        self.doctor = doctor
        self.over = True
        self.forget()

    def forget(self) -> None:
        self.tapes: list[Tape] = []
        self.pending: Tape | None = None
        self.value, self.bytes = math.nan, 0
        self.steady = True  # whether the told loss is a fixed multiple of what gradients are made of

    def listen(self) -> None:
        """Begin to hear; not a compiled model, which would be compiled again, nor players, nor loops in parallel."""
        doctor, patient = self.doctor, self.doctor.patient
        if patient is None or len(patient.players) > 1 or world_size() > 1:
            return
        if doctor.closures or is_compiled(patient.model):
            return
        (optimizer,) = patient.optimizers.values()

        def guarded(action: Callable[[], None]) -> Any:
            return lambda *parts: None if self.over else doctor.guarded(action)

        def leave(module: nn.Module, inputs: Any) -> None:
            # An evaluation takes torch's faster ways, by other roundings, only where no mode is on.
            if not (self.over or module.training or torch.is_grad_enabled() or self.recorder.calls):
                self.recorder.end()

        self.hooks: list[Any] = [
            optimizer.register_step_pre_hook(guarded(self._step_over)),
            optimizer.register_step_post_hook(guarded(self._next)),
            patient.model.register_forward_pre_hook(marked(leave)),
        ]
        doctor.handles += [*self.hooks, self]
        self.anew()

    def anew(self) -> None:
        """Hear from the next step on, of a network that may have other layers."""
        self.forget()
        assert self.doctor.patient is not None
        self.recorder, self.over = Recorder(self.doctor.patient.bare, lambda: self.doctor.inside), False
        self.recorder.begin()

    def remove(self) -> None:
        """Hear no more; what was kept stays, and the first weights where it can make a loss of them."""
        if not self.over:
            self.over, self.pending = True, None
            self.recorder.end()
            self.recorder.clear()
        doctor = self.doctor
        if doctor.mode == "watch" and not self.enough and doctor.patient is not None and doctor.patient.loss_of is None:
            doctor.first = None

    def told(self, loss: Any, batch: Any) -> None:
        """Take the step that the loop tells of, unless it tells its batch as well and it is known how the loss is made
        of that."""
        doctor, patient = self.doctor, self.doctor.patient
        if self.over or patient is None:
            return
        if patient.loss_of is not None and batch is not None:
            self.remove()
            for hook in self.hooks:  # a step between looks is to ask for little
                hook.remove()
            return
        if self.recorder.roots:  # told of before its step
            self._step_over()
        tape, self.pending = self.pending, None
        if tape is not None:
            tape.times = times if (times := self._times(loss)) and self.steady else 1.0
            self.tapes.append(tape)
            self.bytes += sum(each.numel() * each.element_size() for each in tape.kept.values())
            if doctor.step == 1:
                itself = math.isclose(abs(tape.times), 1.0, rel_tol=SAME)
                self._first(patient, tape if itself else replace(tape, times=1.0))
            if len(self.tapes) == LEAST:
                self._compare()
                self._examine()
        fails = doctor.step >= LEAST and not self.tapes
        if fails or len(self.tapes) == MOST or self.bytes > BYTES:
            self.remove()

    def _times(self, loss: Any) -> float:
        """How many times what gradients were made of the told loss is; 0 where that is no number."""
        times = float(scalar(loss)) / self.value if self.value else 0.0
        return times if math.isfinite(times) else 0.0

    def _compare(self) -> None:
        """What is told may be another number than what is learned from, such as a mean over the epoch, or a score:
        unless one is a fixed multiple of the other, copies go by what is learned from."""
        times = sorted(tape.times for tape in self.tapes)
        self.steady = times[-1] - times[0] <= ALIKE * abs(times[0])
        for tape in self.tapes if not self.steady else ():
            tape.times = 1.0

    def _first(self, patient: Patient, tape: Tape) -> None:
        made = self.patient
        with contextlib.suppress(*UNFIT):
            check_first_step(self.doctor, made, tape)
        patient.scale = made.scale

    def _examine(self) -> None:
        """What weights and gradients tell, as they were at first."""
        doctor, patient = self.doctor, self.patient
        first = doctor.first.patient(patient) if doctor.first is not None else patient
        with leaving_no_trace(), torch.no_grad(), contextlib.suppress(*UNFIT):
            losses = [abs(float(first.loss(first.model, tape))) for tape in self.tapes]
            if max(losses) > CARRIED * losses[0]:
                self.forget()
                self.remove()
                return
        doctor.record.facts["heard"] = True
        doctor.conclude(*examine_tapes(first, self.tapes, doctor.record.facts))

    @property
    def patient(self) -> Patient:
        """The patient, whose batches are tapes."""
        assert self.doctor.patient is not None
        return replace(
            self.doctor.patient,
            loss_of=lambda model, tape, player: tape.loss(model),
            inputs_of=lambda tape: (),
            target_of=lambda tape: None,
            answer_of=lambda model, tape: None,
        )

    @property
    def enough(self) -> bool:
        return len(self.tapes) >= LEAST

    def _next(self) -> None:
        self.recorder.begin()

    def _step_over(self) -> None:
        """The step's tape, held against its loss as long as the weights are those that it was made with."""
        self.recorder.end()
        tape, roots = self.recorder.tape(), [self.recorder.tensors[each] for each in self.recorder.roots]
        self.value = float(sum(each.detach().mean() for each in roots)) if roots else math.nan
        self.recorder.clear()
        if tape is not None and self.recorder.checked:
            self.recorder.checked = len(self.tapes) + 1 < CHECKED
            if not self._comes_out(tape):
                self.forget()
                self.remove()
                return
        self.pending = tape

    def _comes_out(self, tape: Tape) -> bool:
        """Whether a copy gives the very loss again."""
        if not math.isfinite(self.value):
            return False
        with leaving_no_trace(), torch.enable_grad():
            try:
                again = float(tape.loss(self.patient.copy()[0]).detach())
            except UNFIT:
                return False
        for call in tape.calls:
            call.drawn = ()
        return abs(again - self.value) <= SAME * abs(self.value)
