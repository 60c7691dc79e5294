"""Numbers as probes read them, step by step, to robust summaries: what the rules judge and an old run keeps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Series:
    """One quantity over the steps at which it was read."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    made: np.ndarray | None = field(default=None, repr=False, compare=False)  # of the values, which only ever grow

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def array(self) -> np.ndarray:
        """All values, not to be written to: many rules ask for the same."""
        if self.made is None or len(self.made) != len(self.values):
            self.made = np.asarray(self.values, dtype=np.float64)
            self.made.setflags(write=False)
        return self.made

    def last(self, count: int) -> np.ndarray:
        """The newest values, at most so many."""
        return np.asarray(self.values[-count:], dtype=np.float64)


@dataclass
class Record:
    """All that was measured of one training: facts known once, and series by quantity and place.

    Places are parameters ("head.weight"), activations ("hidden.1 relu"), players, metrics, or "" for the whole.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # of the series, until one grows

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made of the series and nothing else, which many rules ask for: made anew when one has grown."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def add(self, step: int, quantity: str, place: str, value: float) -> None:
        self._of(quantity, place).add(step, value)

    def extend(self, quantity: str, steps: list[int], values: list[float]) -> None:
        """Add so many values of the whole training at once."""
        if steps:
            series = self._of(quantity, "")
            series.steps += steps
            series.values += values

    def _of(self, quantity: str, place: str) -> Series:
        """The series, which is about to grow."""
        if self.made:
            self.made = {}
        places = self.series.get(quantity)
        if places is None:
            places = self.series[quantity] = {}
        series = places.get(place)
        if series is None:
            series = places[place] = Series()
        return series

    def get(self, quantity: str, place: str = "") -> Series:
        """The series, empty if nothing of it was read."""
        series = self.series.get(quantity, {}).get(place)
        return Series() if series is None else series

    def places(self, quantity: str) -> list[str]:
        return list(self.series.get(quantity, {}))

    def recent(self, quantity: str, count: int) -> dict[str, np.ndarray]:
        """The newest values of a quantity at each place that has at least so many."""
        return {
            place: series.last(count) for place, series in self.series.get(quantity, {}).items() if len(series) >= count
        }

    @property
    def step(self) -> int:
        """The last step at which a loss was read."""
        steps = self.get("loss").steps
        return steps[-1] if steps else 0

    def to_dict(self) -> dict[str, Any]:
        """The plain form, for the run folder; values that are not finite become None."""
        return {
            "facts": self.facts,
            "series": {
                quantity: {
                    place: {"steps": series.steps, "values": [_plain(value) for value in series.values]}
                    for place, series in places.items()
                }
                for quantity, places in self.series.items()
            },
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Record":
        record = cls(dict(saved.get("facts", {})))
        for quantity, places in saved.get("series", {}).items():
            for place, each in places.items():
                values = [float("nan") if value is None else float(value) for value in each["values"]]
                record.series.setdefault(quantity, {})[place] = Series(list(each["steps"]), values)
        return record


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def finite(values: np.ndarray) -> np.ndarray:
    """The finite ones of the values."""
    return values[np.isfinite(values)]


def median(values: np.ndarray | list[float]) -> float:
    """The middle of the values, as numpy's, which takes several times as long for so few; none of none."""
    count = len(values)
    if not count:
        return float("nan")
    half = count // 2
    ordered = np.partition(values, (half - 1, half, -1))
    if ordered[-1] != ordered[-1]:  # one that is no number is put last
        return float("nan")
    return float(ordered[half] if count % 2 else (ordered[half - 1] + ordered[half]) / 2)


def spread(values: np.ndarray) -> tuple[float, float]:
    """Median and a standard deviation by the median absolute deviation (times 1.4826), never quite zero."""
    middle = median(values)
    return middle, 1.4826 * median(np.abs(values - middle)) + 1e-12


def middles(rows: np.ndarray) -> np.ndarray:
    """The middle of each row, as numpy's, which takes twice as long for rows so short; (rows,)."""
    ordered = np.sort(rows, axis=1)
    count = ordered.shape[1]
    found = (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2
    found[ordered[:, -1] != ordered[:, -1]] = np.nan  # one that is no number is put last
    return found


def quantile(values: np.ndarray, share: float) -> float:
    """The value below which so large a share of the values lies, on the line between two, as numpy's, which takes
    several times as long for so few; none of none."""
    if not len(values):
        return float("nan")
    ordered = np.sort(values)
    place = share * (len(values) - 1)
    low = int(place)
    part, one, other = place - low, float(ordered[low]), float(ordered[min(low + 1, len(values) - 1)])
    if ordered[-1] != ordered[-1]:
        return float("nan")
    return one + (other - one) * part if part < 0.5 else other - (other - one) * (1 - part)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of as many values of two kinds; 0 where one of them never changes."""
    one, other = one - one.mean(), other - other.mean()
    size = float((one @ one) * (other @ other)) ** 0.5
    return float(one @ other) / size if size > 0 else 0.0


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Running medians of a trailing window; as long as the values."""
    window = max(1, min(window, len(values)))
    padded = np.concatenate([np.full(window - 1, values[0]), values]) if len(values) else values
    return middles(np.lib.stride_tricks.sliding_window_view(padded, window)) if len(values) else values


def slope(values: np.ndarray) -> tuple[float, float]:
    """Least-squares slope a position, and its standard error; of fewer than three values, zero and infinity."""
    if len(values) < 3:
        return 0.0, float("inf")
    at = np.arange(len(values)) - (len(values) - 1) / 2
    gradient = float((at * (values - values.mean())).sum() / (at**2).sum())
    left = values - values.mean() - gradient * at
    return gradient, float(np.sqrt((left**2).sum() / max(1, len(values) - 2) / (at**2).sum()))


def picked(series: Series, count: int = 60) -> list[list[float]]:
    """At most so many [step, value] pairs of a series, evenly taken, for a small plot."""
    if not len(series):
        return []
    places = np.unique(np.linspace(0, len(series) - 1, min(count, len(series))).astype(int))
    return [[series.steps[place], _plain(series.values[place]) or 0.0] for place in places]
