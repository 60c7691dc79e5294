"""What a suspicion is tried on: a training as it is now, and the way back to how it began."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.doctor.patient import Patient
from trainwell.doctor.twin import Change, scaled_rate

TO_PROVE, TO_CURE = 210, 360  # steps of copies that may be spent however short the training is


@dataclass
class Suspect:
    """What a suspicion is tried on: the patient, its recent batches, and how to put a copy back to its first
    weights."""

    patient: Patient
    batches: Sequence[Any]
    start: Change
    step: int
    planned: int
    gone: float = 1.0  # how much of the way to a loss of zero the training itself has gone
    now: float = math.inf  # the median of its latest losses
    guess: float = math.inf  # the loss of the best constant answer
    ahead: float = 1.0  # times the present rate that a schedule which still raises it aims at
    seen: Sequence[Any] = ()  # more of its batches, where they are kept, the recent ones among them
    heard: bool = False  # whether its batches are tapes, which know nothing of layers or rows that a change makes

    @property
    def most(self) -> Sequence[Any]:
        """As many batches as are at hand."""
        return max(self.batches, self.seen, key=len)

    @property
    def length(self) -> int:
        """Steps of a twin: a seventh of a short training's, at least 30, at most 50."""
        return min(50, max(30, self.planned // 7)) if self.planned else 50


def slower(suspect: Suspect, factor: float) -> Change:
    """The first weights, and the rate times the factor."""

    def change(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        scaled_rate(factor)(model, optimizers)

    return change
