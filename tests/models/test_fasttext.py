"""fastText: padding and other rows change nothing, word order does where pairs count, and it learns."""

import pytest
import torch
from torch.nn import functional as F

from trainwell.models.fasttext import FastText


@pytest.mark.parametrize("pairs", [0, 50])
def test_padding_and_neighbours_change_nothing(pairs: int) -> None:
    torch.manual_seed(0)
    model = FastText(30, 3, pairs=pairs).eval()
    tokens = torch.randint(1, 30, (4, 9))
    mask = torch.arange(9) < torch.tensor([9, 4, 1, 6]).unsqueeze(1)
    scores = model(tokens * mask, mask)
    assert scores.shape == (4, 3)
    for row, length in enumerate([9, 4, 1, 6]):
        assert torch.allclose(scores[row], model(tokens[row : row + 1, :length])[0], atol=1e-6)
    turned = model(tokens.flip(1))
    assert torch.allclose(turned, model(tokens), atol=1e-5) == (pairs == 0)


def test_every_parameter_learns_and_a_batch_is_memorized() -> None:
    torch.manual_seed(0)
    model = FastText(30, 2, pairs=50, drop=0.2)
    tokens, target = torch.randint(0, 30, (16, 8)), torch.randint(0, 2, (16,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(100):
        loss = F.cross_entropy(model(tokens), target)
        optimizer.zero_grad()
        loss.backward()
        assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.parameters())
        optimizer.step()
    assert F.cross_entropy(model.eval()(tokens), target) < 0.1
