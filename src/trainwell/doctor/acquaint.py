"""The first step of a hand-written loop to how it makes its loss: what the model is called with, which function, and
how answers and targets are brought into shape for it."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor.finding import UNFIT
from trainwell.doctor.losses import scalar
from trainwell.doctor.patient import as_tuple, first_tensor, leaving_no_trace, lent, rows_of
from trainwell.doctor.probe import is_compiled, marked

if TYPE_CHECKING:
    from trainwell.doctor.doctor import Doctor

Joint = Callable[[Any], Any]
SAME = 1e-6  # share of the told loss within which another way need not be looked for
CLOSE = 1e-3  # share of the told loss by which one made anew may differ, as of sums in another order
EXACT = 2e-5  # the same of what the loop did not tell: of hundreds of ways one comes near by chance
ROUNDED = 1e-2  # the same of the function that the loop told, which half precision may have rounded
TARGETS = ("labels", "label", "targets", "target", "y", "answers")
# What a loop may call in its place, tried by whether it gives the very loss that was told.
USUAL: tuple[Callable[..., Tensor], ...] = (
    F.cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.nll_loss,
    F.binary_cross_entropy,
    lambda output, target: F.cross_entropy(output, target, label_smoothing=0.1),
    lambda output, target: F.mse_loss(output, target, reduction="sum"),
    lambda output, target: F.mse_loss(output, target, reduction="sum") / len(target),
    lambda output, target: F.binary_cross_entropy_with_logits(output, target, reduction="sum") / len(target),
)
ANSWERS: tuple[Joint, ...] = (
    lambda output: output,
    lambda output: output.squeeze(-1),
    lambda output: output.flatten(0, 1),
    lambda output: output.transpose(1, 2),
    lambda output: output.movedim(-1, 1),
    lambda output: output[:, -1],
    lambda output: output.flatten(),
)
# What a loop may do to a network's answers before its loss, rightly or wrongly.
SQUASHES: dict[str, Joint] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda output: output.softmax(1 if output.dim() > 1 else -1),
    "tanh": torch.tanh,
    "relu": torch.relu,
}
WANTED: tuple[Joint, ...] = (
    lambda target: target,
    lambda target: target.float(),
    lambda target: target.flatten(),
    lambda target: target.unsqueeze(-1),
    lambda target: target.unsqueeze(-1).float(),
    lambda target: target.squeeze(-1),
    lambda target: target.squeeze(-1).long(),
    lambda target: _one_hot(target),
)
KINDS = 1000  # classes, of more than which nobody compares one-hot rows


class Acquaintance:
    """Sees a model's training passes until the loss that is told can be made anew from a batch.

    loss: the loop's own function, where it told one. A model that makes its loss itself, or is called with something
    else than what the doctor is told, is listened to on: what it was called with is the batch.
    """

    def __init__(self, doctor: "Doctor", loss: Callable[..., Any] | None) -> None:
        self.doctor, self.loss = doctor, loss
        self.known, self.feeds = False, False
        self.arguments: tuple[Any, ...] | None = None  # of the latest training pass, as the model's forward names them
        self.output: Any = None
        self.place: int | None = None  # of the targets among the arguments
        self.made: float | None = None  # by the loop's own function, where that is a module
        self.handles: list[Any] = []

    def listen(self) -> None:
        """Hook the model, and the loss where it is a module; not a compiled model, which would be compiled again."""
        patient = self.doctor.patient
        if patient is None or len(patient.players) > 1 or is_compiled(patient.model) or self.doctor.closures:
            self.known = True
            self._let_go()
            return

        def see(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            if torch.is_grad_enabled() and not self.doctor.inside and module is patient.model:
                self.arguments = self._in_turn(_in_order(patient.bare, inputs, named))
                self.output = None if self.known else detached(output)

        def ask(criterion: nn.Module, asked: Any, value: Any) -> None:
            if torch.is_grad_enabled() and not self.doctor.inside and isinstance(value, Tensor):
                self.made = float(value.detach().mean())

        self.handles.append(patient.model.register_forward_hook(marked(see), with_kwargs=True))
        if isinstance(self.loss, nn.Module):
            self.handles.append(self.loss.register_forward_hook(marked(ask)))
        self.doctor.handles += self.handles

    def _in_turn(self, arguments: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        """The arguments one after the other, also where the model takes them as one."""
        patient = self.doctor.patient
        if patient is None or arguments is None or len(arguments) != 1 or type(arguments[0]) not in (tuple, list):
            return arguments
        patient.whole = True
        return tuple(arguments[0])

    def batch(self, loss: Any, batch: Any) -> Any:
        """The batch of this step, (inputs, target), as the doctor is told it or as the model was called with it."""
        if not self.known:
            self.known = True
            with leaving_no_trace(), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of shapes that are tried
                self._settle(float(scalar(loss)) if self.made is None else self.made, batch)
            self.output = None
            self._let_go()
            while len(self.handles) > self.feeds:  # the first one listens on where the model's calls are the batch
                self.handles.pop().remove()
        if not self.feeds or self.arguments is None:
            return batch
        if self.place is not None:
            inputs = (*self.arguments[: self.place], *self.arguments[self.place + 1 :])
            return _single(inputs), self.arguments[self.place]
        return _single(self.arguments), None if batch is None else _target(batch)

    def _settle(self, told: float, batch: Any) -> None:
        """Find out how the loss of this step came about, and tell the patient."""
        patient, arguments, output = self.doctor.patient, self.arguments, self.output
        if patient is None or arguments is None or not math.isfinite(told):
            return
        inside = _where(output, told) if self.loss is None else None
        if inside is not None:
            self._made_inside(inside, arguments)
        elif batch is not None and rows_of(arguments):
            inputs, target = batch[0], _target(batch)
            if target is None and self.loss is not None and _value(self.loss, *as_tuple(output)) is not None:
                loss = self.loss  # of answers alone, as of three pictures' places
                patient.loss_of = lambda model, batch, player: _mean(
                    loss(*as_tuple(patient.ask(model, as_tuple(batch[0]))))
                )
                exact = True
            else:
                exact = self._made_outside(output, arguments[0] if target is None else target, told, target is None)
            # Only what is known to make the loss takes the place of what the doctor is told.
            self.feeds = exact and not _same(as_tuple(inputs), arguments)

    def _let_go(self) -> None:
        """The first weights are of no use to a doctor that only watches and cannot make a loss."""
        doctor = self.doctor
        if doctor.mode == "watch" and doctor.tapes.over and doctor.patient is not None and not doctor.patient.loss_of:
            doctor.first = None

    def _made_outside(self, output: Any, target: Any, told: float, blind: bool) -> bool:
        """The nearest way to the told loss, and whether it gives the very same; of functions that the loop did not
        tell only such a one. blind: the target is the input, as an autoencoder's."""
        patient, nearest, way, known = self.doctor.patient, math.inf, None, self.loss is not None
        exact = CLOSE if _halves(output) else EXACT
        whole = _in_full(output)  # as autocast has losses in
        rounding = ROUNDED if _halves(output) else CLOSE
        for function, answer, wanted, part in _ways(self.loss, whole, target):
            given, asked = answer(_part(whole, part)), wanted(target)
            made = _value(function, given, asked)
            off = math.inf if made is None else abs(made - told) / max(abs(told), 1e-9)
            plain = answer is ANSWERS[0] and wanted is WANTED[0]
            spread = _broadcast(function, given, asked)
            # Of ways that differ by rounding the plain one is meant, but not where columns meet rows.
            off += SAME if spread else 0.0  # where all answers are alike, both forms make the same loss
            # What a loop does to answers is believed only where it explains the loss, which may hold a penalty.
            if off < min(nearest, exact if answer in SQUASHES.values() else math.inf):
                nearest, way = off, (function, answer, wanted, part)
            if off < (rounding if plain and known and not spread else SAME):
                break
        if patient is None or way is None or (not known and nearest > exact):
            return False
        function, answer, wanted, part = way

        def by(answer: Joint, wanted: Joint) -> Callable[..., Tensor]:
            def loss_of(model: nn.Module, batch: Any, player: str) -> Tensor:
                inputs = as_tuple(batch[0])
                output = _part(patient.ask(model, inputs), part)
                with lent(model, patient.bare):
                    return _mean(function(answer(output), wanted(inputs[0] if blind else batch[1])))

            return loss_of

        patient.loss_of = by(answer, wanted)
        between = next((name for name, each in SQUASHES.items() if each is answer), None)
        plain = answer is ANSWERS[0] and wanted is WANTED[0]
        if not plain and _broadcast(function, answer(_part(whole, part)), wanted(target)):
            between = "reshaping"
        if between is not None and nearest < CLOSE:
            self.doctor.record.facts["done by the loop"], patient.plain_loss_of = (
                between,
                by(ANSWERS[0], WANTED[0] if between == "reshaping" else wanted),
            )
        return nearest < CLOSE

    def _made_inside(self, where: Any, arguments: tuple[Any, ...]) -> None:
        """The model makes its loss itself: it stands at this place of what it gives."""
        patient = self.doctor.patient
        assert patient is not None
        names = _names(patient.bare)
        wanted = [place for place, name in enumerate(names[: len(arguments)]) if name in TARGETS]
        self.place = wanted[-1] if wanted else len(arguments) - 1 if len(arguments) > 1 else None
        self.feeds = True

        def whole(batch: Any) -> tuple[Any, ...]:
            inputs = as_tuple(batch[0])
            return inputs if self.place is None else (*inputs[: self.place], batch[1], *inputs[self.place :])

        patient.loss_of = lambda model, batch, player: _part(patient.ask(model, whole(batch)), where)
        patient.answer_of = lambda model, batch: _answer(patient.ask(model, whole(batch)), where)


