"""A finding to a change of the network that cures it: other activations, another head, a hook in front or behind.

Only in loops that are not this package's own, whose networks are rebuilt from a recipe.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor.finding import Finding
from trainwell.doctor.remedy import RECTIFYING, SQUASHING, Chart, forget, initialize_again
from trainwell.doctor.stack_check import BETWEEN, LAYERS

ACTIVATIONS = (*RECTIFYING, *SQUASHING, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU)
SURE = 16  # times a cosine, as losses of angles take it: Wang et al. 2018, arXiv:1801.09414, have 64 for thousands
DEEP = 4  # activations from which on a norm goes with each


class NormalizedReLU(nn.Module):
    """ReLU of a row's features brought to mean 0 and deviation 1, without weights: deep stacks keep their signal.

    x: (batch, ..., features), (batch, channels, height, width) or, of series, (batch, channels, steps) -> the same.
    Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, series: bool = False) -> None:
        super().__init__()
        self.series = series

    def forward(self, x: Tensor) -> Tensor:
        folded = x.dim() == 4 or (self.series and x.dim() == 3)
        return torch.relu(F.group_norm(x, 1) if folded else F.layer_norm(x, x.shape[-1:]))


class ResidualLinear(nn.Linear):
    """A layer that adds to its input what it makes of it, normalized and rectified: depth then costs no signal.

    x: (batch, ..., features) -> the same. He et al. 2016, arXiv:1603.05027.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(torch.relu(F.layer_norm(x, x.shape[-1:])))


class ResidualConvolution(nn.Conv2d):
    """The same for pictures. x: (batch, channels, height, width) -> the same"""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(torch.relu(F.group_norm(x, 1)))


class ResidualSeriesConvolution(nn.Conv1d):
    """The same for series. x: (batch, channels, steps) -> the same"""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(torch.relu(F.group_norm(x, 1)))


RESIDUAL: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: ResidualLinear,
    nn.Conv1d: ResidualSeriesConvolution,
    nn.Conv2d: ResidualConvolution,
}


def normalized(model: nn.Module) -> Callable[[], nn.Module]:
    """What makes a ReLU behind a norm that suits the model's layers."""
    return partial(NormalizedReLU, any(isinstance(each, nn.Conv1d) for each in model.modules()))


def ease_depth(chart: Chart, finding: Finding) -> str | None:
    """A deep stack of layers and activations made residual, and every layer initialized; nothing for shallow ones."""
    if chart.own_loop or any("Norm" in type(each).__name__ for each in chart.patient.bare.modules()):
        return None
    count = _residual(chart.patient.bare)
    if not count:
        return None
    initialize_again(chart, finding)
    _calm(chart.patient.bare, count)
    return f"{count} layers made residual behind a norm and ReLU, all layers initialized for it"


def _residual(model: nn.Module) -> int:
    """Layers that keep their width, between two activations of a stack that is deep, made to add to their input.

    The activation in front of each goes into it; names and parameters stay as they are.
    """
    found: list[tuple[nn.Sequential, int]] = []
    for stack in [each for each in model.modules() if isinstance(each, nn.Sequential)]:
        parts = list(stack)
        found += [
            (stack, place)
            for place in range(1, len(parts) - 1)
            if isinstance(parts[place - 1], ACTIVATIONS) and isinstance(parts[place + 1], ACTIVATIONS)
            if _keeps_width(parts[place])
        ]
    if len(found) < DEEP:
        return 0
    for stack, place in found:
        layer = stack[place]
        layer.__class__ = RESIDUAL[type(layer)]
        stack[place - 1] = nn.Identity()
    last = [each for each in model.modules() if not list(each.children())][-1]
    _replace(model, SQUASHING, normalized(model), spared=last)
    for stack in {id(stack): stack for stack, _ in found}.values():
        for place, part in enumerate(stack):
            if isinstance(part, ACTIVATIONS) and place < len(stack) - 1:
                stack[place] = normalized(
                    model
                )()  # what the sum has become is brought back to size in front of the head
    return len(found)


