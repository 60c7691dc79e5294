"""A model in any loop to what the doctor may ask of it: its loss on a batch, a copy, a moment that leaves no trace."""

import contextlib
import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim import Optimizer

from trainwell.tasks.task import divide
from trainwell.train.state import State

if TYPE_CHECKING:
    from trainwell.doctor.bound import Weights
    from trainwell.doctor.lighter_bound import Spare
    from trainwell.doctor.play import Play


@dataclass
class Patient:
    """A model with its optimizers by player, and how its loop makes a loss from a batch, where that is known.

    `loss_of` takes (model, batch, player) and gives the mean loss; None where the loop never told it.
    """

    model: nn.Module
    optimizers: dict[str, Optimizer]
    loss_of: Callable[[nn.Module, Any, str], Tensor] | None = None
    inputs_of: Callable[[Any], tuple[Any, ...]] = field(default=lambda batch: as_tuple(batch[0]))
    target_of: Callable[[Any], Any] = field(default=lambda batch: batch[1])
    answer_of: Callable[[nn.Module, Any], Tensor | None] | None = None  # where the model gives its loss beside it
    scale: float = 1.0  # the loop's gradients over those of the loss it told, where it adds up many
    sign: float = 1.0  # -1 where what the loop calls its loss is a score, to be made larger
    clip: float | None = None  # largest gradient norm that its loop lets through, as far as that is known
    plain_loss_of: Callable[[nn.Module, Any, str], Tensor] | None = None  # of answers as they are
    whole: bool = False  # whether the model takes all of a batch's inputs as one argument
    weights: "Weights | None" = None  # of an autoencoder's divergence and errors, as its gradients show them
    spare: "Spare | None" = None  # what of its divergence nothing is learned from
    play: "Play | None" = None  # what was seen of two players
    held: frozenset[int] = frozenset()  # in a copy of a patient: ids of what the loop's own optimizers hold

    @property
    def players(self) -> list[str]:
        return list(self.optimizers)

    @property
    def rate(self) -> float:
        """The highest rate of any group."""
        rates = [group["lr"] for each in self.optimizers.values() for group in each.param_groups]
        return float(max(rates)) if rates else 0.0

    @property
    def bare(self) -> nn.Module:
        """The model without the wrapping of compile and data parallelism."""
        return bare(self.model)

    def holds(self) -> frozenset[int]:
        """Ids of all parameters that an optimizer holds, those that the model does not list among them."""
        groups = [group for each in self.optimizers.values() for group in each.param_groups]
        return self.held | {id(each) for group in groups for each in group["params"]}

    def loss(self, model: nn.Module, batch: Any, player: str = "") -> Tensor:
        """The mean loss of this model, which may be a copy, on a batch; what is to be made smaller, whatever the loop
        does."""
        if self.loss_of is None:
            raise RuntimeError("the loop has not told how it makes a loss")
        loss = self.loss_of(model, batch, player or self.players[0])
        return loss if self.sign > 0 else -loss

    def output(self, model: nn.Module, batch: Any) -> Tensor | None:
        """What the model answers to a batch: the first floating tensor of it."""
        if self.answer_of is not None:
            return self.answer_of(model, batch)
        return answer_in(self.ask(model, self.inputs_of(batch)))

    def ask(self, model: nn.Module, inputs: Sequence[Any]) -> Any:
        """What this model, which may be a copy, gives for a batch's inputs."""
        return model(tuple(inputs)) if self.whole else model(*inputs)

    def rows(self, batch: Any) -> int:
        """How many rows a batch has: as many as answers where some input has so many, else those of its first input."""
        inputs, target = self.inputs_of(batch), self.target_of(batch)
        asked = len(target) if isinstance(target, Tensor) and target.dim() else 0
        return asked if asked and any(rows_of(each) == asked for each in inputs) else rows_of(inputs)

    def copy(self) -> tuple[nn.Module, dict[str, Optimizer]]:
        """Model and optimizers copied together, so that the copied optimizers train the copied model."""
        in_place = {name: each.stands_in for name, each in self.optimizers.items() if hasattr(each, "stands_in")}
        model, optimizers, in_place = copy.deepcopy((self.bare, self.optimizers, in_place), remembered(self.bare))
        optimizers |= in_place
        for module in model.modules():
            forget_hooks(module)
        return model, optimizers


def from_state(state: State) -> Patient:
    """The patient that this package's own loop trains."""

    def loss_of(model: nn.Module, batch: Any, player: str) -> Tensor:
        with state.autocast():
            return divide(state.task.loss(model, batch, player))

    return Patient(
        state.model, state.optimizers, loss_of, lambda batch: tuple(batch["inputs"]), lambda batch: batch.get("target")
    )


def from_loop(model: nn.Module, optimizer: Any, loss: Callable[..., Any] | None) -> Patient:
    """The patient of a hand-written loop: `loss(output, target)` makes its loss.

    optimizer: one, or several in a list or by player's name.
    """
    if isinstance(optimizer, dict):
        optimizers = dict(optimizer)
    elif isinstance(optimizer, list | tuple):
        optimizers = {f"optimizer {number}": each for number, each in enumerate(optimizer, 1)}
    else:
        optimizers = {"model": optimizer}

    patient = Patient(model, optimizers)

    def loss_of(model: nn.Module, batch: Any, player: str) -> Tensor:
        assert loss is not None
        output = patient.ask(model, as_tuple(batch[0]))
        with lent(model, patient.bare):
            value = loss(output, batch[1])
        found = first_tensor(value)
        return value if found is None else found.mean()

    patient.loss_of = loss_of if loss is not None else None
    return patient


