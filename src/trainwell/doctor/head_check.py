"""A trial on one batch to findings about the loss: what it is given, which way it is followed, how it starts."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainwell.doctor.finding import UNFIT, CannotJudge, Finding
from trainwell.doctor.patient import answering, leaving_no_trace
from trainwell.doctor.probe import is_dropout
from trainwell.doctor.reward_check import Given
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import Trial, each_tensor
from trainwell.doctor.units import in_units

LIMITS = THRESHOLDS
SOME = 0.1  # of the rows, as one may be a slip
MILD = 3.0  # times guessing's loss, below which copies are asked whether such a start does harm
FEW_ROWS, FEW_BATCHES = 8, 16  # a batch of so few rows says little, so many of them something
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
    for rule in (_wrong_form, _broadcast, _out_of_reach, _blind) if trial.made.kind else (_blind,):
        told = rule(trial)
        if told:
            evidence, cause, severity = told
            return Finding(
                "loss-head-mismatch",
                "head",
                severity,
                evidence,
                cause,
                0.95,
                statistic={"loss": trial.made.kind, "head": trial.made.head or "plain scores"},
            )
    if not trial.made.kind:
        raise CannotJudge("the loss is none of the known kinds")
    return None


def _blind(trial: Trial) -> tuple[str, str, Any] | None:
    found = trial.rewards
    if found is None or not found.blind:
        return None
    return (
        f"The loss is {found.better:.4g} whether the rows have the answers that fit them best or worst.",
        "It compares each answer with all targets, as shapes such as (rows, 1) and (rows,) make it, or with none.",
        "critical",
    )


def _wrong_form(trial: Trial) -> tuple[str, str, Any] | None:
    kind, head = trial.made.kind, trial.made.head
    width = trial.output.shape[-1] if trial.output is not None and trial.output.dim() > 1 else 0
    if trial.made.over_rows:
        return (
            "The softmax runs over the rows of the batch, not over the classes.",
            "Each row's probabilities depend on which rows are beside it, and those of its classes do not sum to 1.",
            "critical",
        )
    if head in ("log", "sqrt") and len(trial.made.chain) == 1 and trial.made.plain:
        what = "logarithm" if head == "log" else "root"
        return (
            f"The loss takes the {what} of plain outputs.",
            "Nothing keeps them above 0, and below it there is none.",
            "critical",
        )
    if kind == "mse" and not head and _one_hot(trial):
        return (
            "Squared error is taken between plain scores and rows of 0 and a single 1.",
            "It punishes right answers for being too sure; classes are learned by cross-entropy.",
            "warn",
        )
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
    if kind == "bce" and head == "softmax" and trial.made.target is not None and _several(trial.made.target):
        cause = "A softmax shares one out among the classes, and some rows belong to several, or to none."
        return "A softmax is compared with rows that have several classes or none.", cause, "critical"
    if kind == "bce" and head in ("", "relu", "tanh"):
        return "Binary cross-entropy is given no probabilities.", "It expects the result of a sigmoid.", "critical"
    if head == "softmax" and width == 1:
        return "A softmax over one output always gives 1.", "One output needs a sigmoid.", "critical"
    return None


def _one_hot(trial: Trial) -> bool:
    """Whether scores of several classes are compared with one-hot rows, made by the loop or by its loss."""
    output, target = trial.output, trial.target
    if output is None or target is None or output.dim() != 2 or output.shape[1] < 2 or len(output) != len(target):
        return False
    if not target.is_floating_point() and target.dim() == 1:
        return trial.made.compared == tuple(output.shape) and int(target.max()) < output.shape[1]
    return target.shape == output.shape and bool(((target == 0) | (target == 1)).all() and (target.sum(1) == 1).all())


def _several(target: Tensor) -> bool:
    """Whether many rows of 0 and 1 have not one 1."""
    plain = target.dim() == 2 and target.shape[1] > 1 and bool(((target == 0) | (target == 1)).all())
    return plain and float((target.sum(1) != 1).float().mean()) > SOME


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
        f"Outputs of shape {tuple(output.shape)} and targets of shape "
        f"{tuple(target.shape)} are compared as {compared}.",
        "Broadcasting compares every row with every other row's answer.",
        "critical",
    )


def _out_of_reach(trial: Trial) -> tuple[str, str, Any] | None:
    target, head = trial.sample.target, trial.made.head
    if target is None or head not in RANGES or trial.made.kind not in (*NUMBERS, "bce"):
        return None
    rows = max(1, trial.sample.rows)
    if not target.is_floating_point() or trial.output is None or target.numel() // rows != trial.output[0].numel():
        return None
    low, high = RANGES[head]
    if head == "sigmoid" and trial.made.chain[1:2] == ["relu"]:
        head, low = "sigmoid of a relu", 0.5
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
    if share < LIMITS.slow_rows:
        return None
    evidence = (
        f"{share:.0%} of the rows are badly wrong where the {made.head} is flat, so squared error hardly moves them."
    )
    return Finding(
        "learning-slowdown",
        "head",
        "critical" if share > 0.6 else "warn",
        evidence,
        f"The gradient of squared error through a {made.head} fades as the output saturates, right or wrong.",
        0.9,
        statistic={"value": share, "healthy": [0, LIMITS.slow_rows]},
    )


@torch.no_grad()
def slow_rows(output: Tensor, target: Tensor, head: str) -> float:
    """Share of rows most of whose squared error lies in outputs that are off by more than half the range where the
    head's slope is below a fifth of its best."""
    if output.numel() != target.numel():
        if target.dim() != 1 or output.dim() != 2:
            return 0.0
        target = torch.nn.functional.one_hot(target.long(), output.shape[1])
    output, target = output.float().reshape(len(output), -1), target.float().reshape(len(output), -1)
    if head == "tanh":
        output, target = (output + 1) / 2, (target + 1) / 2
    flat = output * (1 - output) < 0.05
    error = (output - target).square()
    stuck = torch.where(flat & (error > 0.25), error, 0.0).sum(1)
    return float((stuck > 0.5 * error.sum(1).clamp_min(1e-12)).float().mean())


