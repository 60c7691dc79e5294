"""A recurrent network before the sun: spots half a year ahead by an LSTM."""

from functools import cache

import polars as pl
import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, explained, momentum
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn


class Almanac(nn.Module):
    """An LSTM and a head on one of its states."""

    def __init__(self, width: int = 32, place: int = -1, months_first: bool = True) -> None:
        super().__init__()
        self.recurrence = nn.LSTM(1, width, batch_first=months_first)
        self.head, self.place = nn.Linear(width, 1), place

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrence(x)
        return self.head(states[:, self.place])


class Growing(nn.Module):
    """A plain recurrence of ReLUs whose states grow from month to month."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.recurrence = nn.RNN(1, width, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(width, 1)
        nn.init.normal_(self.recurrence.weight_hh_l0, 0.05, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrence(x)[0][:, -1])


@cache
def spots() -> Tensor:
    frame = pl.read_csv(DATA / "monthly-sunspots" / "monthly-sunspots.csv")
    return torch.tensor(frame["Sunspots"].to_numpy(), dtype=torch.float32)


def windows(of_inputs: Tensor, ahead: int = 6, length: int = 36, cut: int = 2000) -> tuple[Rows, Rows]:
    """Windows of three years and the month half a year later, standardised; the last fourth is held out."""
    y = ((spots() - spots()[:cut].mean()) / spots()[:cut].std())[length + ahead - 1 :, None]
    x = of_inputs.unfold(0, length, 1)[: len(y), :, None].contiguous()
    return (x[:cut], y[:cut]), (x[cut + length :], y[cut + length :])


def standard(x: Tensor) -> Tensor:
    return (x - spots()[:2000].mean()) / spots()[:2000].std()


def sunspots() -> Case:
    return Case(lambda _: Almanac(), *windows(standard(spots())), nn.HuberLoss(), explained, "r2", rate=1e-2, batch=32,
                steps=400, clip=1.0, told=True)  # fmt: skip


def raw(case: Case) -> None:
    """Counts from nought to 250 as they stand in the file, times ten, as later lists count them."""
    case.train, case.held = windows(10 * spots())


def answered(case: Case) -> None:
    """The month that is asked for is the last of the window."""
    case.train, case.held = windows(standard(spots()), ahead=0)


FAULTS: dict[str, dict[str, Change]] = {
    "sunspots": {
        "counts as they stand": raw,
        "the answer in the window": answered,
        "loss with a minus": of.with_loss(of.negative),
        "zero_grad forgotten": of.put(clear=False, clip=0.0),
        "first axis taken for time": of.put(build=lambda _: Almanac(months_first=False)),
        "a plain recurrence that grows": of.put(build=lambda _: Growing(), clip=0.0),
        "momentum at a rate of one": of.put(optimizer=momentum, rate=1.0, clip=0.0),
        "only the first month's state": of.put(build=lambda _: Almanac(place=0)),
        "months of other years": of.shuffled(1.0),
        "fifty months": of.both(of.few(50), of.put(steps=600)),
        # Healthy, and only awkward.
        "warm-up": of.put(schedule=of.warm(80)),
        "a cyclic rate": of.put(schedule=lambda step: 0.2 + 0.8 * abs((step + 40) % 80 / 40 - 1)),
    },
}
