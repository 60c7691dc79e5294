"""The passes of a variational autoencoder to what its divergence weighs beside its errors, and to cures of too much.

What a model answers as codes, or keeps of its pass, goes to the loop's loss as views, so that the gradients of the
divergence are seen apart from those that come through the decoder: at the mean m of N rows it is m / N times the
divergence's weight. In the evidence lower bound (Kingma and Welling 2014, arXiv:1312.6114) that weight is the one of
the errors summed over each row and averaged over rows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from trainwell.doctor.patient import as_tuple
from trainwell.doctor.probe import is_compiled, marked
from trainwell.doctor.trial import each_tensor

if TYPE_CHECKING:
    from trainwell.doctor.doctor import Doctor

SAME_WAY = 0.999  # cosine of a gradient with the one that it is taken for
MISSES = 2  # passes without codes, after which none are looked for
TENSORS = 8  # answered or kept, of more than which none is a code

Part = Callable[[Tensor], Tensor]
# What a code may be told as: the divergence's gradient there, for a row's sum, and what it adds to the divergence.
KINDS: dict[str, tuple[Part, Part]] = {
    "mean": (lambda m: m, lambda m: 0.5 * m.square()),
    "log-variance": (lambda v: 0.5 * (v.exp() - 1), lambda v: 0.5 * (v.exp() - 1 - v)),
    "log-deviation": (lambda s: (2 * s).exp() - 1, lambda s: 0.5 * ((2 * s).exp() - 1) - s),
    "deviation": (lambda d: d - 1 / d, lambda d: 0.5 * (d.square() - 1) - d.log()),
    "variance": (lambda v: 0.5 * (1 - 1 / v), lambda v: 0.5 * (v - 1 - v.log())),
}
# The gradients of a row's errors, summed, by its answers and by what they should be.
ERRORS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda answer, wanted: answer.sigmoid() - wanted,
    lambda answer, wanted: 2 * (answer - wanted),
    lambda answer, wanted: (answer - wanted) / (answer * (1 - answer)),
    lambda answer, wanted: (answer - wanted).sign(),
)


@dataclass
class Pass:
    """One pass of an autoencoder: its codes, (rows, ...) each, its answer and what that should be, where they are."""

    codes: list[Tensor]
    answer: Tensor | None
    wanted: Tensor | None

    def bare(self) -> "Pass":
        """The same without its graph, which hooks in it would hold for good."""
        answer = self.answer.detach() if self.answer is not None else None
        return Pass([each.detach() for each in self.codes], answer, self.wanted)


@dataclass
class Weights:
    """What the parts of a loss weigh, as its gradients show it.

    errors: 1 where they are summed over each row and averaged over rows; codes: that of the divergence, by the place
    of mean and variance among the codes; kinds: as what these are told.
    """

    errors: float = math.nan
    codes: dict[int, float] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)

    @property
    def divergence(self) -> float:
        """Its weight, below zero where it is subtracted; not a number where mean and variance are not both known."""
        complete = len(self.kinds) > 1 and "mean" in self.kinds.values()
        return max(self.codes.values(), key=abs) if complete else math.nan

    @property
    def times(self) -> float:
        """How many times the divergence weighs what it does in the evidence lower bound, or not a number."""
        return self.divergence / self.errors if self.errors > 0 else math.nan

    def read_errors(self, made: Pass, gradient: Tensor) -> None:
        """The weight of the errors, where the gradient at the answer is that of a known error."""
        if made.answer is None or made.wanted is None:
            return
        answer = made.answer.detach().float()
        wanted = made.wanted.detach().float().reshape(answer.shape)
        cosine, weight = max(_along(gradient, error(answer, wanted)) for error in ERRORS)
        if cosine > SAME_WAY:
            self.errors = weight

    def read_code(self, place: int, code: Tensor, gradient: Tensor) -> None:
        """The weight of the divergence by the gradient at a code, and as what that is told where it is new."""
        kinds = [self.kinds[place]] if place in self.kinds else list(KINDS)
        found = [(*_along(gradient, KINDS[kind][0](code.detach().float())), kind) for kind in kinds]
        cosine, weight, kind = max(found, key=lambda each: abs(each[0]))  # against it where the sign is wrong
        if abs(cosine) > SAME_WAY:
            self.kinds[place], self.codes[place] = kind, weight

    def nats(self, made: Pass) -> Tensor | None:
        """A pass's divergence, (latents, ...): the mean of its rows; None where it is not made of what was known."""
        if len(self.kinds) < 2 or max(self.kinds) >= len(made.codes):
            return None
        parts = [KINDS[kind][1](made.codes[place].detach().float()).mean(0) for place, kind in self.kinds.items()]
        return torch.stack(parts).sum(0)


def _along(gradient: Tensor, other: Tensor) -> tuple[float, float]:
    """The cosine of a gradient of N rows and one of each row alone, and how many times the second, over N, it is."""
    one, two = gradient.detach().double().flatten(), other.double().flatten()
    both, own = float(one @ two), float(two @ two)
    size = math.sqrt(float(one @ one) * own)
    if not math.isfinite(both) or not size > 0:
        return -1.0, math.nan
    return both / size, both / own * len(gradient)


