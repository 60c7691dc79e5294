"""A trial on one batch to findings about how loss, head, weights and optimizer are put together."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, bare, leaving_no_trace
from trainwell.doctor.probe import ActivationMode, Probe
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial

LIMITS = THRESHOLDS
RANGES = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "hardtanh": (-1.0, 1.0),
}
NUMBERS = ("mse", "mae", "huber")
BELOW_ZERO_IS_WRONG = ("cross_entropy", "mse", "mae", "huber", "bce", "bce_logits")


def loss_head_mismatch(trial: Trial) -> Finding | None:
    """A loss that is given another form of output than it expects, or compares shapes that do not match."""
    if not trial.made.kind:
        raise CannotJudge("the loss is none of the known kinds")
    for rule in (_wrong_form, _broadcast, _out_of_reach):
        told = rule(trial)
        if told:
            evidence, cause, severity = told
            return Finding(
                "loss-head-mismatch", "head", severity, evidence, cause, 0.95,
                statistic={"loss": trial.made.kind, "head": trial.made.head or "plain scores"},
            )  # fmt: skip
    return None


def _wrong_form(trial: Trial) -> tuple[str, str, Any] | None:
    kind, head = trial.made.kind, trial.made.head
    width = trial.output.shape[-1] if trial.output is not None and trial.output.dim() > 1 else 0
    if kind == "cross_entropy" and head in ("softmax", "sigmoid"):
        return (
            f"The scores pass a {head} before cross-entropy, which applies a softmax of its own.",
            f"Squeezed into 0 to 1, the scores can never be sure: the loss stays above {_floor(trial, head):.2f}.",
            "critical",
        )
    if kind == "cross_entropy" and head in ("relu", "tanh", "hardtanh"):
        return f"The scores pass a {head} before cross-entropy.", f"Scores after {head} cannot take all values.", "warn"
    if kind == "cross_entropy" and trial.classes == 1:
        return (
            "Cross-entropy over a single score is always 0.",
            "Two classes need two scores, or a sigmoid.",
            "critical",
        )
    if kind == "nll" and head not in ("log_softmax", "log", "log_sigmoid"):
        what = f"the result of a {head}" if head else "plain scores"
        return f"The negative log-likelihood loss is given {what}.", "It expects log-probabilities.", "critical"
    if kind == "bce_logits" and head in ("sigmoid", "softmax"):
        return f"The scores pass a {head} before a loss that applies a sigmoid itself.", "Two squashings.", "critical"
    if kind == "bce" and head in ("", "relu", "tanh"):
        return "Binary cross-entropy is given no probabilities.", "It expects the result of a sigmoid.", "critical"
    if head == "softmax" and width == 1:
        return "A softmax over one output always gives 1.", "One output needs a sigmoid.", "critical"
    return None


def _floor(trial: Trial, head: str) -> float:
    """The least cross-entropy that scores between 0 and 1 allow."""
    others = max(1, trial.classes - 1)
    return math.log(1 + others * math.exp(-1)) if head in ("softmax", "sigmoid") else 0.0


def _broadcast(trial: Trial) -> tuple[str, str, Any] | None:
    output, target, compared = trial.output, trial.target, trial.made.compared
    if output is None or target is None or not compared or trial.made.kind not in (*NUMBERS, "bce", "bce_logits"):
        return None
    entries = math.prod(compared)
    if entries <= max(output.numel(), target.numel()):
        return None
    return (
        f"Outputs of shape {tuple(output.shape)} and targets of shape {tuple(target.shape)} are compared as {compared}.",
        "Broadcasting compares every row with every other row's answer.",
        "critical",
    )


def _out_of_reach(trial: Trial) -> tuple[str, str, Any] | None:
    target, head = trial.sample.target, trial.made.head
    if target is None or head not in RANGES or trial.made.kind not in NUMBERS:
        return None
    rows = max(1, trial.sample.rows)
    if not target.is_floating_point() or trial.output is None or target.numel() // rows != trial.output[0].numel():
        return None
    low, high = RANGES[head]
    width = 0.05 * (high - low) if math.isfinite(high) else 0.05 * float(target.std() if target.numel() > 1 else 1)
    outside = float(((target < low - width) | (target > high + width)).float().mean())
    if outside <= 0.05:
        return None
    return (
        f"{outside:.0%} of the targets lie outside what a {head} can answer ({low:g} to {high:g}); they run from "
        f"{float(target.min()):.3g} to {float(target.max()):.3g}.",
        "An output for unbounded numbers needs a plain linear layer.",
        "critical",
    )


def learning_slowdown(trial: Trial) -> Finding | None:
    """Squared error behind a saturated output: the error is large and its gradient is nearly gone."""
    made, output, target = trial.made, trial.output, trial.target
    if made.kind != "mse" or made.head not in ("sigmoid", "softmax", "tanh") or output is None or target is None:
        return None
    share = slow_rows(output, target, made.head)
    if share < 0.3:
        return None
    evidence = (
        f"{share:.0%} of the rows are badly wrong where the {made.head} is flat, so squared error hardly moves them."
    )
    return Finding(
        "learning-slowdown", "head", "critical" if share > 0.6 else "warn", evidence,
        f"The gradient of squared error through a {made.head} fades as the output saturates, right or wrong.", 0.9,
        statistic={"value": share, "healthy": [0, 0.3]},
    )  # fmt: skip


@torch.no_grad()
def slow_rows(output: Tensor, target: Tensor, head: str) -> float:
    """Share of rows with an output that is off by more than half the range where the head's slope is below a fifth of its best."""
    if output.numel() != target.numel():
        if target.dim() != 1 or output.dim() != 2:
            return 0.0
        target = torch.nn.functional.one_hot(target.long(), output.shape[1])
    output, target = output.float().reshape(len(output), -1), target.float().reshape(len(output), -1)
    if head == "tanh":
        output, target = (output + 1) / 2, (target + 1) / 2
    flat = output * (1 - output) < 0.05
    return float((flat & ((output - target).abs() > 0.5)).any(1).float().mean())


