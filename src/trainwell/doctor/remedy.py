"""A finding to a change that cures it: in place where that is enough, in the order in which cures are tried.

Each remedy returns the sentence that goes into the run's history, or nothing where it does not apply.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.dropping import lighten
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, tensors_in
from trainwell.doctor.replay import Replay
from trainwell.doctor.sample import Sample
from trainwell.doctor.snapshot import RATES
from trainwell.nn.init import initialize_for

RUN_AWAY = 1e6  # times one, which answers of a network that still works stay below
RECTIFYING = (nn.ReLU, nn.ReLU6)
SQUASHING = (nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid)
NEXT_TO_NOTHING = 1e-5  # of a weight, that a step changes it by
BEYOND_USUAL = 3.0  # median norms, which healthy batches seldom have


@dataclass
class Chart:
    """What a remedy may read and change: the patient, what lasts from step to step, and how to try a rate."""

    patient: Patient
    sample: Sample | None
    facts: dict[str, Any]
    own_loop: bool  # this package's loop, whose model is rebuilt from a recipe, so that no hook may stay on it
    task: Any = None
    clip: float | None = None  # largest gradient norm, from now on
    zero_after: bool = False  # set gradients to zero after each step
    turn_sign: bool = False  # negate gradients before each step
    train_mode: bool = False  # switch to training mode in front of each training pass
    eval_mode: bool = False  # switch to evaluation mode in front of each pass without gradient
    level: bool = False  # take steps at a rate that leaps at the usual one
    peaks: bool = False  # whether the loop's rate has leapt for a step or a few
    replay: Replay = field(default_factory=Replay)  # draws the rows of each step, where they come in a bad order
    seen: Sequence[Any] = ()  # the latest batches of a loop of one's own
    usual_norm: float = 1.0  # median gradient norm in health
    best_factor: Callable[..., float | None] = lambda factors, anew=False: None  # by twins
    outdone: Callable[[], bool] = lambda: False  # by a copy with nothing changed
    does_best: Callable[..., bool] = lambda change, margin=1.0: False  # by a twin from the first weights
    propose: Callable[[Finding], dict[str, list[Any]] | None] = lambda finding: None  # of the recipe, by twins
    wanted: dict[str, list[Any]] | None = None  # changes of the recipe that the training is to start afresh with
    held: dict[int, float] = field(default_factory=dict)  # group -> its rate in place of an ended schedule's
    feeds: dict[str, str] | None = None
    dead: dict[str, Tensor] | None = None  # rectifier -> which of its units are dead


Remedy = Callable[[Chart, Finding], str | None]


def lower_rate(chart: Chart, finding: Finding) -> str | None:
    """A tenth, a hundredth or a thousandth of the rate, whichever does best on a copy."""
    if "from the start" in finding.cause or finding.statistic.get("origin") == "input":
        return None
    lower = chart.best_factor([1 / 10, 1 / 100, 1 / 1000]) or 0.1
    return f"learning rate times {lower:.3g}, to {_scale_rates(chart.patient, lower):.3g}"


def even_rates(chart: Chart, finding: Finding) -> str | None:
    """The highest rate of any group down to the next one's, where a copy with that alone does best."""
    before = chart.patient.rate
    if not even_highest(chart.patient.model, chart.patient.optimizers, tried=True) or not chart.does_best(even_highest):
        return None
    even_highest(chart.patient.model, chart.patient.optimizers)
    return f"learning rate of one group from {before:.3g} to {chart.patient.rate:.3g}, that of the others"


def even_highest(model: nn.Module, optimizers: dict[str, torch.optim.Optimizer], *, tried: bool = False) -> bool:
    """Groups at the highest rate put to the next one's; whether there are any beside others. tried: change nothing."""
    groups = [group for optimizer in optimizers.values() for group in optimizer.param_groups]
    rates = sorted({float(group["lr"]) for group in groups})
    if len(rates) < 2:
        return False
    for group in groups if not tried else ():
        if float(group["lr"]) == rates[-1]:
            group["lr"] = rates[-2]
            if group.get("initial_lr"):
                group["initial_lr"] *= rates[-2] / rates[-1]
    return True