def gradient_ascent(trial: Trial) -> Finding | None:
    """A loss below zero that cannot be, or an optimizer told to maximize it."""
    found = trial.rewards
    told_right = found is not None and found.better < found.worse  # such as a mean with a constant taken off
    if trial.made.kind in BELOW_ZERO_IS_WRONG and trial.loss < -1e-6 and not told_right:
        return Finding(
            "gradient-ascent",
            "loss",
            "critical",
            f"The {trial.made.kind.replace('_', ' ')} is {trial.loss:.3g}, though it can never be below 0.",
            "The sign of the loss is turned, so each step makes the model worse.",
            0.97,
            statistic={"value": trial.loss},
        )
    for player, optimizer in trial.patient.optimizers.items():
        if trial.made.kind in BELOW_ZERO_IS_WRONG and any(group.get("maximize") for group in optimizer.param_groups):
            return Finding(
                "gradient-ascent",
                f"optimizer of {player}",
                "critical",
                "The optimizer has maximize=True.",
                "It climbs the loss instead of descending it.",
                0.95,
            )
    if found is None or not found.turned:
        return None
    return Finding(
        "gradient-ascent",
        "loss",
        "critical",
        f"Where each row is given the answer that fits it best the loss is {found.better:.4g}, with the worst it is "
        f"{found.worse:.4g}, which is less.",
        "What is made smaller rewards wrong answers: a score, such as an overlap, without its minus sign.",
        0.95,
        statistic={"value": found.better - found.worse, "healthy": [-math.inf, 0]},
    )


