"""One forward and backward pass on a copy to the facts that the wiring checks judge; the original is not touched."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor.finding import UNFIT
from trainwell.doctor.graph import Made, leaves_of, losses_in
from trainwell.doctor.guess import guess_of
from trainwell.doctor.patient import Patient, answer_in, leaving_no_trace, rows_of
from trainwell.doctor.probe import ActivationMode
from trainwell.doctor.reward_check import Rewards, rewards
from trainwell.doctor.sample import Sample

NEAR = 0.05  # of guessing's loss as it is reckoned, within which the measured one is that of fewer rows


@dataclass
class Trial:
    """What one batch gave on a copy of the model at its present weights."""

    patient: Patient
    sample: Sample
    model: nn.Module  # the copy, its gradients set by the batch
    batch: Any
    output: Tensor | None
    loss: float
    made: Made  # the loss as the graph shows it; kind "" if it is none of the known ones
    sizes: list[tuple[str, float]] = field(default_factory=list)  # deviation of each weighted layer's output
    classes: int = 0
    called: set[str] = field(default_factory=set)  # names of the torch functions
    summed: float = 1.0  # times the mean of its entries that the loss is, as where it is their sum
    strangers: list[tuple[int, ...]] = field(default_factory=list)  # shapes of weights that nobody has registered
    seconds: float = 0.0  # that the pass there and back took
    rest: tuple[Any, ...] = ()  # of the answer, behind the first tensor
    answer: Any = None  # the whole of it
    told: tuple[Any, ...] = ()  # what the loss called the network with, such as a time beside noised rows

    @cached_property
    def rewards(self) -> Rewards | None:
        """What the loss makes of better and of worse answers, where that can be asked."""
        return rewards(self)

    @property
    def target(self) -> Tensor | None:
        target = self.patient.target_of(self.batch)
        return target if isinstance(target, Tensor) else None


def run_trial(patient: Patient, sample: Sample, facts: dict[str, Any]) -> Trial:
    """The trial on the sample's first batch; notes loss, classes and what guessing would give among the facts."""
    batch = sample.batches[0]
    sizes: list[tuple[str, float]] = []
    answers: list[Any] = []
    told: list[tuple[Any, ...]] = []

    called: set[str] = set()
    began = time.thread_time()

    def see(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        called.add(name)
        if name in ("linear", "conv1d", "conv2d", "conv3d") and isinstance(result, Tensor) and result.numel() > 1:
            sizes.append((name, float(result.detach().float().std())))

    def call(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        answers.append(output)
        told.append(inputs)

    with leaving_no_trace(), torch.enable_grad():
        model, optimizers = patient.copy()
        for each in model.parameters():
            each.grad = None
        handle = model.register_forward_hook(call)
        with ActivationMode(see):
            loss = patient.loss(model, batch)
        handle.remove()
        found = losses_in(loss)
        made = found[0] if found else Made("")
        strangers = _strangers(loss, model, patient.holds() | replace(patient, optimizers=optimizers).holds())
        if loss.requires_grad:
            loss.backward()
    first = answer_in(answers[0]) if answers else None
    output = first.detach() if first is not None else None
    facts["tells its code"] = bool(answers) and code_of(answers[0]) is not None
    trial = Trial(patient, sample, model, batch, output, float(loss.detach()), made, sizes)
    trial.called, trial.strangers, trial.seconds = called, strangers, time.thread_time() - began
    trial.told = told[0] if told else ()
    trial.answer = each_tensor(answers[0], Tensor.detach) if answers else None
    trial.rest = tuple(answers[0][1:]) if answers and isinstance(answers[0], tuple | list) else ()
    _note_facts(trial, facts)
    return trial


def each_tensor(answer: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The answer with each tensor changed, named tuples, lists and dictionaries as they were."""
    if isinstance(answer, Tensor):
        return change(answer)
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return type(answer)(*(each_tensor(each, change) for each in answer))
    if isinstance(answer, list | tuple):
        return type(answer)(each_tensor(each, change) for each in answer)
    if isinstance(answer, dict):
        return {name: each_tensor(each, change) for name, each in answer.items()}
    return answer


def code_of(answer: Any) -> tuple[Tensor, Tensor] | None:
    """Means and logarithms of variances, (rows, latents), which an autoencoder tells last, behind what it drew."""
    parts = [each for each in answer if isinstance(each, Tensor)] if isinstance(answer, list | tuple) else []
    if len(parts) < 3 or any(each.dim() != 2 or not each.is_floating_point() for each in parts[-2:]):
        return None
    mean, spread = parts[-2:]
    return (mean, spread) if mean.shape == spread.shape != parts[0].shape else None


def _strangers(loss: Tensor, model: nn.Module, held: frozenset[int]) -> list[tuple[int, ...]]:
    """Shapes of the weights that the loss depends on and that neither model nor optimizer knows; held: ids."""
    known = held | {id(each) for each in model.parameters()}
    return [tuple(each.shape) for each in leaves_of(loss) if id(each) not in known and isinstance(each, nn.Parameter)]


def _note_facts(trial: Trial, facts: dict[str, Any]) -> None:
    """Kind of loss, number of classes, and the loss of the best constant answer."""
    kind, target = trial.made.kind, trial.sample.target
    facts["loss"], facts["head"], facts["seconds a step"] = kind, trial.made.head, trial.seconds
    planned = [facts.get("seconds"), trial.seconds * (facts.get("steps") or 0)]
    facts["seconds planned"] = min((each for each in planned if each), default=None)
    if trial.output is not None and kind in ("cross_entropy", "nll") and trial.output.dim() > 1:
        scores = trial.made.output  # (rows, classes) or (batch, classes, ...), as the loss received it
        trial.classes = int(scores.shape[1] if scores is not None and scores.dim() > 1 else trial.output.shape[-1])
        facts["classes"] = trial.classes
        if trial.made.ignored is not None:
            facts["ignore index"] = trial.made.ignored
        if trial.made.weight is not None:
            facts["class weights"] = [float(each) for each in trial.made.weight]
        received = trial.made.target
        if received is not None and not received.is_floating_point():
            kept = received[received != trial.made.ignored]
            facts["labels that the loss got"] = (int(kept.min()), int(kept.max())) if kept.numel() else None
    if target is not None and target.is_floating_point() and not target.isfinite().all():
        facts["loss leaves out missing targets"] = _left_out(trial)
    facts["answer each step"] = target is not None and target.dim() == 2 and min(target.shape) > 1
    prior = None
    if target is not None and target.numel():
        if kind in ("cross_entropy", "nll") and not target.is_floating_point() and int(target.min()) >= -100:
            counts, weight = torch.bincount(target[target >= 0].flatten()).float(), trial.made.weight
            if weight is not None and len(weight) >= len(counts):
                counts = counts * weight[: len(counts)].to(counts)  # guessing then leans to the classes that weigh more
            shares = counts[counts > 0] / counts.sum().clamp_min(1e-12)
            prior = float(-(shares * shares.log()).sum()) if target.dim() == 1 else math.log(max(2, trial.classes))
        elif kind in ("bce", "bce_logits"):
            given = (
                trial.made.target if trial.made.target is not None else target
            )  # rows may be made of labels on the way
            share = given.float().mean(0)  # of each column by itself, which is what a constant answer can know
            within = bool(((given >= 0) & (given <= 1)).all())
            heavier = trial.made.of_right if trial.made.of_right is not None else torch.ones(())
            both = heavier * share + 1 - share
            guess = heavier * share / both
            costs = both * F.binary_cross_entropy(guess, guess, reduction="none") if within else None
            prior = float(costs.mean()) if costs is not None else None
        elif kind == "mse":
            prior = float(target.float().flatten(1).var(0).mean() if target.dim() > 1 else target.float().var())
        elif kind in ("mae", "huber"):
            cost = F.l1_loss if kind == "mae" else F.huber_loss
            prior = float(cost(target.float(), target.float().median().expand_as(target)))
    trial.summed = _summed(trial)
    facts["loss is a sum"] = trial.summed > 1.5
    reckoned = prior * trial.summed if prior is not None and math.isfinite(prior) else None
    found = guess_of(trial)  # weights, powers and margins of a loop's own are in no formula
    facts["guess measured"] = found is not None and found > 0
    near = reckoned is not None and found is not None and abs(found - reckoned) < NEAR * reckoned
    if found is not None and found > 0 and not near:
        facts["prior loss"] = found
    elif reckoned is not None:
        facts["prior loss"] = reckoned


# What each answer costs, by the kind of loss; shares beyond 0 and 1 cost nothing that is known.
ENTRIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda output, target: (output - target).square(),
    "mae": lambda output, target: (output - target).abs(),
    "bce_logits": lambda output, target: F.binary_cross_entropy_with_logits(output, target, reduction="none"),
    "bce": lambda output, target: F.binary_cross_entropy(output.clamp(0, 1), target, reduction="none"),
}


@torch.no_grad()
def _left_out(trial: Trial) -> bool:
    """Whether the loss is a number on a batch with targets that are none: then its step leaves them out."""
    for batch in trial.sample.batches:
        target = trial.patient.target_of(batch)
        if isinstance(target, Tensor) and not target.isfinite().all():
            with leaving_no_trace():
                return bool(trial.patient.loss(trial.model, batch).isfinite())
    return False


def _summed(trial: Trial) -> float:
    """How many times the mean of its entries the loss is: their number, of the batch or of each row, if it is their
    sum, or else the least factor of two halves of the batch; 1 for a mean and for what is not known."""
    mean, count = _mean_entry(trial.made)
    if not mean > 0:
        return 1.0
    compared = trial.made.target if trial.made.target is not None else trial.made.error
    sums = (each for each in (count, count // max(1, rows_of(compared))) if each > 3)
    exact = next((each for each in sums if 0.9 < trial.loss / (mean * each) < 1.1), None)
    return float(exact) if exact is not None else _factor(trial)


@torch.no_grad()
def _mean_entry(made: Made) -> tuple[float, int]:
    """What an answer costs on average, and how many there are; (0, 0) where that is not known."""
    output, target = made.output, made.target
    if made.error is not None:
        output, target = made.error, torch.zeros_like(made.error)
    if output is None or target is None:
        return 0.0, 0
    if made.kind in ("cross_entropy", "nll") and not target.is_floating_point():
        known = (target >= 0) & (target != made.ignored) if made.ignored is not None else target >= 0
        entries = -output.movedim(1, -1)[known].gather(-1, target[known][:, None]) if output.dim() > 1 else output
    elif made.kind in ENTRIES and output.shape == target.shape:
        entries = ENTRIES[made.kind](output.float(), target.float())
        if made.of_right is not None:
            entries = entries * (1 + (made.of_right - 1) * target)
    else:
        return 0.0, 0
    return (float(entries.float().mean()) if entries.numel() else 0.0), entries.numel()


def _factor(trial: Trial) -> float:
    """Far from 1, how many times the mean of its entries the loss is of either half of the batch's rows, at least; else
    1."""
    rows = trial.patient.rows(trial.batch)
    if trial.made.kind not in ENTRIES or rows < 4:
        return 1.0
    try:
        one, other = (_factor_of(trial, rows, part) for part in (slice(0, rows // 2), slice(rows // 2, rows)))
    except UNFIT:  # of a network or a loss that takes no half of a batch
        return 1.0
    least, most = min(one, other), max(one, other)
    near = least > 0 and most < 2 * least  # what a penalty adds differs from half to half
    return least if near and not 1 / 3 < least < 3 else 1.0


def _factor_of(trial: Trial, rows: int, part: slice) -> float:
    half = each_tensor(trial.batch, lambda each: each[part] if each.dim() and len(each) == rows else each)
    with leaving_no_trace(), torch.enable_grad():
        loss = trial.patient.loss(trial.model, half)
        made = losses_in(loss)
    mean = _mean_entry(made[0])[0] if made else 0.0
    return float(loss.detach()) / mean if mean > 0 else 0.0