def usual_memory(chart: Chart, finding: Finding) -> str | None:
    """A momentum of 0.9, where a longer one is what ails."""
    changed = finding.where == "momentum" and [shorten_memory(each) for each in chart.patient.optimizers.values()]
    return "momentum to 0.9, the average of some 10 steps" if changed and any(changed) else None


def shorten_memory(optimizer: torch.optim.Optimizer) -> bool:
    """An optimizer's momentum to 0.9 where it is 0.99 or above; whether any was."""
    changed = False
    for group in optimizer.param_groups:
        if float(group.get("momentum") or 0.0) >= 0.99:
            group["momentum"], changed = 0.9, True
        if isinstance(group.get("betas"), tuple | list) and float(group["betas"][0]) >= 0.99:
            group["betas"], changed = (0.9, max(0.999, *map(float, group["betas"][1:]))), True
    return changed


def stop_rise(chart: Chart, finding: Finding) -> str | None:
    """The rate that a schedule began with, held, where the schedule has raised it far beyond."""
    groups = [group for optimizer in chart.patient.optimizers.values() for group in optimizer.param_groups]
    if chart.own_loop or not any(group["lr"] > 3 * group.get("initial_lr", group["lr"]) > 0 for group in groups):
        return None
    if all(group["lr"] <= group.get("max_lr", 0.0) for group in groups):
        return None  # one cycle, on its way to where it is meant to turn
    for group in groups:
        group["lr"] = chart.held[id(group)] = float(group["initial_lr"])
    highest = max(float(group["lr"]) for group in groups)
    return f"learning rate held at {highest:.3g}, where its schedule began, which raises it without end"


def third_of_rate(chart: Chart, finding: Finding) -> str | None:
    """A third of the rate in every group."""
    return f"learning rate divided by 3, to {_scale_rates(chart.patient, 1 / 3):.3g}"


def higher_rate(chart: Chart, finding: Finding) -> str | None:
    """10 to 1000 times the rate, the least that does nearly best on a copy; nothing where none does better."""
    rates = [group["lr"] for optimizer in chart.patient.optimizers.values() for group in optimizer.param_groups]
    if not any(rates):
        _set_rates(chart.patient, float(chart.facts.get("highest rate") or 1e-3))
        more = chart.best_factor([10.0, 100.0, 1000.0], True) or 1.0
        return f"learning rate set to {_scale_rates(chart.patient, more):.3g}, as the schedule had ended at 0"
    factor = chart.best_factor([10.0, 100.0, 1000.0])
    return f"learning rate times {factor:.3g}, to {_scale_rates(chart.patient, factor):.3g}" if factor else None


def hold_rate(chart: Chart, finding: Finding) -> str | None:
    """The highest rate from now on, whatever a schedule says that has ended; down to zero over the last fifth."""
    groups = [group for optimizer in chart.patient.optimizers.values() for group in optimizer.param_groups]
    rates = [group["lr"] for group in groups]
    aim = max((float(group.get("initial_lr") or 0.0) for group in groups), default=0.0)
    if finding.statistic.get("warming") and aim > max(rates, default=0.0) and not chart.own_loop:
        for group in groups:
            group["lr"] = chart.held[id(group)] = float(group.get("initial_lr") or aim)
        return f"the warm-up over at once: learning rate held at {aim:.3g}, which it was meant to reach"
    highest = float(finding.statistic.get("highest") or chart.facts.get("highest rate") or 0.0)
    if finding.where != "schedule" or chart.own_loop or not highest:
        return None
    factor = highest / max(rates) if max(rates) > 0 else 0.0
    for optimizer in chart.patient.optimizers.values():
        for group in optimizer.param_groups:
            chart.held[id(group)] = float(group["lr"]) * factor if factor else highest
    _set_rates(chart.patient, highest)
    return f"learning rate held at {highest:.3g}, its highest, as the schedule had ended"


