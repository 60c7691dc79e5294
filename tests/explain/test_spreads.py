"""Distributions judged: the CRPS against its closed form, coverage of what was drawn, one width for all rows."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from trainwell.explain.spreads import GRID, OneWidth, measure_spreads, pinballs, simple_spread
from trainwell.tasks import Gaussian, Quantile

ROWS = 2000
UNIT = {"center": [10.0], "scale": [4.0], "log": [False], "low": [-9.0], "high": [9.0]}


class Told(torch.nn.Module):
    """Gives each row its own outputs."""

    def __init__(self, outputs: np.ndarray) -> None:
        super().__init__()
        self.outputs = torch.from_numpy(outputs.astype(np.float32))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.outputs[rows]


def told(task: Gaussian | Quantile, outputs: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    batch = {"inputs": (torch.arange(len(target)),), "target": torch.from_numpy(target)}
    return {name: each.numpy() for name, each in task.predict(Told(outputs), batch).items()}


def drawn(factor: float = 1.0) -> tuple[Gaussian, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Truths from normal distributions whose deviation differs by row, told with deviations `factor` times as wide."""
    random = np.random.default_rng(0)
    mean, deviation = random.normal(size=ROWS), random.uniform(0.2, 1.0, ROWS)
    target = (mean + deviation * random.normal(size=ROWS)).astype(np.float32)
    told_as = deviation * factor
    raw = np.log(np.expm1(told_as - 0.01)) - math.log(math.e - 1)
    task = Gaussian(**UNIT)
    return task, told(task, np.stack([mean, raw], 1), target), target, np.stack([mean, told_as], 1)


def test_the_crps_is_its_closed_form() -> None:
    """Gneiting & Raftery 2007, equation 21, of a normal distribution."""
    task, answers, target, of = drawn()
    z = torch.from_numpy((target - of[:, 0]) / of[:, 1])
    normal = torch.distributions.Normal(torch.zeros(1), 1.0)
    expected = of[:, 1] * (z * (2 * normal.cdf(z) - 1) + 2 * normal.log_prob(z).exp() - 1 / math.sqrt(math.pi)).numpy()
    found = measure_spreads(answers, target, task)["metrics"]
    assert found["crps"]["value"] == pytest.approx(4 * expected.mean(), rel=2e-3)
    likelihood = torch.distributions.Normal(torch.from_numpy(of[:, 0]), torch.from_numpy(of[:, 1]))
    nll = -likelihood.log_prob(torch.from_numpy(target).double()).mean().item() + math.log(4)
    assert found["nll"]["value"] == pytest.approx(nll, rel=1e-4)
    assert found["crps"]["low"] < found["crps"]["value"] < found["crps"]["high"]


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0.88, 0.92), (0.5, 0.5, 0.7), (2.0, 0.98, 1.0)])
def test_intervals_are_held_to_their_word(factor: float, least: float, most: float) -> None:
    task, answers, target, of = drawn(factor)
    found = measure_spreads(answers, target, task)
    last = found["central"][-1]
    assert last["level"] == 0.9 and least <= last["coverage"]["value"] <= most
    assert last["width"] == pytest.approx(2 * 1.644854 * 4 * of[:, 1].mean(), rel=1e-3)
    assert last["narrow"] < last["width"] < last["wide"]
    place = found["coverage"]["levels"].index(0.9)
    assert found["coverage"]["shares"][place] == pytest.approx(last["coverage"]["value"], abs=2e-3)
    ranks = np.array(found["ranks"])
    assert ranks.sum() == ROWS
    outer = (ranks[0] + ranks[-1]) / ROWS
    assert (outer > 0.3) == (factor == 0.5) and (outer < 0.1) == (factor == 2.0)
    assert found["fan"]["number"] == sorted(found["fan"]["number"])


def test_right_widths_score_best() -> None:
    scores = {}
    for factor in (0.5, 1.0, 2.0):
        task, answers, target, _ = drawn(factor)
        scores[factor] = measure_spreads(answers, target, task)["metrics"]
    for name in ("crps", "nll", "pinball"):
        assert scores[1.0][name]["value"] < min(scores[0.5][name]["value"], scores[2.0][name]["value"])


def test_intervals_are_judged_as_far_as_quantiles_reach() -> None:
    task = Quantile(**UNIT, quantiles=[0.1, 0.5, 0.9])
    target = np.random.default_rng(0).normal(size=ROWS).astype(np.float32)
    found = measure_spreads(told(task, np.zeros((ROWS, 3)), target), target, task)
    assert [each["level"] for each in found["central"]] == [0.5, 0.8]
    assert found["central"][0]["coverage"]["value"] == pytest.approx(0.5, abs=0.04)
    one_sided = Quantile(**UNIT, quantiles=[0.5, 0.9])
    found = measure_spreads(told(one_sided, np.zeros((ROWS, 2)), target), target, one_sided)
    assert found["central"] == [] and found["fan"] is None and "nll" not in found["metrics"]


def test_pinballs_of_several_targets_are_averaged() -> None:
    quantiles, truth = np.array([[[0.0, 1.0], [2.0, 3.0]]]), np.array([[1.0, 0.0]])
    # target 1: .2 * 1 and .2 * 1; target 2: .8 * 1 and .2 * 3
    assert pinballs(quantiles, truth, [0.2, 0.8]) == pytest.approx([(0.2 + 0.2 + 0.8 + 0.6) / 4])


def test_a_simple_answer_has_one_width_that_it_did_not_learn_from() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 300))  # as many columns as rows to learn from, nearly: it is far off on others alone
    y = random.normal(size=400)
    model = OneWidth(LinearRegression())
    model.fit(x, y)
    assert model.off[90] - model.off[10] > 2 * 1.2816  # wider than the noise that it learned by heart
    task = Gaussian(**UNIT)
    spread = simple_spread(model.predict(x[:5]), model.off, task)
    width = spread["grid"][:, 90] - spread["grid"][:, 10]
    assert np.allclose(width, width[0]) and spread["grid"].shape == (5, len(GRID), 1)
    assert np.allclose(width, 4 * (model.off[90] - model.off[10]))


def test_a_simple_answer_of_the_right_width_scores_as_a_network_does() -> None:
    task = Gaussian(**UNIT)
    target = np.random.default_rng(0).normal(size=ROWS).astype(np.float32)
    off = torch.distributions.Normal(torch.zeros(1).double(), 1.0).icdf(torch.from_numpy(GRID)).numpy()
    simple = measure_spreads(simple_spread(np.zeros(ROWS), off, task), target, task)["metrics"]
    own = measure_spreads(told(task, np.tile([0.0, -0.0159], (ROWS, 1)), target), target, task)["metrics"]
    assert simple["crps"]["value"] == pytest.approx(own["crps"]["value"], rel=1e-3)
    assert simple["pinball"]["value"] == pytest.approx(own["pinball"]["value"], rel=5e-3)
