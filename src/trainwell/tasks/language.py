"""Windows of tokens to the next token at every place, and how surprising each was."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single

PADDING = 0  # the token that is no text: it is never to be predicted


class Language(Task):
    """The next token at every place, by the mean of minus its log probability, in nats a token.

    A model gives (batch, time, vocabulary) scores.
    """

    goal = ("nats", "min")

    def __init__(self, vocabulary: int, *, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing}: expected a share from 0 to below 1")
        self.vocabulary, self.label_smoothing = vocabulary, label_smoothing

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores: (batch, time, vocabulary)."""
        scores = at_least_single(model(*batch["inputs"]))
        if scores.dim() != 3 or scores.shape[-1] != self.vocabulary:
            raise InputError(
                f"model: gives {tuple(scores.shape[1:])} a window, expected a score for each of {self.vocabulary} "
                "tokens at every place"
            )
        return scores

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        target = batch["target"].long().flatten()
        each = F.cross_entropy(
            self.scores(model, batch).flatten(0, 1),
            target,
            ignore_index=PADDING,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        return Loss(each, (target != PADDING).sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"nats": (batch,), their sum over a window, "right": (batch,), tokens that were the likeliest}."""
        scores, target = self.scores(model, batch), batch["target"].long()
        known = self.judged(target)
        nats = F.cross_entropy(scores.transpose(1, 2), target, reduction="none")
        right = (scores.argmax(-1) == target) & known
        return {"nats": (nats * known).sum(1), "right": right.sum(1), "tokens": known.sum(1)}

    def judged(self, target: Tensor) -> Tensor:
        """Which tokens are text, which is what the figures are of. target: (batch, time) long -> the same, bool"""
        return target != PADDING

    def metrics(self) -> Metrics:
        return Surprise()


class Surprise:
    """Nats a token, the perplexity they make, and the share of tokens that were the likeliest."""

    def __init__(self) -> None:
        self.nats = self.right = self.tokens = 0.0

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        self.nats += float(prediction["nats"].double().sum())
        self.right += float(prediction["right"].sum())
        self.tokens += float(prediction["tokens"].sum())

    def compute(self) -> dict[str, float]:
        tokens = max(self.tokens, 1.0)
        nats = self.nats / tokens
        return {"nats": nats, "perplexity": math.exp(min(nats, 50.0)), "accuracy": self.right / tokens}
