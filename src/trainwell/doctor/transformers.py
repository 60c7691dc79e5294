"""A Hugging Face Trainer's run to findings: a callback that watches its steps; pip install transformers accelerate."""

from typing import Any

try:
    from transformers import TrainerCallback as Callback
except ImportError:
    Callback = object  # type: ignore[assignment,misc]

from trainwell.doctor.doctor import Doctor
from trainwell.doctor.patient import Patient
from trainwell.doctor.ward import Mode


class DoctorCallback(Callback):
    """Ties a doctor to a Trainer: Trainer(..., callbacks=[DoctorCallback()]); `doctor` is there from the start.

    The loss of a step is read off the model's own output, so that batches need not be handed over. Raises ImportError
    without transformers.
    """

    def __init__(self, *, mode: Mode = "watch", every: int = 10, budget: float = 0.3) -> None:
        if Callback is object:
            raise ImportError("this callback needs transformers: pip install transformers accelerate")
        self.doctor = Doctor(mode=mode, every=every, budget=budget)
        self.seen: dict[str, Any] = {}

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **more: Any
    ) -> None:
        """Meet the model and its optimizer, and see the arguments and the loss of each forward pass."""

        def loss_of(model: Any, batch: Any, player: str) -> Any:
            return model(**batch).loss

        def inputs_of(batch: dict[str, Any]) -> tuple[Any, ...]:
            return tuple(
                batch[name] for name in ("input_ids", "pixel_values", "input_values", "inputs_embeds") if name in batch
            )

        optimizer = getattr(optimizer, "optimizer", optimizer)  # what accelerate wraps
        patient = Patient(model, {"model": optimizer}, loss_of, inputs_of, lambda batch: batch.get("labels"))
        self.doctor.record.facts["steps"] = int(getattr(state, "max_steps", 0) or 0)

        def see(module: Any, positional: Any, named: dict[str, Any], output: Any) -> None:
            if module.training and getattr(output, "loss", None) is not None:
                self.seen = {"batch": dict(named), "loss": output.loss.detach()}

        self.handle = model.register_forward_hook(see, with_kwargs=True)
        self.doctor.meet(patient)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A step is done."""
        if self.seen:
            self.doctor.watch_batch(self.seen["loss"], self.seen["batch"])

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """What the evaluation gave."""
        numbers = {
            name.removeprefix("eval_"): value for name, value in (metrics or {}).items() if isinstance(value, float)
        }
        if "loss" in numbers:
            self.doctor.evaluated(loss=numbers.pop("loss"), **numbers)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The last look."""
        self.handle.remove()
        self.doctor.close()