def gradient_ascent(trial: Trial) -> Finding | None:
    """A loss below zero that cannot be, or an optimizer told to maximize it."""
    if trial.made.kind in BELOW_ZERO_IS_WRONG and trial.loss < -1e-6:
        return Finding(
            "gradient-ascent", "loss", "critical",
            f"The {trial.made.kind.replace('_', ' ')} is {trial.loss:.3g}, though it can never be below 0.",
            "The sign of the loss is turned, so each step makes the model worse.", 0.97, statistic={"value": trial.loss},
        )  # fmt: skip
    for player, optimizer in trial.patient.optimizers.items():
        if trial.made.kind in BELOW_ZERO_IS_WRONG and any(group.get("maximize") for group in optimizer.param_groups):
            return Finding(
                "gradient-ascent", f"optimizer of {player}", "critical", "The optimizer has maximize=True.",
                "It climbs the loss instead of descending it.", 0.95,
            )  # fmt: skip
    return None


def against_the_slope(before: Patient, now: Patient, batch: Any) -> Finding | None:
    """From weights before and after one step: whether it went up the slope of the loss on its batch, which is made anew."""
    with leaving_no_trace(), torch.enable_grad():
        for each in before.model.parameters():
            each.grad = None
        loss = before.loss(before.model, batch)
        if not loss.requires_grad or not bool(loss.detach().isfinite()):
            return None
        loss.backward()
    moves = []
    for old, new in zip(before.bare.parameters(), now.bare.parameters(), strict=True):
        if old.grad is not None:
            moves.append((old.grad.flatten().float(), (new.detach() - old.detach()).flatten().float()))
    if not moves:
        return None
    slope, move = torch.cat([each for each, _ in moves]), torch.cat([each for _, each in moves])
    cosine = float(torch.nn.functional.cosine_similarity(slope, move, 0))
    if not cosine > 0.3:
        return None
    return Finding(
        "gradient-ascent", "loop", "critical",
        f"The first step went up the slope of the loss (cosine {cosine:.2f} with its gradient; healthy is below 0).",
        "The sign is turned: a negated loss, a negative rate, or maximize=True.", 0.95, 1,
        statistic={"value": cosine, "healthy": [-1, 0]},
    )  # fmt: skip


def wrong_initial_loss(trial: Trial) -> Finding | None:
    """A first loss far above that of guessing."""
    kind, target, loss = trial.made.kind, trial.sample.target, trial.loss
    if not kind:
        raise CannotJudge("the loss is none of the known kinds")
    if kind == "cross_entropy" and trial.classes > 1:
        expected = math.log(trial.classes)
        if loss <= (1 + LIMITS.initial_loss) * expected + 0.2:
            return None
        cause = "The untrained model is sure of wrong answers: its last layer's scores are too large."
        return _initial(loss, expected, cause, f"guessing among {trial.classes} classes gives {expected:.3g}")
    if kind in NUMBERS and target is not None and target.is_floating_point() and target.numel() > 1:
        center, deviation = float(target.float().mean()), float(target.float().std())
        expected = deviation**2 if kind == "mse" else deviation
        raw = math.hypot(center, deviation) > 30 and deviation > 10
        if not (raw or loss > 10 * expected + 1e-6):
            return None
        cause = (
            "The targets are in their raw units."
            if raw or abs(center) > 3 * deviation
            else "The first outputs are too large."
        )
        told = f"the targets have a mean of {center:.3g} and a deviation of {deviation:.3g}"
        return _initial(loss, min(expected, 1.0) if raw else expected, cause, told)
    return None


