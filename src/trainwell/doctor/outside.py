"""What comes upon a training between two steps, not from them: weights written by others, a batch beyond all others."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, median, picked, spread
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
AT_FIRST = 32  # batches that are all measured
LEAP = 1.5  # times the usual loss, from which on a batch is measured
BEYOND = 100.0  # times the largest size of any other batch
BEFORE = 10  # batches that were seen before it
STEADY = 10  # steps in a row that write the weights as often, after which more is another hand's doing
FEW_WRITTEN = 2  # times that weights were written by another hand
LASTING = 3  # batches that are worse where weights were lost
PEAKED = 30.0  # a tensor's peakedness from which on one entry makes it up
OTHERS = 5.0  # times the usual size, within which those lie


class Outside:
    """Notes who else writes the weights of a training with one player, and how large each batch's inputs are.

    A tensor counts the times that it was written to, so that nothing is computed until another hand has written.
    """

    def __init__(self, inputs_of: Callable[[Any], tuple[Any, ...]]) -> None:
        self.inputs_of = inputs_of
        self.weights: list[nn.Parameter] = []
        self.writings = 0  # of all weights, as counted last
        self.pace, self.steady = 0, 0  # writings of one step, and how many steps in a row have had as many
        self.given: dict[tuple[float, ...], int] = {}  # weights that were given from outside, by the step
        self.waiting: tuple[tuple[float, ...], int] | None = None
        self.asked, self.usual = 0, math.inf  # the last step before which it was asked, and the losses of late
        self.last: tuple[int, Any] | None = None  # the latest batch, if its numbers were not measured
        self.sizes: list[tuple[int, int, Tensor]] = []  # step, numbers in the batch, their norm

    def before(self, step: int, record: Record) -> None:
        """Before the step of this number: whether the weights were written since the last stamp, and are old ones."""
        again, self.asked = step == self.asked, step  # the optimizer has just written, where a step is told in parts
        if again or self._count() == self.writings or record.facts.get("players", 1) > 1:
            return
        self._written(step, record)

    def told(self, step: int, record: Record) -> None:
        """When a step is told of: whether the weights were written oftener than every step so far has written them."""
        before, self.writings = self.writings, self._count()
        grown = self.writings - before
        if grown > self.pace > 0 and self.steady >= STEADY and record.facts.get("players", 1) == 1:
            self._written(step + 1, record)
        elif grown:
            self.steady, self.pace = self.steady + 1 if grown == self.pace else 0, grown

    def _written(self, step: int, record: Record) -> None:
        record.add(step, "written outside", "", 1.0)
        mark = _mark(self.weights)
        record.add(step, "weights peaked", "", _peaked(self.weights, mark))
        if mark in self.given:
            record.add(step, "weights put back", "", float(self.given[mark]))
        self.waiting = mark, step

    def after(self) -> None:
        """After the step: weights that it moved can only come again if someone puts them back."""
        if self.waiting is not None:
            mark, step = self.waiting
            if _mark(self.weights) != mark:
                self.given.setdefault(mark, step)
            self.waiting = None

    def watch(self, parameters: Iterable[nn.Parameter]) -> None:
        """Watch these weights; as they are now, they are the training's own."""
        self.weights = [each for each in parameters if each.is_floating_point()]
        self.stamp()

    def stamp(self) -> None:
        """The weights as they are now are the training's own."""
        self.writings = self._count()

    def _count(self) -> int:
        return sum([each._version for each in self.weights])

    def batch(self, step: int, batch: Any, loss: Tensor | float) -> None:
        """The norm of a batch's numbers, left on the device.

        Where losses are at hand it is taken at first and wherever one leaps, of the batch before as well, which may
        have thrown the weights off.
        """
        last, self.last = self.last, (step, batch)
        if step <= AT_FIRST or isinstance(loss, Tensor) or not loss < LEAP * self.usual:
            for each in ((step, batch),) if last is None else (last, (step, batch)):
                self._measure(*each)
            self.last = None

    def _measure(self, step: int, batch: Any) -> None:
        inputs = self.inputs_of(batch)
        numbers = inputs[0] if inputs else None
        if not isinstance(numbers, Tensor) or not numbers.is_floating_point() or not numbers.numel():
            return
        numbers = numbers.detach() if numbers.requires_grad else numbers
        half = numbers.dtype in (torch.float16, torch.bfloat16)
        size = torch.linalg.vector_norm(numbers, dtype=torch.float32 if half else None)
        self.sizes.append((step, numbers.numel(), size))

    def fetch(self, record: Record) -> None:
        """The sizes into the record, in one transfer; losses are handed over before."""
        if self.last is not None:
            self._measure(*self.last)
            self.last = None
        losses = sorted(abs(each) for each in record.get("loss").values[-20:] if math.isfinite(each))
        self.usual = losses[len(losses) // 2] if losses else math.inf
        if self.sizes:
            norms = torch.stack([size for _, _, size in self.sizes]).tolist()
            values = [norm / count**0.5 for norm, (_, count, _) in zip(norms, self.sizes, strict=True)]
            record.extend("input size", [step for step, _, _ in self.sizes], values)
        self.sizes = []


@torch.no_grad()
def _mark(parameters: Iterable[nn.Parameter]) -> tuple[float, ...]:
    """Numbers by which weights are known again, equal only where they are the same to the last digit."""
    values = [each.detach() for each in parameters]
    return tuple(float(each) for each in (*torch._foreach_norm(values, 1), *torch._foreach_norm(values, 2)))


def _peaked(parameters: Iterable[nn.Parameter], mark: tuple[float, ...]) -> float:
    """How far the most peaked tensor is from even: its entries times the square of one norm over that of the other,
    1 to 2 for weights as they are drawn, and all its entries where one of them is beyond all others."""
    sizes = [each.numel() for each in parameters]
    norms = zip(sizes, mark[: len(sizes)], mark[len(sizes) :], strict=True)
    return max((size * two**2 / one**2 for size, one, two in norms if one), default=0.0)


def training_state_lost(record: Record) -> Finding | None:
    """Weights that others than the optimizer put back to the very values that they were put to before."""
    again = record.get("weights put back")
    begun = _begun_anew(record) if not len(again) else None
    if begun is not None:
        return begun
    if not len(again):
        raise CannotJudge("nobody but the optimizer wrote the same weights twice")
    return Finding(
        "training-state-lost",
        "weights",
        "critical",
        f"Before step {again.steps[0]} the weights were put back to the very values that they were put to before step "
        f"{again.values[0]:.0f}, {len(again)} times so far; what was learned in between is gone.",
        "A checkpoint that is never written anew is loaded again and again, or a copy is put back by mistake.",
        0.95,
        again.steps[0],
        statistic={"value": len(again), "healthy": [0, 0], "series": picked(record.get("loss"))},
    )


def _begun_anew(record: Record) -> Finding | None:
    """Weights that another hand wrote in the midst of the training, and a loss that leapt on the very next batch."""
    written, losses = record.get("written outside"), record.get("loss")
    known = dict(zip(losses.steps, losses.values, strict=True))
    peaked = dict(zip(record.get("weights peaked").steps, record.get("weights peaked").values, strict=True))
    if len(written) > 0.1 * len(known):
        return None  # a hand that writes all the time, as one that keeps weights within bounds
    for step in written.steps:
        before = np.array([value for each, value in known.items() if step - 50 <= each < step and np.isfinite(value)])
        after = [known[each] for each in range(step, step + LASTING) if each in known]
        if len(before) < BEFORE or len(after) < LASTING:
            continue
        middle, deviation = spread(before)
        few = len(written) <= FEW_WRITTEN  # as where a checkpoint is loaded, not at each evaluation
        limit = max(middle + LIMITS.spike_deviations * deviation, 1.1 * before.max())
        limit = limit if few else max(limit, LIMITS.spike * middle)
        # One batch is high by chance, and weights are written at each evaluation where an average takes their place.
        if min(known[step], median(after)) > limit or _back_at_the_start(known, step):
            if peaked.get(step, 0.0) > PEAKED:
                return _one_weight(record, step, middle, known[step])
            return Finding(
                "training-state-lost",
                "weights",
                "critical",
                f"Before step {step} weights were written by another hand than the optimizer's, and the loss leapt "
                f"from {middle:.3g} to {known[step]:.3g} on the next batch.",
                "The training was gone on with from a checkpoint that lacked part of it, or weights were begun anew.",
                0.9,
                step,
                statistic={"value": known[step] / middle, "healthy": [0, LIMITS.spike], "series": picked(losses)},
            )
    return None


def _back_at_the_start(known: dict[int, float], step: int) -> bool:
    """Whether the losses from this step on are those of the first steps again, well above the ones just before it."""
    first, before, after = (
        np.array([value for each, value in known.items() if start <= each < end and np.isfinite(value)])
        for start, end in ((min(known), min(known) + 5), (step - 20, step), (step, step + 5))
    )
    if min(len(first), len(before), len(after)) < 5:
        return False
    middle, deviation = spread(before)
    return bool(median(after) > max(0.9 * median(first), middle + 3 * deviation))


def _one_weight(record: Record, step: int, before: float, after: float) -> Finding:
    return Finding(
        "loss-spike",
        "weights",
        "critical",
        f"Before step {step} a weight was written by another hand than the optimizer's that is beyond all others of "
        f"its layer, and the loss leapt from {before:.3g} to {after:.3g} on the next batch.",
        "One number among the weights is spoiled: a flipped bit, a slip in an index, a value from elsewhere.",
        0.9,
        step,
        statistic={"value": after / before, "healthy": [0, LIMITS.spike], "series": picked(record.get("loss"))},
    )


def loss_spike(record: Record) -> Finding | None:
    """One batch whose numbers are beyond those of all others, and a loss that leapt on it or on the step after."""
    sizes, losses = record.get("input size"), record.get("loss")
    if len(sizes) < 2 * BEFORE:
        raise CannotJudge(f"needs {2 * BEFORE} batches of numbers")
    values = sizes.array
    if values.max() < BEYOND * values.min():
        return None
    place = int(np.nan_to_num(values, nan=0.0, posinf=np.inf).argmax())
    if not np.isfinite(values[place]):
        return None  # which has a name of its own
    others = np.delete(values, place)
    others = others[np.isfinite(others)]
    if place < BEFORE or len(others) < BEFORE or not 0 < others.max() < OTHERS * median(others):
        return None  # or batches of all sizes, as of raw counts
    if values[place] < BEYOND * others.max():
        return None
    at = sizes.steps[place]
    known = dict(zip(losses.steps, losses.values, strict=True))
    before = np.array([value for step, value in known.items() if at - 50 <= step < at and np.isfinite(value)])
    leap = [known[step] for step in (at, at + 1) if step in known]
    if len(before) < BEFORE or not leap:
        return None
    middle, deviation = spread(before)
    peak = float(np.max(leap))
    if peak < max(LIMITS.spike * middle, middle + LIMITS.spike_deviations * deviation):
        return None
    return Finding(
        "loss-spike",
        "inputs",
        "warn",
        f"The batch of step {at} is {values[place] / others.max():,.0f} times as large as any other one, and the "
        f"loss leapt from {middle:.3g} to {peak:.3g}.",
        "One spoiled batch threw the weights off: wrong units, a missing scaling, or a broken file among its rows.",
        0.9,
        at,
        statistic={
            "value": float(values[place] / others.max()),
            "healthy": [0, BEYOND],
            "series": picked(losses),
            "origin": "input",
        },
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "training-state-lost": training_state_lost,
    "loss-spike": loss_spike,
}
