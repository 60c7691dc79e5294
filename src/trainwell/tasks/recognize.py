"""Speech to the characters that are said, without being told when: connectionist temporal classification.

Graves et al. 2006.
"""

import math

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.loss import ctc
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single


class Recognize(Task):
    """The characters of each sound, scored by how many have to be changed.

    A model gives scores (batch, time, symbols), symbol 0 the blank, and how many steps of each row count, (batch,). The
    loss is minus the log probability of the text, summed, over its characters. `beams` above 1 keeps so many
    beginnings when it answers; 1 takes the likeliest symbol of each step.
    """

    goal = ("character_error", "min")

    def __init__(self, symbols: int, *, beams: int = 8) -> None:
        if beams < 1:
            raise ValueError(f"beams={beams}: expected 1 or more")
        self.symbols, self.beams = symbols, beams

    def log_probabilities(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of each symbol at each step, (batch, time, symbols), and how many steps count."""
        answer = model(*batch["inputs"])
        if not isinstance(answer, tuple) or len(answer) != 2 or answer[0].shape[-1] != self.symbols:
            raise InputError(
                f"model: expected scores of {self.symbols} symbols at every step, and how many steps count in each row"
            )
        return at_least_single(answer[0]).log_softmax(-1), answer[1]

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        found, steps = self.log_probabilities(model, batch)
        target = batch["target"]
        lengths = (target > 0).sum(1)
        each = ctc(found, target, lengths=steps, target_lengths=lengths)
        return Loss(each.sum(), lengths.sum().clamp_min(1))

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"tokens": (batch, longest) long, 0 after the end}, the likeliest symbol of each step."""
        found, steps = self.log_probabilities(model, batch)
        rows = greedy(found, steps)
        tokens = torch.zeros(len(rows), max([1, *map(len, rows)]), dtype=torch.long)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        return {"tokens": tokens}

    def read(self, model: nn.Module, batch: Batch) -> list[list[int]]:
        """The symbols of each row, by beams."""
        found, steps = self.log_probabilities(model, batch)
        if self.beams == 1:
            return greedy(found, steps)
        return [beam(row[:end], self.beams) for row, end in zip(found.cpu(), steps.tolist(), strict=True)]

    def metrics(self) -> Metrics:
        return CharacterErrors()


class CharacterErrors:
    """How many characters have to be inserted, deleted or exchanged, over how many there are."""

    def __init__(self) -> None:
        self.wrong = self.count = 0

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        for said, truth in zip(prediction["tokens"].tolist(), batch["target"].tolist(), strict=True):
            truth = [each for each in truth if each]
            self.wrong += distance([each for each in said if each], truth)
            self.count += len(truth)

    def compute(self) -> dict[str, float]:
        return {"character_error": self.wrong / max(1, self.count)}


def greedy(log_probabilities: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest symbol of each step, repeated ones once and blanks left out.

    log_probabilities: (batch, time, symbols), lengths: (batch,) -> symbols of each row
    """
    best = log_probabilities.argmax(-1).tolist()
    rows = []
    for row, end in zip(best, lengths.tolist(), strict=True):
        rows.append([each for place, each in enumerate(row[:end]) if each and (place == 0 or row[place - 1] != each)])
    return rows


def beam(log_probabilities: Tensor, beams: int) -> list[int]:
    """The likeliest text over all its alignments, as far as so many beginnings show. Hannun et al. 2014.

    arXiv:1408.2873. log_probabilities: (time, symbols) -> symbols
    """
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}  # ends in a blank, or in its last symbol
    for row in log_probabilities.tolist():
        grown: dict[tuple[int, ...], tuple[float, float]] = {}

        def add(text: tuple[int, ...], blank: float, symbol: float, grown: dict = grown) -> None:
            before = grown.get(text, (-math.inf, -math.inf))
            grown[text] = (_sum(before[0], blank), _sum(before[1], symbol))

        for text, (blank, symbol) in kept.items():
            both = _sum(blank, symbol)
            add(text, both + row[0], symbol + row[text[-1]] if text else -math.inf)
            for each in range(1, len(row)):
                add((*text, each), -math.inf, (blank if text and each == text[-1] else both) + row[each])
        kept = dict(sorted(grown.items(), key=lambda pair: -_sum(*pair[1]))[:beams])
    return list(next(iter(kept)))


def _sum(first: float, second: float) -> float:
    """The logarithm of the sum of two numbers given as logarithms."""
    high, low = max(first, second), min(first, second)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def distance(first: list, second: list) -> int:
    """The fewest insertions, deletions and exchanges that make one list the other. Levenshtein 1966."""
    row = list(range(len(second) + 1))
    for place, one in enumerate(first, start=1):
        corner, row[0] = row[0], place
        for i, other in enumerate(second, start=1):
            corner, row[i] = row[i], min(row[i] + 1, row[i - 1] + 1, corner + (one != other))
    return row[-1]
