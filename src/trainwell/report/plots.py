"""Numbers to the figures of the report: curves, bars, confusion, scatter, reliability and intervals, as inline SVG."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from trainwell.report.svg import (
    WIDTH,
    Scale,
    axes,
    drawing,
    element,
    finite,
    line,
    named,
    place,
    spread,
    tick_labels,
    words,
)
from trainwell.report.wording import cut, grouped, is_number, share, significant

LEFT, RIGHT, TOP = 46.0, 352.0, 40.0  # where the plotting area of a figure begins and ends
LONGEST_NAME = 27  # characters, beside a row of values


@dataclass
class Line:
    """One series of a curve plot; the style names its colour in the stylesheet."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "first"


@dataclass
class Estimate:
    """One row of an interval plot: a value, its interval where known, and how it is written."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    written: str = ""
    style: str = "first"
    strong: bool = False  # its name in bold
    aside: bool = False  # the scale need not reach it

    @property
    def ends(self) -> list[float]:
        """The finite ones of its value, low and high."""
        return finite([self.value, self.low, self.high])


def thinned(line_: Line, most: int = 120) -> Line:
    """The series with at most this many points, each the mean of the ones it stands for."""
    pairs = [(x, y) for x, y in zip(line_.x, line_.y, strict=False) if is_number(x) and is_number(y)]
    if len(pairs) <= most:
        return Line(line_.name, [x for x, _ in pairs], [y for _, y in pairs], line_.style)
    chunks = np.array_split(np.asarray(pairs, dtype=float), most)
    means = np.array([chunk.mean(axis=0) for chunk in chunks])
    return Line(line_.name, means[:, 0].tolist(), means[:, 1].tolist(), line_.style)


def curves(
    lines: Sequence[Line],
    label: str,
    *,
    names: tuple[str, str] = ("step", ""),
    percent: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    log: bool | None = None,
) -> Markup:
    """Series over steps with a legend; marks are upright lines with their words; a wide range goes by powers of ten."""
    kept = [series for series in map(thinned, lines) if series.x]
    values = [value for series in kept for value in series.y]
    if not values:
        return Markup("")
    if log is None:
        log = min(values) > 0 and max(values) / min(values) > 30
    height, bottom = 226.0, 186.0
    steps = [x for series in kept for x in series.x]
    x = Scale(min(steps), max(steps) if max(steps) > min(steps) else min(steps) + 1, LEFT, RIGHT)
    y = spread(values, bottom, TOP, log=log)
    if percent:
        y = Scale(max(y.low, 0.0), min(y.high, 1.0 + 0.02 * (y.high - y.low)), bottom, TOP)
    parts = [axes(x, y, names[0], "", percent=(False, percent)), legend(kept, names[1])]
    for at, told in marks:
        if x.low <= at <= x.high:
            side = "end" if x(at) > (LEFT + RIGHT) / 2 else "start"
            parts.append(line(x(at), bottom, x(at), TOP - 12, "chosen"))
            parts.append(words(x(at) + (-4 if side == "end" else 4), TOP - 4, told, "label", side))
    for series in kept:
        points = " ".join(f"{place(x(a))},{place(y(b))}" for a, b in zip(series.x, series.y, strict=True))
        parts.append(element("polyline", points=points, class_=f"line {series.style}"))
        if len(series.x) < 40:
            parts += [
                element("circle", cx=x(a), cy=y(b), r=2.2, class_=f"dot {series.style}")
                for a, b in zip(series.x, series.y, strict=True)
            ]
    parts.append(spots(kept, x, y, names[0], percent))
    return drawing(height, label, *parts)


def legend(lines: Sequence[Line], title: str) -> Markup:
    """What is measured, and a stroke and a name for each series, on one row above the plot."""
    parts, at = [], 2.0
    if title:
        parts.append(words(at, 12, title, "title"))
        at += 14 + 7.2 * len(title)
    for series in lines if len(lines) > 1 else ():
        parts.append(line(at, 8, at + 16, 8, f"line {series.style}"))
        parts.append(words(at + 21, 12, series.name, "label"))
        at += 34 + 6.4 * len(series.name)
    return Markup("").join(parts)


def spots(lines: Sequence[Line], x: Scale, y: Scale, x_name: str, percent: bool) -> Markup:
    """Upright stripes that tell the values under the pointer."""
    ends = sorted({value for series in lines for value in series.x})
    if len(ends) > 80:
        ends = [ends[i] for i in np.linspace(0, len(ends) - 1, 80).round().astype(int)]
    parts = []
    for i, at in enumerate(ends):
        left = x.start if i == 0 else (x(ends[i - 1]) + x(at)) / 2
        right = x.end if i == len(ends) - 1 else (x(at) + x(ends[i + 1])) / 2
        told, dots = [], []
        for series in lines:
            near = _nearest(series.x, at)
            value = series.y[near]
            told.append(f"{series.name} {share(value, 2) if percent else significant(value)}")
            dots.append(element("circle", cx=x(series.x[near]), cy=y(value), r=3.5, class_=f"dot {series.style}"))
        title = element("title", f"{x_name} {grouped(at)}: {', '.join(told)}")
        hit = element("rect", x=left, y=y.end, width=max(right - left, 0.1), height=y.start - y.end, class_="hit")
        guide = element("g", line(x(at), y.start, x(at), y.end, "guide"), *dots, class_="tip")
        parts.append(element("g", title, guide, hit, class_="spot"))
    return Markup("").join(parts)


def _nearest(values: Sequence[float], at: float) -> int:
    right = min(bisect.bisect_left(values, at), len(values) - 1)
    return right - 1 if right and at - values[right - 1] <= values[right] - at else right


def bars(
    edges: Sequence[float], counts: Sequence[float], label: str, *, names: tuple[str, str], noun: str = "row"
) -> Markup:
    """A histogram over edges: one bar a bin, a line where zero lies."""
    if not counts or len(edges) != len(counts) + 1:
        return Markup("")
    height, bottom = 230.0, 190.0
    x = Scale(min(edges), max(edges), LEFT, RIGHT)
    y = Scale(0, max([*finite(counts), 1]) * 1.05, bottom, 22.0)
    parts = [words(2, 12, names[1], "title"), axes(x, y, names[0], "")]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        title = element("title", f"{significant(low)} to {significant(high)}: {grouped(count)} {noun}s")
        wide = max(x(high) - x(low) - 1, 0.6)
        parts.append(element("rect", title, x=x(low), y=y(count), width=wide, height=bottom - y(count), class_="bar"))
    if x.low < 0 < x.high:
        parts.append(line(x(0), bottom, x(0), 22.0, "chosen"))
    return drawing(height, label, *parts)


def confusion(
    labels: Sequence[str], counts: np.ndarray, label: str, *, totals: np.ndarray, noun: str = "row"
) -> Markup:
    """Truth by row, prediction by column; colour is the share of the class's total, right and wrong in two colours."""
    size = len(labels)
    most = 13 if size <= 10 else 10  # letters of a name
    length = min(max((len(str(name)) for name in labels), default=1), most)
    left = 28.0 + 6.8 * length
    cell = min((WIDTH - left - 4) / max(size, 1), 80.0 if size <= 4 else 44.0)
    upright = 6.6 * length > cell  # names over the columns that are too wide are turned
    top = 24.0 + (6.6 * length + 6 if upright else 14.0)
    parts = [words(left, 12, "predicted as →", "label"), _turned(11, top + cell * size / 2, "← truth", 13, "middle")]
    for i, name in enumerate(labels):
        middle = cell * (i + 0.5)
        parts.append(named(left - 6, top + middle + 4, str(name), most))
        if upright:
            parts.append(_turned(left + middle + 4, top - 6, str(name), most))
        else:
            parts.append(named(left + middle, top - 6, str(name), most, anchor="middle"))
    for i, j in np.ndindex(size, size):
        count, total = int(counts[i, j]), int(totals[i])
        part = count / total if total else 0.0
        kind = "right" if i == j else "wrong"
        told = f"truth {labels[i]}, predicted {labels[j]}: {grouped(count)} of {grouped(total)} {noun}s"
        strength = f"{max(part, 0.12 if i == j else 0.22):.2f}" if count else None
        title = element("title", told) if count else ""
        at = {"x": left + cell * j + 0.5, "y": top + cell * i + 0.5, "width": cell - 1, "height": cell - 1}
        box = element("rect", title, class_=f"cell {kind}" if count else "cell", fill_opacity=strength, **at)
        parts.append(box)
        if count and 5.6 * len(grouped(count)) <= cell - 2:
            parts.append(words(left + cell * (j + 0.5), top + cell * (i + 0.5) + 4, grouped(count), "count", "middle"))
    return drawing(top + cell * size + 6, label, *parts)


