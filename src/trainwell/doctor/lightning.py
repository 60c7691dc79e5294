"""A Lightning run to findings: a callback that watches its trainer's steps. Needs `pip install lightning`."""

from typing import Any

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    Callback = object  # type: ignore[assignment,misc]

from trainwell.doctor.doctor import Doctor
from trainwell.doctor.patient import Patient, as_tuple, first_tensor
from trainwell.doctor.ward import Mode


class DoctorCallback(Callback):
    """Ties a doctor to a Lightning trainer; `doctor` is there from the start of the fit.

    loss: makes a loss from (output, target) for checks and proofs; without it a usual one is known by its value, and
    where it is none, checks that need one are skipped, as a copy of a module cannot run its own training_step outside
    its trainer. Raises ImportError without Lightning.
    """

    def __init__(self, loss: Any = None, *, mode: Mode = "watch", every: int = 10, budget: float = 0.3) -> None:
        if Callback is object:
            raise ImportError("this callback needs Lightning: pip install lightning")
        super().__init__()
        self.loss, self.stepped = loss, ""
        self.doctor = Doctor(mode=mode, every=every, budget=budget)

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Meet the module and the optimizers that the trainer has made."""
        optimizers = {f"optimizer {number}": each for number, each in enumerate(trainer.optimizers, 1)}
        patient = Patient(module, optimizers)
        if self.loss is not None:
            patient.loss_of = lambda model, batch, player: self.loss(model(*as_tuple(batch[0])), batch[1])
        steps = getattr(trainer, "estimated_stepping_batches", 0)
        self.doctor.record.facts["steps"] = int(steps) if steps not in (None, float("inf")) else 0
        self.doctor.meet(patient, hooked=False)
        self.doctor.acquaint(self.loss)

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        """The gradients are there: Lightning's optimizers make them inside their own step, so no hook of theirs can."""
        player = self._player(optimizer)
        if player and self.doctor.guarded(lambda: self.doctor.before_step(player), True) is False:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        self.stepped = player

    def _player(self, optimizer: Any) -> str:
        optimizer = getattr(optimizer, "optimizer", optimizer)
        found = self.doctor.patient.optimizers if self.doctor.patient is not None else {}
        return next((name for name, each in found.items() if each is optimizer), "")

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step is done."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        pair = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (None, None)
        if self.stepped and first_tensor(loss) is not None:
            self.doctor.guarded(lambda: self.doctor.after_update(self.stepped))
            self.doctor.watch(loss, *pair)
        self.stepped = ""

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        """Whatever was logged for the validation rows."""
        if getattr(trainer, "sanity_checking", False):
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val")}
        if metrics:
            self.doctor.evaluated(**{name.removeprefix("val").strip("_/"): value for name, value in metrics.items()})

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """The last look."""
        self.doctor.close()
