"""A trial on one batch to how the network answers: alike each time, from place to place, in which order of axes.

All of it is asked of a copy in evaluation, and of what the loss was given.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor import head_check
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, first_tensor, leaving_no_trace
from trainwell.doctor.probe import ATTENDING, WEIGHTED, ActivationMode
from trainwell.doctor.trial import Trial

ALIKE = 1e-3  # of an answer's size, by which two answers to the same rows may differ
UNTOUCHED = 1e-6  # of an answer's size, below which it does not depend on another place at all
JOLT = 0.02  # by which weights are moved, so that branches that start at zero carry something
DROPPING = ("dropout", "bernoulli")
DRAWING = {"randn_like", "rand_like", "randn", "rand", "normal", "normal_", "uniform_"}
HALF_MOST = torch.finfo(torch.float16).max


def _answer(patient: Patient, model: nn.Module, rows: list[Any]) -> Tensor | None:
    output = first_tensor(patient.ask(model, rows))
    return output.float() if output is not None and output.dim() else None


def _rows(trial: Trial, count: int) -> list[Any]:
    """The first rows of the batch's inputs; raises CannotJudge where there are too few."""
    inputs = trial.patient.inputs_of(trial.batch)
    first = inputs[0] if inputs else None
    if not isinstance(first, Tensor) or first.dim() < 2 or len(first) < count:
        raise CannotJudge(f"needs a batch of {count} rows")
    return [
        each[:count] if isinstance(each, Tensor) and each.dim() and len(each) == len(first) else each for each in inputs
    ]


@torch.no_grad()
def by_chance(patient: Patient, model: nn.Module, rows: list[Any]) -> float:
    """By how much of their size the answers to the same rows differ from one time to the next, 0 where they do not."""
    before, after = _answer(patient, model, rows), _answer(patient, model, rows)
    if before is None or after is None or before.shape != after.shape:
        return 0.0
    moved = float((before - after).abs().max() / (before.abs().max() + 1e-9))
    return moved if moved > ALIKE else 0.0


