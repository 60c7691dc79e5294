"""An evaluation of forecasts to the section that draws them: windows with truth and interval, errors by time."""

from typing import Any

from markupsafe import Markup

from trainwell.report import plots
from trainwell.report.files import Facts
from trainwell.report.overview import metric_columns
from trainwell.report.svg import Scale, axes, drawing, element, line, place, spread, words
from trainwell.report.wording import counted, grouped, is_number, share, significant, written

Figure = tuple[Markup, str]
Points = list[tuple[float, float]]
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 46.0, 352.0, 34.0, 176.0, 214.0
MOST = 12  # drawn windows


def forecasts_of(facts: Facts) -> dict[str, Any] | None:
    """Drawn windows, the error by step, and the error by stretch of time beside the seasonal-naive forecast's.

    None for other work.
    """
    cases = [case for case in facts.evaluation.get("forecasts") or [] if isinstance(case, dict)]
    level = (facts.evaluation.get("intervals") or {}).get("level")
    figures = [_window(case, level) for case in cases[:MOST]]
    found = {
        "figures": [figure for figure in figures if figure],
        "step": _by_step(facts.evaluation),
        "origins": _origins(facts.evaluation.get("origins")),
    }
    return found if found["figures"] else None


def _points(values: Any, start: int) -> Points:
    return [(start + i, value) for i, value in enumerate(values or []) if is_number(value)]


def _window(case: dict[str, Any], level: Any) -> Figure | None:
    """One window of one series: what came before, what came, what was forecast, and within what interval."""
    history = case.get("history") or []
    before, truth = _points(history, -len(history)), _points(case.get("truth"), 0)
    forecast = _points(case.get("forecast"), 0)
    low, high = _points(case.get("low"), 0), _points(case.get("high"), 0)
    if not forecast:
        return None
    every = [value for each in (before, truth, forecast, low, high) for _, value in each]
    x = Scale(-float(len(history)), float(max(1, len(forecast) - 1)), LEFT, RIGHT)
    y = spread(every, BOTTOM, TOP)
    banded = len(low) == len(high) == len(forecast)
    kinds = [("forecast", "line first"), ("what came", "line truth")]
    if banded:
        kinds.append((f"{share(level, 0)} interval" if is_number(level) else "interval", "band"))
    parts = [words(2, 12, str(case.get("channel", ""))[:20], "title"), _legend(kinds)]
    parts += [axes(x, y, f"steps of one {case.get('step', 'step')}", "")]
    if banded:
        parts.append(element("polygon", points=_places([*high, *reversed(low)], x, y), class_="band"))
    parts.append(line(x(0), BOTTOM, x(0), TOP, "chosen"))
    parts.append(element("polyline", points=_places(before + truth, x, y), class_="line truth"))
    told = element("title", f"forecast {significant(forecast[0][1])} at first, {significant(forecast[-1][1])} at last")
    parts.append(element("polyline", told, points=_places(forecast, x, y), class_="line first"))
    text = _reading(case, truth, forecast, low, high)
    return drawing(HEIGHT, text, *parts), text


def _places(points: Points, x: Scale, y: Scale) -> str:
    return " ".join(f"{place(x(a))},{place(y(b))}" for a, b in points)


def _legend(kinds: list[tuple[str, str]]) -> Markup:
    """A stroke and a name for each kind of line, below the title."""
    parts, at = [], 2.0
    for name, style in kinds:
        if style == "band":
            parts.append(element("rect", x=at, y=20.0, width=16.0, height=8.0, class_="band"))
        else:
            parts.append(line(at, 24, at + 16, 24, style))
        parts.append(words(at + 21, 28, name, "label"))
        at += 34 + 6.4 * len(name)
    return Markup("").join(parts)


def _reading(case: dict[str, Any], truth: Points, forecast: Points, low: Points, high: Points) -> str:
    """What one drawn window shows, in a sentence."""
    at = dict(truth)
    off = [abs(value - at[step]) for step, value in forecast if step in at]
    text = f"{case.get('channel')} from {case.get('start')}"
    if off:
        text += f": off by {significant(sum(off) / len(off))} on average"
    inside = [a[1] <= at[a[0]] <= b[1] for a, b in zip(low, high, strict=False) if a[0] in at]
    if inside:
        text += f"; {grouped(sum(inside))} of {counted(len(inside), 'step')} inside the interval"
    return text + "."


def _by_step(evaluation: dict[str, Any]) -> Figure | None:
    """How the error grows with the distance."""
    errors = _points(evaluation.get("by_step"), 1)
    if len(errors) < 3:
        return None
    first, last = errors[0][1], errors[-1][1]
    text = f"One step ahead the mean square error is {significant(first)}, {grouped(errors[-1][0])} steps ahead "
    text += f"{significant(last)} (standardized units)."
    curve = plots.Line("mean square error", [x for x, _ in errors], [y for _, y in errors])
    return plots.curves([curve], text, names=("steps ahead", "mean square error"), log=False), text


def _origins(saved: Any) -> dict[str, Any] | None:
    """Forecasts by when they began, beside the seasonal-naive one."""
    entries = [each for each in saved or [] if isinstance(each, dict) and is_number(each.get("mse"))]
    if len(entries) < 2:
        return None
    cells = metric_columns([[written(each.get(key), False, 3) for key in ("mse", "naive")] for each in entries])
    rows = [
        {"first": each.get("first"), "last": each.get("last"), "windows": grouped(each.get("windows", 0)), "cells": row}
        for each, row in zip(entries, cells, strict=True)
    ]
    better = sum(each["mse"] < each["naive"] for each in entries if is_number(each.get("naive")))
    period = entries[0].get("period")
    naive = f"the last {grouped(period)} steps again" if is_number(period) and period > 1 else "the last value again"
    text = f"Better than {naive} in {grouped(better)} of {counted(len(entries), 'stretch', 'stretches')} of time."
    return {"rows": rows, "text": text}
