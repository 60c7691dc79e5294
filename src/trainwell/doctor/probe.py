"""A training step to a few numbers by layer: norms and shares, kept on the device and fetched in one transfer."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.doctor.activation import HEADS, ActivationMode
from trainwell.doctor.finding import UNFIT
from trainwell.doctor.patient import tensors_in
from trainwell.doctor.pulse import numbers
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS

RECTIFIERS = {"relu", "relu_", "relu6", "threshold"}
SQUASHERS = {"tanh", "sigmoid"}
WEIGHTED = {"linear", "conv1d", "conv2d", "conv3d"}
PRODUCTS = {"linear", "matmul", "__matmul__", "bmm", "baddbmm", "einsum"}  # whose units lie last
ATTENDING = {"scaled_dot_product_attention", "attend_in_products"}  # torch's, and that of nn/attention
LAYERS = WEIGHTED | PRODUCTS | {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
SEEN = RECTIFIERS | SQUASHERS | LAYERS | ATTENDING | {"rnn_tanh", "softmax", HEADS}
ROWS = 64  # of a batch that activation statistics look at
HALVES = (torch.float16, torch.bfloat16)
WINDOW = 16  # probes over which a unit must stay silent to count as dead


def _projected(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Queries and keys, (rows, heads, time, size), of the first rows, as torch's own layer makes them."""
    query, key, _, size, heads, weight, bias = args[:7]
    separate = weight is None
    weights = (kwargs["q_proj_weight"], kwargs["k_proj_weight"]) if separate else weight.split(size)[:2]
    biases = (None, None) if bias is None else bias.split(size)[:2]
    made = []
    for each, matrix, shift in zip((query, key), weights, biases, strict=True):
        several = each[:, :4] if each.dim() == 3 else each[:, None]  # (time, rows, size)
        projected = nn.functional.linear(several.detach(), matrix.detach(), shift)
        made.append(projected.unflatten(2, (heads, size // heads)).permute(1, 2, 0, 3))
    return made[0], made[1]


class Probe:
    """Reads gradients, weights, updates and activations of one model at the steps it is asked to.

    Nothing is attached between those steps. `record` receives the numbers at `fetch`.
    """

    def __init__(self, model: nn.Module, record: Record) -> None:
        self.model, self.record = model, record
        self.pending: list[tuple[str, str, tuple[Tensor | float, ...], Callable[..., float] | None]] = []
        self.handles: list[Any] = []
        self.stack: list[str] = []
        self.counts: dict[str, int] = {}
        self.active: dict[str, list[Tensor]] = {}  # of each rectifier: which units fired at the last probes
        self.samples: dict[str, list[int]] = {}
        self.before: dict[str, list[tuple[nn.Parameter, Tensor]]] = {}  # weights before a player's step
        self.previous: dict[nn.Parameter, Tensor] = {}  # gradients one step ago
        self.features: Tensor | None = None  # what the last linear layer was given
        self.fresh: dict[str, Tensor] = {}  # gradients as the backward pass gave them, before they were added up
        self.mode: ActivationMode | None = None
        self.window = WINDOW
        self.squashed: dict[int, str] = {}  # what tanhs and sigmoids of this pass gave, by its memory: the place
        self.layer = self.feeder = ""  # the kind and the name of the layer that was called last
        self.units = 0  # how many numbers the last product gave each row or place; 0 after a convolution
        self.feeds: dict[str, str] = {}  # each rectifier to the layer before it
        self.compiled = is_compiled(model)
        self.places = {each: name for name, each in model.named_parameters()}
        record.facts["layers"] = [name for name, each in model.named_parameters() if each.dim() > 1]

    # Forward: which functions were called, and what they gave.

    def listen(self) -> None:
        """Attach to the next forward and backward pass."""
        if self.handles or self.compiled:
            return
        self.counts, self.squashed = {}, {}

        def enter(module: nn.Module, inputs: Any) -> None:
            if torch.is_grad_enabled() and self.mode is None and not torch.compiler.is_compiling():
                self.mode = ActivationMode(self.see)
                self.mode.__enter__()

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            if self.mode is not None:
                mode, self.mode = self.mode, None
                mode.__exit__(None, None, None)
                try:
                    self._differences()
                    self._note_outputs(output)
                except UNFIT as error:
                    mode.error = error
                if mode.error is not None:
                    unread = self.record.facts.setdefault("unread", {})
                    unread["activations"] = f"{type(mode.error).__name__}: {mode.error}"

        def come(name: str) -> Callable[..., None]:
            return marked(lambda module, inputs: self.stack.append(name))

        def go(module: nn.Module, inputs: Any, output: Any) -> None:
            del self.stack[-1:]

        for name, module in self.model.named_modules():
            self.handles.append(module.register_forward_pre_hook(come(name)))
            self.handles.append(module.register_forward_hook(marked(go), always_call=True))
        self.handles.append(self.model.register_forward_pre_hook(marked(enter), prepend=True))
        self.handles.append(self.model.register_forward_hook(marked(leave), always_call=True))
        self._listen_to_gradients()

    def _listen_to_gradients(self) -> None:
        self.fresh = {}
        learning = [(each, name) for each, name in self.places.items() if each.requires_grad]
        # The first layer's weights and the last one's weight and bias tell whether gradients pile up, all or in part.
        for parameter, name in dict(learning[:1] + learning[-2:]).items():

            def catch(gradient: Tensor, name: str = name) -> None:
                held = self.fresh.get(name)
                self.fresh[name] = gradient.detach().clone() if held is None else held + gradient.detach()

            self.handles.append(parameter.register_hook(catch))

    def quiet(self) -> None:
        """Detach everything."""
        for handle in self.handles:
            handle.remove()
        self.handles, self.stack = [], []
        if self.mode is not None:
            self.mode.__exit__(None, None, None)
            self.mode = None

    @torch.no_grad()
    def see(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Note the statistics of one function's result, if it is an activation or a layer with weights."""
        if name not in SEEN:
            return
        if name in LAYERS:
            self.units = result.shape[-1] if name in PRODUCTS and result.dim() else 0
            if name not in WEIGHTED:
                return
        place = f"{self.stack[-1] if self.stack else ''} {name}".strip()
        number = self.counts[place] = self.counts.get(place, 0) + 1
        place = place if number == 1 else f"{place} {number}"
        if number > 8:  # a layer that is called once a time step
            return
        if name in ATTENDING or name == HEADS:
            self._attention(place, *(args[:2] if name in ATTENDING else _projected(args, kwargs)))
            return
        value = (result.detach()[:ROWS] if result.dim() else result.detach()[None]).float()
        if not result.is_floating_point() or not value.numel():
            return
        if name == "softmax":
            if value.dim() == 4 and value.shape[-1] > 2:  # attention weights: (batch, heads, time, time)
                entropy = -(value * value.clamp_min(1e-12).log()).sum(-1).mean()
                self.note("attention entropy", place, entropy, by=_of_largest(value.shape[-1]))
            return
        if name in WEIGHTED:
            if name == "linear":
                self.features = args[0].detach()
            self.layer, self.feeder = name, self.stack[-1] if self.stack else ""
            apart = value - value.mean() if value.numel() > 1 else value  # a third of the time of torch's own deviation
            self.note("activation", place, torch.linalg.vector_norm(apart), by=_root_mean(max(1, value.numel() - 1)))
        elif name in SQUASHERS | {"rnn_tanh"}:
            size = value.abs() if name != "sigmoid" else (value - 0.5).abs() * 2
            limit = THRESHOLDS.tanh_saturated if name != "sigmoid" else 0.94  # outside [0.03, 0.97]
            self.squashed[result.data_ptr()] = place
            self.note("saturated", place, (size > limit).float().mean())
        else:
            self._rectified(place, value)

    def _rectified(self, place: str, value: Tensor) -> None:
        """Which units of a rectifier fired; the unit's axis is 1 for pictures (batch, units, height, width), else the
        last, as where a product before it gave so many."""
        drawn = value.dim() >= 4 and value.shape[-1] != self.units
        axis = 1 if drawn or (value.dim() == 3 and self.layer == "conv1d") else value.dim() - 1
        fired = torch.gt(value, 0, out=torch.empty_like(value))  # as numbers, which are gone through faster
        others = [each for each in range(value.dim()) if each != axis]
        self.note("zeros", place, fired.sum(), by=_share_left(fired.numel()))
        self.feeds[place] = self.feeder
        window, samples = self.active.setdefault(place, []), self.samples.setdefault(place, [])
        window.append(fired.amax(dim=others) > 0)
        samples.append(value.numel() // value.shape[axis])
        del window[: -self.window], samples[: -self.window]
        alive = fired_in(window) if sum(samples) >= THRESHOLDS.dead_samples else None
        if alive is not None:
            self.note("dead", place, alive.sum(dtype=torch.float32), by=_share_left(alive.numel()))

    def alive(self) -> dict[str, Tensor]:
        """Of each rectifier with as many units at each of the last probes, which fired at any, (units,)."""
        return {place: units for place, window in self.active.items() if (units := fired_in(window)) is not None}

    def _attention(self, place: str, query: Tensor, key: Tensor) -> None:
        """Largest score and, of the last position, entropy over what it looks at."""
        query, key = query.detach()[:4].float(), key.detach()[:4].float()
        if key.dim() != 4 or key.shape[-2] < 3 or query.shape[1] != key.shape[1]:
            return
        scores = query[:, :, -1:] @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        entropy = -(scores.softmax(-1) * scores.log_softmax(-1)).sum(-1).mean()
        self.note("attention score", place, scores.abs().max())
        self.note("attention entropy", place, entropy, by=_of_largest(key.shape[-2]))

    def _note_outputs(self, output: Any) -> None:
        """Which tanhs and sigmoids are answers, which may be sure of themselves."""
        places = (self.squashed.get(each.data_ptr()) for each in tensors_in(output))
        self.record.facts.setdefault("answers squashed", set()).update(filter(None, places))

    @torch.no_grad()
    def _differences(self) -> None:
        """How alike the rows' last features are, and over how many directions they spread (participation ratio)."""
        features, self.features = self.features, None
        if features is None or features.shape[-1] < 8:
            return
        rows = features.reshape(-1, features.shape[-1]) if features.dim() != 2 else features
        rows = rows[:: max(1, len(rows) // ROWS)][:ROWS].float()
        if len(rows) < 8:
            return
        count = len(rows)
        whole = torch.linalg.vector_norm(torch.nn.functional.normalize(rows, dim=1).sum(0))
        self.note("feature cosine", "", whole, by=lambda size: (size**2 - count) / (count * (count - 1)))
        centered = rows - rows.mean(0)
        sizes = (torch.linalg.vector_norm(each) for each in (centered, centered @ centered.T))
        self.note("feature rank", "", *sizes, by=lambda size, gram: size**4 / (gram**2 + 1e-30))

    # Backward and update.

    def remember(self, parameters: list[nn.Parameter]) -> None:
        """Keep this step's gradients, one step before a probe, to compare directions and to see whether they
        pile up."""
        for each in _dense(parameters):
            self.previous[each] = each.grad.detach().clone()  # type: ignore[union-attr]

    @torch.no_grad()
    def gradients(self, player: str, parameters: list[nn.Parameter]) -> None:
        """Note gradient and weight by layer, before the player's optimizer steps; keep the weights to see what
        it changes."""
        parameters = [each for each in parameters if each.requires_grad and each in self.places]
        given = _dense(parameters)
        for each in parameters:
            if each.grad is None:
                self.note("no gradient", self.places[each], 1.0)
        if not given:
            return
        gradients: list[Tensor] = [each.grad for each in given]  # type: ignore[misc]
        norms = list(torch._foreach_norm(gradients))
        for quantity, sizes in (("gradient", norms), ("weight", torch._foreach_norm(tuple(given)))):
            for each, size in zip(given, sizes, strict=True):
                self.note(quantity, self.places[each], size, by=_root_mean(each.numel()))
        halves = [each for each in gradients if each.dtype == torch.float16]
        if halves:
            tiny = torch.stack([(each.abs() < 6.1e-5).float().mean() for each in halves]).mean()
            self.note("tiny gradients", "", tiny)
        self.before[player] = [(each, each.detach().clone()) for each in parameters]
        self._directions(given, norms)
        self._piling(given)
        for each in parameters:
            self.previous.pop(each, None)

    def _directions(self, given: list[nn.Parameter], norms: list[Tensor]) -> None:
        """The cosine between this gradient and the one a step ago."""
        kept = [(each, norm) for each, norm in zip(given, norms, strict=True) if each in self.previous]
        if not kept:
            return
        before = [self.previous[each] for each, _ in kept]
        dots = [_dot(each.grad, then) for (each, _), then in zip(kept, before, strict=True)]  # type: ignore[arg-type]
        self.note("cosine", "", *dots, *(norm for _, norm in kept), *torch._foreach_norm(before), by=_cosine)

    def _piling(self, given: list[nn.Parameter]) -> None:
        """How much of an outer layer's gradient is left over from the step before, 0 to 1, read off its direction."""
        for each in given:
            name = self.places[each]
            if name not in self.fresh or each not in self.previous or (each.numel() < 8 and len(self.fresh) > 1):
                continue
            now, fresh, then = each.grad, self.fresh[name], self.previous[each]
            pairs = ((now, now), (now, fresh), (now, then), (fresh, fresh), (fresh, then), (then, then))
            self.note("piled", name, *(_dot(one, other) for one, other in pairs), by=_piled)  # type: ignore[arg-type]

    @torch.no_grad()
    def updates(self, player: str) -> None:
        """Note by how much the player's optimizer has changed each layer, and whether along or against the gradient."""
        pairs = self.before.pop(player, [])
        self.record.facts.setdefault("stepped", set()).add(player)
        if not pairs:
            return
        undone = [then for _, then in pairs]
        torch._foreach_sub_(undone, [each for each, _ in pairs])  # what would undo the step
        lost = [
            ((change == 0) & (each.grad != 0)).sum() / (each.grad != 0).sum().clamp_min(1)
            for (each, _), change in zip(pairs, undone, strict=True)
            if each.dtype in HALVES and each.grad is not None and not each.grad.is_sparse
        ]
        if lost:
            self.note("lost updates", "", torch.stack(lost).mean())
        for (each, _), norm in zip(pairs, torch._foreach_norm(undone), strict=True):
            self.note("update", self.places[each], norm, by=_root_mean(each.numel()))
        uphill = [
            _dot(each.grad, change)
            for (each, _), change in zip(pairs, undone, strict=True)
            if each.grad is not None and not each.grad.is_sparse
        ]
        if uphill:
            self.note("along gradient", "" if player in ("", "model") else player, *uphill, by=_downhill)

    # From the device to the record.

    def note(self, quantity: str, place: str, *values: Tensor | float, by: Callable[..., float] | None = None) -> None:
        """Keep a number for the record, or several that `by` makes one of once they are fetched."""
        self.pending.append((quantity, place, values, by))

    def forget(self, record: Record) -> None:
        """Start a new record, as after a treatment; which units fired before no longer counts."""
        record.facts = self.record.facts
        self.record, self.active, self.samples = record, {}, {}
        self.previous, self.before, self.pending = {}, {}, []

    def fetch(self, step: int) -> None:
        """Bring all noted numbers over in one transfer."""
        if self.pending:
            fetched = iter(numbers([value for _, _, values, _ in self.pending for value in values]))
            for quantity, place, values, by in self.pending:
                found = list(itertools.islice(fetched, len(values)))
                self.record.add(step, quantity, place, found[0] if by is None else by(*found))
        self.pending = []


def fired_in(window: list[Tensor]) -> Tensor | None:
    """Which units fired in any of these probes, None where they are not as many in each."""
    return torch.stack(window).any(0) if len({each.shape for each in window}) == 1 else None


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two tensors' numbers, without a tensor of all products."""
    return torch.dot(one.reshape(-1).float(), other.reshape(-1).float())


def _share_left(count: int) -> Callable[[float], float]:
    return lambda part: 1 - part / count


def _of_largest(choices: int) -> Callable[[float], float]:
    """An entropy over so many choices to its share of the greatest."""
    return lambda entropy: entropy / math.log(choices)


def _root_mean(count: int) -> Callable[[float], float]:
    """A norm of so many numbers to their root mean square."""
    return lambda norm: norm / count**0.5


def _cosine(*values: float) -> float:
    """The cosine of two vectors in parts: the parts' products, the norms of one's parts, those of the other's."""
    count = len(values) // 3
    products, now, then = values[:count], values[count : 2 * count], values[2 * count :]
    return sum(products) / (math.hypot(*now) * math.hypot(*then) + 1e-30)


def _piled(now: float, fresh_now: float, then_now: float, fresh: float, fresh_then: float, then: float) -> float:
    """Whether a gradient lies along what a backward pass gave (-1) or along that and the gradient before (1), 0 where
    not nearly along the latter; of all products of the three."""
    both = max(0.0, fresh + 2 * fresh_then + then)
    alone = 1 - fresh_now / max(math.sqrt(now * fresh), 1e-16)
    piled = 1 - (fresh_now + then_now) / max(math.sqrt(now * both), 1e-16)
    if not piled < 0.02:  # what is only alike, as with a penalty added to each gradient, is no remainder
        return 0.0
    return (alone - piled) / (alone + piled + 1e-6)


def _downhill(*uphill: float) -> float:
    return -sum(uphill)


def marked(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook, marked as the doctor's, so that a copy of the model can forget it."""
    hook.of_doctor = True  # type: ignore[attr-defined]
    return hook


def _dense(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    """Those that have a gradient that is not sparse."""
    return [each for each in parameters if each.grad is not None and not each.grad.is_sparse]


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile has the model, so that a hook would make it compile again."""
    return type(model).__name__ == "OptimizedModule" or getattr(model, "_compiled_call_impl", None) is not None


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer takes statistics from the batch."""
    return any(isinstance(each, _BatchNorm) for each in model.modules())


def has_dropout(model: nn.Module) -> bool:
    """Whether any dropout is at work."""
    return any(each.p > 0 for each in model.modules() if isinstance(each, nn.modules.dropout._DropoutNd))


def is_dropout(module: Any) -> bool:
    """Whether it is a dropout layer, of any number of axes."""
    return isinstance(module, nn.modules.dropout._DropoutNd)
