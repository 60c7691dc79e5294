"""The torch functions between two steps to a loss that can be made anew: of other weights, in any loop.

A loop that does not tell how it makes its loss is heard for some steps, function by function, as a tape of Wengert's
(1964) has it: what of the loss follows from the weights is kept as calls, all else, such as rows and noise, as numbers.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from trainwell.doctor.dropping import LighterDropout
from trainwell.doctor.graph import leaves_of
from trainwell.doctor.patient import tensors_in

MOST_CALLS, MOST_BYTES = 20_000, 256 * 2**20  # of one step, beyond which it is not kept
GRADIENT: Any = torch.Tensor.__dict__.get("grad", torch._C.TensorBase.grad).__get__


@dataclass(frozen=True)
class Place:
    """Stands for a tensor among a call's arguments."""

    number: int


@dataclass
class Call:
    """One function with its arguments, tensors by their places; the places of what it gave, and of what it wrote to."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    learns: bool  # whether gradients were on
    cast: tuple[str, torch.dtype] | None = None  # kind of device and precision of an autocast around it
    drawn: tuple[Tensor, ...] = ()  # the states of chance before it, of the processor and of a GPU
    asked: list[int] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)  # of the tensors asked, in their order


@dataclass
class Tape:
    """One step's way from weights to loss.

    names: parameters and buffers of the model by place; kept: what else the calls were given; lent: places whose
    tensors the calls write to, though they are the loop's.
    """

    calls: list[Call]
    names: dict[int, str]
    kept: dict[int, Tensor]
    lent: frozenset[int]
    roots: list[int]  # of all that gradients were made of
    times: float = 1.0  # that the told loss is
    leaves: dict[int, Tensor] = field(default_factory=dict)  # what of the loop's asks for gradients, by its stand-in
    versions: dict[int, int] = field(default_factory=dict)

    def loss(self, model: nn.Module) -> Tensor:
        """The loss of this model, which may be a copy, of the step's rows; a scalar.

        Raises RuntimeError where the loop has written over what the step was made of.
        """
        for number, version in self.versions.items():
            if self.kept[number]._version != version:
                raise RuntimeError("what the step was made of has been written over")
        self.leaves.clear()
        own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
        values: dict[int, Any] = {number: own[name] for number, name in self.names.items()}
        values |= {number: self._own(number, each) for number, each in self.kept.items()}
        with LighterDropout(getattr(model, "dropped_at_most", 1.0)):
            self._play(values)
        return sum((values[root].mean() for root in self.roots), torch.zeros(())) * self.times

    def _play(self, values: dict[int, Any]) -> None:
        """Each call, given what those before it gave."""
        for call in self.calls:
            for state, put in zip(call.drawn, (torch.set_rng_state, torch.cuda.set_rng_state), strict=False):
                put(state)
            cast = torch.autocast(*call.cast) if call.cast is not None else nullcontext()
            with torch.set_grad_enabled(call.learns), cast:
                result = call.function(*_filled(call.arguments, values), **_filled(call.named, values))
            for number, each in zip(call.given, tensors_in(result), strict=True):
                values[number] = each

    def _own(self, number: int, tensor: Tensor) -> Tensor:
        """A stand-in for what the loop lends, so that neither numbers nor gradients are written to it."""
        if number in self.lent:
            tensor = tensor.detach().clone()
        if not tensor.requires_grad:
            return tensor
        own = tensor.detach().requires_grad_()
        self.leaves[id(own)] = tensor
        return own

    def strangers(self, loss: Tensor, held: frozenset[int]) -> list[tuple[int, ...]]:
        """Shapes of weights that this loss, just made, depends on, and that nobody holds; held: ids."""
        found = [self.leaves.get(id(each)) for each in leaves_of(loss)]
        return [tuple(each.shape) for each in found if isinstance(each, nn.Parameter) and id(each) not in held]


class Recorder(TorchFunctionMode):
    """Hears a loop's torch functions from the first that learns something of the weights until it is told to end.

    deaf: whether what runs now is not the loop's.
    """

    def __init__(self, model: nn.Module, deaf: Callable[[], bool]) -> None:
        super().__init__()
        self.checked = True  # whether chance is kept, so that the very loss can be made again
        self.model, self.deaf = model, deaf
        self.buffers = {id(each): name for name, each in model.named_buffers(remove_duplicate=False)}
        self.weights = {id(each): name for name, each in model.named_parameters(remove_duplicate=False)}
        self.clear()

    def clear(self) -> None:
        self.calls: list[Call] = []
        self.numbers: dict[int, int] = {}
        self.tensors: list[Tensor] = []
        self.versions: list[int] = []  # of each tensor when it was first seen
        self.before: dict[int, Tensor] = {}  # what of the loop's a call was about to write to
        self.roots: list[int] = []
        self.heard = 0  # calls before the last gradient was made
        self.bytes, self.lost = 0, ""

    def begin(self) -> None:
        """Listen, in place of a recorder whose loop was left, unless the loop has modes of its own around it, which
        could then not be left in order."""
        self.clear()
        while (stack := _get_current_function_mode_stack()) and isinstance(stack[-1], Recorder):
            stack[-1].__exit__(None, None, None)
        if not stack:
            self.__enter__()

    def end(self) -> None:
        """Listen no more; where the loop has entered a mode since, it goes on unheard."""
        stack = _get_current_function_mode_stack()
        if stack and stack[-1] is self:
            self.__exit__(None, None, None)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if self.lost or self.deaf():
            return function(*args, **named)
        inputs = list(tensors_in((args, named)))
        learns = torch.is_grad_enabled()
        if not self.calls and not (learns and any(each.requires_grad for each in inputs)):
            return function(*args, **named)
        if function is torch.Tensor.backward:
            self.roots += [self._number(each) for each in inputs[:1]]
            self.heard = len(self.calls)
            return function(*args, **named)
        drawn = _chance() if self.checked else ()
        before = [_version(each) for each in inputs]
        aside = (
            inputs[0].detach().clone() if inputs and _writes(function) and id(inputs[0]) not in self.numbers else None
        )
        result = function(*args, **named)
        if self.calls or any(each.grad_fn is not None for each in tensors_in(result)):
            self._note(Call(function, args, named, learns, _cast(), drawn), inputs, before, result)
            if aside is not None and id(inputs[0]) in self.numbers:
                self.before[self.numbers[id(inputs[0])]] = aside
        return result

    def _note(self, call: Call, inputs: list[Tensor], before: list[int], result: Any) -> None:
        given = list(tensors_in(result))
        written = [each for each, version in zip(inputs, before, strict=True) if _version(each) != version]
        if not given and not written:
            return
        if any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in (*inputs, *given)):
            self.lost = "networks that run at once"
            return
        call.shapes = [tuple(each.shape) for each in inputs]
        call.asked = [self._number(each, version) for each, version in zip(inputs, before, strict=True)]
        self.bytes += sum(each.numel() * each.element_size() for each in given if each.layout == torch.strided)
        call.arguments, call.named = self._placed(call.arguments), self._placed(call.named)
        call.given = [self._number(each) for each in given]
        call.written = [self._number(each) for each in written]
        self.calls.append(call)
        if len(self.calls) > MOST_CALLS or self.bytes > MOST_BYTES:
            self.clear()
            self.lost = "a step too large to be kept"

    def _number(self, tensor: Tensor, version: int | None = None) -> int:
        number = self.numbers.setdefault(id(tensor), len(self.tensors))
        if number == len(self.tensors):
            self.tensors.append(tensor)  # also so that no other gets its identity
            self.versions.append(_version(tensor) if version is None else version)
        return number

    def _placed(self, value: Any) -> Any:
        return _changed(value, lambda each: Place(self._number(each)) if isinstance(each, Tensor) else each)

    def tape(self) -> Tape | None:
        """The calls on which weights and loss hang, and what they were given from elsewhere; None where the loss does
        not follow from what was heard."""
        calls = self.calls[: self.heard]
        if self.lost or not self.roots or any(id(self.tensors[n]) in self.weights for c in calls for n in c.written):
            return None
        names = {n: self.weights.get(id(each)) or self.buffers.get(id(each)) for n, each in enumerate(self.tensors)}
        learned = self._learned(calls, {n for n, name in names.items() if name})
        needed, held, live = {*self.roots}, {_storage(self.tensors[n]) for n in self.roots}, []
        for call in reversed(calls):
            touched = needed & {*call.given} or held & {_storage(self.tensors[n]) for n in call.written}
            if touched and learned & {*call.given, *call.written}:
                live.append(call)
                needed |= {*call.asked}
                held |= {_storage(self.tensors[n]) for n in call.asked}
        live.reverse()
        born, seen = set[int](), set[int]()
        for call in live:
            seen |= {*call.asked}
            born |= {*call.given} - seen
            seen |= {*call.given}
        known = {n: name for n in needed if (name := names[n])}
        kept = {n: self.before.get(n, self.tensors[n]) for n in needed - born - known.keys()}
        foreign = any(each.grad_fn is not None for each in kept.values()) or any(map(self._of_its_own, live))
        if foreign or not born >= {*self.roots} or any(call.function == GRADIENT for call in live):
            return None  # a gradient that was asked for is one that no pass makes anew
        lent = frozenset(n for call in live for n in call.written) & kept.keys()
        versions = {n: _version(each) for n, each in kept.items() if not isinstance(each, nn.Parameter)}
        return Tape(live, known, kept, lent, self.roots, versions=versions)

    def _of_its_own(self, call: Call) -> bool:
        """Whether it ran within a function of the loop's own, whose gradient is not that of what it calls."""
        return not call.learns and any(self.tensors[n].grad_fn is not None for n in call.given)

    def _learned(self, calls: list[Call], named: set[int]) -> set[int]:
        """Places of what follows from the weights, or was written over since it was first seen."""
        learned = {*named}
        changed = {n for n, each in enumerate(self.tensors) if _version(each) != self.versions[n]}
        for call in calls:
            if learned & {*call.asked} or any(self.tensors[n].requires_grad or n in changed for n in call.given):
                learned |= {*call.given, *call.written}
        return learned