def wrong_initial_loss(trial: Trial) -> Finding | None:
    """A first loss far above that of guessing, and not of the loss's own making."""
    kind, target = trial.made.kind, trial.sample.target
    if not kind:
        raise CannotJudge("the loss is none of the known kinds")
    loss = _first_loss(trial) / trial.summed
    if not math.isfinite(loss):
        raise CannotJudge("the first loss is not finite")
    if kind == "cross_entropy" and trial.classes > 1:
        expected = math.log(trial.classes)
        most = (1 + LIMITS.initial_loss) * expected + 0.2
        if loss <= most:
            return None
        plain = _of_nothing(trial)
        if plain is not None and plain / trial.summed > most:
            raise CannotJudge(
                f"scores of zero cost {plain / trial.summed:.3g} too: the loss begins there, not the head"
            )
        cause = "The untrained model is sure of wrong answers: its last layer's scores are too large."
        told = f"guessing among {trial.classes} classes gives {expected:.3g}"
        found = _initial(loss, expected, cause, told)
        return replace(found, statistic=found.statistic | {"mild": True}) if loss < MILD * expected else found
    if kind in NUMBERS and target is not None and target.is_floating_point() and target.numel() > 1:
        if not _far_off(trial, loss, target)[1]:
            return None
        (center, deviation, expected, raw), far = _far_off(trial, loss, _compared(trial, target))
        if not far:
            return None
        cause = (
            "The targets are in their raw units."
            if raw or abs(center) > 3 * deviation
            else "The first outputs are too large."
        )
        told = f"the targets have a mean of {center:.3g} and a deviation of {deviation:.3g}"
        return _initial(loss, min(expected, 1.0) if raw else expected, cause, told)
    return None


def _far_off(trial: Trial, loss: float, target: Tensor) -> tuple[tuple[float, float, float, bool], bool]:
    """Mean and deviation of these targets, what guessing costs, whether they are in raw units; whether the loss is far
    above that or they are."""
    center, deviation = float(target.float().mean()), float(target.float().std())
    expected = deviation**2 if trial.made.kind == "mse" else deviation
    raw = math.hypot(center, deviation) > 30 and deviation > 10 and not in_units(trial.model)
    return (center, deviation, expected, raw), raw or loss > 10 * expected + 1e-6


def _compared(trial: Trial, told: Tensor) -> Tensor:
    """What the loss compared answers with, where that is not what it was told, as of logarithms that it takes."""
    made, output = trial.made, trial.made.output if trial.made.output is not None else trial.output
    wanted = made.target
    if wanted is None and made.error is not None and output is not None and made.error.numel() == output.numel():
        wanted = output.reshape(-1) - made.error.reshape(-1)
    target = trial.target
    if wanted is None or target is None or wanted.numel() != target.numel() or not wanted.is_floating_point():
        return told
    same = torch.allclose(wanted.reshape(-1).float(), target.reshape(-1).float(), rtol=1e-3, atol=1e-5)
    return told if same else wanted


def _first_loss(trial: Trial) -> float:
    """The loss at these weights: of several batches where one has a few rows, as one row may be far from all others,
    and without dropout that makes what it leaves several times as large."""
    batches = trial.sample.batches[:FEW_BATCHES]
    if any(is_dropout(each) and float(getattr(each, "p", 0.0)) >= 0.5 for each in trial.model.modules()):
        batches = [trial.batch]
    elif trial.patient.rows(trial.batch) >= FEW_ROWS or len(batches) < FEW_BATCHES:
        return trial.loss
    with answering(trial.model):
        return fmean(float(trial.patient.loss(trial.model, each)) for each in batches)


def _of_nothing(trial: Trial) -> float | None:
    """The loss of answers that are all zero; None where it cannot be asked."""
    if trial.answer is None or len(trial.patient.players) > 1:
        return None
    try:
        with leaving_no_trace(), torch.no_grad():
            return float(trial.patient.loss(Given(each_tensor(trial.answer, torch.zeros_like)), trial.batch))
    except UNFIT:
        return None


def _initial(loss: float, expected: float, cause: str, told: str) -> Finding:
    return Finding(
        "wrong-initial-loss",
        "head",
        "warn",
        f"The first loss is {loss:.3g}; {told}.",
        cause,
        0.8,
        statistic={"value": loss, "healthy": [0, (1 + LIMITS.initial_loss) * expected]},
    )


CHECKS: dict[str, Callable[[Trial], Finding | None]] = {
    "loss-head-mismatch": loss_head_mismatch,
    "learning-slowdown": learning_slowdown,
    "gradient-ascent": gradient_ascent,
    "wrong-initial-loss": wrong_initial_loss,
}
