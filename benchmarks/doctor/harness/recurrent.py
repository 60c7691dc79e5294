"""Two recurrent networks: an LSTM that reads numerals row by row, and a GRU before a transformer's load."""

import polars as pl
import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy, explained, momentum, plain
from benchmarks.doctor.harness.pictures import rows_of
from benchmarks.doctor.loops.reading import DATA
from torch import Tensor, nn
from torch.nn import functional as F


class Reader(nn.Module):
    """A recurrence and a head on its last state."""

    def __init__(self, inputs: int, outputs: int, width: int = 64, cell: type[nn.Module] = nn.LSTM,
                 steps_first: bool = False, first_state: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.recurrence = cell(inputs, width, batch_first=not steps_first)
        self.head = nn.Linear(width, outputs)
        self.first_state = first_state

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrence(x)
        return self.head(states[:, 0 if self.first_state else -1])


class Forgetful(Reader):
    """The state is detached before the last row."""

    def __init__(self, *sizes: int, last: int = 1) -> None:
        super().__init__(*sizes)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.recurrence(x[:, : -self.last])
        states, _ = self.recurrence(x[:, -self.last :], tuple(torch.zeros_like(each) for each in state))
        return self.head(states[:, -1])


def rows() -> Case:
    parts = [(x[:, 0], y) for x, y in (rows_of("mnist", "train", 8000), rows_of("mnist", "test", 1000))]
    return Case(lambda _: Reader(28, 10), *parts, nn.CrossEntropyLoss(), accuracy, rate=5e-3, steps=300,
                clip=1.0)  # fmt: skip


def series() -> Tensor:
    frame = pl.read_csv(DATA / "ett" / "ETTh1.csv", n_rows=9000)
    return torch.tensor(frame.drop("date").to_numpy(), dtype=torch.float32)


def windows(values: Tensor, targets: Tensor, length: int = 36, ahead: int = 3) -> tuple[Rows, Rows]:
    """Windows of hours and the first series some hours after them, the last fifth held out."""
    x = values.unfold(0, length, 1).permute(0, 2, 1)[:-ahead]
    y = targets[length + ahead - 1 :]
    cut = int(0.8 * len(x))
    return (x[:cut].contiguous(), y[:cut]), (x[cut + length :].contiguous(), y[cut + length :])


def hours(scaled: bool = True, inside: bool = False) -> tuple[Rows, Rows]:
    """Windows of the seven series; inside: the answer's own hour is the last of the window."""
    values = series()
    standard = (values - values[:7000].mean(0)) / values[:7000].std(0)
    return windows(standard if scaled else values, standard[:, :1], ahead=0 if inside else 3)


def load() -> Case:
    parts, held = hours()
    return Case(lambda _: Reader(7, 1, 32, nn.GRU), parts, held, nn.MSELoss(), explained, "r2", rate=5e-3, steps=300,
                clip=1.0, told=True)  # fmt: skip


def inside(case: Case) -> None:
    """The hour that is asked for is the last of the window."""
    values = series()
    standard = (values - values[:7000].mean(0)) / values[:7000].std(0)
    x = standard.unfold(0, 36, 1).permute(0, 2, 1)
    y = standard[35:, :1]
    case.train = (x[:7000].contiguous(), y[:7000])
    case.held = (x[7100:].contiguous(), y[7100:])


def raw_held(case: Case) -> None:
    case.held = hours(scaled=False)[1]


def padded(x: Tensor) -> Tensor:
    """Rows of nought behind, up to 140."""
    return F.pad(x, (0, 0, 0, 112), value=-1.48)


def mixed(x: Tensor, y: Tensor) -> Rows:
    """The rows of each picture in another order each time."""
    return x[:, torch.randperm(x.shape[1])], y


def frozen_forward(model: Reader) -> None:
    """The recurrence runs without gradients."""
    model.recurrence.register_forward_hook(lambda module, given, output: (output[0].detach(), output[1]))


def grown(model: Reader, gain: float) -> None:
    with torch.no_grad():
        model.recurrence.weight_hh_l0.copy_(gain * torch.eye(len(model.recurrence.weight_hh_l0)))


class Ramp(nn.RNN):
    """A plain recurrence with a ReLU."""

    def __init__(self, inputs: int, width: int, batch_first: bool = True) -> None:
        super().__init__(inputs, width, nonlinearity="relu", batch_first=batch_first)


FAULTS: dict[str, dict[str, Change]] = {
    "rows": {
        "bytes times ten": of.inputs(lambda x: (x * 0.27 + 0.4) * 2550),
        "rows in any order": of.put(augment=mixed),
        "padded to 140 rows": of.inputs(padded),
        "first axis taken for time": of.put(build=lambda _: Reader(28, 10, steps_first=True)),
        "recurrence without gradients": of.touch(frozen_forward),
        "a plain recurrence that grows": of.both(
            of.put(build=lambda _: Reader(28, 10, cell=Ramp), clip=0.0, optimizer=plain, rate=0.01),
            of.touch(grown, 2.0)),
        "gates saturated": of.both(of.put(optimizer=plain, rate=0.1), of.touch(of.larger, 100.0, "recurrence")),
        "rate times a hundred": of.times(100),
        "rate zero": of.put(rate=0.0),
        "clipped at a millionth": of.put(optimizer=plain, clip=1e-6),
        "only the first row's state": of.put(build=lambda _: Reader(28, 10, first_state=True)),
        "state lost before the last seven rows": of.put(build=lambda _: Forgetful(28, 10, last=7)),
        "only a part of a checkpoint": of.lost(0.96),
        "scores kept with their graphs": of.then(of.keep),
        # Healthy, and only awkward.
        "a plateau at first": of.put(optimizer=plain, rate=1.0, steps=600),
        "warm-up": of.put(schedule=of.warm(60)),
    },
    "load": {
        "the answer in the window": inside,
        "held-out hours not standardised": raw_held,
        "momentum at a rate of a tenth": of.put(optimizer=momentum, rate=0.1, clip=0.0),
        "zero_grad forgotten": of.put(clear=False, clip=0.0, optimizer=momentum, rate=0.02),
        "recurrence that grows": of.both(
            of.put(build=lambda _: Reader(7, 1, 32, Ramp), clip=0.0, optimizer=plain, rate=0.01), of.touch(grown, 1.6)),
        "only the first hour's state": of.put(build=lambda _: Reader(7, 1, 32, nn.GRU, first_state=True)),
        "steps that wait": of.then(of.cliff),
        "inputs all zero": of.inputs(torch.zeros_like),
    },
}  # fmt: skip
