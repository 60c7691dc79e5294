"""The section on intervals: what it says of narrow, wide and right ones, and of files that hold nothing of the kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainwell.report.files import Facts
from trainwell.report.intervals import intervals_of


def facts(evaluation: dict[str, Any]) -> Facts:
    made = Facts(Path("run"))
    made.evaluation, made.summary = evaluation, {"target": ["price"]}
    return made


def central(level: float, held: float, rows: int = 500) -> dict[str, Any]:
    half = 2 * (held * (1 - held) / rows) ** 0.5
    coverage = {"value": held, "low": held - half, "high": held + half}
    return {"level": level, "coverage": coverage, "width": 12.5, "narrow": 3.0, "wide": 1200.0}


def full(counts: list[int], held: float = 0.9) -> dict[str, Any]:
    levels = [0.25, 0.5, 0.75]
    rows = 6
    fan = {
        "number": list(np.arange(rows) * 1.0),
        "truth": [0.0, 1.0, 2.0, 3.0, 4.0, 50.0],
        "bands": [{"level": 0.9, "low": [-1.0] * rows, "high": [9.0] * rows}],
    }
    return {
        "coverage": {"levels": levels, "shares": [0.2, 0.5, 0.9]},
        "ranks": counts,
        "central": [central(0.5, 0.5), central(0.9, held)],
        "fan": fan,
    }


@pytest.mark.parametrize(
    ("held", "words"), [(0.9, "keep their word"), (0.7, "too narrow: those of 90"), (0.99, "too wide: those of 90")]
)
def test_the_verdict_on_the_intervals(held: float, words: str) -> None:
    assert words in intervals_of(facts(full([50] * 10, held)))["text"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([50] * 10, "Bars of one height"),
        ([120, *[30] * 8, 140], "too narrow"),
        ([5, *[60] * 8, 5], "too wide"),
        ([80, 80, 80, 80, 80, 20, 20, 20, 20, 20], "Higher bars on the left: its answers are too high"),
        ([20, 20, 20, 20, 20, 80, 80, 80, 80, 80], "Higher bars on the right: its answers are too low"),
        ([4, 2, 1, 3, 2, 1, 2, 3, 1, 1], "Bars of one height"),  # 20 rows tell nothing
    ],
)
def test_where_truths_fall(counts: list[int], words: str) -> None:
    found = intervals_of(facts(full(counts)))
    assert found is not None and words in found["figures"][-1][1]


def test_every_number_is_shown() -> None:
    found = intervals_of(facts(full([50] * 10)))
    assert found is not None and len(found["figures"]) == 3
    cells = [cell.strip("\N{FIGURE SPACE}\N{PUNCTUATION SPACE}") for cell in found["rows"][1]["cells"]]
    assert cells[0] == "90.0" and cells[3:] == ["12.5", "3.00", "1,200"]
    fan, curve, _ = (text for _, text in found["figures"])
    assert "5 of them lie inside the interval of 90" in fan
    assert "Those of 75" in curve and "hold 90.0" in curve and "15.0 points more" in curve
    assert "truth 50" in found["figures"][0][0]


def test_other_work_has_no_such_section() -> None:
    assert intervals_of(facts({})) is None
    assert intervals_of(facts({"ranks": [1, 2]})) is None
    partial = intervals_of(facts({**full([0] * 10), "fan": None, "coverage": {}}))
    assert partial is not None and partial["figures"] == []
