"""Passes without gradient whose answers a loop's own criterion judges, to held-out rows that nobody told of."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.doctor.examine import examine
from trainwell.doctor.finding import AILMENTS
from trainwell.doctor.patient import as_tuple, first_tensor, leaving_no_trace, rows_of
from trainwell.doctor.probe import is_compiled, marked
from trainwell.doctor.sample import collect, row_hashes

if TYPE_CHECKING:
    from trainwell.doctor.doctor import Doctor

ROWS = 512  # that are kept, as many as of the training rows
ASKED = "preprocessing-mismatch"  # what rows show that may be some of the training's: not whether they leak


class Overheard:
    """Listens to a loop that evaluates between its steps and tells the doctor nothing of it.

    Rows count where the model answered them without gradient and the loop's criterion, a module, was then asked about
    that answer. A pass over rows most of which were learned from is not one over held-out rows.
    """

    def __init__(self, doctor: "Doctor", criterion: nn.Module) -> None:
        self.doctor, self.criterion = doctor, criterion
        self.inputs: tuple[Any, ...] = ()
        self.output: Tensor | None = None
        self.batches: list[tuple[Any, Any]] = []
        self.full = False  # after a pass, the next one being over the same rows
        self.forget()

    def forget(self) -> None:
        """Begin a new pass."""
        self.loss, self.right, self.classed, self.rows = 0.0, 0.0, 0, 0

    def listen(self) -> None:
        """Hook the model and the criterion; not a compiled model, which a hook would have compiled again."""
        patient = self.doctor.patient
        if patient is None or len(patient.players) > 1 or is_compiled(patient.model):
            return

        # Functions, as a copy of a model copies bound methods with what they are bound to; copies are not listened to.
        def begins(module: nn.Module, inputs: Any) -> None:
            if self.rows and torch.is_grad_enabled() and not self.doctor.inside and module is patient.model:
                self.doctor.guarded(self.over)

        def answered(module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.is_grad_enabled() and not self.doctor.inside and module is patient.model:
                self.inputs, self.output = inputs, first_tensor(output)

        def judged(criterion: nn.Module, asked: Any, loss: Any) -> None:
            if torch.is_grad_enabled() or self.doctor.inside or self.output is None or len(asked) < 2:
                return
            answer, target, own = asked[0], asked[1], criterion is self.criterion
            if own and isinstance(answer, Tensor) and isinstance(loss, Tensor) and _same(answer, self.output):
                self.doctor.guarded(lambda: self._take(answer, target, loss))
                self.output = None

        model, criterion = patient.model, self.criterion
        self.doctor.handles += [
            model.register_forward_pre_hook(marked(begins)),
            model.register_forward_hook(marked(answered)),
            criterion.register_forward_hook(marked(judged)),
        ]

    def _take(self, answer: Tensor, target: Any, loss: Tensor) -> None:
        rows = rows_of(self.inputs)
        self.rows += rows
        self.loss += rows * float(loss.mean())
        if not isinstance(target, Tensor):
            return
        if answer.dim() == 2 and answer.shape[1] > 1 and target.dim() == 1 and not target.is_floating_point():
            self.right += float((answer.argmax(1) == target).sum())
            self.classed += len(target)
        wanted = not self.full and self.doctor.held is None and sum(rows_of(each) for each, _ in self.batches) < ROWS
        if wanted and target.dim() and len(target) == rows:
            self.batches.append((self.inputs[0] if len(self.inputs) == 1 else self.inputs, target))

    def over(self) -> None:
        """Hand on what the pass gave: its rows, where they were not learned from, and its mean loss and accuracy."""
        doctor, rows, loss = self.doctor, self.rows, self.loss
        told = {"loss": loss / rows} if rows else {}
        if self.classed == rows:
            told |= {"accuracy": self.right / rows} if rows else {}
        self.forget()
        self.full = self.full or bool(self.batches)
        if doctor.held is None and doctor.examined and self.batches:
            self._hand_over_rows()
        if told and not doctor.told_of_evaluation:
            doctor.take_evaluation(told)

    def _hand_over_rows(self) -> None:
        doctor, batches = self.doctor, self.batches
        assert doctor.patient is not None and doctor.sample is not None
        self.batches = []
        hashes = [each for inputs, _ in batches for each in row_hashes(as_tuple(inputs))]
        if not hashes or sum(each in doctor.sample.known for each in hashes) > len(hashes) / 2:
            return
        doctor.held = collect(doctor.patient, batches)
        left_out = {name for name in AILMENTS if name != ASKED}
        first = doctor.first.patient(doctor.patient) if doctor.first is not None else doctor.patient
        with leaving_no_trace():
            doctor.conclude(*examine(first, doctor.sample, doctor.held, doctor.record.facts, left_out=left_out))


def _same(answer: Tensor, output: Tensor) -> bool:
    """Whether the one is the other, or a view of it."""
    return answer is output or answer.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
