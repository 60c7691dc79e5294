"""Likeness: margins against the papers' formulas, error rates against scikit-learn, classes never seen told apart."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn
from torch.nn import functional as F

from trainwell.explain.likeness import measure_likeness, nearest_others
from trainwell.models.embedder import Embedder
from trainwell.models.embedder import Likeness as Answer
from trainwell.tasks.likeness import Likeness, added_angle, equal_error_rate, error_curve, nearest_right, pairs


def drawn(rows=200, classes=12, noise=0.8, seed=0):
    random = np.random.default_rng(seed)
    target = random.integers(0, classes, rows)
    embedding = random.normal(size=(classes, 8))[target] + noise * random.normal(size=(rows, 8))
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True), target


def test_the_margin_is_added_to_the_angle():
    angle = torch.linspace(0.01, math.pi - 0.31, 50)
    torch.testing.assert_close(added_angle(angle.cos(), 0.3), (angle + 0.3).cos(), atol=1e-4, rtol=0)
    beyond = added_angle(torch.linspace(-1, 1, 400), 0.3)
    assert (beyond.diff() > 0).all()  # never easier where the angle is larger


class Fixed(nn.Module):
    def __init__(self, cosine):
        super().__init__()
        self.cosine = cosine

    def forward(self, x):
        return Answer(self.cosine, self.cosine)


@pytest.mark.parametrize("loss", ["arcface", "cosface"])
def test_the_loss_is_the_papers(loss):
    torch.manual_seed(0)
    cosine, target = torch.rand(6, 4) * 1.6 - 0.8, torch.tensor([0, 1, 2, 3, 0, 1])
    task = Likeness(4, loss=loss, margin=0.25, scale=10.0)
    found = task.loss(Fixed(cosine), {"inputs": (torch.zeros(6),), "target": target}, "model")
    wanted = 0.0
    for row, own in zip(cosine, target.tolist(), strict=True):
        scores = row.clone()
        scores[own] = math.cos(math.acos(row[own]) + 0.25) if loss == "arcface" else row[own] - 0.25
        wanted -= float(F.log_softmax(10 * scores, 0)[own])
    assert float(found.total) == pytest.approx(wanted, rel=1e-4) and found.count == 6


def test_error_rates_are_those_of_scikit_learns_curve():
    score, same = pairs(*drawn())
    false, true, _ = roc_curve(same, score, drop_intermediate=False)
    alarms, misses, _ = error_curve(score, same)
    assert np.trapezoid(1 - misses, alarms) == pytest.approx(roc_auc_score(same, score), abs=1e-4)
    place = np.argmin(np.abs(false - (1 - true)))
    assert equal_error_rate(score, same) == pytest.approx((false[place] + 1 - true[place]) / 2, abs=1e-3)
    assert 0.02 < equal_error_rate(score, same) < 0.4


def test_error_rates_at_the_ends():
    target = np.repeat(np.arange(5), 4)
    apart = np.eye(5)[target]
    assert equal_error_rate(*pairs(apart, target)) == 0.0 and nearest_right(apart, target) == 1.0
    alone = np.arange(20)
    assert math.isnan(nearest_right(np.eye(20), alone)) and math.isnan(equal_error_rate(*pairs(np.eye(20), alone)))
    random = np.random.default_rng(0).normal(size=(400, 16))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    assert equal_error_rate(*pairs(random, np.arange(400) % 20)) == pytest.approx(0.5, abs=0.03)


def test_pairs_that_count_twice_are_pairs_given_twice():
    score, same = pairs(*drawn(40))
    weight = np.random.default_rng(1).integers(1, 3, len(score))
    twice = equal_error_rate(np.repeat(score, weight), np.repeat(same, weight))
    assert equal_error_rate(score, same, weight.astype(float)) == pytest.approx(twice, abs=2e-3)


def test_the_evaluation_has_intervals_around_its_values():
    embedding, target = drawn(300, 20, noise=1.0)
    found = measure_likeness(embedding, target * 7)
    for entry in found["metrics"].values():
        assert entry["low"] <= entry["value"] <= entry["high"] and entry["high"] - entry["low"] > 0.005
    false, true = found["roc"]["false_positive"], found["roc"]["true_positive"]
    assert false == sorted(false) and true == sorted(true) and false[-1] == true[-1] == 1.0
    score, same = pairs(embedding, target)
    assert np.mean((score >= found["same_from"]) != same) == pytest.approx(
        found["metrics"]["equal_error_rate"]["value"], abs=0.01
    )


def test_the_nearest_other_row_is_found_and_rows_without_an_answer_have_none():
    embedding, _ = drawn(30)
    embedding[4] = np.nan
    nearest, alike = nearest_others(embedding)
    assert nearest[4] == -1 and np.isnan(alike[4]) and 4 not in nearest
    clean = np.nan_to_num(embedding)
    scores = clean @ clean.T
    np.fill_diagonal(scores, -9)
    scores[:, 4] = -9
    others = np.arange(30) != 4
    np.testing.assert_array_equal(nearest[others], scores.argmax(1)[others])


def test_an_embedder_gives_directions_and_learns_everywhere():
    torch.manual_seed(0)
    model = Embedder(1, 5, backbone={"name": "resnet", "depth": 8, "width": 4}, width=12)
    x = torch.randn(6, 1, 16, 16)
    answer = model(x)
    assert answer.embedding.shape == (6, 12) and answer.cosine.shape == (6, 5)
    torch.testing.assert_close(answer.embedding.norm(dim=1), torch.ones(6))
    assert answer.cosine.abs().max() <= 1 + 1e-5
    loss = Likeness(5).loss(model, {"inputs": (x,), "target": torch.arange(6) % 5}, "model")
    loss.total.backward()
    assert [name for name, each in model.named_parameters() if each.grad is None] == []
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x[2:3]).embedding, model(x).embedding[2:3], atol=1e-5, rtol=1e-4)
