"""Windows of text to the same with holes, and to what was in them: masked words and corrupted spans."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.language import PADDING, Language
from trainwell.tasks.task import Batch, Loss

MASKED, CHANGED = 0.8, 0.1  # of the hidden tokens: replaced by the mask, and by a random token; the others stay
SPECIAL = 2  # padding and unknown, which no random token is


class Fill(Language):
    """What was hidden of a text, by what stands on both sides of it; other places are hidden at each pass.

    When a text is judged, the same places are hidden each time, by its row. `known` tokens are text, those after them
    are marks; `hidden` is the share that is hidden.
    """

    def __init__(self, vocabulary: int, known: int, *, hidden: float = 0.15) -> None:
        if not 0 < hidden < 1:
            raise ValueError(f"hidden={hidden}: expected a share above 0 and below 1")
        super().__init__(vocabulary)
        self.known, self.hidden = known, hidden

    def with_holes(self, model: nn.Module, batch: Batch, noise: Tensor) -> Batch:
        """The batch as the model is to see it. noise: (batch, time, 3), uniform between 0 and 1"""
        raise TypeError(f"{type(self).__name__} defines no holes")

    def batches(self, model: nn.Module, batch: Batch) -> Iterator[Batch]:
        tokens = batch["target"]
        noise = torch.rand(*tokens.shape, 3, device=tokens.device)
        yield {**self.with_holes(model, batch, noise), "holes": True}

    def fixed(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch with the holes that its rows always have, unless it has some already."""
        if "holes" in batch:
            return batch
        tokens = batch["target"]
        each = [
            torch.rand(tokens.shape[1], 3, generator=torch.Generator().manual_seed(row))
            for row in batch["row"].tolist()
        ]
        return {**self.with_holes(model, batch, torch.stack(each).to(tokens.device)), "holes": True}

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        return super().loss(model, self.fixed(model, batch), player)

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"nats": (batch,), summed over hidden tokens, "right": (batch,), "tokens": (batch,), how many there were}."""
        return super().predict(model, self.fixed(model, batch))

    def judged(self, target: Tensor) -> Tensor:
        return (target != PADDING) & (target < self.known)


class MaskedLanguage(Fill):
    """Hidden words from both sides (BERT): of 15 % of the tokens, 80 % become the mask, 10 % random, 10 % stay.

    Devlin et al. 2018, arXiv:1810.04805. A model gives (batch, time, vocabulary) scores; only hidden places count.
    The mask is the token after the last known one.
    """

    def with_holes(self, model: nn.Module, batch: Batch, noise: Tensor) -> Batch:
        tokens = batch["target"].long()
        text = tokens != PADDING
        count = (self.hidden * text.sum(1)).round().long().clamp_min(1)
        order = noise[..., 0].masked_fill(~text, 2.0).argsort(1).argsort(1)
        chosen = (order < count.unsqueeze(1)) & text
        way = noise[..., 1]
        anything = SPECIAL + (noise[..., 2] * max(1, self.known - SPECIAL)).long()
        seen = torch.where(chosen & (way < MASKED), self.known, tokens)
        seen = torch.where(chosen & (way >= MASKED) & (way < MASKED + CHANGED), anything, seen)
        return {**batch, "inputs": (seen,), "target": torch.where(chosen, tokens, PADDING)}


class SpanCorruption(Fill):
    """Hidden stretches written anew (T5): 15 % of the tokens, three in a row on average, one sentinel for each stretch.

    Raffel et al. 2020, arXiv:1910.10683, 3.1.4. A model reads the text with sentinels in place of stretches and writes
    each sentinel and what it stood for. The end of a target is the token after the last known one, and the first
    sentinel the last of the vocabulary. `context` is the tokens of a text before it is corrupted.
    """

    def __init__(
        self, vocabulary: int, known: int, *, hidden: float = 0.15, span: float = 3.0, context: int = 128
    ) -> None:
        if span < 1:
            raise ValueError(f"span={span}: expected 1 token or more on average")
        super().__init__(vocabulary, known, hidden=hidden)
        self.span, self.context, self.end, self.first = span, context, known, vocabulary - 1

    def with_holes(self, model: nn.Module, batch: Batch, noise: Tensor) -> Batch:
        tokens = batch["target"].long()
        hidden = stretches(noise[..., 0], noise[..., 1], self.hidden, self.span)
        most = self.vocabulary - self.known - 1
        if int(hidden[0].diff().sum()) // 2 + 1 > most:
            raise InputError(f"task: more stretches are hidden than the {most} sentinels; shorten task.context")
        source = with_sentinels(tokens, hidden, self.first)
        target = with_sentinels(tokens, ~hidden, self.first)
        target = torch.cat((target, target.new_full((len(target), 1), self.end)), 1)
        network: Any = getattr(model, "module", model)
        if not hasattr(network, "encode") or not hasattr(network, "start"):
            raise InputError(
                f"model: {type(network).__name__} does not read one text and write another; t5 and transformer do"
            )
        before = torch.cat((target.new_full((len(target), 1), int(network.start)), target[:, :-1]), 1)
        return {**batch, "inputs": (source, before), "target": target}


def stretches(one: Tensor, two: Tensor, share: float, mean: float) -> Tensor:
    """Which tokens to hide: a share of them, in stretches of this mean length, the first token never.

    As many in each row, so that rows stay of one length. one, two: (batch, time), uniform -> (batch, time) bool
    """
    time = one.shape[1]
    hidden = min(max(round(time * share), 1), time - 1)
    count = min(max(round(hidden / mean), 1), time - hidden)
    lengths = torch.stack((pieces(one, time - hidden, count), pieces(two, hidden, count)), 2).flatten(1)
    place = torch.arange(time, device=one.device).expand(len(one), time).contiguous()
    return torch.searchsorted(lengths.cumsum(1), place, right=True) % 2 == 1


def pieces(noise: Tensor, total: int, count: int) -> Tensor:
    """Lengths of `count` pieces that sum to a total, each way to cut equally likely.

    noise: (batch, total - 1 or more) -> (batch, count) long
    """
    cuts = noise[:, : total - 1].topk(count - 1, dim=1).indices.sort(1).values + 1
    start, end = (cuts.new_full((len(noise), 1), value) for value in (0, total))
    return torch.cat((start, cuts, end), 1).diff(dim=1)


def with_sentinels(tokens: Tensor, hidden: Tensor, first: int) -> Tensor:
    """Each hidden stretch replaced by one sentinel: the first, then those before it in the vocabulary.

    Each row has as many stretches and hidden tokens. tokens, hidden: (batch, time) -> (batch, shorter)
    """
    before = torch.cat((torch.zeros_like(hidden[:, :1]), hidden[:, :-1]), 1)
    begins = hidden & ~before
    marked = torch.where(begins, first + 1 - begins.cumsum(1), tokens)
    return marked[~(hidden & before)].view(len(tokens), -1)
