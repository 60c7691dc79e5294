"""Next tokens: the loss against torch, padding that does not count, and what a network must give."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.models.gpt import GPT
from trainwell.tasks import Language


def batch(rows: int = 8, padded: int = 0) -> dict:
    tokens = torch.randint(2, 20, (rows, 13), generator=torch.Generator().manual_seed(0))
    if padded:
        tokens[:, -padded:] = 0
    return {"inputs": (tokens[:, :-1],), "target": tokens[:, 1:], "row": torch.arange(rows)}


def model() -> GPT:
    torch.manual_seed(0)
    return GPT(20, width=16, depth=1, heads=2, context=12).eval()


def test_the_loss_is_cross_entropy_over_tokens_that_are_text() -> None:
    task, network, whole = Language(20), model(), batch(padded=4)
    loss = task.loss(network, whole, "model")
    scores = network(*whole["inputs"])[:, :8]
    want = F.cross_entropy(scores.flatten(0, 1), whole["target"][:, :8].flatten(), reduction="sum")
    assert torch.allclose(loss.total, want, rtol=1e-5) and loss.count == 64
    metrics = task.metrics()
    with torch.no_grad():
        metrics.update(task.predict(network, whole), whole)
    found = metrics.compute()
    assert found["nats"] == pytest.approx(float(want.detach()) / 64, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["nats"]))
    assert found["accuracy"] == pytest.approx(float((scores.argmax(-1) == whole["target"][:, :8]).float().mean()))


def test_a_batch_of_eight_is_eight_of_one() -> None:
    task, network, whole = Language(20), model(), batch()
    ones = [
        task.loss(network, {"inputs": (whole["inputs"][0][i : i + 1],), "target": whole["target"][i : i + 1]}, "model")
        for i in range(8)
    ]
    assert torch.allclose(task.loss(network, whole, "model").total, sum(each.total for each in ones), rtol=1e-5)


def test_a_network_that_scores_no_tokens_is_named() -> None:
    with pytest.raises(InputError, match="a score for each of 20 tokens"):
        Language(20).loss(nn.Embedding(20, 7), batch(), "model")