def _turned(x: float, y: float, text: str, most: int, anchor: str = "start") -> Markup:
    """Text that reads upwards; its whole on hover."""
    turn = f"rotate(-90 {place(x)} {place(y)})"
    title = element("title", text)
    return element("text", cut(text, most), title, x=x, y=y, class_="name", text_anchor=anchor, transform=turn)


def scatter(truth: Sequence[float], prediction: Sequence[float], label: str, *, name: str = "") -> Markup:
    """Prediction over truth with the line on which both are equal; where points lie close the colour is stronger."""
    pairs = [(a, b) for a, b in zip(truth, prediction, strict=False) if is_number(a) and is_number(b)][:1000]
    if not pairs:
        return Markup("")
    height, bottom, top = 300.0, 260.0, 22.0
    both = [value for pair in pairs for value in pair]
    x = spread(both, LEFT, RIGHT, room=0.03)
    y = Scale(x.low, x.high, bottom, top)
    parts = [words(2, 12, f"predicted {name}".strip(), "title"), axes(x, y, f"true {name}".strip(), "")]
    parts.append(line(x(x.low), y(x.low), x(x.high), y(x.high), "chosen"))
    strength = f"{min(0.75, max(0.25, 16 / len(pairs) ** 0.6)):.2f}"
    dots = [
        element(
            "circle",
            element("title", f"true {significant(a)}, predicted {significant(b)}"),
            cx=x(a),
            cy=y(b),
            r=2.6,
        )
        for a, b in pairs
    ]
    parts.append(element("g", *dots, class_="cloud", fill_opacity=strength))
    return drawing(height, label, *parts)


