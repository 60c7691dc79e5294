"""Scores at every piece of a sentence to a tag for each word: entities, parts of speech."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.tasks.spans import counts, scores, spans
from trainwell.tasks.task import Batch, Loss, Metrics, Task, at_least_single


class Tag(Task):
    """One of the tags for each word, at its first piece.

    A model gives (batch, time, classes) scores. The target is one more than the tag's number there, and 0 elsewhere.
    The best checkpoint is that of the highest F1 of whole spans, or without BIO tags of the most tags right.
    """

    def __init__(self, tags: list[str], *, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing}: expected a share from 0 to below 1")
        self.tags, self.label_smoothing = tags, label_smoothing
        self.spanned = any(tag[:2] == "B-" for tag in tags)
        self.goal = ("f1" if self.spanned else "accuracy", "max")

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's scores: (batch, time, classes)."""
        found = at_least_single(model(*batch["inputs"]))
        if found.dim() != 3 or found.shape[-1] != len(self.tags):
            raise InputError(
                f"model: gives {tuple(found.shape[1:])} a sentence, expected a score for each of {len(self.tags)} tags "
                "at every place; recurrent_tagger and bert_tagger do"
            )
        return found

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        target = batch["target"].long() - 1
        each = F.cross_entropy(
            self.scores(model, batch).flatten(0, 1),
            target.flatten(),
            ignore_index=-1,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        return Loss(each, (target >= 0).sum())

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"tag": (words,) numbers, "sure": (words,) their probability}, sentence after sentence.

        A word that was cut off has no entry: `words_of` says how many a sentence has.
        """
        probability = self.scores(model, batch).softmax(-1)
        sure, tag = probability.max(-1)
        words = batch["target"] != 0
        return {"tag": tag[words], "sure": sure[words]}

    def metrics(self) -> Metrics:
        return Spans(self.tags, self.spanned)


class Spans:
    """Precision, recall and F1 of whole spans over all sentences, and the share of tags that are right."""

    def __init__(self, tags: list[str], spanned: bool) -> None:
        self.tags, self.spanned = tags, spanned
        self.right = self.words = 0
        self.counts = np.zeros(3)

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        target = batch["target"].cpu()
        truth, answer = target[target != 0] - 1, prediction["tag"].cpu()
        self.right += int((truth == answer).sum())
        self.words += len(truth)
        if self.spanned:
            lengths = (target != 0).sum(1).tolist()
            both = (self.sentences(each, lengths) for each in (truth, answer))
            self.counts += np.sum([counts(spans(one), spans(two)) for one, two in zip(*both, strict=True)], axis=0)

    def sentences(self, tags: Tensor, lengths: list[int]) -> list[list[str]]:
        """Numbers of tags, sentence after sentence, to the names of each."""
        return [[self.tags[place] for place in part.tolist()] for part in torch.split(tags, lengths)]

    def compute(self) -> dict[str, float]:
        found: dict[str, Any] = scores(*self.counts) if self.spanned else {}
        return {**found, "accuracy": self.right / max(1, self.words)}
