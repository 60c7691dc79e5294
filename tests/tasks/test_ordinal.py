"""Ordinal: both links to probabilities by their definitions, the losses they make, and metrics of ranks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from test_classify import Fixed, batch, mean
from torch import nn

from trainwell.errors import InputError
from trainwell.tasks import Ordinal
from trainwell.tasks.ordinal import LINKS, conditional, cumulative, rank_mae, weighted_kappa

SCORES = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 3, 4, 2] * 2)
EVERY = pytest.mark.parametrize("link", LINKS)


def test_corn_by_the_chain_rule() -> None:
    above = SCORES.sigmoid().cumprod(1)  # P(y > 0), P(y > 1), ...
    every = torch.cat([torch.ones(12, 1, dtype=torch.float64), above, torch.zeros(12, 1, dtype=torch.float64)], 1)
    torch.testing.assert_close(conditional(SCORES).exp(), every[:, :-1] - every[:, 1:])


def test_corns_loss_is_that_of_the_paper() -> None:
    """Binary cross-entropies of each step, over the rows that are not below it."""
    total = 0.0
    for step in range(4):
        asked = step <= TARGET
        labels = (step < TARGET[asked]).double()
        total += nn.functional.binary_cross_entropy_with_logits(SCORES[asked, step], labels, reduction="sum").item()
    assert mean(Ordinal(5), Fixed(SCORES), batch(TARGET)) == pytest.approx(total / 12, rel=1e-9)


def test_cumulative_by_differences_of_sigmoids() -> None:
    thresholds = torch.cat([-SCORES[:, :1], nn.functional.softplus(SCORES[:, 1:])], 1).cumsum(1)
    below = thresholds.sigmoid()  # P(y <= k)
    every = torch.cat([torch.zeros(12, 1, dtype=torch.float64), below, torch.ones(12, 1, dtype=torch.float64)], 1)
    torch.testing.assert_close(cumulative(SCORES).exp(), every[:, 1:] - every[:, :-1])


@EVERY
@given(st.integers(0, 500), st.sampled_from([1.0, 20.0, 1e3]), st.integers(2, 9))
def test_probabilities_sum_to_one_and_train(link: str, seed: int, size: float, classes: int) -> None:
    random = torch.Generator().manual_seed(seed)
    model = Fixed(torch.randn(6, classes - 1, generator=random) * size)
    task, target = Ordinal(classes, link=link), torch.arange(6) % classes
    probability = task.predict(model, batch(target))["probability"]
    torch.testing.assert_close(probability.sum(1), torch.ones(6))
    above = 1 - probability.cumsum(1)
    assert (above.diff(dim=1) <= 1e-6).all()  # to be above a class is never likelier than to be above a lower one
    loss = task.loss(model, batch(target), "model")
    loss.total.backward()
    assert loss.total.isfinite() and model.scores.grad.isfinite().all()


@EVERY
def test_gradients_and_members(link: str) -> None:
    task = Ordinal(5, link=link)
    assert torch.autograd.gradcheck(LINKS[link], SCORES.clone().requires_grad_())
    members = torch.stack([SCORES, SCORES.flip(0)], 1)
    found = task.predict(Fixed(members), batch(TARGET))["probability"]
    torch.testing.assert_close(found, (LINKS[link](SCORES).exp() + LINKS[link](SCORES.flip(0)).exp()) / 2)
    each = [mean(task, Fixed(of), batch(TARGET)) for of in (SCORES, SCORES.flip(0))]
    assert mean(task, Fixed(members), batch(TARGET)) == pytest.approx(np.mean(each), rel=1e-9)


@EVERY
def test_a_batch_is_its_rows(link: str) -> None:
    task = Ordinal(5, link=link)
    whole = task.predict(Fixed(SCORES), batch(TARGET))["probability"]
    alone = [task.predict(Fixed(SCORES[i : i + 1]), batch(TARGET[i : i + 1]))["probability"] for i in range(12)]
    torch.testing.assert_close(torch.cat(alone), whole)


def test_the_answer_is_the_median_class() -> None:
    probability = np.array([[0.3, 0.25, 0.45], [0.5, 0.2, 0.3], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6 - 1e-9]])
    assert Ordinal(3).decide(probability).tolist() == [1, 0, 2, 2]
    random = np.random.default_rng(0)
    drawn = random.dirichlet(np.ones(5), 50)
    expected = (drawn[:, None] * np.abs(np.arange(5)[:, None] - np.arange(5))).sum(2)  # ranks off, of each answer
    assert (Ordinal(5).decide(drawn) == expected.argmin(1)).all()


@given(st.integers(0, 500))
def test_metrics_equal_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    answer, target = random.integers(0, 5, 40), random.integers(0, 5, 40)
    assert weighted_kappa(answer, target) == pytest.approx(cohen_kappa_score(answer, target, weights="quadratic"))
    assert rank_mae(answer, target) == np.abs(answer - target).mean()


def test_metrics_by_batches() -> None:
    task = Ordinal(5, goal="rank_mae")
    metrics = task.metrics()
    for rows in (slice(0, 7), slice(7, 12)):
        metrics.update(task.predict(Fixed(SCORES[rows]), batch(TARGET[rows])), {"target": TARGET[rows]})
    found = metrics.compute()
    probability = conditional(SCORES).exp().numpy()
    assert found["rank_mae"] == rank_mae(task.decide(probability), TARGET.numpy())
    assert found["accuracy"] == (task.decide(probability) == TARGET.numpy()).mean()
    assert found["log_loss"] == pytest.approx(mean(task, Fixed(SCORES), batch(TARGET)))
    assert task.goal == ("rank_mae", "min") and Ordinal(5, goal="accuracy").goal == ("accuracy", "max")
    assert weighted_kappa(np.ones(3, int), np.ones(3, int)) == 1


def test_what_does_not_fit_is_named() -> None:
    assert Ordinal.asks(5) == 4
    with pytest.raises(InputError, match=r"5 scores.*ask for 4"):
        Ordinal(5).loss(Fixed(torch.randn(12, 5)), batch(TARGET), "model")
    with pytest.raises(ValueError, match="names 2 classes, the target has 5"):
        Ordinal(5, order=["low", "high"])
    with pytest.raises(InputError, match="3 labels"):
        Ordinal(2, 3)
