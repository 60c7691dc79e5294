"""NBSVM: its counts are those of scikit-learn's naive Bayes, padding and repeats change nothing, and it learns."""

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import BernoulliNB
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.models.nbsvm import NBSVM


def texts(count: int = 40, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 12, (count, 9), generator=generator)
    mask = torch.arange(9) < torch.randint(2, 10, (count, 1), generator=generator)
    return tokens * mask, mask, torch.arange(count) % classes


def test_padding_other_texts_and_repeats_change_nothing() -> None:
    tokens, mask, target = texts()
    model = NBSVM(12, 2, pairs=30)
    model.initialize(tokens, mask, target)
    torch.nn.init.normal_(model.factor.weight)
    scores = model(tokens, mask)
    for row in range(5):
        alone = tokens[row : row + 1, : int(mask[row].sum())]
        assert torch.allclose(scores[row], model(alone)[0], atol=1e-6)
    singles = NBSVM(12, 2, pairs=0)
    singles.initialize(tokens, mask, target)
    torch.nn.init.normal_(singles.factor.weight)
    once = torch.tensor([[3, 5, 7]])
    assert torch.allclose(singles(once), singles(torch.tensor([[7, 3, 5, 5, 3, 7, 7]])), atol=1e-6)
    assert not torch.allclose(model(once), model(once.flip(1)), atol=1e-4)  # pairs know the order


@pytest.mark.parametrize("classes", [2, 3])
def test_its_ratios_are_those_of_presence_by_class(classes: int) -> None:
    """Beside scikit-learn's Bernoulli naive Bayes, whose smoothing adds a text with and one without each word."""
    tokens, mask, target = texts(60, classes)
    model = NBSVM(12, classes, pairs=0)
    model.initialize(tokens, mask, target)
    present = np.zeros((60, 12))
    for row, (each, inside) in enumerate(zip(tokens, mask, strict=True)):
        present[row, each[inside].numpy()] = 1
    counts = BernoulliNB(alpha=1.0).fit(present, target.numpy()).feature_count_ + 1  # (classes, words)
    own, others = counts, (counts.sum(0) - counts)
    # The entry for pairs that are not read counts as one text of each class, as every other entry does.
    expected = np.log(own / (own.sum(1, keepdims=True) + 1)) - np.log(
        others / (others.sum(1, keepdims=True) + classes - 1)
    )
    assert np.allclose(model.ratio[:12].T.numpy(), expected, atol=1e-5)


def test_pairs_seen_in_one_text_alone_are_not_read() -> None:
    tokens = torch.tensor([[1, 2, 3], [1, 2, 4], [5, 6, 1]])
    model = NBSVM(12, 2, pairs=4)
    model.initialize(tokens, torch.ones_like(tokens, dtype=torch.bool), torch.tensor([0, 1, 0]))
    assert model.keys[0] == 1 * 12 + 2 and (model.keys[1:] == torch.iinfo(torch.int64).max).all()


@pytest.mark.parametrize("target", [torch.arange(40) % 3, torch.rand(40), torch.zeros(40, 2, dtype=torch.long)])
def test_answers_other_than_one_class_are_refused(target: torch.Tensor) -> None:
    tokens, mask, _ = texts()
    with pytest.raises(InputError, match="--model fasttext"):
        NBSVM(12, 2).initialize(tokens, mask, target)


def test_a_batch_is_learned() -> None:
    tokens, mask, target = texts()
    model = NBSVM(12, 2, pairs=50)
    model.initialize(tokens, mask, target)
    assert torch.allclose(model(tokens, mask), torch.full((40, 2), 0.5).log())  # the classes' shares at first
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    for _ in range(300):
        loss = F.cross_entropy(model(tokens, mask), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert F.cross_entropy(model(tokens, mask), target) < 0.1