def _keeps_width(layer: nn.Module) -> bool:
    """Whether a layer's output has its input's shape; only plain ones, whose class may be changed."""
    if type(layer) is nn.Linear:
        return layer.in_features == layer.out_features
    if not isinstance(layer, nn.Conv1d | nn.Conv2d) or type(layer) not in RESIDUAL:
        return False
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return False
    same = all(2 * p == d * (k - 1) for p, d, k in zip(layer.padding, layer.dilation, layer.kernel_size, strict=True))
    return same and layer.in_channels == layer.out_channels and set(layer.stride) == {1}


@torch.no_grad()
def _calm(model: nn.Module, count: int) -> None:
    """Each of so many branches begins small enough that their sum is as large as one."""
    for each in model.modules():
        if isinstance(each, ResidualLinear | ResidualConvolution | ResidualSeriesConvolution):
            each.weight.mul_(count**-0.5)


def leak_rectifiers(chart: Chart, finding: Finding) -> str | None:
    """ReLU modules replaced by LeakyReLU, which always passes some gradient."""
    count = _replace(chart.patient.bare, RECTIFYING, lambda: nn.LeakyReLU(0.1))
    return f"{count} ReLU replaced by LeakyReLU" if count and not chart.own_loop else None


def straighten(chart: Chart, finding: Finding) -> str | None:
    """Hidden sigmoids and tanhs replaced by ReLU, behind a norm where there are many, and the layers initialized."""
    if chart.own_loop:
        return None
    last = [each for each in chart.patient.bare.modules() if not list(each.children())][-1]
    if any(isinstance(each, SQUASHING) and each is not last for each in chart.patient.bare.modules()):
        words = ease_depth(chart, finding)
        if words is not None:
            return words
    deep = sum(isinstance(each, SQUASHING) and each is not last for each in chart.patient.bare.modules()) >= DEEP
    count = _replace(chart.patient.bare, SQUASHING, normalized(chart.patient.bare) if deep else nn.ReLU, spared=last)
    if not count:
        return None
    initialize_again(chart, finding)
    behind = " behind a norm" if deep else ""
    return f"{count} saturating activations replaced by ReLU{behind}, layers initialized for it"


def unsoften(chart: Chart, finding: Finding) -> str | None:
    """Softmaxes between layers, which hand on shares that are all nearly alike, replaced by ReLU."""
    modules = list(chart.patient.bare.modules())
    if chart.own_loop or any(isinstance(each, nn.MultiheadAttention) for each in modules):
        return None
    last = [each for each in modules if not list(each.children())][-1]
    count = _replace(chart.patient.bare, (nn.Softmax, nn.LogSoftmax), nn.ReLU, spared=last)
    if not count:
        return None
    initialize_again(chart, finding)
    return f"{count} softmaxes between layers replaced by ReLU, layers initialized for it"


def drop_empty_norms(chart: Chart, finding: Finding) -> str | None:
    """Norms over a single number, of which nothing is left but the bias, taken out."""
    if chart.own_loop:
        return None
    leaves = [(name, each) for name, each in chart.patient.bare.named_modules() if isinstance(each, nn.LayerNorm)]
    empty = [name for name, each in leaves if math.prod(each.normalized_shape) == 1]
    for name in empty:
        parent, _, child = name.rpartition(".")
        setattr(chart.patient.bare.get_submodule(parent), child, nn.Identity())
    return f"{len(empty)} norms over a single number taken out" if empty else None


