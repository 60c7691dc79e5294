"""Scores of first and last tokens to stretches, and the comparison of answers that SQuAD's authors use."""

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.explain.answering import exact, f1, normalized
from trainwell.tasks.answer import Answer


class Given(nn.Module):
    """Scores as they were given."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, *inputs):
        return self.scores


def batch(inside, target):
    return {
        "inputs": (torch.zeros(len(inside), len(inside[0])),),
        "inside": torch.tensor(inside),
        "target": torch.tensor(target),
    }


def test_loss_is_the_mean_of_both_ends_within_the_passage():
    scores = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0))
    loss = Answer().loss(Given(scores), batch([[0, 1, 1, 1], [0, 1, 1, 0]], [[1, 2], [-1, -1]]), "model")
    chances = scores[0, 1:].log_softmax(0)
    assert loss.total.item() == pytest.approx(-(chances[0, 0] + chances[1, 1]).item() / 2, rel=1e-4)
    assert int(loss.count) == 1


def test_the_best_stretch_ends_after_it_begins_and_is_not_too_long():
    random = torch.Generator().manual_seed(1)
    scores, inside = torch.randn(5, 9, 2, generator=random), [[0] * 2 + [1] * 7] * 5
    found = Answer(longest=3).predict(Given(scores), batch(inside, [[-1, -1]] * 5))
    chances = scores[:, 2:].log_softmax(1)
    for row in range(5):
        pairs = {
            (first, last): float(chances[row, first - 2, 0] + chances[row, last - 2, 1])
            for first in range(2, 9)
            for last in range(first, min(9, first + 3))
        }
        best = max(pairs, key=pairs.get)
        assert (int(found["first"][row]), int(found["last"][row])) == best
        assert float(found["sure"][row]) == pytest.approx(np.exp(pairs[best]), rel=1e-4)


def test_metrics_by_tokens():
    metrics = Answer().metrics()
    prediction = {"first": torch.tensor([1, 2, 0]), "last": torch.tensor([2, 2, 1]), "sure": torch.ones(3)}
    metrics.update(prediction, {"target": torch.tensor([[1, 2], [1, 4], [-1, -1]])})
    assert metrics.compute() == pytest.approx({"f1": (1 + 2 / 5) / 3, "exact": 1 / 3})


@pytest.mark.parametrize(
    ("answer", "truth", "same", "score"),
    [
        ("The  Black-Forest!", "black forest", False, 0.0),
        ("the Black Forest", "Black forest.", True, 1.0),
        ("Black Forest in Germany", "Black Forest", False, 2 * 2 / 6),
        ("", "a", True, 1.0),
        ("one", "two", False, 0.0),
    ],
)
def test_answers_are_compared_without_articles_and_signs(answer, truth, same, score):
    assert exact(answer, [truth]) is same and f1(answer, [truth]) == pytest.approx(score)
    assert exact(answer, ["other", truth]) is same


def test_the_comparison_is_that_of_transformers():
    metrics = pytest.importorskip("transformers.data.metrics.squad_metrics")
    random = np.random.default_rng(0)
    words = ["the", "a", "An", "cat,", "Dog", "of", "1.5", "-", "cat"]
    for _ in range(200):
        one, two = (" ".join(random.choice(words, random.integers(0, 5))) for _ in range(2))
        assert normalized(one) == metrics.normalize_answer(one)
        assert exact(one, [two]) == bool(metrics.compute_exact(two, one))
        assert f1(one, [two]) == pytest.approx(metrics.compute_f1(two, one))
