"""Scores at every token of a question and a window of its passage to the stretch that answers it, or to none."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.data.schema import NOWHERE, UNTOLD
from trainwell.errors import InputError
from trainwell.tasks.task import Answers, Batch, Gathered, Loss, Metrics, Task, at_least_single

LONGEST = 30  # tokens of an answer
ALWAYS = 1.0  # the threshold of a network that never learned to say that there is no answer


class Answer(Task):
    """Where in its passage the answer to a question begins and ends. Devlin et al. 2018, arXiv:1810.04805.

    A model gives (batch, time, 2) scores, of being the first and of being the last token. A row is a window of a
    passage, its tokens numbered as in the passage by "shift"; the first token of all stands for "no answer here", which
    windows beside the answer are taught, as most windows of a long passage hold none. The windows of a question give
    one answer, the likeliest; none where it is likelier than the answer by more than `threshold`, as a share of both in
    the window that speaks least for it. Rajpurkar et al. 2018, arXiv:1806.03822. `longest` is the most tokens that an
    answer may have.
    """

    goal = ("f1", "max")

    def __init__(self, threshold: float = ALWAYS, *, longest: int = LONGEST) -> None:
        if longest < 1:
            raise ValueError(f"longest={longest}: expected 1 token or more")
        self.threshold, self.longest = threshold, longest

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores, minus infinity outside the passage and its first token: (batch, time, 2)."""
        found = at_least_single(model(*batch["inputs"]))
        if found.dim() != 3 or found.shape[-1] != 2:
            raise InputError(
                f"model: gives {tuple(found.shape[1:])} a question, expected two at every token; bert_tagger does"
            )
        outside = batch["inside"] == 0
        outside[:, 0] = False
        return found.masked_fill(outside.unsqueeze(-1), -1e9)

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        scores, target = self.scores(model, batch), batch["target"]
        place = target - batch["shift"].unsqueeze(1)
        ends = place.clamp(0, scores.shape[1] - 1)
        here = (place == ends).all(1) & (batch["inside"].gather(1, ends) > 0).all(1)
        label = torch.where(here.unsqueeze(1), ends, 0).masked_fill(target == UNTOLD, -1)
        each = F.cross_entropy(scores, label, ignore_index=-1, reduction="sum")  # first and last, as two columns
        return Loss(each / 2, (label[:, 0] >= 0).sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Of each window the likeliest stretch's first and last token, numbered as in the passage, and two chances.

        {"first", "last": (batch,), "sure": (batch,) the chance of that stretch, "none": that it holds no answer, "row"}
        """
        chances = self.scores(model, batch).log_softmax(1)
        inside = chances[:, 1:].masked_fill(batch["inside"][:, 1:].unsqueeze(-1) == 0, float("-inf"))
        both = inside[:, :, None, 0] + inside[:, None, :, 1]  # (batch, first, last)
        allowed = torch.ones(both.shape[1:], dtype=torch.bool, device=both.device).triu().tril(self.longest - 1)
        sure, place = both.masked_fill(~allowed, float("-inf")).flatten(1).max(1)
        start = 1 + batch["shift"]
        found = {"first": place // both.shape[2] + start, "last": place % both.shape[2] + start, "sure": sure.exp()}
        return {**found, "none": chances[:, 0].sum(-1).exp(), "row": batch["row"]}

    def merge(self, answers: Answers) -> Answers:
        """Of each row the answer of the surest of its windows, and the least chance of none among them."""
        _, first, row = np.unique(answers["row"], return_index=True, return_inverse=True)
        order = np.lexsort((-answers["sure"], row))
        surest = order[np.searchsorted(row[order], np.arange(len(first)))]
        none = np.full(len(first), np.inf)
        np.minimum.at(none, row, answers["none"])
        seen = np.argsort(first)  # rows in the order in which they came
        return {**{key: each[surest][seen] for key, each in answers.items()}, "none": none[seen]}

    def metrics(self) -> Metrics:
        return Gathered({"f1": self._mean(overlap), "exact": self._mean(exact)})

    def _mean(self, score: Callable[[Answers], np.ndarray]) -> Callable[[Answers, np.ndarray], float]:
        """The mean of a score over questions; with a threshold, with the one that is best for these rows' F1."""

        def mean(prediction: Answers, target: np.ndarray) -> float:
            asked = self.merge({**prediction, "target": target})
            empty, none = asked["target"][:, 0] == NOWHERE, share_of_none(asked)
            least = ALWAYS if self.threshold == ALWAYS else best_threshold(none, overlap(asked), empty)
            return float(np.where(none > least, empty, score(asked)).mean())

        return mean


def share_of_none(answers: Answers) -> np.ndarray:
    """How likely it is, 0 to 1, that a question has no answer, where that and the likeliest answer are all there is."""
    none, sure = (answers[key].astype(np.float64) for key in ("none", "sure"))
    return none / np.maximum(none + sure, np.finfo(np.float64).tiny)


def best_threshold(none: np.ndarray, score: np.ndarray, empty: np.ndarray) -> float:
    """The share of none beyond which "no answer" is said with most gain: the one next to a half among equals.

    none: (questions,) shares; score: what each stretch is worth; empty: whether there is no answer, which is worth 1
    where it is said. A threshold of 1 never says it.
    """
    order = np.argsort(none, kind="stable")
    known = np.unique(none)
    between = np.concatenate([[0.0, 0.5, ALWAYS], (known[1:] + known[:-1]) / 2])
    answered = np.searchsorted(none[order], between, side="right")
    worth, nothing = (np.concatenate([[0.0], np.cumsum(each[order], dtype=float)]) for each in (score, empty))
    gain = worth[answered] + nothing[-1] - nothing[answered]
    best = between[gain > gain.max() - 1e-9]
    return float(best[np.abs(best - 0.5).argmin()])


def exact(answers: Answers) -> np.ndarray:
    """1 for a stretch whose first and last token are both right, else 0."""
    first, last = answers["target"].T
    return ((answers["first"] == first) & (answers["last"] == last)).astype(float)


def overlap(answers: Answers) -> np.ndarray:
    """The F1 of the tokens in the answer and in the truth; 0 where there is none or it is not known."""
    first, last = answers["first"], answers["last"]
    begin, end = answers["target"].T
    shared = (last.clip(max=end) - first.clip(min=begin) + 1).clip(min=0) * (begin >= 0)
    return 2 * shared / ((last - first + 1) + (end - begin + 1))
