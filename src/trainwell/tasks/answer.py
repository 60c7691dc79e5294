"""Scores at every token of a question and its passage to the stretch that answers it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.tasks.task import Batch, Gathered, Loss, Metrics, Task, at_least_single

LONGEST = 30  # tokens of an answer


class Answer(Task):
    """Where in its passage the answer to a question begins and ends. Devlin et al. 2018, arXiv:1810.04805.

    A model gives (batch, time, 2) scores, of being the first and of being the last token. `longest` is the most tokens
    that an answer may have.
    """

    goal = ("f1", "max")

    def __init__(self, *, longest: int = LONGEST) -> None:
        if longest < 1:
            raise ValueError(f"longest={longest}: expected 1 token or more")
        self.longest = longest

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores, minus infinity outside the passage: (batch, time, 2)."""
        found = at_least_single(model(*batch["inputs"]))
        if found.dim() != 3 or found.shape[-1] != 2:
            raise InputError(
                f"model: gives {tuple(found.shape[1:])} a question, expected two at every token; bert_tagger does"
            )
        return found.masked_fill((batch["inside"] == 0).unsqueeze(-1), -1e9)

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        scores, target = self.scores(model, batch), batch["target"]
        each = F.cross_entropy(scores, target, ignore_index=-1, reduction="sum")  # first and last, as two columns
        return Loss(each / 2, (target[:, 0] >= 0).sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"first": (batch,), "last": (batch,) token numbers, "sure": (batch,) the probability of that stretch}."""
        chances = self.scores(model, batch).log_softmax(1)
        both = chances[:, :, None, 0] + chances[:, None, :, 1]  # (batch, first, last)
        allowed = torch.ones(both.shape[1:], dtype=torch.bool, device=both.device).triu().tril(self.longest - 1)
        best = both.masked_fill(~allowed, float("-inf")).flatten(1)
        sure, place = best.max(1)
        return {"first": place // both.shape[2], "last": place % both.shape[2], "sure": sure.exp()}

    def metrics(self) -> Metrics:
        return Gathered({"f1": overlap, "exact": exact})


def exact(prediction: dict, target: Tensor) -> float:
    """The share of questions whose first and last token are both right."""
    right = (prediction["first"] == target[:, 0]) & (prediction["last"] == target[:, 1])
    return float(right.mean())


def overlap(prediction: dict, target: Tensor) -> float:
    """The mean F1 of the tokens in the answer and in the truth; 0 for an answer that was cut off."""
    first, last = prediction["first"], prediction["last"]
    begin, end = target[:, 0], target[:, 1]
    shared = (last.clip(max=end) - first.clip(min=begin) + 1).clip(min=0) * (begin >= 0)
    return float((2 * shared / ((last - first + 1) + (end - begin + 1))).mean())