def _chance() -> tuple[Tensor, ...]:
    """The states that random numbers are drawn from now."""
    drawn = (torch.get_rng_state(),)
    return (*drawn, torch.cuda.get_rng_state()) if torch.cuda.is_initialized() else drawn


def _cast() -> tuple[str, torch.dtype] | None:
    """The autocast that is on now."""
    kind = next((each for each in ("cpu", "cuda") if torch.is_autocast_enabled(each)), None)
    return None if kind is None else (kind, torch.get_autocast_dtype(kind))


def _writes(function: Any) -> bool:
    """Whether a function is by its name one that writes to its first argument."""
    name = getattr(function, "__name__", "")
    return name == "__setitem__" or (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")


def _storage(tensor: Tensor) -> int:
    """What tensors that share their numbers have in common."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # of sparse tensors
        return id(tensor)


def _version(tensor: Tensor) -> int:
    try:
        return int(tensor._version)
    except RuntimeError:  # of tensors made where nothing is learned
        return 0


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with its parts changed, tuples, lists and dictionaries as they were."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_changed(each, change) for each in value))
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_changed(each, change) for each in value)
    if isinstance(value, dict):
        return {key: _changed(each, change) for key, each in value.items()}
    if isinstance(value, slice):
        return slice(*(_changed(each, change) for each in (value.start, value.stop, value.step)))
    return change(value)


def _filled(value: Any, values: dict[int, Any]) -> Any:
    return _changed(value, lambda each: values[each.number] if isinstance(each, Place) else each)
