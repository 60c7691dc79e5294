"""Scores of first and last tokens to stretches, and the comparison of answers that SQuAD's authors use."""

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.data.schema import NOWHERE, UNTOLD
from trainwell.explain.answering import exact, f1, normalized
from trainwell.tasks.answer import Answer, best_threshold


class Given(nn.Module):
    """Scores as they were given."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, *inputs):
        return self.scores


def batch(inside, target, shift=None, row=None):
    rows = len(inside)
    return {
        "inputs": (torch.zeros(rows, len(inside[0])),),
        "inside": torch.tensor(inside),
        "shift": torch.tensor(shift or [0] * rows),
        "target": torch.tensor(target),
        "row": torch.tensor(row or list(range(rows))),
    }


def test_loss_is_the_mean_of_both_ends_and_the_first_token_where_the_answer_is_not():
    scores = torch.randn(4, 4, 2, generator=torch.Generator().manual_seed(0))
    inside = [[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    target = [[5, 6], [5, 6], [NOWHERE, NOWHERE], [UNTOLD, UNTOLD]]
    shift = [3, 5, 0, 0]  # the second window begins behind the answer's first token
    loss = Answer().loss(Given(scores), batch(inside, target, shift), "model")
    chances = scores[:, [0, 2, 3]].log_softmax(1)
    second = scores[1, [0, 2]].log_softmax(0)
    wanted = chances[0, 1, 0] + chances[0, 2, 1] + second[0].sum() + chances[2, 0].sum()
    assert loss.total.item() == pytest.approx(-wanted.item() / 2, rel=1e-4)
    assert int(loss.count) == 3


def test_the_best_stretch_ends_after_it_begins_and_is_not_too_long():
    random = torch.Generator().manual_seed(1)
    scores, inside = torch.randn(5, 9, 2, generator=random), [[0] * 2 + [1] * 7] * 5
    found = Answer(longest=3).predict(Given(scores), batch(inside, [[-1, -1]] * 5, [10] * 5))
    chances = scores[:, [0, *range(2, 9)]].log_softmax(1)
    for row in range(5):
        pairs = {
            (first, last): float(chances[row, first - 1, 0] + chances[row, last - 1, 1])
            for first in range(2, 9)
            for last in range(first, min(9, first + 3))
        }
        best = max(pairs, key=pairs.get)
        assert (int(found["first"][row]) - 10, int(found["last"][row]) - 10) == best
        assert float(found["sure"][row]) == pytest.approx(np.exp(pairs[best]), rel=1e-4)
        assert float(found["none"][row]) == pytest.approx(float(chances[row, 0].sum().exp()), rel=1e-4)


def test_the_windows_of_a_passage_give_one_answer():
    answers = {
        "row": np.array([7, 7, 7, 2, 2]),
        "first": np.array([1, 50, 90, 4, 5]),
        "last": np.array([2, 51, 91, 4, 6]),
        "sure": np.array([0.2, 0.7, 0.1, 0.3, 0.3]),
        "none": np.array([0.8, 0.1, 0.9, 0.6, 0.5]),
    }
    found = Answer().merge(answers)
    assert found["row"].tolist() == [7, 2] and found["first"].tolist() == [50, 4]
    assert found["none"].tolist() == [0.1, 0.5] and found["sure"].tolist() == [0.7, 0.3]


def test_metrics_by_tokens_over_the_windows_of_a_question():
    metrics = Answer().metrics()
    prediction = {
        "first": torch.tensor([1, 2, 0, 9]),
        "last": torch.tensor([2, 2, 1, 9]),
        "sure": torch.tensor([0.9, 0.9, 0.9, 0.1]),
        "none": torch.zeros(4),
        "row": torch.tensor([3, 4, 6, 6]),
    }
    target = torch.tensor([[1, 2], [1, 4], [NOWHERE, NOWHERE], [NOWHERE, NOWHERE]])
    metrics.update(prediction, {"target": target})
    assert metrics.compute() == pytest.approx({"f1": (1 + 2 / 5) / 3, "exact": 1 / 3})


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    none, score = random.integers(0, 11, 40) / 10, random.random(40)
    empty = random.random(40) < 0.4
    score[empty] = 0

    def reached(threshold):
        return np.where(none > threshold, empty, score).mean()

    found = best_threshold(none, score, empty)
    assert reached(found) == pytest.approx(max(reached(each) for each in np.linspace(0, 1, 201)))
    assert best_threshold(np.array([0.2, 0.6]), np.array([1.0, 0.0]), np.array([False, True])) == 0.5
    assert best_threshold(np.array([0.6]), np.array([1.0]), np.array([False])) == 1.0  # nothing to say none to


def test_questions_without_an_answer_are_counted_by_the_best_threshold():
    prediction = {
        "first": np.array([1, 2, 0]),
        "last": np.array([2, 2, 1]),
        "sure": np.array([0.3, 0.2, 0.1]),
        "none": np.array([0.1, 0.2, 0.4]),
        "row": np.arange(3),
    }
    target = np.array([[1, 2], [1, 4], [NOWHERE, NOWHERE]])
    metrics = Answer(0.5).metrics()
    metrics.update({key: torch.tensor(each) for key, each in prediction.items()}, {"target": torch.tensor(target)})
    assert metrics.compute() == pytest.approx({"f1": (1 + 2 / 5 + 1) / 3, "exact": 2 / 3})


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
