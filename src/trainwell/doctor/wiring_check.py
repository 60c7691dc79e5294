"""A trial on one batch to findings about weights and wiring: what reaches them, what mixes rows."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor import answers_check, head_check, recurrent_check, stack_check, start_check, tokens_check
from trainwell.doctor.activation import ActivationMode
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, bare, leaving_no_trace
from trainwell.doctor.probe import RECTIFIERS, Probe
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial

LIMITS = THRESHOLDS


def disconnected_parameters(trial: Trial) -> Finding | None:
    """Parameters that ask for a gradient and get none, or that no optimizer holds."""
    model = bare(trial.patient.model)
    names = {id(each): name for name, each in model.named_parameters()}
    held = {
        id(each)
        for optimizer in trial.patient.optimizers.values()
        for group in optimizer.param_groups
        for each in group["params"]
    }
    learning = {key: name for key, name in names.items() if dict(model.named_parameters())[name].requires_grad}
    if not held & set(names):
        return _disconnected(
            "model",
            "critical",
            "No parameter of the model is among those that the optimizer holds.",
            "The optimizer was made for another copy of the model, or for nothing.",
        )
    if not learning:
        return _disconnected("model", "critical", "No parameter asks for a gradient.", "The whole model is frozen.")
    loose = [name for key, name in learning.items() if key not in held]
    if loose:
        return _disconnected(
            loose[0],
            "critical" if len(loose) * 3 > len(learning) else "warn",
            f"{len(loose)} parameters ask for a gradient and no optimizer holds them: {_list(loose)}.",
            "They were added after the optimizer was made, or kept where the model does not register them.",
        )
    if len(trial.patient.optimizers) > 1:
        return None
    if trial.strangers:
        return _disconnected(
            "model",
            "critical" if len(trial.strangers) * 3 > len(learning) else "warn",
            f"The loss depends on {len(trial.strangers)} weights that the model does not list, the largest of shape "
            f"{max(trial.strangers, key=math.prod)}.",
            "Layers kept in a plain list or dictionary are not registered, so no optimizer hears of them.",
        )
    dead = [name for name, each in trial.model.named_parameters() if each.requires_grad and each.grad is None]
    if dead:
        share = len(dead) / max(1, len(learning))
        return _disconnected(
            dead[0],
            "critical" if share > 0.3 else "warn",
            f"{len(dead)} parameters get no gradient: {_list(dead)}.",
            "They are not used in the forward pass, or a detach, no_grad, argmax or .item() cuts them off.",
        )
    return None


def _disconnected(where: str, severity: Any, evidence: str, cause: str) -> Finding:
    return Finding("disconnected-parameters", where, severity, evidence, cause, 0.95)


def _list(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def cross_sample_leak(trial: Trial) -> Finding | None:
    """Changing one row's input changes another row's output, or a later token an earlier answer."""
    inputs = (not trial.patient.whole and trial.told) or trial.patient.inputs_of(trial.batch)
    first = inputs[0] if inputs else None
    if not isinstance(first, Tensor) or first.dim() < 2 or len(first) < 3 or trial.output is None:
        raise CannotJudge("needs a batch of three rows")
    rows = [
        each[:4] if isinstance(each, Tensor) and each.dim() and len(each) == len(first) else each for each in inputs
    ]
    with leaving_no_trace(), torch.no_grad():
        model = trial.model.eval()
        other = [each.clone() if isinstance(each, Tensor) else each for each in rows]
        other[0][0] = _another(rows[0])
        before, after = _answers(trial.patient, model, rows), _answers(trial.patient, model, other)
        if before is not None and not before.isfinite().all():
            raise CannotJudge("the answers are not finite")
        if answers_check.by_chance(trial.patient, model, rows):
            raise CannotJudge("the same rows are answered differently each time")
        if before is not None and after is not None and before.shape == after.shape and len(before) == len(rows[0]):
            moved = (before[1:] - after[1:]).abs().max() / (before.abs().max() + 1e-9)
            if moved > 1e-3:
                return Finding(
                    "cross-sample-leak",
                    "model",
                    "critical",
                    f"Changing one row's input moves the other rows' outputs by {float(moved):.1%} of their size.",
                    "An axis or a reshape mixes the rows of a batch.",
                    0.95,
                    statistic={"value": float(moved), "healthy": [0, 1e-3]},
                )
        return _looks_ahead(trial, model, rows)


def _another(rows: Tensor) -> Tensor:
    """A row that is unlike the first one at every place, as rims of pictures and silence are alike in all rows."""
    if not rows.is_floating_point():
        return rows[1].flip(0)
    if rows.dim() == 2:
        return rows[1] * 2 + 1
    values = rows.flatten()
    values = values[values != values.mode().values]
    if not len(values):
        return rows[1].flip(0)
    drawn = torch.randint(len(values), rows[0].shape, generator=torch.Generator().manual_seed(0))
    return values[drawn.to(values.device)]


def _looks_ahead(trial: Trial, model: nn.Module, rows: list[Any]) -> Finding | None:
    """For a model that predicts the next token: whether a later token changes an earlier answer."""
    place, target = _guessed_on(rows, trial.target)
    if place is None or target is None:
        return None
    tokens = rows[place]
    changed = [each.clone() if number == place else each for number, each in enumerate(rows)]
    unlike = (tokens != tokens.roll(1, 0)).any(0).nonzero().flatten()  # places that padding does not fill
    middle = int(unlike[len(unlike) // 2]) if len(unlike) else 0
    if middle == 0:
        return None
    changed[place][:, middle:] = changed[place][:, middle:].roll(1, 0)
    before, after = _answers(trial.patient, model, rows), _answers(trial.patient, model, changed)
    if before is None or after is None or before.dim() != 3 or tokens.shape[1] not in before.shape[1:]:
        return None
    time = 2 if before.shape[2] == tokens.shape[1] and before.shape[1] != tokens.shape[1] else 1
    earlier = (before - after).narrow(time, 0, middle)
    moved = earlier.abs().max() / (before.abs().max() + 1e-9)
    if moved <= 1e-3:
        return None
    return Finding(
        "cross-sample-leak",
        "model",
        "critical",
        f"Changing the tokens from position {middle} on moves the answers "
        f"before it by {float(moved):.1%} of their size.",
        "The mask lets a position see the token it is asked for.",
        0.95,
        statistic={"value": float(moved), "healthy": [0, 1e-3]},
    )


def _guessed_on(rows: list[Any], target: Tensor | None) -> tuple[int | None, Tensor | None]:
    """(which of the inputs has at each place what is asked at the place before, what is asked of these rows): a
    language model's only input, or a translator's second."""
    for place, tokens in enumerate(rows):
        if not isinstance(tokens, Tensor) or tokens.is_floating_point() or tokens.dim() != 2 or target is None:
            continue
        asked = target[: len(tokens)]
        if tokens.shape[1] < 4 or asked.shape != tokens.shape:
            continue
        known = asked[:, :-1] >= 0  # what is past a row's end may be left out
        if bool((asked[:, :-1] == tokens[:, 1:])[known].float().mean() > 0.9):
            return place, asked
    return None, None


def _answers(patient: Patient, model: nn.Module, rows: list[Any]) -> Tensor | None:
    output = patient.ask(model, rows)
    output = output[0] if isinstance(output, tuple | list) else output
    output = getattr(output, "logits", output)
    return output.float() if isinstance(output, Tensor) and output.dim() else None


def mixed_precision_underflow(trial: Trial) -> Finding | None:
    """Numbers that float16 does not hold, or weights in it under an optimizer whose epsilon is nothing there."""
    beyond = answers_check.beyond_half(trial)
    if beyond is not None:
        return beyond
    halves = [
        name for name, each in trial.model.named_parameters() if each.dtype == torch.float16 and each.requires_grad
    ]
    if not halves:
        raise CannotJudge("no weights in float16")
    for player, optimizer in trial.patient.optimizers.items():
        for group in optimizer.param_groups:
            if 0 < float(group.get("eps") or 1.0) < 6e-8:
                return Finding(
                    "mixed-precision-underflow",
                    f"optimizer of {player}",
                    "critical",
                    f"{len(halves)} weights are float16 and the optimizer's eps is "
                    f"{group['eps']:g}, which is 0 in float16.",
                    "It divides by the root of squared gradients, which is 0 for small ones.",
                    0.9,
                    statistic={"value": float(group["eps"]), "healthy": [6e-8, 1e-3]},
                )
    return None


def dying_relu(trial: Trial) -> Finding | None:
    """Rectifiers most of whose units fire on no row of the sample, before any step."""
    fired: dict[str, Tensor] = {}
    rows = sum(trial.sample.sizes[: len(trial.sample.batches)])
    if rows < LIMITS.dead_samples // 2:
        raise CannotJudge(f"needs {LIMITS.dead_samples // 2} rows")
    if not trial.called & RECTIFIERS:
        raise CannotJudge("no rectifiers were seen")
    watcher = Probe(trial.model, Record())
    began = time.thread_time()
    with leaving_no_trace(), torch.no_grad():
        for batch in trial.sample.batches:
            watcher.counts = {}
            with ActivationMode(watcher.see) as mode:
                trial.patient.output(trial.model.eval(), batch)
            if mode.error is not None:
                raise CannotJudge(f"its activations could not be read: {mode.error}")
            if time.thread_time() - began > LIMITS.dead_seconds:
                break
    seen = {place: sum(counts) for place, counts in watcher.samples.items()}
    for place, alive in watcher.alive().items():
        if seen[place] >= LIMITS.dead_samples // 2:
            fired[place] = alive
    if not fired:
        raise CannotJudge("no rectifiers were seen")
    worst = min(fired, key=lambda place: float(fired[place].float().mean()))
    share = 1 - float(fired[worst].float().mean())
    if share <= LIMITS.dead_at_start:
        return None
    output = trial.output
    if share < 0.9 and output is not None and len(output) > 1 and float((output - output[:1]).abs().max()) < 1e-6:
        raise CannotJudge("every row gives the same answer, dead units or not")
    return Finding(
        "dying-relu",
        worst,
        "critical" if share > 0.9 else "warn",
        f"{share:.0%} of the units of the {list(fired).index(worst) + 1}. rectifier "
        f"fire on none of {seen[worst]:,} rows or places, before any step.",
        "They were dead from the start: weights or a bias that keep them below zero.",
        0.95,
        # Biases that silence the hidden units spoil the first answers as well.
        statistic={"value": share, "healthy": [0, LIMITS.dead_at_start]}
        | ({"instead of": "wrong-initial-loss"} if share > 0.9 else {}),
    )


def vanishing_gradient(trial: Trial) -> Finding | None:
    """A deep stack whose first layer's gradient begins as a thousandth of the last one's; a copy with a way past the
    depth says what that costs."""
    if sum(each.dim() > 1 for each in trial.model.parameters()) < LIMITS.deep:
        raise CannotJudge(f"needs {LIMITS.deep} layers with weights before any step")
    place, ratio = faded(trial)
    if ratio >= LIMITS.vanishing_ratio:
        return None
    return Finding(
        "vanishing-gradient",
        place,
        "warn",
        f"Before any step the gradient of {place} is {ratio:.1e} times that of the last layer.",
        "Each layer passes back a fraction of the error: saturating activations, small weights, or too much depth.",
        0.7,
        statistic={"value": ratio, "healthy": [LIMITS.vanishing_ratio, 1 / LIMITS.vanishing_ratio], "eased": True},
    )


def faded(trial: Trial) -> tuple[str, float]:
    """The first layer, and its gradient's size over the last one's; 1 where there are fewer than three or none is."""
    sizes = [
        (name, float(each.grad.norm()) / each.numel() ** 0.5)
        for name, each in trial.model.named_parameters()
        if each.dim() > 1 and each.grad is not None and not each.grad.is_sparse and "embed" not in name
    ]
    if len(sizes) < 3 or sizes[0][1] == 0 or sizes[-1][1] == 0:
        return "", 1.0
    return sizes[0][0], sizes[0][1] / sizes[-1][1]


def out_of_reach(trial: Trial) -> Finding | None:
    """A state that is detached on its way, or attention that sees nothing but its own place."""
    try:
        if (found := recurrent_check.cut_off(trial)) is not None:
            return found
    except CannotJudge as reason:
        try:
            return answers_check.no_long_range_signal(trial)
        except CannotJudge:
            raise reason from None
    return answers_check.no_long_range_signal(trial)


CHECKS: dict[str, Callable[[Trial], Finding | None]] = {
    **head_check.CHECKS,
    **answers_check.CHECKS,
    **tokens_check.CHECKS,
    "bad-initialization": start_check.bad_initialization,
    "disconnected-parameters": disconnected_parameters,
    "over-regularized": start_check.penalized,
    "cross-sample-leak": cross_sample_leak,
    "dying-relu": dying_relu,
    "vanishing-gradient": vanishing_gradient,
    "mixed-precision-underflow": mixed_precision_underflow,
    "underfitting": stack_check.underfitting,
    "no-long-range-signal": out_of_reach,
}
