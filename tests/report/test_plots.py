"""Plots put each number at its place and tell it on hover."""

import re

import numpy as np
import pytest

from trainwell.report import plots
from trainwell.report.svg import Scale, element, tick_labels


def test_a_scale_maps_its_ends_and_keeps_within_them():
    scale = Scale(0, 10, 100, 0)
    assert scale(0) == 100 and scale(10) == 0 and scale(5) == 50 and scale(20) == 0
    powers = Scale(0.01, 100, 0, 4, log=True)
    assert powers(1) == pytest.approx(2) and powers.ticks() == pytest.approx([0.01, 0.1, 1, 10, 100])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (55_000, 66_000), (1e-9, 3e-9), (5, 5)])
def test_ticks_are_few_and_inside(low, high):
    ticks = Scale(low, high, 0, 1).ticks()
    assert 1 <= len(ticks) <= 6 and all(low <= tick <= high for tick in ticks)


def test_tick_labels_take_one_form():
    assert tick_labels([0, 0.0005, 0.001, 0.0015]) == ["0.0000", "0.0005", "0.0010", "0.0015"]
    assert tick_labels([60_000, 80_000, 100_000]) == ["60k", "80k", "100k"]
    assert tick_labels([0.1, 1, 10, 100]) == ["0.1", "1", "10", "100"]
    assert tick_labels([0, 0.5, 1], percent=True) == [
        "0\N{NO-BREAK SPACE}%",
        "50\N{NO-BREAK SPACE}%",
        "100\N{NO-BREAK SPACE}%",
    ]
    assert tick_labels([0, 2e-7]) == ["0", "2e\N{MINUS SIGN}7"]


def test_attributes_and_content_are_escaped():
    assert (
        element("text", "<b>", class_="a", aria_label='"&')
        == '<text class="a" aria-label="&#34;&amp;">&lt;b&gt;</text>'
    )


def test_long_series_are_thinned_by_means():
    line = plots.thinned(plots.Line("loss", list(range(10_000)), [1.0, 3.0] * 5000))
    assert len(line.x) <= 120 and np.allclose(line.y, 2, atol=0.05)


def test_curves_tell_the_values_at_each_evaluation():
    drawn = plots.curves(
        [plots.Line("training", [1, 2, 3], [3.0, 2.0, 1.0]), plots.Line("validation", [2], [2.5])], "reads"
    )
    assert drawn.count("<title>") == 3 and "step 2: training 2.00, validation 2.50" in drawn


def test_confusion_tells_truth_and_prediction():
    counts = np.array([[8, 2], [0, 5]])
    drawn = plots.confusion(["cat", "dog"], counts, "reads", totals=counts.sum(1))
    assert "truth cat, predicted dog: 2 of 10 rows" in drawn and "truth dog, predicted dog: 5 of 5 rows" in drawn
    assert "predicted cat: 0" not in drawn.split("truth dog")[-1]


def test_what_lies_beyond_the_scale_is_an_arrow():
    rows = [
        plots.Estimate("net", 0.97, 0.96, 0.98),
        plots.Estimate("trees", 0.96),
        plots.Estimate("none", 0.1, aside=True),
    ]
    drawn = plots.intervals(rows, "reads", percent=True)
    assert drawn.count("<polygon") == 1 and drawn.count("<circle") == 2


def test_everything_stays_inside_the_plot():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=50)
    drawn = plots.scatter(truth.tolist(), (truth * 3).tolist(), "reads")
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', drawn):
        assert plots.LEFT <= float(x) <= plots.RIGHT and 20 <= float(y) <= 262


def test_nothing_to_draw_draws_nothing():
    assert plots.curves([plots.Line("loss", [1], [float("nan")])], "") == ""
    assert plots.scatter([], [], "") == plots.bars([], [], "", names=("", "")) == plots.intervals([], "") == ""
    assert plots.reliability([None], [None], [0], "") == plots.roc([], [], "") == ""