def mend_schedule(chart: Chart, finding: Finding) -> str | None:
    """A rate that is a rate, held, where a schedule gives none: the one it began with, or a tenth of its highest where
    it went on below zero."""
    if finding.where != "schedule" or chart.own_loop:
        return None
    over = 0.1 * float(chart.facts.get("highest rate") or 0.0) if finding.name == "gradient-ascent" else 0.0
    for optimizer in chart.patient.optimizers.values():
        for group in optimizer.param_groups:
            given = float(group.get("initial_lr") or optimizer.defaults.get("lr") or 0.0)
            rate = over or (given if math.isfinite(given) and given > 0 else 1e-3)
            group["lr"] = chart.held[id(group)] = rate
    return f"learning rate held at {chart.patient.rate:.3g}, as its schedule gives none to learn with"


def either_rate(chart: Chart, finding: Finding) -> str | None:
    """The rate that does best on a copy among smaller and larger ones."""
    factor = chart.best_factor([1 / 10, 1 / 3, 3.0, 10.0, 30.0])
    return f"learning rate times {factor:.3g}, to {_scale_rates(chart.patient, factor):.3g}" if factor else None


def usual_updates(chart: Chart, finding: Finding) -> str | None:
    """The rate scaled until updates are a thousandth of the weights, within a factor of 10; of those that are next to
    nothing, as copies do best."""
    value = float(finding.statistic.get("value") or 0)
    if 0 < value < NEXT_TO_NOTHING and (words := higher_rate(chart, finding)) is not None:
        return words
    factor = min(10.0, max(0.1, 1e-3 / value)) if value > 0 else 10.0
    return f"learning rate times {factor:.3g}, to {_scale_rates(chart.patient, factor):.3g}"


def clip_gradients(chart: Chart, finding: Finding) -> str | None:
    """From now on no gradient norm above the usual one; nothing where that is so already."""
    if (chart.clip is not None and chart.clip <= chart.usual_norm) or finding.statistic.get("origin") == "input":
        return None
    chart.clip = chart.usual_norm
    return f"gradients clipped at a norm of {chart.clip:.3g}, their median in health"


def clip_first(chart: Chart, finding: Finding) -> str | None:
    """No gradient norm above 1 from the first step on, where a copy with that does better than with a lower rate."""
    if chart.clip is not None or not chart.does_best(_clip_copy):
        return None
    chart.clip = 1.0
    return "gradients clipped at a norm of 1"


def _clip_copy(model: nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    for optimizer in optimizers.values():
        weights = [each for group in optimizer.param_groups for each in group["params"]]
        optimizer.register_step_pre_hook(lambda *_, held=weights: (nn.utils.clip_grad_norm_(held, 1.0), None)[1])


def go_back(chart: Chart, finding: Finding) -> str | None:
    """Nothing but the weights of before, which is enough where a single step threw them off."""
    return "what happened since then undone"


def go_back_clipped(chart: Chart, finding: Finding) -> str | None:
    """The weights of before, and from now on no gradient beyond what a usual batch has, as such batches come again."""
    if chart.clip is not None or len(chart.patient.players) > 1:
        return go_back(chart, finding)
    chart.clip = BEYOND_USUAL * chart.usual_norm
    return f"what happened since then undone, gradients clipped at {chart.clip:.3g}, {BEYOND_USUAL:g} usual norms"


def refuse_step(chart: Chart, finding: Finding) -> str | None:
    """Nothing but that the step was not taken, which is enough for a single bad batch."""
    return "the step on this batch was not taken" + (f" ({finding.where})" if finding.where else "")


def leave_out_answers(chart: Chart, finding: Finding) -> str | None:
    """No gradient of answers whose own is not finite, as of a logarithm of nought, unless the network has run away."""
    if finding.statistic.get("origin") not in ("gradient", "loss") or chart.own_loop or len(chart.patient.players) > 1:
        return None

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        for each in tensors_in(output):
            if each.requires_grad and bool(each.detach().abs().max() < RUN_AWAY):  # False of what is no number
                each.register_hook(left_out)

    def left_out(slope: Tensor) -> Tensor:
        chart.facts["answers left out"] = chart.facts.get("answers left out") or not bool(slope.isfinite().all())
        return slope.nan_to_num(0.0, 0.0, 0.0)

    hook.comes_off = True  # type: ignore[attr-defined]
    chart.patient.bare.register_forward_hook(hook)
    return "answers whose gradient is not finite left out of it, by a hook behind the network"


def initialize_again(chart: Chart, finding: Finding) -> str | None:
    """Every layer's own initialization once more, matched to the activations, and fresh optimizers."""
    modules = list(chart.patient.bare.modules())
    # What is normed or squashed between layers keeps the signal's size by itself, so layers' own ways do.
    own = any(isinstance(each, (*SQUASHING, nn.LayerNorm, nn.MultiheadAttention)) for each in modules)
    count = 0
    for module in modules:
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset) and _can_reset(reset):
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and not own:
                initialize_for(module, "relu")
            count += 1
    forget(chart.patient)
    return f"{count} layers initialized again" if count else None


