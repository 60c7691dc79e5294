"""Scores of generated rows against closed forms and planted faults."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.explain.generation import (
    class_balance,
    classifier_features,
    copies,
    frechet_distance,
    importance_bound,
    nearest,
    precision_recall,
    scores,
    told_apart,
)
from trainwell.models.vae import VAE
from trainwell.nn.latent import log_normal
from trainwell.tasks.reconstruct import Reconstruct


def normal(count, mean=0.0, deviation=1.0, width=4, seed=0):
    return mean + deviation * np.random.default_rng(seed).standard_normal((count, width))


def test_frechet_distance_is_that_of_two_normals():
    rows = normal(5000)
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 2) == pytest.approx(4 * 4)
    assert frechet_distance(rows, 3 * rows - 2 * rows.mean(0)) == pytest.approx(4 * np.trace(np.cov(rows.T)), rel=1e-9)
    turned = rows @ np.linalg.qr(normal(4, seed=2))[0] * [1, 2, 3, 4]
    from scipy.linalg import sqrtm

    first, second = np.cov(rows.T), np.cov(turned.T)
    expected = ((rows.mean(0) - turned.mean(0)) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(rows, turned) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InputError, match="99 generated rows"):
        frechet_distance(rows, rows[:99])


def test_precision_falls_for_strays_and_recall_for_a_lost_mode():
    left, right = normal(300, -10, seed=1), normal(300, 10, seed=2)
    real = np.concatenate([left, right])
    again = np.concatenate([normal(300, -10, seed=3), normal(300, 10, seed=4)])
    precision, recall = precision_recall(real, again)
    assert precision > 0.9 and recall > 0.9
    precision, recall = precision_recall(real, normal(600, -10, seed=5))
    assert precision > 0.9 and 0.4 < recall < 0.5
    precision, recall = precision_recall(real, np.concatenate([again[:300], normal(300, 40, seed=6)]))
    assert 0.4 < precision < 0.5


def test_the_nearest_is_found():
    rows, others = normal(30, seed=1), normal(50, seed=2)
    distances, places = nearest(rows, others, count=2, block=7)
    expected = np.linalg.norm(rows[:, None] - others[None], axis=2)
    assert (places == expected.argsort(1)[:, :2]).all()
    np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :2])


def test_class_balance():
    even = class_balance(np.eye(4)[np.arange(40) % 4])
    assert even["shares"].tolist() == [0.25] * 4 and even["evenness"] == pytest.approx(1) and even["confident"] == 1
    lost = class_balance(np.eye(4)[np.zeros(40, dtype=int)] * 0.6 + 0.1)
    assert lost["shares"].tolist() == [1, 0, 0, 0] and lost["evenness"] == 0 and lost["confident"] == 0


def test_copies_are_noticed_and_honest_rows_are_not():
    training, held_out = normal(1000, seed=1), normal(500, seed=2)
    honest = copies(normal(500, seed=3), training, held_out)
    assert honest.share < 0.12
    copied = copies(training[:400] + 0.01, training, held_out)
    assert copied.share > 0.95 and (copied.places == np.arange(400)).all()


def test_features_are_what_the_last_layer_reads():
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    x = torch.randn(120, 1, 4, 4)
    found = classifier_features(classifier, x, batch=50)
    classifier.eval()
    np.testing.assert_allclose(found.features, classifier[:3](x).detach().double(), atol=1e-6)
    np.testing.assert_allclose(found.probability, classifier(x).softmax(1).detach(), atol=1e-6)
    everything = scores(found, found)
    assert everything["distance"] == pytest.approx(0, abs=1e-6) and everything["precision"] == everything["recall"] == 1
    with pytest.raises(InputError, match="no linear layer"):
        classifier_features(nn.Flatten(), x)


class Known(VAE):
    """x = code + noise of deviation 0.5, with a poor posterior: the evidence is N(0, 1.25) all the same."""

    def decode(self, code):
        return code

    def encode(self, x):
        return 0.6 * x + 0.2, torch.full_like(x, math.log(0.4))


def test_the_importance_bound_goes_from_the_elbo_to_the_truth():
    torch.manual_seed(0)
    model, task, x = Known(1, latent=1), Reconstruct((1,), deviation=0.5), torch.linspace(-2, 2, 9)[:, None]
    truth = -log_normal(x, 0.0, math.log(1.25)).double()
    many = importance_bound(task, model, x, draws=20_000, at_once=3000)
    torch.testing.assert_close(many, truth, atol=0.02, rtol=0)
    means = [
        torch.stack([importance_bound(task, model, x, draws=draws, seed=s) for s in range(200)]).mean().item()
        for draws in (1, 5, 50)
    ]
    assert means[0] > means[1] + 0.02 > means[2] > truth.mean().item() - 0.01
    rows = {"inputs": (x.repeat(300, 1),), "row": torch.arange(2700)}
    assert means[0] == pytest.approx(task.predict(model.eval(), rows)["loss"].mean().item(), abs=0.05)


def test_a_classifier_tells_wrong_rows_apart_and_not_right_ones():
    rows = normal(600, seed=1)
    assert told_apart(rows, normal(600, seed=2)) == pytest.approx(0.5, abs=0.06)
    wrong = normal(600, seed=3)
    wrong[:, 1] = wrong[:, 0]
    assert told_apart(rows, wrong) > 0.85