def detached(value: Any) -> Any:
    """The same without its graph."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: detached(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(detached(each) for each in value)
    if isinstance(getattr(value, "loss", None), Tensor):
        return {"loss": value.loss.detach()}
    return value


def _in_full(output: Any) -> Any:
    """What a model gives, halves as float32."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
    return type(output)(map(_in_full, output)) if type(output) in (list, tuple) else output


def _broadcast(function: Callable[..., Any], output: Any, target: Any) -> bool:
    """Whether a column meets a row in the loss, so that it is the same in whatever order the answers stand."""
    if not (isinstance(output, Tensor) and isinstance(target, Tensor) and {output.dim(), target.dim()} == {1, 2}):
        return False
    if output.numel() != target.numel() or output.numel() < 2 or not output.is_floating_point():
        return False
    low, high = float(target.min()), float(target.max())
    drawn = low + (high - low) * torch.rand(output.shape, device=output.device)
    values = [_value(function, each, target) for each in (drawn, drawn.roll(1, 0), drawn.flip(0))]
    return all(each is not None and math.isclose(each, values[0] or 0.0, rel_tol=1e-5) for each in values)


def _halves(output: Any) -> bool:
    """Whether an answer is in half precision, whose losses are rounded."""
    first = first_tensor(output)
    return first is not None and first.dtype in (torch.float16, torch.bfloat16)


