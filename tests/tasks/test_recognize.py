"""CTC against all alignments written out: the loss, the greedy and the beam answer; distances; padding."""

import itertools
import math

import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.tasks.recognize import Recognize, beam, distance, greedy


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(each for place, each in enumerate(path) if each and (place == 0 or path[place - 1] != each))


def totals(log_probabilities: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every text, summed over all alignments."""
    steps, symbols = log_probabilities.shape
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(symbols), repeat=steps):
        value = math.exp(sum(float(log_probabilities[step, each]) for step, each in enumerate(path)))
        found[collapsed(path)] = found.get(collapsed(path), 0.0) + value
    return found


class Given(nn.Module):
    """Gives back its inputs: scores and how many steps count."""

    def forward(self, scores: torch.Tensor, lengths: torch.Tensor):
        return scores, lengths


def batch(rows: int = 8, steps: int = 6, symbols: int = 4) -> dict:
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(rows, steps, symbols, generator=random)
    lengths = torch.tensor([6, 5, 4, 6, 6, 5, 4, 6])[:rows]
    target = torch.tensor([[1, 2], [3, 0], [2, 2], [1, 3], [1, 1], [2, 0], [3, 1], [2, 3]])[:rows]
    return {"inputs": (scores, lengths), "target": target, "row": torch.arange(rows)}


def test_the_loss_sums_over_all_alignments():
    task, whole = Recognize(4), batch()
    loss = task.loss(Given(), whole, "model")
    wanted = 0.0
    for row in range(8):
        end = int(whole["inputs"][1][row])
        text = tuple(int(each) for each in whole["target"][row] if each)
        wanted -= math.log(totals(whole["inputs"][0][row, :end].log_softmax(-1))[text])
    assert float(loss.total) == pytest.approx(wanted, rel=1e-4)
    assert int(loss.count) == int((whole["target"] > 0).sum())


def test_one_batch_of_eight_is_eight_of_one():
    task, whole = Recognize(4), batch()
    parts = []
    for row in range(8):
        single = {
            "inputs": tuple(each[row : row + 1] for each in whole["inputs"]),
            "target": whole["target"][row : row + 1],
        }
        parts.append(task.loss(Given(), single, "model"))
    assert torch.allclose(task.loss(Given(), whole, "model").total, sum(part.total for part in parts))


def test_the_beam_finds_the_likeliest_text():
    differs = 0
    for seed in range(12):
        random = torch.Generator().manual_seed(seed)
        found = torch.randn(5, 3, generator=random).log_softmax(-1)
        every = totals(found)
        best = max(every, key=every.__getitem__)
        assert tuple(beam(found, 100)) == best
        path = tuple(greedy(found[None], torch.tensor([5]))[0])
        differs += path != best
        assert path == collapsed(tuple(found.argmax(-1).tolist()))
    assert differs  # otherwise the beam is not put to the test


def test_steps_beyond_the_length_are_not_read():
    found = torch.full((1, 4, 3), -9.0)
    found[0, 0, 1] = found[0, 1, 1] = found[0, 2, 0] = found[0, 3, 2] = 0.0
    assert greedy(found, torch.tensor([3])) == [[1]] and greedy(found, torch.tensor([4])) == [[1, 2]]
    task = Recognize(3, beams=4)
    assert task.read(Given(), {"inputs": (found, torch.tensor([3]))}) == [[1]]


@pytest.mark.parametrize(
    ("first", "second", "wanted"), [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
)
def test_distance(first: str, second: str, wanted: int):
    assert distance(list(first), list(second)) == distance(list(second), list(first)) == wanted


def test_characters_wrong_are_counted_over_batches():
    metrics = Recognize(4).metrics()
    metrics.update({"tokens": torch.tensor([[1, 2, 0], [3, 0, 0]])}, {"target": torch.tensor([[1, 2], [2, 3]])})
    metrics.update({"tokens": torch.tensor([[1]])}, {"target": torch.tensor([[2]])})
    assert metrics.compute()["character_error"] == pytest.approx(2 / 5)


def test_what_cannot_be():
    with pytest.raises(InputError, match="scores of 4 symbols"):
        Recognize(4).loss(nn.Identity(), {"inputs": (torch.zeros(1, 2, 4),), "target": torch.ones(1, 1)}, "model")
    with pytest.raises(ValueError, match="beams"):
        Recognize(4, beams=0)
