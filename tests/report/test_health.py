"""What the report's health section draws and says: layers over time, copies, lessons."""

import re

import numpy as np

from trainwell.report.health import health_of, layer_figures
from trainwell.report.lessons import lesson


def probes(first: float) -> dict:
    """A run of two layers at four looks; first: the gradient of the first layer."""

    def series(value: float) -> dict:
        return {"steps": [10, 20, 30, 40], "values": [value] * 3 + [None]}

    names = ("first.weight", "last.weight")
    kinds = {"gradient": (first, 1.0), "update": (1e-3, 2e-3), "weight": (1.0, 1.0)}
    tables = {kind: dict(zip(names, map(series, values), strict=True)) for kind, values in kinds.items()}
    tables["activation"] = {"first linear": series(0.5)}
    return {"episodes": [{"facts": {"layers": list(names)}, "series": tables}]}


def test_layers_over_time_are_drawn_and_read():
    gradient, update, activation = layer_figures(probes(1e-4))
    assert "0.000100 times" in gradient[1] and "1.5e-03 of its size" in update[1] and "0.5" in activation[1]
    assert len(re.findall("<rect", gradient[0])) == 2 * 3  # a value that is not finite leaves its place empty
    assert "first.weight, to step 10: 0.0001" in gradient[0]
    strengths = [float(each) for each in re.findall(r'fill-opacity="([\d.]+)"', gradient[0])]
    assert np.mean(strengths[:3]) < 0.1 < 0.9 < np.mean(strengths[3:])


def test_runs_without_probes_draw_nothing():
    assert layer_figures({}) == [] and layer_figures({"episodes": []}) == []


def test_a_finding_holds_its_proof_and_lesson(tmp_path):
    from run_folders import housing, write

    from trainwell.report.files import read_facts

    files = housing()
    twin = {"as it is": [2.0, 3.0, 1e30, None], "a tenth of the rate": [2.0, 1.0, 0.5, 0.25]}
    files["findings.jsonl"][0] |= {
        "page": "learning-rate-too-high.md",
        "statistic": {"twin": twin, "series": [[1, 2.0], [2, 3.0], [3, 4.0]], "symptoms": ["plateau: it stands"]},
    }
    card = next(each for each in health_of(read_facts(write(tmp_path / "run", files)))["findings"] if each["figures"])
    assert "a tenth of the rate 0.25" in card["figures"][1][1] and card["symptoms"] == ["plateau: it stands"]
    assert "<ol>" in card["lesson"] and "1e+" not in card["figures"][1][0]


def test_lessons_are_escaped_and_missing_ones_empty():
    assert lesson("../secret.md") == "" and lesson("nothing") == "" and lesson("") == ""
    assert "<b>Symptom.</b>" in lesson("dying-relu.md") and "](" not in lesson("dying-relu.md")