def _initial(loss: float, expected: float, cause: str, told: str) -> Finding:
    return Finding(
        "wrong-initial-loss", "head", "warn", f"The first loss is {loss:.3g}; {told}.", cause, 0.8,
        statistic={"value": loss, "healthy": [0, (1 + LIMITS.initial_loss) * expected]},
    )  # fmt: skip


def bad_initialization(trial: Trial) -> Finding | None:
    """Layers whose rows start alike and stay so, or whose weights make the signal fade or explode by depth."""
    layers = [
        (name, each)
        for name, each in trial.model.named_modules()
        if isinstance(each, nn.Linear | nn.modules.conv._ConvNd)
    ]
    for name, layer in layers:
        weight, gradient = layer.weight.detach(), layer.weight.grad
        if weight.shape[0] < 4 or gradient is None or (not weight.requires_grad and gradient is None):
            continue
        if _rows_alike(weight) and _rows_alike(gradient):
            return Finding(
                "bad-initialization", f"{name}.weight", "critical",
                f"All {weight.shape[0]} rows of {name}.weight are equal, and so are their gradients.",
                "Units that start equal learn the same for ever: the layer is one unit wide.", 0.95,
                statistic={"value": 1.0, "healthy": [-1, LIMITS.same_rows]},
            )  # fmt: skip
    scales = [
        (name, float(each.weight.detach().float().std()) * math.sqrt(each.weight[0].numel()))
        for name, each in layers[:-1]
        if each.weight.numel() > 1 and each.weight.requires_grad
    ]
    if any("Norm" in type(each).__name__ for each in trial.model.modules()) or len(scales) < 1:
        return None
    off = [(name, scale) for name, scale in scales if not 0.05 < scale < 5]
    hidden = [size for _, size in trial.sizes[:-1]]
    ratio = hidden[-1] / max(hidden[0], 1e-30) if len(hidden) > 1 else 1.0
    runaway = not 1 / LIMITS.activation_ratio < ratio < LIMITS.activation_ratio
    if len(off) * 2 < len(scales) and not runaway:
        return None
    name, scale = off[0] if off else scales[0]
    evidence = (
        f"The weights of {name} deviate by {scale:.3g} / sqrt(inputs) (healthy is 0.5 to 2); "
        f"from the first to the last hidden layer the signal changes by a factor of {ratio:.3g}."
    )
    cause = "The initial weights are too large." if scale > 1 else "The initial weights are too small."
    return Finding(
        "bad-initialization", name, "critical" if runaway else "warn", evidence, cause, 0.85 if off else 0.7,
        statistic={"value": scale, "healthy": [0.5, 2.0], "signal ratio": ratio},
    )  # fmt: skip


def _rows_alike(matrix: Tensor) -> bool:
    rows = matrix.detach().flatten(1).float()
    return bool((rows - rows[:1]).abs().max() <= 1e-7 + 1e-5 * rows.abs().max())


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
            "model", "critical", "No parameter of the model is among those that the optimizer holds.",
            "The optimizer was made for another copy of the model, or for nothing.",
        )  # fmt: skip
    if not learning:
        return _disconnected("model", "critical", "No parameter asks for a gradient.", "The whole model is frozen.")
    loose = [name for key, name in learning.items() if key not in held]
    if loose:
        return _disconnected(
            loose[0], "critical" if len(loose) * 3 > len(learning) else "warn", f"{len(loose)} parameters ask for a gradient and no optimizer holds them: {_list(loose)}.",
            "They were added after the optimizer was made, or kept where the model does not register them.",
        )  # fmt: skip
    if len(trial.patient.optimizers) > 1:
        return None
    dead = [name for name, each in trial.model.named_parameters() if each.requires_grad and each.grad is None]
    if dead:
        share = len(dead) / max(1, len(learning))
        return _disconnected(
            dead[0], "critical" if share > 0.3 else "warn", f"{len(dead)} parameters get no gradient: {_list(dead)}.",
            "They are not used in the forward pass, or a detach, no_grad, argmax or .item() cuts them off.",
        )  # fmt: skip
    return None


def _disconnected(where: str, severity: Any, evidence: str, cause: str) -> Finding:
    return Finding("disconnected-parameters", where, severity, evidence, cause, 0.95)


