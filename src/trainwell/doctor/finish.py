"""How a training that was treated ends: with a rate that goes down, and with the average of its latest weights.

Both make up for steps that a cure came too late for: what is left of a training then leads to where a longer one would.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainwell.doctor.aftercare import mean_loss
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.rates import COOLING
from trainwell.doctor.remedy import Chart
from trainwell.doctor.schedule import leaps_of
from trainwell.doctor.series import Record
from trainwell.doctor.snapshot import Snapshot, tensors_of

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

LATE = 8  # how much an average leans to its latest weights: Shamir and Zhang 2013, arXiv:1212.1824
LEAST = 30  # steps that an average is taken over at least
PEAK = 3.0  # times the usual rate, from which on it leaps
FLAT = 0.7  # of the highest of the latest rates, which all of them keep to where no schedule lowers them
LOWEST = 1e-3  # of the rate, that is left at the last step
JUDGED = 16  # batches that an average is judged on


def level_rate(chart: Chart, finding: Finding) -> str | None:
    """From now on no step at a rate that leaps, where the loop's has done so for a step or a few."""
    if chart.level or not chart.peaks or chart.own_loop:
        return None
    chart.level = True
    return f"steps at more than {PEAK:g} times the usual rate taken at the usual one, as the schedule lets it leap"


def peaks(record: Record) -> bool:
    """Whether the rate was several times what it was before for a step or a few, and came back."""
    return bool(leaps_of(record.get("rate").array, PEAK))


class Finish:
    """Lowers the rate over a plan's last fifth where its loop does not, for each step alone, so that the loop reads its
    own rate again; and averages the weights of the steps since the latest treatment.

    Only in loops of one's own, with one player; it does nothing until `begin`.
    """

    def __init__(self) -> None:
        self.steps = -1  # taken since the latest treatment; -1 before any
        self.mean: dict[str, Tensor] = {}
        self.flat: bool | None = None  # whether the loop's own rate stays up to the end, once that is asked
        self.latest: deque[float] = deque(maxlen=10)  # rates that the loop has set
        self.rates: list[tuple[dict[str, Any], float]] = []  # of the groups, before they were lowered for this step

    def begin(self) -> None:
        """A treatment was made: weights from before it are no part of the average."""
        self.steps, self.mean, self.flat = 0, {}, None

    def stop(self) -> None:
        """The treatment was undone."""
        self.steps, self.mean = -1, {}

    def lower(self, patient: Patient, record: Record, step: int, level: bool = False) -> None:
        """The rate of the step that is about to be taken, with none that lasts beyond it; step: those done so far.

        level: whether a rate that leaps for a few steps is held at what it was.
        """
        if self.steps < 0 or self.rates or len(patient.players) > 1:
            return
        share = self._left(record, step)
        if level:
            usual = statistics.median(self.latest) if len(self.latest) == self.latest.maxlen else 0.0
            self.latest.append(patient.rate)
            share = min(share, usual / patient.rate) if patient.rate > PEAK * usual > 0 else share
        groups = [group for each in patient.optimizers.values() for group in each.param_groups]
        self.rates = [(group, group["lr"]) for group in groups] if share < 1 else []
        for group, rate in self.rates:
            group["lr"] = rate * share

    def _left(self, record: Record, step: int) -> float:
        """The share of its rate that the step of a plan's last fifth is to have; 1 before it."""
        planned = int(record.facts.get("steps") or 0)
        left = (planned - step) / (COOLING * planned) if planned else 1.0
        if not 0 <= left < 1:
            return 1.0
        if self.flat is None:
            rates = record.get("rate").last(max(10, int(COOLING * planned)))
            self.flat = len(rates) >= 10 and bool(rates.min() >= FLAT * rates.max() > 0)
        return max(left, LOWEST) if self.flat else 1.0

    @torch.no_grad()
    def stepped(self, patient: Patient) -> None:
        """The rates put back, and the weights of now into the average."""
        for group, rate in self.rates:
            group["lr"] = rate
        self.rates = []
        if self.steps < 0 or len(patient.optimizers) > 1:
            return
        self.steps += 1
        now = {name: each for name, each in tensors_of(patient.bare).items() if each.is_floating_point()}
        if self.mean.keys() != now.keys() or any(each.shape != now[name].shape for name, each in self.mean.items()):
            self.steps, self.mean = 1, {name: each.detach().clone() for name, each in now.items()}
            return
        share = (LATE + 1) / (self.steps + LATE)
        torch._foreach_lerp_(list(self.mean.values()), [now[name] for name in self.mean], share)

    @torch.no_grad()
    def end(self, doctor: "Ward") -> None:
        """The average in place of the latest weights, where it does better on held-out batches, or on the latest ones
        where none are told."""
        patient, held = doctor.patient, doctor.held
        batches: Sequence[Any] = held.batches if held is not None and held.batches else doctor.batches[-JUDGED:]
        if patient is None or patient.loss_of is None or self.steps < LEAST or not batches or not self.mean:
            return
        kept = Snapshot.of(patient, doctor.step)
        before = mean_loss(patient, batches)
        for name, each in tensors_of(patient.bare).items():
            if name in self.mean:
                each.copy_(self.mean[name])
        after = mean_loss(patient, batches)
        if not (after < before or not math.isfinite(before)) or not math.isfinite(after):
            kept.into(patient.bare, patient.optimizers)
            return
        change = f"the average of the latest weights in place of the last ones (loss {before:.3g} to {after:.3g})"
        reason = "Weights go on moving about where the rate stays up."
        finding = doctor.history[-1]["finding"] if doctor.history else ""
        doctor.history.append({"step": doctor.step, "change": change, "reason": reason, "finding": finding})
        doctor.tell(f"doctor, step {doctor.step}: {change}.")