def blunt_slips(chart: Chart, finding: Finding) -> str | None:
    """What answers far off all others pull with cut to what the usual rows' errors do, by the gradient at the output:
    squared error then is Huber's (1964) at three robust deviations of the batch's own errors."""
    if chart.own_loop or "robust deviations" not in finding.evidence:
        return None

    def cut(gradient: Tensor) -> Tensor:
        limit = 3 * 1.4826 * gradient.abs().median()
        return torch.where(limit > 0, gradient.clamp(-limit, limit), gradient)

    def see(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and len(output) > 2:
            output.register_hook(cut)

    chart.patient.bare.register_forward_hook(see)
    forget(chart.patient)
    return "the pull of answers far off cut to three usual errors of their batch: look these answers up"


def bend(chart: Chart, finding: Finding) -> str | None:
    """A ReLU behind every layer but the last, where nothing lies between them."""
    if chart.own_loop or finding.where != BETWEEN:
        return None
    layers = [each for each in chart.patient.bare.modules() if isinstance(each, LAYERS)]
    for layer in layers[:-1]:
        layer.register_forward_hook(lambda module, inputs, output: torch.relu(output))
    return f"a ReLU put behind {len(layers) - 1} layers by hooks: put the same into your network to keep it"


def pass_the_slope(chart: Chart, finding: Finding) -> str | None:
    """The slope of a last sigmoid or softmax left out of the way back: squared error then pulls as cross-entropy does.

    Its gradient on the scores is the error itself, answer minus target, however sure the answer is.
    """
    leaves = [each for each in chart.patient.bare.modules() if not list(each.children())]
    last = leaves[-1] if leaves else None
    if chart.own_loop or chart.facts.get("loss") != "mse":
        return None
    if not isinstance(last, nn.Sigmoid | nn.Softmax):
        return _divide_by_slope(chart, finding) if chart.facts.get("head") == "sigmoid" else None

    def straight(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        scores = inputs[0] * max(1.0, output.shape[-1] / 2)  # the mean over the outputs taken back
        return scores + (output - scores).detach()

    last.register_forward_hook(straight)
    place = next(name for name, each in chart.patient.bare.named_modules() if each is last)
    chart.facts["free to saturate"] = f"{place} {type(last).__name__.lower()}".strip()  # as its slope counts no more
    return _with_even_bias(chart, type(last).__name__.lower())


def _with_even_bias(chart: Chart, kind: str) -> str:
    layer = [each for each in chart.patient.bare.modules() if isinstance(each, nn.Linear)][-1:]
    if layer and layer[0].bias is not None:  # a bias that is sure of itself takes a slow optimizer thousands of steps
        many = kind == "sigmoid" and len(layer[0].bias) > 2
        nn.init.constant_(layer[0].bias, -math.log(len(layer[0].bias) - 1) if many else 0.0)
    forget(chart.patient)
    return f"the {kind}'s slope left out of the gradient, which makes it cross-entropy's, the bias at a class's share"


def _divide_by_slope(chart: Chart, finding: Finding) -> str:
    """The same of a sigmoid that is no layer, in the loss or at the end of the network's forward."""

    # The mean over the outputs taken back where one of them is meant, as in cross-entropy over classes.
    one = chart.sample is not None and chart.sample.labels is not None
    width = len(chart.facts.get("class shares") or ()) if one else 0
    times = max(1.0, width / 2)

    def listen(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        shares = output.detach()
        if not type(output.grad_fn).__name__.startswith("Sigmoid"):
            shares = shares.sigmoid()
        slope = (shares * (1 - shares)).clamp_min(1e-6) / times
        output.register_hook(lambda gradient: gradient / slope)

    chart.patient.bare.register_forward_hook(listen)
    chart.facts["free to saturate"] = "head"
    initialize_again(chart, finding)  # scores that began sure of themselves pull with their whole error now
    return f"layers initialized again, {_with_even_bias(chart, 'sigmoid')}"


def begin_attention_anew(chart: Chart, finding: Finding) -> str | None:
    """Every layer's own initialization, where attention looked at one position from the first step on."""
    return initialize_again(chart, finding) if finding.statistic.get("begun") else None


# Of squashing functions in a network's forward, which are no layer that could be taken off.
UNDONE: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda output: output.clamp(1e-6, 1 - 1e-6).logit(),
    "tanh": lambda output: output.clamp(1e-6 - 1, 1 - 1e-6).atanh(),
}


def mend_head(chart: Chart, finding: Finding) -> str | None:
    """What squashes the scores before the loss taken off, or what the loss expects put on."""
    head, kind = chart.facts.get("head"), chart.facts.get("loss")
    if chart.own_loop:
        if head in ("softmax", "sigmoid") and getattr(chart.task, "scores", None) == "logits":
            chart.task.scores = "probabilities"
            return "task.scores set to probabilities, as the model ends in a softmax or sigmoid"
        return None
    if "done by the loop" in chart.facts:
        return None  # which nothing at the network's own end undoes
    if "all scores lie within -1 to 1" in finding.evidence:
        return _put_on(chart, lambda output: SURE * output, f"the scores multiplied by {SURE}")
    if "sigmoid of a relu" in finding.evidence:
        return _free_sigmoid(chart.patient.bare)
    modules = {"softmax": nn.Softmax, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
    leaves = [(name, each) for name, each in chart.patient.bare.named_modules() if not list(each.children())]
    last = next((each for each in reversed(leaves) if not isinstance(each[1], nn.Identity | nn.Flatten)), None)
    takes_off = kind in ("cross_entropy", "bce_logits") or head in ("relu", "tanh") or kind in ("mse", "mae", "huber")
    if last and head in modules and isinstance(last[1], modules[head]) and takes_off:
        parent, _, child = last[0].rpartition(".")
        setattr(chart.patient.bare.get_submodule(parent), child, nn.Identity())
        return f"the {head} in front of the loss taken off"
    if kind == "cross_entropy" and head == "softmax":
        return _put_on(
            chart, lambda output: output.clamp_min(1e-12).log(), "the logarithm of the softmax given to the loss"
        )
    if kind in ("cross_entropy", "bce_logits") and head == "sigmoid":
        return _put_on(
            chart, lambda output: output.clamp(1e-6, 1 - 1e-6).logit(), "the sigmoid in front of the loss undone"
        )
    if kind == "nll" and head == "softmax":
        return _put_on(chart, lambda output: output.clamp_min(1e-12).log(), "a logarithm put in front of the loss")
    if kind == "nll":
        return _put_on(
            chart,
            lambda output: output.log_softmax(1 if output.dim() > 2 else -1),
            "a log-softmax put in front of the loss",
        )
    if head in ("log", "sqrt"):
        return _put_on(chart, F.softplus, "a softplus put on the outputs, which keeps them above 0")
    if "targets lie outside" in finding.evidence and head in UNDONE:
        return _put_on(chart, UNDONE[head], f"the {head} before the answers undone: take it out of your network")
    if "compared" in finding.evidence:
        return _shape_as_targets(chart)
    return None


def _turned(column: Tensor) -> Tensor:
    """A column as a row, a row as a column."""
    return column.squeeze(-1) if column.dim() > 1 else column[:, None]


def _shape_as_targets(chart: Chart) -> str:
    """Answers that are learned from in the targets' shape; others keep theirs, since a loop's own code indexes them."""
    patient, made = chart.patient, chart.patient.loss_of

    def loss_of(model: nn.Module, batch: Any, player: str) -> Any:
        assert made is not None
        return made(model, batch if torch.is_grad_enabled() else (batch[0], _turned(batch[1])), player)

    if made is not None:
        patient.loss_of = loss_of
    return _put_on(
        chart,
        lambda output: _turned(output) if torch.is_grad_enabled() else output,
        "the outputs of training passes brought to the targets' shape",
    )


def _free_sigmoid(model: nn.Module) -> str | None:
    """The ReLU right before the last sigmoid taken out, as it keeps the answer above a half."""
    leaves = [(name, each) for name, each in model.named_modules() if not list(each.children())]
    for (name, each), (_, after) in reversed(list(itertools.pairwise(leaves))):
        if isinstance(each, RECTIFYING) and isinstance(after, nn.Sigmoid):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())
            return "the ReLU in front of the last sigmoid taken out"
    return None


def _scores(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1


def _put_on(chart: Chart, change: Callable[..., Tensor], words: str) -> str:
    """The change made to every output of the model from now on."""

    def put(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if type(output) in (tuple, list):
            return type(output)(change(each) if _scores(each) else each for each in output)
        return change(output) if isinstance(output, Tensor) else None

    chart.patient.bare.register_forward_hook(put)
    return words


def _replace(
    model: nn.Module, kinds: tuple[type, ...], make: Callable[[], nn.Module], spared: nn.Module | None = None
) -> int:
    count = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, kinds) and child is not spared:
                setattr(module, name, make())
                count += 1
    return count