@contextlib.contextmanager
def lent(model: nn.Module, own: nn.Module) -> Iterator[None]:
    """The tensors that a copy has kept of its pass in place of those of the loop's own model, off which the loop's loss
    may read them, as a divergence of codes."""
    changed = []
    for theirs, mine in zip(model.modules(), own.modules(), strict=False) if model is not own else ():
        for name, value in theirs.__dict__.items():
            kind = next((each for each in (Tensor, Distribution) if isinstance(value, each)), None)
            if kind is not None and isinstance(mine.__dict__.get(name), kind):
                changed.append((mine.__dict__, name, mine.__dict__[name]))
                mine.__dict__[name] = value
    try:
        yield
    finally:
        for kept, name, value in changed:
            kept[name] = value


def remembered(model: nn.Module) -> dict[int, Any]:
    """Tensors with a graph that a model has kept from its latest pass, without it, by their identity: as a memo of
    `copy.deepcopy`, which refuses them."""
    found: dict[int, Any] = {}

    def look(value: Any, depth: int) -> None:
        if isinstance(value, Tensor) and value.grad_fn is not None:
            found[id(value)] = value.detach().clone()
        elif isinstance(value, dict | list | tuple | Distribution) and depth < 3:
            held = vars(value) if isinstance(value, Distribution) else value
            for each in held.values() if isinstance(held, dict) else held:
                look(each, depth + 1)

    for module in model.modules():
        for name, value in module.__dict__.items():
            if name not in ("_modules", "_parameters"):
                look(value, 0)
    return found


def as_tuple(value: Any) -> tuple[Any, ...]:
    """The value, as a tuple of one where it is none."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a value that may be a tuple, list, dictionary or slice, in its order."""
    if isinstance(value, Tensor):
        return [value]
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
    return [each for part in parts for each in tensors_in(part)]


def first_tensor(value: Any) -> Tensor | None:
    """The first floating tensor in a value that may be a tuple, list, dictionary or object with fields."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, dict):
        value = list(value.values())
    elif hasattr(value, "loss") and isinstance(value.loss, Tensor):
        return value.loss
    elif hasattr(value, "logits"):
        return value.logits
    if isinstance(value, list | tuple):
        for each in value:
            found = first_tensor(each)
            if found is not None:
                return found
    return None


def answer_in(value: Any) -> Tensor | None:
    """The first floating tensor with rows in what a model gives, past a loss that may stand in front of it."""
    several = list(value.values()) if isinstance(value, dict) else value
    if isinstance(several, list | tuple):
        rows = next((each for each in map(first_tensor, several) if each is not None and each.dim()), None)
        return first_tensor(value) if rows is None else rows
    return value.logits if hasattr(value, "logits") and not isinstance(value, Tensor) else first_tensor(value)


def bare(model: nn.Module) -> nn.Module:
    """The module inside torch.compile's and DistributedDataParallel's wrappers."""
    for name in ("_orig_mod", "module"):
        inner = getattr(model, name, None)
        if (
            isinstance(inner, nn.Module)
            and len(list(model.children())) == 1
            and not list(model.parameters(recurse=False))
        ):
            wrapped = type(model).__name__ in ("OptimizedModule", "DistributedDataParallel", "DataParallel")
            if wrapped:
                return bare(inner)
    return model


def forget_hooks(module: nn.Module) -> None:
    """Remove the forward hooks that the doctor set, from a copy that must not report."""
    for table in (module._forward_hooks, module._forward_pre_hooks):
        for key, hook in list(table.items()):
            if getattr(hook, "of_doctor", False):
                del table[key]
                for extra in (
                    "_forward_hooks_with_kwargs",
                    "_forward_hooks_always_called",
                    "_forward_pre_hooks_with_kwargs",
                ):
                    getattr(module, extra, {}).pop(key, None)


@contextlib.contextmanager
def leaving_no_trace() -> Iterator[None]:
    """Inside, chance may be used; after it, every generator and switch is as it was before."""
    own, numbers, plain = torch.get_rng_state(), np.random.get_state(), random.getstate()
    devices = [torch.cuda.get_rng_state_all()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    grad = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_rng_state(own)
        np.random.set_state(numbers)
        random.setstate(plain)
        for each in devices:
            torch.cuda.set_rng_state_all(each)


@contextlib.contextmanager
def answering(model: nn.Module) -> Iterator[None]:
    """Inside, the model answers as in evaluation and learns nothing; after it, mode and chance are as before."""
    modes = [(module, module.training) for module in model.modules()]
    with leaving_no_trace(), torch.no_grad():
        for module, _ in modes:
            module.training = False
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def rows_of(value: Any) -> int:
    """How many rows the first tensor of a batch's inputs has."""
    for each in as_tuple(value):
        if isinstance(each, Tensor) and each.dim():
            return each.size(0)
    return 0
