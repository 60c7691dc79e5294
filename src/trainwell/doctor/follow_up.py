"""A network that a cure has mended to the steps it needs, where those it was given while it was ill get nowhere."""

import math
from dataclasses import dataclass
from functools import partial

from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import Proof
from trainwell.doctor.remedy import forget
from trainwell.doctor.suspect import TO_CURE, Suspect
from trainwell.doctor.twin import Change, scaled_rate
from trainwell.doctor.usual_steps import RATE, by_adam, in_place_of, take_over

AFTER, STEPS = 30, 40  # steps since a cure at which it is asked, and those of a copy
CRAWLS = 0.2  # of the way from guessing to a loss of zero, gone by then, below which it is asked at all
RUN_AWAY = 1e3  # times what guessing costs, beyond which a network needs another mend first
TWICE, MUCH = 2.0, 0.05  # times what a copy gains at its own steps, and of the loss, that another must gain


@dataclass(frozen=True)
class Steps:
    """Other steps than an optimizer's own: those of Adam at a rate, or its own at so many times its rate."""

    adam: float = 0.0
    times: float = 1.0

    def change(self) -> Change:
        return partial(by_adam, rate=self.adam) if self.adam else scaled_rate(self.times)

    def take(self, patient: Patient) -> str:
        """Take them from now on; in words."""
        (optimizer,) = patient.optimizers.values()
        if self.adam:
            take_over(optimizer, self.adam)
            forget(patient)
            return in_place_of(optimizer, self.adam)
        scaled_rate(self.times)(patient.model, patient.optimizers)
        return f"learning rate times {self.times:g}, to {patient.rate:.3g}"


ADAM, FASTER = (Steps(adam=RATE), Steps(adam=3 * RATE)), (Steps(times=10), Steps(times=3))


def quicken(suspect: Suspect, proof: Proof) -> str | None:
    """Adam's steps in place of plain descent's, or a higher rate, taken where a copy learns twice as fast by them on
    batches that it was not trained on; in words, or None where it does by none or a schedule still raises the rate."""
    patient, batches = suspect.patient, suspect.most
    if suspect.gone > 2 * CRAWLS or suspect.ahead > 1 or len(patient.optimizers) != 1:
        return None
    kinds = (FASTER,) if _adaptive(patient) else (ADAM, FASTER)
    if not proof.may_spend((1 + 2 * len(kinds)) * STEPS, suspect.step, suspect.planned, TO_CURE):
        return None

    def reached(change: Change | None, steps: int = STEPS) -> float:
        (twin,) = proof.compare(patient, batches, {"": change}, steps, judge=True).values()
        return twin.apart if math.isfinite(twin.apart) else math.inf

    now = reached(None, 0)
    if now < (1 - CRAWLS) * suspect.guess if math.isfinite(suspect.guess) else suspect.gone > CRAWLS:
        return None
    if now > RUN_AWAY * suspect.guess:
        return None
    needed = now - max(TWICE * (now - reached(None)), MUCH * abs(now))
    for usual, other in kinds:
        ends = {usual: reached(usual.change())}
        if ends[usual] < needed:
            ends[other] = reached(other.change())
            return min(ends, key=lambda each: ends[each]).take(patient)
    return None


def _adaptive(patient: Patient) -> bool:
    """Whether the optimizer scales each weight's step by itself already, as Adam does and plain descent does not."""
    (optimizer,) = patient.optimizers.values()
    return "momentum" not in optimizer.defaults or "alpha" in optimizer.defaults