def _can_reset(reset: Callable[[], None]) -> bool:
    """Draw a layer's weights anew, unless it took over a method for weights that it does not have."""
    try:
        reset()
    except AttributeError:
        return False
    return True


@torch.no_grad()
def revive_units(chart: Chart, finding: Finding) -> str | None:
    """New incoming weights and a small positive bias for the units that never fire; every layer anew where a whole one
    was dead before any step, as what is wrong with its biases is wrong with the others'."""
    if finding.step <= 1 and finding.statistic.get("value", 0.0) >= 1.0:
        return initialize_again(chart, finding)
    revived = 0
    for place, dead in (chart.dead or {}).items():
        name = (chart.feeds or {}).get(place)
        layer = chart.patient.bare.get_submodule(name) if name else None
        if (
            not isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)
            or len(layer.weight) != len(dead)
            or not dead.any()
        ):
            continue
        fresh = torch.empty_like(layer.weight)
        nn.init.kaiming_uniform_(fresh, nonlinearity="relu")
        layer.weight[dead] = fresh[dead]
        if layer.bias is not None:
            layer.bias[dead] = 0.01
        modules = list(chart.patient.bare.modules())
        norm = next(iter(modules[modules.index(layer) + 1 :]), None)  # which may be what holds them below zero
        bias = getattr(norm, "bias", None)
        if "Norm" in type(norm).__name__ and isinstance(bias, Tensor) and len(bias) == len(dead):
            bias[dead], norm.weight[dead] = 0.01, 1.0  # type: ignore[union-attr, operator]
        revived += int(dead.sum())
    return f"{revived} dead units initialized again" if revived else None


@torch.no_grad()
def settle_head(chart: Chart, finding: Finding) -> str | None:
    """The last layer's weights a hundredth, its bias at the answer of guessing."""
    layers = [each for each in chart.patient.bare.modules() if isinstance(each, nn.Linear)]
    target = chart.sample.target if chart.sample is not None else None
    if not layers or target is None or layers[-1].bias is None:
        return None
    layer = layers[-1]
    nn.init.normal_(layer.weight, std=0.01 / layer.in_features**0.5)
    layer.bias.zero_()
    if target.is_floating_point() and chart.facts.get("loss") in ("mse", "mae", "huber"):
        mean = target.float().reshape(len(target), -1).mean(0)
        if len(mean) == len(layer.bias):
            layer.bias.copy_(mean)
    elif not target.is_floating_point() and target.dim() == 1 and chart.facts.get("classes") == len(layer.bias):
        counts = torch.bincount(target[target >= 0], minlength=len(layer.bias)).float()
        layer.bias.copy_(((counts + 1) / (counts + 1).sum()).log())
    forget(chart.patient)
    return "the last layer's weights nearly zero, its bias at the answer of guessing"


