"""An evaluation of masks to the section that shows them: overlap by class, and pictures with truth and answer."""

from typing import Any

from trainwell.report.files import Facts
from trainwell.report.overview import TOP, is_picture, metric_columns
from trainwell.report.wording import DASH, SPACE, cut, grouped, is_number, share, written

LARGEST = 150_000  # characters of one picture


def segments_of(facts: Facts, budget: int = 1_200_000) -> dict[str, Any] | None:
    """The table of classes and the drawn pictures, as far as the page's size allows; None for other work."""
    rows = [row for row in facts.evaluation.get("by_class_overlap") or [] if isinstance(row, dict)]
    if not rows:
        return None
    saved = facts.evaluation.get("segments") or {}
    colours = [str(each) for each in saved.get("colours") or []]
    colours = [each for each in colours if len(each) == 7 and each[0] == "#" and each[1:].isalnum()]
    cases = []
    for case in saved.get("cases") or []:
        drawn = [str(case.get(key) or "") for key in ("picture", "truth", "answer", "mistakes")]
        if not all(is_picture(each) and len(each) <= LARGEST for each in drawn) or sum(map(len, drawn)) > budget:
            continue
        budget -= sum(map(len, drawn))
        overlap = share(case["overlap"]) if is_number(case.get("overlap")) else DASH
        words = zip(("picture", "truth", "answer", "what is wrong"), drawn, strict=True)
        cases.append(
            {"name": str(case.get("name", "")), "overlap": overlap, "worst": case.get("worst"), "drawn": list(words)}
        )
    order = sorted(range(len(rows)), key=lambda place: _overlap(rows[place])[0], reverse=True)
    cells = [_cells(rows[place]) for place in order]
    table = [
        {
            "name": str(rows[place].get("class", "")),
            "colour": colours[place] if place < len(colours) else "",
            "cells": row,
            "taken": _taken(rows[place]),
        }
        for place, row in zip(order, metric_columns(cells), strict=True)
    ]
    return {"rows": table[: 3 * TOP], "cases": cases, "sentence": _sentence([rows[place] for place in order])}


def _overlap(row: dict[str, Any]) -> tuple[float, Any, Any]:
    """Value, low and high; below zero for a class that was neither there nor answered."""
    entry = row.get("overlap")
    if not isinstance(entry, dict) or not is_number(entry.get("value")):
        return -1.0, None, None
    return entry["value"], entry.get("low"), entry.get("high")


def _cells(row: dict[str, Any]) -> list[str]:
    value, low, high = _overlap(row)
    numbers = (value if value >= 0 else None, low, high, row.get("recall"), row.get("share"))
    return [written(number, True, 1, unit=False) for number in numbers]


def _taken(row: dict[str, Any]) -> str:
    """What the class is most taken for, and how often."""
    if not row.get("taken_for") or not is_number(row.get("taken_share")) or row["taken_share"] < 0.005:
        return ""
    return f"{cut(row['taken_for'], 20)} {grouped(100 * row['taken_share'], 0)}{SPACE}%"


def _sentence(rows: list[dict[str, Any]]) -> str:
    """The best and the worst class."""
    known = [row for row in rows if _overlap(row)[0] >= 0]
    if len(known) < 2:
        return ""
    best, worst = known[0], known[-1]
    text = f"It finds {cut(best['class'])} best ({share(_overlap(best)[0])}) and {cut(worst['class'])} worst "
    text += f"({share(_overlap(worst)[0])}), which has {share(worst.get('share', 0))} of the pixels"
    taken = _taken(worst)
    return text + (f"; of these, {taken.rpartition(' ')[0]} takes {taken.rpartition(' ')[2]}." if taken else ".")
