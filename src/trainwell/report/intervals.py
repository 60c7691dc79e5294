"""An evaluation of distributions to the section on their intervals: what they promise and keep, how wide they are."""

from typing import Any

from markupsafe import Markup

from trainwell.report import plots
from trainwell.report.files import Facts
from trainwell.report.overview import metric_columns
from trainwell.report.svg import Scale, axes, drawing, element, line, place, spread, words
from trainwell.report.verdict import noun_of
from trainwell.report.wording import counted, cut, grouped, is_number, share, significant

Figure = tuple[Markup, str]
SETTLED = " Where they end was settled on rows held out while learning, which had shown it off by more than chance."
LEFT, RIGHT, TOP = 46.0, 352.0, 34.0


def intervals_of(facts: Facts) -> dict[str, Any] | None:
    """A table of the central intervals, drawn rows with theirs, and two plots of whether they keep their word.

    None for other work.
    """
    entries = [each for each in facts.evaluation.get("central") or [] if isinstance(each, dict)]
    curve, ranks = _kept(facts.evaluation), _ranks(facts)
    if not entries and curve is None:
        return None
    figures = [_fan(facts), curve, ranks]
    return {
        "text": _verdict(entries) + (SETTLED if facts.evaluation.get("settled") and entries else ""),
        "rows": _rows(entries),
        "figures": [figure for figure in figures if figure],
    }