def _list(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def cross_sample_leak(trial: Trial) -> Finding | None:
    """Changing one row's input changes another row's output, or a later token an earlier answer."""
    inputs = trial.patient.inputs_of(trial.batch)
    first = inputs[0] if inputs else None
    if not isinstance(first, Tensor) or first.dim() < 2 or len(first) < 3 or trial.output is None:
        raise CannotJudge("needs a batch of three rows")
    rows = [
        each[:4] if isinstance(each, Tensor) and each.dim() and len(each) == len(first) else each for each in inputs
    ]
    with leaving_no_trace(), torch.no_grad():
        model = trial.model.eval()
        other = [each.clone() if isinstance(each, Tensor) else each for each in rows]
        other[0][0] = (
            other[0][1].flip(0) if other[0].dim() > 2 or not other[0].is_floating_point() else other[0][1] * 2 + 1
        )
        before, after = _answers(model, rows), _answers(model, other)
        if before is not None and after is not None and before.shape == after.shape and len(before) == len(rows[0]):
            moved = (before[1:] - after[1:]).abs().max() / (before.abs().max() + 1e-9)
            if moved > 1e-3:
                return Finding(
                    "cross-sample-leak", "model", "critical",
                    f"Changing one row's input moves the other rows' outputs by {float(moved):.1%} of their size.",
                    "An axis or a reshape mixes the rows of a batch.", 0.95, statistic={"value": float(moved), "healthy": [0, 1e-3]},
                )  # fmt: skip
        return _looks_ahead(trial, model, rows)


def _looks_ahead(trial: Trial, model: nn.Module, rows: list[Any]) -> Finding | None:
    """For a model that predicts the next token: whether a later token changes an earlier answer."""
    tokens, target = rows[0], trial.target
    if tokens.is_floating_point() or tokens.dim() != 2 or tokens.shape[1] < 4 or target is None:
        return None
    target = target[: len(tokens)]
    if target.shape != tokens.shape or not (target[:, :-1] == tokens[:, 1:]).float().mean() > 0.9:
        return None
    changed = [tokens.clone(), *rows[1:]]
    middle = tokens.shape[1] // 2
    changed[0][:, middle:] = changed[0][:, middle:].roll(1, 0)
    before, after = _answers(model, rows), _answers(model, changed)
    if before is None or after is None or before.dim() < 3:
        return None
    moved = (before[:, :middle] - after[:, :middle]).abs().max() / (before.abs().max() + 1e-9)
    if moved <= 1e-3:
        return None
    return Finding(
        "cross-sample-leak", "model", "critical",
        f"Changing the tokens from position {middle} on moves the answers before it by {float(moved):.1%} of their size.",
        "The mask lets a position see the token it is asked for.", 0.95, statistic={"value": float(moved), "healthy": [0, 1e-3]},
    )  # fmt: skip


def _answers(model: nn.Module, rows: list[Any]) -> Tensor | None:
    output = model(*rows)
    output = output[0] if isinstance(output, tuple | list) else output
    output = getattr(output, "logits", output)
    return output.float() if isinstance(output, Tensor) and output.dim() else None


def dying_relu(trial: Trial) -> Finding | None:
    """Rectifiers most of whose units fire on no row of the sample, before any step."""
    fired: dict[str, Tensor] = {}
    rows = sum(trial.sample.sizes[: len(trial.sample.batches)])
    if rows < LIMITS.dead_samples // 2:
        raise CannotJudge(f"needs {LIMITS.dead_samples // 2} rows")
    watcher = Probe(trial.model, Record())
    with leaving_no_trace(), torch.no_grad():
        for batch in trial.sample.batches:
            watcher.counts = {}
            with ActivationMode(watcher.see):
                trial.patient.output(trial.model.eval(), batch)
    for place, window in watcher.active.items():
        if all(each.shape == window[0].shape for each in window):
            fired[place] = torch.stack(window).any(0)
    if not fired:
        raise CannotJudge("no rectifiers were seen")
    worst = min(fired, key=lambda place: float(fired[place].float().mean()))
    share = 1 - float(fired[worst].float().mean())
    if share <= LIMITS.dead_share:
        return None
    return Finding(
        "dying-relu", worst, "critical" if share > 0.9 else "warn",
        f"{share:.0%} of the units of the {list(fired).index(worst) + 1}. rectifier fire on none of {rows:,} rows, before any step.",
        "They were dead from the start: weights or a bias that keep them below zero.", 0.95,
        statistic={"value": share, "healthy": [0, LIMITS.dead_share]},
    )  # fmt: skip


CHECKS: dict[str, Callable[[Trial], Finding | None]] = {
    "loss-head-mismatch": loss_head_mismatch,
    "learning-slowdown": learning_slowdown,
    "gradient-ascent": gradient_ascent,
    "wrong-initial-loss": wrong_initial_loss,
    "bad-initialization": bad_initialization,
    "disconnected-parameters": disconnected_parameters,
    "cross-sample-leak": cross_sample_leak,
    "dying-relu": dying_relu,
}