def _one_hot(target: Tensor) -> Tensor:
    if int(target.max()) >= KINDS:
        raise ValueError("too many classes for one-hot rows")
    return F.one_hot(target).float()


def _mean(loss: Any) -> Tensor:
    """The mean of the first tensor in what a function gives as its loss."""
    found = first_tensor(loss)
    return loss if found is None else found.mean()


def _target(batch: Any) -> Any:
    """What a batch asks for: its second part, or what bears such a name in a dictionary."""
    inputs, target = batch
    if target is None and isinstance(inputs, dict):
        target = next((inputs[name] for name in TARGETS if name in inputs), None)
    return target


def _ways(loss: Any, output: Any, target: Any) -> Iterator[tuple[Callable[..., Any], Joint, Joint, Any]]:
    """Every way to a loss: the function, what is done to answers and to targets, and the part of the answer; as they
    are first."""
    functions = (loss,) if loss is not None else USUAL
    parts: list[int | None] = [*range(len(output))] if isinstance(output, tuple | list) else [None]
    yield from ((function, ANSWERS[0], WANTED[0], None) for function in functions)
    if not isinstance(target, Tensor):
        return
    for part in parts:
        for answer, wanted in ((one, other) for one in (*ANSWERS, *SQUASHES.values()) for other in WANTED):
            try:
                given, asked = answer(_part(output, part)).shape, wanted(target).shape
            except UNFIT:
                continue
            if given == asked or given[:1] + given[2:] == asked:
                yield from ((function, answer, wanted, part) for function in functions)


def _value(function: Callable[..., Any], *arguments: Any) -> float | None:
    """What a function gives, as one number; None where it takes no such arguments."""
    try:
        found = first_tensor(function(*arguments))
        value = float(found.mean()) if found is not None else math.nan
    except UNFIT:
        return None
    return value if math.isfinite(value) else None


def _where(output: Any, told: float) -> Any:
    """The place of the told loss in what a model gives: "" for all of it, an index, a key; None if it is not there."""
    if isinstance(output, Tensor):
        return "" if output.numel() == 1 and output.dim() == 0 and _near(output, told) else None
    pairs = (
        output.items() if isinstance(output, dict) else enumerate(output) if isinstance(output, tuple | list) else ()
    )
    for place, each in pairs:
        if isinstance(each, Tensor) and each.dim() == 0 and _near(each, told):
            return place
    return None


def _near(value: Tensor, told: float) -> bool:
    return value.is_floating_point() and abs(float(value) - told) <= CLOSE * abs(told)


def _part(output: Any, place: Any) -> Any:
    if place is None or (isinstance(place, str) and not place):
        return output
    return getattr(output, place) if isinstance(place, str) and not isinstance(output, dict) else output[place]


def _answer(output: Any, where: Any) -> Tensor | None:
    """The first floating tensor beside the loss."""
    if isinstance(output, dict):
        return first_tensor([each for key, each in output.items() if key != where])
    if isinstance(output, tuple | list):
        return first_tensor([each for place, each in enumerate(output) if place != where])
    return getattr(output, "logits", None)


def _names(model: nn.Module) -> list[str]:
    try:
        return list(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError):
        return []


def _in_order(model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...] | None:
    """What a model was called with, one after the other; None where that is not possible."""
    if not named:
        return tuple(inputs)
    try:
        bound = inspect.signature(model.forward).bind(*inputs, **named)
    except (TypeError, ValueError):
        return None
    bound.apply_defaults()
    if bound.kwargs:
        return None
    arguments = list(bound.args)
    while arguments and arguments[-1] is None:
        arguments.pop()
    return tuple(arguments)


def _single(inputs: tuple[Any, ...]) -> Any:
    return inputs[0] if len(inputs) == 1 else inputs


def _same(told: tuple[Any, ...], called: tuple[Any, ...]) -> bool:
    """Whether what the doctor is told is what the model was called with."""
    if len(told) != len(called):
        return False
    for one, other in zip(told, called, strict=True):
        tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
        if one is not other and not (tensors and one.dtype == other.dtype and torch.equal(one, other)):
            return False
    return True