def reliability(confidence: Sequence[Any], accuracy: Sequence[Any], rows: Sequence[Any], label: str) -> Markup:
    """How often it is right against how sure it says to be; larger dots are more rows, upright lines 95 % intervals."""
    bins = [
        (float(said), float(right), int(count))
        for said, right, count in zip(confidence, accuracy, rows, strict=False)
        if is_number(said) and is_number(right) and is_number(count) and count > 0
    ]
    if not bins:
        return Markup("")
    height, bottom, top = 300.0, 260.0, 22.0
    low = min(0.9, *(min(said, right) for said, right, _ in bins))
    low = max(0.0, np.floor((low - 0.02) * 10) / 10)
    x, y = Scale(low, 1.0, LEFT, RIGHT - 6), Scale(low, 1.0, bottom, top + 8)
    parts = [
        words(2, 12, "how often it is right", "title"),
        axes(x, y, "how sure it says to be", "", percent=(True, True)),
    ]
    parts.append(line(x(low), y(low), x(1), y(1), "chosen"))
    most = max(count for _, _, count in bins)
    for said, right, count in bins:
        told = f"says {share(said)}, is right {share(right)} of {grouped(count)} rows"
        ends = [y(min(max(end, low), 1.0)) for end in _score_interval(right, count)]
        parts.append(line(x(said), ends[0], x(said), ends[1], "whisker first thin"))
        radius = 3 + 7 * (count / most) ** 0.5
        parts.append(
            element("circle", element("title", told), cx=x(said), cy=y(right), r=radius, class_="dot first soft")
        )
    return drawing(height, label, *parts)