def pass_of(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Pass:
    """What a pass gave and kept: codes are tensors of the same shape, (rows, ...), of which there are two at least, and
    the answer is what has as many numbers as the inputs."""
    shown = next((each for each in as_tuple(inputs) if isinstance(each, Tensor) and each.dim()), None)
    if shown is None or not shown.is_floating_point():
        return Pass([], None, None)
    found = {id(each): each for each in (*_tensors_in(output), *(value for _, _, value in kept_by(module)))}
    tensors = [each for each in found.values() if each.dim() > 1 and len(each) == len(shown)]
    answer = next((each for each in _tensors_in(output) if each.numel() == shown.numel()), None)
    shapes = [each.shape for each in tensors if each is not answer]
    codes = [each for each in tensors if each is not answer and shapes.count(each.shape) > 1]
    return Pass(codes if len({each.shape for each in codes}) == 1 and len(codes) <= TENSORS else [], answer, shown)


def _tensors_in(value: Any, depth: int = 0) -> list[Tensor]:
    """The floating tensors of an answer, those of normal distributions included."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Normal | Independent):
        return [each for _, _, each in _of_distribution(value)]
    several = value.values() if type(value) is dict else value if isinstance(value, tuple | list) else ()
    return [each for one in several for each in _tensors_in(one, depth + 1)] if depth < 3 else []


def _of_distribution(value: Any) -> list[tuple[dict[str, Any], str, Tensor]]:
    base = value.base_dist if isinstance(value, Independent) else value
    return [(vars(base), name, vars(base)[name]) for name in ("loc", "scale")] if isinstance(base, Normal) else []


def kept_by(module: nn.Module) -> list[tuple[dict[str, Any], str, Tensor]]:
    """The tensors with rows that a model's parts keep of a pass, each with where it stands."""
    found = []
    for part in module.modules():
        for name, value in part.__dict__.items():
            if isinstance(value, Tensor) and value.dim() > 1 and value.is_floating_point():
                found.append((part.__dict__, name, value))
            elif isinstance(value, Normal | Independent):
                found += _of_distribution(value)
    return found


def with_views(module: nn.Module, output: Any, codes: list[Tensor], hooks: Sequence[Callable[..., Any]]) -> Any:
    """The output with a view in place of each code, wherever it is answered or kept, and a hook on its gradient."""
    views: dict[int, Tensor] = {}
    for code, hook in zip(codes, hooks, strict=True):
        if code.requires_grad:
            views[id(code)] = code.view_as(code)
            views[id(code)].register_hook(hook)
    places = kept_by(module)
    for each in as_tuple(output):
        places += _of_distribution(each)
    for where, name, value in places:
        where[name] = views.get(id(value), value)
    return each_tensor(output, lambda each: views.get(id(each), each))


def listen(doctor: "Doctor") -> None:
    """Look at what a model's training passes weigh whenever the doctor looks, unless it shows no codes."""
    patient = doctor.patient
    if patient is None or len(patient.players) > 1 or is_compiled(patient.model):
        return
    found, missed = Weights(), [0]
    patient.weights = found

    def see(module: nn.Module, inputs: Any, output: Any) -> Any:
        looks = torch.is_grad_enabled() and not doctor.inside and doctor._looks_at(doctor.step + 1)
        return doctor.guarded(lambda: look(module, inputs, output), None) if looks else None

    def look(module: nn.Module, inputs: Any, output: Any) -> Any:
        made = pass_of(module, inputs, output)
        if patient.spare is not None:  # whose gradients are no longer all that the loop's loss makes
            return note(made.bare())
        if not made.codes or made.answer is None or not made.answer.requires_grad:
            missed[0] += 1
            handle.remove() if missed[0] >= MISSES and not found.kinds else None
            return None
        shown = made.bare()
        made.answer.register_hook(lambda gradient: told(shown, lambda: found.read_errors(shown, gradient)))
        return with_views(module, output, made.codes, [seen(shown, place) for place in range(len(made.codes))])

    def seen(made: Pass, place: int) -> Callable[[Tensor], None]:
        return lambda gradient: told(made, lambda: found.read_code(place, made.codes[place], gradient))

    def told(made: Pass, read: Callable[[], None]) -> None:
        doctor.guarded(read)
        doctor.guarded(lambda: note(made))

    def note(made: Pass) -> None:
        record, nats = doctor.record, found.nats(made)
        if not math.isnan(found.times) and patient.spare is None:
            record.facts["divergence over errors"] = found.times
        known = record.facts.get("tells its code") or doctor.step + 1 in record.get("divergence").steps[-1:]
        if nats is not None and not math.isnan(found.divergence) and not known:
            record.add(doctor.step + 1, "divergence", "", float(nats.sum()))

    handle = patient.bare.register_forward_hook(marked(see))
    doctor.handles.append(handle)
