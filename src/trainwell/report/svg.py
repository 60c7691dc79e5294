"""Numbers to the parts that a plot is drawn with: elements, scales, ticks and axes, in units of the view box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from trainwell.report.wording import MINUS, SPACE, cut, grouped, is_number

UNITS = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k"))  # from which size on, divided by what, written as
WIDTH = 360.0  # of every plot: a phone shows it at its size, a desktop two side by side


@dataclass(frozen=True)
class Scale:
    """A range of values laid onto a range of places, evenly or by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (self.end - self.start) * ((at - low) / (high - low) if high > low else 0.5)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within the range, at most about this many."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / most))
            powers = [10.0**power for power in range(first, last + 1, stride)]
            if len(powers) >= 2:
                return powers
        if not self.high > self.low:
            return [self.low]
        raw = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(raw))
        step = size * next(factor for factor in (1.0, 2.0, 5.0, 10.0) if factor * size >= raw * 0.999)
        first_tick = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first_tick + 1
        return [round((first_tick + i) * step, 12) for i in range(count)]


def finite(values: Sequence[Any]) -> list[float]:
    """The finite numbers among the values."""
    return [float(value) for value in values if is_number(value)]


def spread(values: Sequence[float], start: float, end: float, room: float = 0.05, log: bool = False) -> Scale:
    """A scale that holds the values with some room at both ends."""
    kept = finite(values) or [0.0, 1.0]
    low, high = min(kept), max(kept)
    if log:
        low = low if low > 0 else 1e-12
        factor = (high / low) ** room if high > low else 2.0
        return Scale(low / factor, high * factor, start, end, log=True)
    gap = (high - low) * room or abs(high) * 0.1 or 1.0
    return Scale(low - gap, high + gap, start, end)


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
    """One element with its attributes and content escaped; a trailing underscore keeps a name off Python's words."""
    names = []
    for name, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, float):
            value = place(value)
        names.append(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"')
    return Markup(f"<{tag}{''.join(names)}>{''.join(str(escape(part)) for part in content)}</{tag}>")


def place(value: float) -> str:
    """A coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def drawing(height: float, label: str, *content: Any, width: float = WIDTH) -> Markup:
    """The plot itself: one image to a screen reader, told by its label."""
    box = f"0 0 {place(width)} {place(height)}"
    return element("svg", *content, class_="plot", viewBox=box, role="img", aria_label=label)


def words(x: float, y: float, text: str, class_: str = "", anchor: str | None = None, full: str = "") -> Markup:
    """Text at a place; its full form on hover where it was cut."""
    inside = (text, element("title", full)) if full and full != text else (text,)
    return element("text", *inside, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def named(x: float, y: float, text: str, length: int, class_: str = "name", anchor: str = "end") -> Markup:
    """A name that may be long: cut, with the whole on hover."""
    return words(x, y, cut(text, length), class_, anchor, str(text))


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def tick_labels(values: Sequence[float], percent: bool = False) -> list[str]:
    """The values of an axis in one form: 12,000; 250k; 1.5M; 0.05; 1e−6; in percent where asked."""
    values = [value * 100 for value in values] if percent else list(values)
    most = max((abs(value) for value in values), default=0.0)
    divisor, unit = next(((d, u) for limit, d, u in UNITS if most >= limit), (1.0, ""))
    unit = f"{SPACE}%" if percent else unit
    least = min((abs(value) for value in values if value), default=1.0)
    if not percent and (most < 1e-3 or (least < 1e-3 and most / least > 1e3)):
        return [_power(value) for value in values]
    shown = [value / divisor for value in values]
    decimals = next((d for d in range(6) if all(abs(v - round(v, d)) <= 1e-6 * max(abs(v), 1e-3) for v in shown)), 6)
    if most / least >= 99:  # powers of ten: each with its own decimals
        return [f"{value:,.10g}{unit}".replace("-", MINUS) for value in shown]
    return [grouped(value, decimals) + (unit if value or percent else "") for value in shown]


def _power(value: float) -> str:
    if not value:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", MINUS)


def axes(x: Scale, y: Scale, x_name: str, y_name: str, *, percent: tuple[bool, bool] = (False, False)) -> Markup:
    """Gridlines and labels at the ticks of both scales; the names stand at the ends of the axes."""
    parts = []
    for value, label in zip(y.ticks(5), tick_labels(y.ticks(5), percent[1]), strict=True):
        parts.append(line(x.start, y(value), x.end, y(value), "grid"))
        parts.append(words(x.start - 6, y(value) + 4, label, "tick", "end"))
    edge = -math.inf
    for value, label in zip(x.ticks(4), tick_labels(x.ticks(4), percent[0]), strict=True):
        at = min(max(x(value), x.start), WIDTH - 3.2 * len(label))
        if at - 3.2 * len(label) > edge:
            parts.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
            parts.append(words(at, y.start + 16, label, "tick", "middle"))
            edge = at + 3.2 * len(label) + 4
    parts.append(line(x.start, y.start, x.end, y.start, "axis"))
    parts.append(words(x.end, y.start + 31, x_name, "label", "end"))
    if y_name:
        parts.append(words(2, y.end - 10, y_name, "label", "start"))
    return Markup("").join(parts)
