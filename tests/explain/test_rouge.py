"""ROUGE against counts by hand."""

import pytest

from trainwell.explain.rouge import rouge


@pytest.mark.parametrize(
    ("answer", "truth", "one", "two", "longest"),
    [
        # Lin 2004, section 3: police kill the gunman; police killed the gunman -> LCS police the gunman, 3 of 4.
        ("police kill the gunman", "police killed the gunman", 3 / 4, 1 / 3, 3 / 4),
        ("the gunman kill police", "police killed the gunman", 3 / 4, 1 / 3, 2 / 4),
        ("a a a", "a", 2 / 4, 0.0, 2 / 4),
        ("", "a b", 0.0, 0.0, 0.0),
        ("The Cat!", "the cat", 1.0, 1.0, 1.0),
    ],
)
def test_rouge_by_hand(answer, truth, one, two, longest):
    found = rouge(answer, [truth])
    assert found == pytest.approx({"rouge1": one, "rouge2": two, "rougeL": longest})


def test_the_best_truth_counts():
    assert rouge("a b", ["c d", "a b"])["rougeL"] == 1.0
