"""Each step's loss, norm, rate and time to the record: lists that grow at each step and are handed over at a look."""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.doctor.losses import scalar
from trainwell.doctor.series import Record


class Pulse:
    """What every step leaves behind, noted at the least cost, as it is paid at each of them.

    Numbers on a device stay there until they are handed over, in one transfer.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[Tensor | float] = []
        self.rates: list[float] = []
        self.waits: list[float] = []  # seconds that the loop waited for its batch
        self.times: list[float] = []  # seconds from the end of the step before, the doctor's own left out
        self.norm_steps: list[int] = []
        self.norms: list[float] = []
        self.waited = 0.0
        self.began = self.since = time.perf_counter()
        self.ended, self.queued = 0.0, queued()

    def arrived(self) -> None:
        """A batch has come to the model."""
        if self.ended:
            self.waited, self.ended = time.perf_counter() - self.ended, 0.0

    def between(self) -> None:
        """The loop does something else before its next batch, such as an evaluation: nothing waits for that."""
        self.waited = self.ended = 0.0

    def norm(self, step: int, value: float) -> None:
        """The norm of all gradients that the step after this one is taken with."""
        self.norm_steps.append(step)
        self.norms.append(value)

    def beat(self, step: int, loss: Any, rate: float) -> None:
        """A step is done; the time until `stamp` is the doctor's own."""
        self.times.append(time.perf_counter() - self.began)
        self.waits.append(self.waited)
        self.steps.append(step)
        self.rates.append(rate)
        self.losses.append(scalar(loss))

    def stamp(self) -> None:
        """The next step begins here."""
        self.began = self.ended = time.perf_counter()

    def hand_over(self, record: Record, sign: float = 1.0) -> None:
        """The numbers of all steps since the last time into the record; sign: of what is to be made smaller, in what
        the loop calls its loss.

        A busy machine lets a thread stand in line, which is nobody's fault: its share of the whole time is taken off.
        """
        now, line = time.perf_counter(), queued()
        share = min(1.0, max(0.0, (line - self.queued) / (now - self.since))) if now > self.since else 0.0
        self.since, self.queued = now, line
        record.extend("loss", self.steps, [sign * each for each in numbers(self.losses)])
        record.extend("gradient norm", self.norm_steps, self.norms)
        record.extend("rate", self.steps, self.rates)
        record.extend("waiting", self.steps, [each * (1 - share) for each in self.waits])
        record.extend("seconds", self.steps, [each * (1 - share) for each in self.times])
        record.facts["highest rate"] = max(record.facts.get("highest rate", 0.0), *self.rates, 0.0)
        self.clear()

    def clear(self) -> None:
        """Forget the steps that were not handed over."""
        for each in (self.steps, self.losses, self.rates, self.waits, self.times, self.norm_steps, self.norms):
            each.clear()


def together(gradients: list[Tensor], plain: bool) -> Tensor | float:
    """The norm of all gradients; plain: they are numbers of full precision in the processor's own memory."""
    if not plain:
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return math.hypot(*[each.item() for each in torch._foreach_norm(gradients)])


@torch.no_grad()
def numbers(values: Sequence[Tensor | float]) -> list[float]:
    """Numbers of which some are on a device, fetched from it at once."""
    tensors = [
        each if each.dtype == torch.float32 and not each.dim() else each.float().reshape(())
        for each in values
        if isinstance(each, Tensor)
    ]
    if not tensors:
        return [float(each) for each in values]
    fetched = iter(torch.stack(tensors).tolist())
    return [next(fetched) if isinstance(each, Tensor) else float(each) for each in values]


def queued() -> float:
    """Seconds that this thread has stood in line for a processor so far; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/thread-self/schedstat", "rb") as file:
        return int(file.read().split()[1]) * 1e-9
    return 0.0