def less_decay(chart: Chart, finding: Finding) -> str | None:
    """Weight decay that takes at most a tenth of a weight in all the steps; where it is added to gradients that are
    then scaled, a hundredth of what it was or less, so that it pulls no harder than a tenth of the loss; nothing where
    dropout is what is heavy."""
    if finding.where == "dropout":
        return None
    steps = max(1000, int(chart.facts.get("steps") or 0))
    apart = max(100.0, 10 * float(finding.statistic.get("pull") or 0.0))
    changed = []
    for optimizer in chart.patient.optimizers.values():
        for group in optimizer.param_groups:
            if group.get("weight_decay"):
                rate = max(float(group["lr"]), 1e-12)
                scaled = "betas" in group and not group.get("decoupled_weight_decay")
                group["weight_decay"] = min(group["weight_decay"] / (apart if scaled else 10), 0.1 / (rate * steps))
                changed.append(f"weight decay to {group['weight_decay']:.2g}")
    return ", ".join(dict.fromkeys(changed)) or None


def less_dropout(chart: Chart, finding: Finding) -> str | None:
    """Any dropout above 0.3 to 0.3, what is above a half to its rest, as if the share to keep was meant; and decay to
    a tenth where dropout alone is not what is heavy."""
    changed = []
    for optimizer in chart.patient.optimizers.values() if finding.where != "dropout" else ():
        for group in optimizer.param_groups:
            if group.get("weight_decay"):
                group["weight_decay"] /= 10
                changed.append(f"weight decay to {group['weight_decay']:.3g}")
    for module in chart.patient.bare.modules():
        # Attention and recurrent layers hold their share as `dropout`.
        name = "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout"
        share = getattr(module, name, None)
        if isinstance(share, float) and share > 0.3:
            setattr(module, name, min(0.3, round(1 - share, 3)) if share > 0.5 else 0.3)
            changed.append(f"dropout to {getattr(module, name):.2g}")
    called = float(chart.facts.pop("dropout called", None) or 0.0)  # to be read anew
    if not changed and called > 0.3:
        most = min(0.3, round(1 - called, 3)) if called > 0.5 else 0.3
        lighten(chart.patient.bare, most)
        changed.append(f"dropout called as a function from {called:.2g} to {most:.2g}")
    return ", ".join(dict.fromkeys(changed)) or None


def more_regularization(chart: Chart, finding: Finding) -> str | None:
    """Weight decay tenfold, at least 0.01, where there is one, else on all weights; the best ones were put back."""
    if finding.where in ("loader", "rows"):
        return None  # rows that never come are not made up for, and without held-out ones no weights are the best
    groups = [group for each in chart.patient.optimizers.values() for group in each.param_groups]
    groups = [group for group in groups if "weight_decay" in group]
    decay = max(0.01, 10 * max((group["weight_decay"] for group in groups), default=0.0))
    for group in [each for each in groups if each["weight_decay"]] or groups:  # norms and biases are left without
        group["weight_decay"] = decay
    rate = _scale_rates(chart.patient, 1 / 3)
    return f"back to the best weights, weight decay to {decay:.3g}, learning rate to {rate:.3g}"


def _scale_rates(patient: Patient, factor: float) -> float:
    rate = 0.0
    for optimizer in patient.optimizers.values():
        for group in optimizer.param_groups:
            for name in RATES & group.keys():
                group[name] = group[name] * factor
            rate = max(rate, float(group["lr"]))
    return rate


def _set_rates(patient: Patient, rate: float) -> None:
    for optimizer in patient.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate
            if "initial_lr" in group:
                group["initial_lr"] = rate


def forget(patient: Patient) -> None:
    """Empty the optimizers' memory, which belongs to other weights."""
    for optimizer in patient.optimizers.values():
        optimizer.state.clear()
