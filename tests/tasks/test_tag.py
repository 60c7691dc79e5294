"""Tags to spans and their F1 as CoNLL's evaluation reads them, and the task that learns them."""

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.tasks.spans import counts, scores, spans
from trainwell.tasks.tag import Tag

TAGS = ["O", "B-loc", "I-loc", "B-per", "I-per"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O O", []),
        ("B-per I-per O B-loc", [(0, 2, "per"), (3, 4, "loc")]),
        ("B-per B-per", [(0, 1, "per"), (1, 2, "per")]),
        ("B-per I-loc I-loc", [(0, 1, "per"), (1, 3, "loc")]),  # another kind begins a span, as conlleval has it
        ("O I-per I-per O I-loc", [(1, 3, "per"), (4, 5, "loc")]),
        ("", []),
    ],
)
def test_spans_as_conlleval_reads_them(tags, expected):
    assert spans(tags.split()) == expected


def slow_spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """The same by definition: a stretch of one kind from a B, or after another kind, to where it ends."""
    kinds = [tag[2:] for tag in tags]

    def begins(at: int) -> bool:
        return tags[at] != "O" and (tags[at][0] == "B" or at == 0 or kinds[at - 1] != kinds[at])

    found = set()
    for start in range(len(tags)):
        if begins(start):
            end = start + 1
            while end < len(tags) and kinds[end] == kinds[start] and tags[end] != "O" and not begins(end):
                end += 1
            found.add((start, end, kinds[start]))
    return found


def test_spans_of_any_tags_follow_the_definition():
    random = np.random.default_rng(0)
    for _ in range(300):
        tags = random.choice(TAGS, random.integers(1, 9)).tolist()
        assert set(spans(tags)) == slow_spans(tags)


def test_f1_needs_both_ends_and_the_kind():
    truth = spans(["B-per", "I-per", "O", "B-loc", "O", "B-loc"])
    answer = spans(["B-per", "O", "O", "B-loc", "O", "B-per"])
    assert counts(truth, answer) == (1, 3, 3)
    assert scores(1, 3, 3) == pytest.approx({"f1": 1 / 3, "precision": 1 / 3, "recall": 1 / 3})
    assert scores(0, 0, 0) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


class Given(nn.Module):
    """Scores as they were given."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, tokens, mask):
        return self.scores[: len(tokens)]


def batch(target):
    target = torch.tensor(target)
    return {"inputs": (target, target != 0), "target": target}


def test_only_first_pieces_count():
    scores = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    task, data = Tag(TAGS), batch([[4, 0, 5, 1], [2, 1, 0, 0]])
    loss = task.loss(Given(scores), data, "model")
    right = ((0, 0, 4), (0, 2, 5), (0, 3, 1), (1, 0, 2), (1, 1, 1))
    expected = -sum(scores[row, at].log_softmax(-1)[tag - 1] for row, at, tag in right)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5) and int(loss.count) == 5
    prediction = task.predict(Given(scores), data)
    assert prediction["tag"].shape == prediction["sure"].shape == (5,)


def test_metrics_over_batches_are_those_of_all_sentences():
    task = Tag(TAGS)
    first, second = batch([[4, 0, 5, 1], [2, 1, 0, 0]]), batch([[1, 4]])
    metrics = task.metrics()
    metrics.update({"tag": torch.tensor([3, 4, 0, 1, 1])}, first)  # B-per I-per O | B-loc B-loc for B-loc O
    metrics.update({"tag": torch.tensor([0, 1])}, second)  # O B-loc for O B-per
    found = metrics.compute()
    assert found["f1"] == pytest.approx(2 * 2 / (4 + 3)) and found["accuracy"] == pytest.approx(5 / 7)
    assert task.goal == ("f1", "max") and Tag(["NOUN", "VERB"]).goal == ("accuracy", "max")


def test_a_network_without_a_score_for_each_tag_is_named():
    with pytest.raises(InputError, match="recurrent_tagger"):
        Tag(TAGS).loss(Given(torch.randn(2, 4, 3)), batch([[1, 1, 1, 1], [1, 1, 1, 1]]), "model")