def _score_interval(part: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a share. Wilson 1927."""
    middle = (part + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * (part * (1 - part) / rows + z * z / (4 * rows * rows)) ** 0.5
    return middle - half, middle + half


def intervals(
    rows: Sequence[Estimate], label: str, *, title: str = "", percent: bool = False, zero: bool = False
) -> Markup:
    """One row a value with its interval, names at the left, numbers at the right."""
    rows = [row for row in rows if is_number(row.value)]
    if not rows:
        return Markup("")
    letters = min(max(len(row.name) for row in rows), LONGEST_NAME)
    numbers = max(len(row.written) for row in rows)
    left, right = 8 + 6.7 * letters, WIDTH - 8 - 6.6 * numbers
    top, pitch = 24.0 if title else 8.0, 22.0
    bottom = top + pitch * len(rows)
    ends = [end for row in rows if not row.aside for end in row.ends]
    x = spread([*ends, 0.0] if zero else ends, left + 4, right - 4)
    parts = [words(left, 12, title, "title")] if title else []
    edge = -1e9
    for value, text in zip(x.ticks(4), tick_labels(x.ticks(4), percent), strict=True):
        parts.append(line(x(value), top, x(value), bottom, "chosen" if zero and value == 0 else "grid"))
        if x(value) - 3.4 * len(text) > edge:
            parts.append(words(x(value), bottom + 14, text, "tick", "middle"))
            edge = x(value) + 3.4 * len(text) + 8
    for i, row in enumerate(rows):
        middle = top + pitch * (i + 0.5)
        class_ = "name strong" if row.strong else "name"
        parts.append(named(left - 4, middle + 4, row.name, LONGEST_NAME, class_=class_))
        told = f"{row.name}: {row.written}"
        marks = [element("title", told)]
        if is_number(row.low) and is_number(row.high):
            assert row.low is not None and row.high is not None
            marks.append(line(x(row.low), middle, x(row.high), middle, f"whisker {row.style}"))
            told += f" [{significant(row.low)}, {significant(row.high)}]"
        if x.low <= row.value <= x.high:
            marks.append(element("circle", cx=x(row.value), cy=middle, r=4.5, class_=f"dot {row.style}"))
        else:  # far off: an arrow at the edge keeps the others apart
            at, tip = (left + 10, left + 2) if row.value < x.low else (right - 10, right - 2)
            corners = f"{place(tip)},{place(middle)} {place(at)},{place(middle - 5)} {place(at)},{place(middle + 5)}"
            marks.append(element("polygon", points=corners, class_=f"dot {row.style}"))
        marks.append(element("rect", x=left, y=middle - 10, width=right - left, height=20.0, class_="hit"))
        parts.append(element("g", *marks))
        parts.append(words(WIDTH - 2, middle + 4, row.written, "value", "end"))
    return drawing(bottom + 20, label, *parts)


def roc(false_positive: Sequence[float], true_positive: Sequence[float], label: str) -> Markup:
    """Found share of the positives over false alarms, for every threshold."""
    pairs = [(a, b) for a, b in zip(false_positive, true_positive, strict=False) if is_number(a) and is_number(b)]
    if len(pairs) < 2:
        return Markup("")
    if len(pairs) > 200:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 200).round().astype(int)]
    height, bottom, top = 300.0, 260.0, 22.0
    x, y = Scale(0, 1, LEFT, RIGHT - 6), Scale(0, 1, bottom, top + 8)
    parts = [words(2, 12, "share of the positives found", "title")]
    parts.append(axes(x, y, "false alarms among the negatives", "", percent=(True, True)))
    parts.append(line(x(0), y(0), x(1), y(1), "chosen"))
    points = " ".join(f"{place(x(a))},{place(y(b))}" for a, b in pairs)
    parts.append(element("polyline", points=points, class_="line first"))
    for a, b in pairs[:: max(1, len(pairs) // 60)]:
        told = element("title", f"finds {share(b)} at {share(a)} false alarms")
        parts.append(element("circle", told, cx=x(a), cy=y(b), r=5.0, class_="hit"))
    return drawing(height, label, *parts)