def wrong_train_eval_mode(trial: Trial) -> Finding | None:
    """A network in evaluation that leaves out other units each time it is asked: its dropout is not told of the mode.

    So is noise that is drawn in the shape of the inputs before any layer. What draws numbers in other ways, as an
    autoencoder draws its code, is meant to.
    """
    rows, called = _rows(trial, 3), set()

    def see(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        attending = name in ATTENDING and kwargs.get("dropout_p", 0.0) > 0
        odds = args[0] if name == "bernoulli" and args else None
        if isinstance(odds, Tensor) and float(odds.min()) < float(odds.max()):
            return  # draws by its own odds for each number, as spikes are, leave out no units
        called.update({name, "dropout"} if attending else {name})
        if name in DRAWING and result.shape == rows[0].shape and not called & WEIGHTED:
            called.add("noise on the inputs")

    modes = [(module, module.training) for module in trial.model.modules()]
    try:
        with leaving_no_trace(), torch.no_grad():
            model = trial.model.eval()
            with ActivationMode(see):
                moved = by_chance(trial.patient, model, rows)
    finally:
        for module, training in modes:
            module.training = training
    noisy = "noise on the inputs" in called
    if not moved or not (noisy or any(word in name for name in called for word in DROPPING)):
        return None
    return Finding(
        "wrong-train-eval-mode",
        "model",
        "warn",
        f"In evaluation the same rows are answered otherwise each time, by {moved:.0%} of the answers' size.",
        "The noise on the inputs is drawn in evaluation as well: draw it where self.training is set."
        if noisy
        else "A dropout called as a function is not told of the mode: F.dropout(x, p, self.training), or nn.Dropout.",
        0.9,
        statistic={"value": moved, "healthy": [0, ALIKE]},
    )


def loss_head_mismatch(trial: Trial) -> Finding | None:
    """A loss that is given another form of output than it expects, or its numbers in another order."""
    return head_check.loss_head_mismatch(trial) or torn_scores(trial)


def torn_scores(trial: Trial) -> Finding | None:
    """Scores that reached the loss in the order of memory, where the classes are another axis than the loss reads.

    The classes' axis of the output is the one that the targets do not have.
    """
    output, received, target = trial.output, trial.made.output, trial.target
    if trial.made.kind != "cross_entropy" or output is None or received is None or target is None:
        return None
    if output.dim() < 3 or target.is_floating_point() or received.numel() != output.numel() or received.dim() < 2:
        return None
    axes = [axis for axis in range(1, output.dim()) if output.shape[:axis] + output.shape[axis + 1 :] == target.shape]
    if len(axes) != 1:
        return None  # no answer at each place, or as many places as classes
    kinds = output.shape[axes[0]]
    given = received.float().movedim(1, -1)
    if given.shape[-1] == kinds:
        right = output.float().movedim(axes[0], -1).log_softmax(-1)
        if _same(given, right) or (right.dim() == 3 and _same(given, right.transpose(0, 1))):
            return None
    read = output.float().reshape(received.shape).log_softmax(1).movedim(1, -1)
    if not _same(given, read):
        return None
    return Finding(
        "loss-head-mismatch",
        "head",
        "critical",
        f"Outputs of shape {tuple(output.shape)}, whose classes are axis {axes[0]}, reach the loss as "
        f"{tuple(received.shape)} in the order of memory, so each place's scores are parts of other places'.",
        "A reshape or view does not move an axis: transpose or permute the classes to where the loss reads them first.",
        0.95,
        statistic={"loss": trial.made.kind, "head": trial.made.head or "plain scores"},
    )


def _same(one: Tensor, other: Tensor) -> bool:
    return one.numel() == other.numel() and bool(torch.allclose(one.flatten(), other.flatten(), rtol=1e-3, atol=1e-4))


def no_long_range_signal(trial: Trial) -> Finding | None:
    """A network with attention, of which no place's answer depends on any other place, whatever its weights."""
    rows = _rows(trial, 4)
    tokens, seen = rows[0], []
    if tokens.is_floating_point() or tokens.dim() != 2 or tokens.shape[1] < 4:
        raise CannotJudge("the inputs are no sequences of tokens")
    length = tokens.shape[1]

    def see(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        mixing = name == "softmax" and isinstance(result, Tensor) and result.dim() > 2
        seen.append("attention" in name or name in ATTENDING or (mixing and result.shape[-2:] == (length, length)))

    with leaving_no_trace(), torch.no_grad():
        model, _ = trial.patient.copy()
        torch.manual_seed(0)
        for each in model.eval().parameters():
            each.add_(JOLT * torch.randn_like(each))
        with ActivationMode(see):
            before = _answer(trial.patient, model, rows)
        if not any(seen) or before is None or before.dim() != 3 or length not in before.shape[1:]:
            raise CannotJudge("no attention with an answer at each place was seen")
        if before.shape[1] == before.shape[2] or by_chance(trial.patient, model, rows):
            raise CannotJudge("which axis is time cannot be told, or chance has a part in the answers")
        time, half = (1 if before.shape[1] == length else 2), length // 2
        moved = [
            _moved(trial.patient, model, rows, before, time, part) for part in (slice(0, half), slice(half, length))
        ]
    if any(each is None or each > UNTOUCHED for each in moved):
        return None
    return Finding(
        "no-long-range-signal",
        "attention",
        "critical",
        f"Other tokens in one half of the {length} places move no answer of the other half, either way.",
        "Its mask lets each place see itself alone, so nothing passes from place to place.",
        0.9,
        statistic={"value": 0.0, "healthy": [UNTOUCHED, 1e3]},
    )


def _moved(patient: Patient, model: nn.Module, rows: list[Any], before: Tensor, time: int, part: slice) -> float | None:
    """By how much of their size the other places' answers move where this part's tokens are other rows'."""
    changed = [rows[0].clone(), *rows[1:]]
    changed[0][:, part] = changed[0][:, part].roll(1, 0)
    after = _answer(patient, model, changed)
    if after is None or after.shape != before.shape or bool((changed[0] == rows[0]).all()):
        return None
    others = [place for place in range(before.shape[time]) if not part.start <= place < part.stop]
    apart = (before - after).index_select(time, torch.tensor(others, device=before.device)).abs().max()
    return float(apart / (before.abs().max() + 1e-9))


def beyond_half(trial: Trial) -> Finding | None:
    """Numbers beyond what float16 holds: infinite in the rows, or in a loss that is finite in float32."""
    sample, told = trial.sample, ""
    for name, each in [("inputs", each) for each in sample.inputs] + [("targets", sample.target)]:
        if isinstance(each, Tensor) and each.dtype == torch.float16 and bool(each.isinf().any()):
            told = f"{float(each.isinf().float().mean()):.0%} of the {name} are infinite in float16"
            break
    if not told and any(each.dtype == torch.float16 for each in trial.model.parameters()):
        told = _overflows(trial)
    if not told:
        return None
    return Finding(
        "mixed-precision-underflow",
        "float16",
        "critical",
        f"{told}, which holds no more than {HALF_MOST:,.0f}.",
        "Numbers of this size do not fit: standardize them, or keep them and the loss in float32 or bfloat16.",
        0.95,
        statistic={"value": HALF_MOST, "healthy": [0, HALF_MOST]},
    )


def _overflows(trial: Trial) -> str:
    """What is said where the first loss is not finite in float16 and is in float32, on the same rows."""
    loss = torch.tensor(trial.loss)
    batch = trial.batch
    if bool(loss.isfinite()) or not isinstance(batch, tuple | list) or len(batch) != 2:
        return ""
    wide = tuple(_widened(each) for each in batch)
    with leaving_no_trace(), torch.no_grad():
        model, _ = trial.patient.copy()
        value = float(trial.patient.loss(model.float(), wide))
    return (
        f"The first loss is {trial.loss:g}, and {value:.3g} in float32" if value == value and abs(value) < 1e30 else ""
    )


def _widened(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_widened(each) for each in value)
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def class_imbalance(trial: Trial) -> Finding | None:
    """Weights of the classes in the loss that grow with how often a class comes, instead of falling."""
    weight, labels = trial.made.weight, trial.sample.labels
    if weight is None or labels is None or len(labels) < 64 or labels.min() < 0 or int(labels.max()) >= len(weight):
        raise CannotJudge("the loss weighs no classes")
    counts = torch.bincount(torch.as_tensor(labels), minlength=len(weight)).double()
    known = (counts > 0) & (weight.cpu() > 0)
    often, weighs = counts[known].log(), weight.cpu().double()[known].log()
    if len(often) < 2 or float(often.max() - often.min()) < 1.0 or float(weighs.std()) == 0:
        return None
    often, weighs = often - often.mean(), weighs - weighs.mean()
    slope = float((often * weighs).sum() / often.square().sum())
    alike = float(torch.nn.functional.cosine_similarity(often, weighs, 0))
    if slope < 0.3 or alike < 0.8:
        return None
    high, low = int(counts.argmax()), int(torch.where(known, counts, torch.inf).argmin())
    return Finding(
        "class-imbalance",
        "loss",
        "warn",
        f"Class {high} comes {float(counts[high] / counts[low]):.0f} times as often as class {low} and weighs "
        f"{float(weight[high] / weight[low]):.3g} times as much in the loss.",
        "The weights are the classes' shares, not their reciprocals, so the rare ones count for nothing.",
        0.9,
        statistic={"value": slope, "healthy": [-1.0, 0.0]},
    )


CHECKS: dict[str, Callable[[Trial], Finding | None]] = {
    "loss-head-mismatch": loss_head_mismatch,
    "wrong-train-eval-mode": wrong_train_eval_mode,
    "no-long-range-signal": no_long_range_signal,
    "class-imbalance": class_imbalance,
}