def _rows(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each interval's promise, what it held with its 95 % interval, and how wide it is."""
    cells = []
    for each in entries:
        held = each["coverage"]
        shares = [f"{100 * held[key]:.1f}" for key in ("value", "low", "high")]
        cells.append([*shares, *(significant(float(each[key])) for key in ("width", "narrow", "wide"))])
    aligned = metric_columns(cells) if cells else []
    return [{"level": share(each["level"], 0), "cells": row} for each, row in zip(entries, aligned, strict=True)]


def _verdict(entries: list[dict[str, Any]]) -> str:
    """Whether the intervals keep their word, as far as these rows can tell."""
    if not entries:
        return ""
    off = [each for each in entries if not each["coverage"]["low"] <= each["level"] <= each["coverage"]["high"]]
    if not off:
        return "As far as these rows can tell, the intervals keep their word."
    worst = max(off, key=lambda each: abs(each["coverage"]["value"] - each["level"]))
    narrow = worst["coverage"]["value"] < worst["level"]
    said, held = share(worst["level"], 0), share(worst["coverage"]["value"])
    return f"The intervals are too {'narrow' if narrow else 'wide'}: those of {said} hold the truth for {held}."


def _kept(evaluation: dict[str, Any]) -> Figure | None:
    """How often central intervals hold the truth against how often they promise to."""
    saved = evaluation.get("coverage") or {}
    pairs = zip(saved.get("levels") or [], saved.get("shares") or [], strict=False)
    points = [(a, b) for a, b in pairs if is_number(a) and is_number(b)]
    if len(points) < 3:
        return None
    bottom, top = 260.0, 30.0
    x, y = Scale(0, 1, LEFT, RIGHT - 6), Scale(0, 1, bottom, top)
    parts = [words(2, 12, "how often the interval holds the truth", "title")]
    parts += [axes(x, y, "how often it should", "", percent=(True, True)), line(x(0), y(0), x(1), y(1), "chosen")]
    way = " ".join(f"{place(x(a))},{place(y(b))}" for a, b in points)
    parts.append(element("polyline", points=way, class_="line first"))
    for a, b in points:
        told = element("title", f"intervals of {share(a, 0)} hold {share(b)}")
        parts.append(element("circle", told, cx=x(a), cy=y(b), r=3.0, class_="dot first"))
    far = max(points, key=lambda pair: abs(pair[1] - pair[0]))
    side = "less" if far[1] < far[0] else "more"
    gap = grouped(100 * abs(far[1] - far[0]), 1)
    text = "On the dashed line intervals keep their word; above it they are too wide, below it too narrow. "
    text += f"Those of {share(far[0], 0)} are the furthest off: they hold {share(far[1])}, {gap} points {side}."
    return drawing(300.0, text, *parts), text


def _ranks(facts: Facts) -> Figure | None:
    """How the truth is spread over its distribution: evenly, if each distribution is right. Dawid 1984."""
    counts = [each for each in facts.evaluation.get("ranks") or [] if is_number(each)]
    if len(counts) < 4 or not sum(counts):
        return None
    edges = [place / len(counts) for place in range(len(counts) + 1)]
    total, half = sum(counts), len(counts) // 2
    text = "Bars of one height, as far as so many rows can tell: truths fall anywhere in their distributions."
    outer, lower = _beyond(counts[0] + counts[-1], total, 2 / len(counts)), _beyond(sum(counts[:half]), total, 0.5)
    if outer > 0:
        text = "High bars at both ends: truths fall far out too often, the distributions are too narrow."
    elif outer < 0:
        text = "Low bars at both ends: truths seldom fall far out, the distributions are too wide."
    elif lower:
        where, which = ("left", "high") if lower > 0 else ("right", "low")
        text = f"Higher bars on the {where}: its answers are too {which}."
    text += (
        f" Of one height each would stand for {significant(total / len(counts))} of {counted(total, noun_of(facts))}."
    )
    names = ("share of its distribution below the truth", f"{noun_of(facts)}s")
    return plots.bars(edges, counts, text, names=names, noun=noun_of(facts)), text


def _beyond(found: float, total: float, expected: float) -> int:
    """Whether a count lies above (1) or below (-1) what chance explains: two deviations of a binomial's."""
    off, deviation = found - total * expected, (total * expected * (1 - expected)) ** 0.5
    return 0 if abs(off) <= 2 * deviation else 1 if off > 0 else -1


def _fan(facts: Facts) -> Figure | None:
    """Some rows, from the lowest answer to the highest, each with its intervals and the truth."""
    saved = facts.evaluation.get("fan") or {}
    truth, number = saved.get("truth") or [], saved.get("number") or []
    bands = [each for each in saved.get("bands") or [] if isinstance(each, dict)]
    if len(truth) < 2 or not bands or not all(map(is_number, [*truth, *number])):
        return None
    height, bottom = 300.0, 260.0
    every = [*truth, *(value for band in bands for key in ("low", "high") for value in band[key])]
    y = spread(every, bottom, TOP)
    step = (RIGHT - LEFT) / len(truth)
    name = cut((facts.summary.get("target") or [""])[0], 18)
    parts = [words(2, 12, name, "title"), _legend(bands)]
    parts.append(axes(Scale(0, len(truth), LEFT, RIGHT), y, f"{noun_of(facts)}s, by their answer", ""))
    wide = max(step * 0.7, 1.5)
    inside = 0
    for i, value in enumerate(truth):
        at = LEFT + step * (i + 0.5)
        outer = bands[0]
        inside += outer["low"][i] <= value <= outer["high"][i]
        told = f"truth {significant(float(value))}; " + "; ".join(
            f"{share(band['level'], 0)}: {significant(float(band['low'][i]))} to {significant(float(band['high'][i]))}"
            for band in bands
        )
        marks = [element("title", told)]
        for band in bands:
            low, high = y(band["low"][i]), y(band["high"][i])
            box = {"x": at - wide / 2, "y": high, "width": wide, "height": max(low - high, 0.5)}
            marks.append(element("rect", class_="band", **box))
        marks.append(element("circle", cx=at, cy=y(value), r=2.0, class_="dot second"))
        parts.append(element("g", *marks))
    text = f"{counted(len(truth), 'held-out ' + noun_of(facts))} with their intervals, and the truth as a dot; "
    text += f"{grouped(inside)} of them lie inside the interval of {share(bands[0]['level'], 0)}."
    return drawing(height, text, *parts), text


def _legend(bands: list[dict[str, Any]]) -> Markup:
    """A dot for the truth and a box for each interval, below the title."""
    parts = [element("circle", cx=10.0, cy=24.0, r=3.0, class_="dot second"), words(23, 28, "truth", "label")]
    at = 68.0
    for place_, band in enumerate(bands):
        for _ in range(place_ + 1):  # the inner one lies on the outer one
            parts.append(element("rect", x=at, y=20.0, width=16.0, height=8.0, class_="band"))
        told = f"{share(band['level'], 0)} interval"
        parts.append(words(at + 21, 28, told, "label"))
        at += 34 + 6.4 * len(told)
    return Markup("").join(parts)
