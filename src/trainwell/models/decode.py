"""A model and a prompt to new tokens: greedy, sampled or by beam search, token by token or all at once.

A model that can be decoded has `begin(prompt, mask, capacity) -> (scores, state)` and
`advance(tokens, state) -> scores`; its state has `expand(count)` and `reorder(rows)`. Models from one sequence to
another also have `start`, the token that every target begins with; their prompt is the source.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.models.ahead import GUESSES, Ahead, guesser_of
from trainwell.nn.packed import is_packed, packed

REPAID = 24  # steps after which packing the weights has cost less than it saved

# scores: (batch, vocabulary), tokens so far: (batch, time) -> scores, with minus infinity where a token is ruled out
Filter = Callable[[Tensor, Tensor], Tensor]


def temperature(value: float) -> Filter:
    """Divide scores: below one sharpens the choice, above one flattens it. Raises InputError unless above zero."""
    if value <= 0:
        raise InputError(f"temperature is {value}; take a number above 0, or no sampling at all for the best token")
    return lambda scores, tokens: scores / value


def top_k(count: int) -> Filter:
    """Keep the `count` best tokens. Fan et al. 2018, arXiv:1805.04833. Raises InputError below one."""
    if count < 1:
        raise InputError(f"top_k is {count}; take 1 or more")

    def keep(scores: Tensor, tokens: Tensor) -> Tensor:
        worst = scores.topk(min(count, scores.shape[-1])).values[:, -1:]
        return scores.masked_fill(scores < worst, float("-inf"))

    return keep


def top_p(mass: float) -> Filter:
    """Keep the fewest best tokens that hold this share of probability. Holtzman et al. 2019, arXiv:1904.09751.

    Raises InputError unless 0 < mass <= 1.
    """
    if not 0 < mass <= 1:
        raise InputError(f"top_p is {mass}; take a share above 0 and up to 1")

    def keep(scores: Tensor, tokens: Tensor) -> Tensor:
        ordered, order = scores.sort(descending=True)
        probability = ordered.softmax(dim=-1)
        before = probability.cumsum(dim=-1) - probability
        out = (before >= mass).scatter(1, order, before >= mass)
        return scores.masked_fill(out, float("-inf"))

    return keep


def min_p(share: float) -> Filter:
    """Keep tokens at least this share as probable as the best. Nguyen et al. 2024, arXiv:2407.01082.

    Raises InputError unless 0 <= share <= 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"min_p is {share}; take a share from 0 to 1")

    def keep(scores: Tensor, tokens: Tensor) -> Tensor:
        probability = scores.softmax(dim=-1)
        return scores.masked_fill(probability < share * probability.amax(dim=-1, keepdim=True), float("-inf"))

    return keep


def repetition_penalty(penalty: float) -> Filter:
    """Make tokens that were there already less likely: above zero divided, below multiplied. Keskar et al. 2019,
    arXiv:1909.05858. Raises InputError unless above zero."""
    if penalty <= 0:
        raise InputError(f"repetition_penalty is {penalty}; take a number above 0; 1 changes nothing")

    def punish(scores: Tensor, tokens: Tensor) -> Tensor:
        seen = scores.gather(1, tokens)
        return scores.scatter(1, tokens, torch.where(seen < 0, seen * penalty, seen / penalty))

    return punish


def best(scores: Tensor) -> Tensor:
    """The best token of each row. scores: (batch, vocabulary) -> (batch,) long"""
    return scores.argmax(dim=-1)


def drawn(generator: torch.Generator | None = None) -> Callable[[Tensor], Tensor]:
    """A choice that draws each token by its probability, from this source of randomness."""

    def choose(scores: Tensor) -> Tensor:
        return torch.multinomial(scores.float().softmax(dim=-1), 1, generator=generator).squeeze(1)

    return choose


class Step(NamedTuple):
    """One new token a row; `running` is True where it belongs to the text: the row goes on, or ended by a string.

    tokens: (batch,) long, running: (batch,) bool
    """

    tokens: Tensor
    running: Tensor


class Stop:
    """Ends a row when its text holds one of these strings. `decode` turns token numbers into text.

    strings: none of them empty, else InputError
    """

    def __init__(self, strings: Sequence[str], decode: Callable[[list[int]], str]) -> None:
        if not all(strings):
            raise InputError("a stop string is empty; leave it out")
        self.strings, self.decode = list(strings), decode
        self.reach = 4 * max(map(len, self.strings), default=0) + 8  # a character is at most four byte tokens

    def __call__(self, tokens: Tensor, running: Tensor) -> Tensor:
        """Which rows have ended. tokens: the new ones, (batch, time) long, running: (batch,) bool -> (batch,) bool"""
        ended = torch.zeros_like(running)
        for row in running.nonzero().flatten().tolist():
            text = self.decode(tokens[row, -self.reach :].tolist())
            ended[row] = any(string in text for string in self.strings)
        return ended


def batch_of(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Prompts of unequal length to one batch, padded on the left. Raises InputError for an empty one.

    -> tokens (batch, time) long and mask (batch, time) bool
    """
    longest = max(map(len, prompts), default=0)
    tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        if not len(prompt):
            raise InputError(f"prompt {row + 1} has no token; begin with at least one, such as a line break")
        tokens[row, longest - len(prompt) :] = torch.as_tensor(prompt)
        mask[row, longest - len(prompt) :] = True
    return tokens, mask


def padded_left(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with all padding before the first token. tokens, mask: (batch, time) -> both again"""
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    return tokens.gather(1, order), mask.gather(1, order)


class Decoding:
    """A model at work on a batch of prompts: scores, then a token, then scores again, past the end of its context too.

    A language model that has filled its context goes on from the last half of it.
    """

    def __init__(self, model: Any, prompt: Tensor, mask: Tensor | None, length: int, start: int | None) -> None:
        self.model, self.context = model, getattr(model, "context", None)
        self.writes_target = hasattr(model, "start")
        self.mask = mask = None if mask is None or bool(mask.all()) else mask
        if prompt.shape[1] == 0:
            raise InputError("the prompt has no token; begin with at least one, such as a line break")
        if self.writes_target:
            self.record = prompt.new_zeros(prompt.shape[0], 0)
            self.room = length if self.context is None else min(length, self.context)
            first = {} if start is None else {"start": start}
            self.scores, self.state = model.begin(prompt, mask, self.room, **first)
            return
        if mask is not None:
            prompt, mask = padded_left(prompt, mask)
            own = mask.to(torch.uint8).argmax(dim=1, keepdim=True)  # padding counts as the first token in the record
            prompt = torch.where(mask, prompt, prompt.gather(1, own))
        self.record, self.mask, self.room = prompt, mask, length
        self.read(self.context or prompt.shape[1] + length)

    def read(self, count: int) -> None:
        """Begin with the last `count` tokens of the record."""
        window = self.record[:, -count:]
        mask = None if self.mask is None else self.mask[:, -count:]
        capacity = window.shape[1] + self.room
        capacity = capacity if self.context is None else min(capacity, self.context)
        self.scores, self.state = self.model.begin(window, mask, capacity)
        self.filled = window.shape[1]

    def expand(self, count: int) -> None:
        """Make `count` equal rows of each row of the batch, side by side."""
        self.state.expand(count)
        self.scores, self.record = self.scores.repeat_interleave(count, 0), self.record.repeat_interleave(count, 0)
        self.mask = None if self.mask is None else self.mask.repeat_interleave(count, 0)

    def reorder(self, rows: Tensor) -> None:
        """Let row i go on from what row rows[i] holds; both come from one prompt. rows: (batch,) long"""
        self.state.reorder(rows)
        self.record = self.record[rows]

    def add(self, tokens: Tensor) -> None:
        """Write one token a row and score what comes next. tokens: (batch,) long"""
        self.record = torch.cat((self.record, tokens.unsqueeze(1)), dim=1)
        if self.writes_target:
            self.scores = self.model.advance(tokens, self.state)
            return
        if self.mask is not None:
            self.mask = torch.cat((self.mask, self.mask.new_ones(tokens.shape[0], 1)), dim=1)
        if self.context is not None and self.filled >= self.context:
            self.read(max(self.context // 2, 1))
        else:
            self.scores, self.filled = self.model.advance(tokens, self.state), self.filled + 1


@contextmanager
def at_work(model: nn.Module, rows: int, steps: int) -> Iterator[None]:
    """Within the block, the model is in evaluation mode and, if the steps repay it, packed for so many rows."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        with packed(model, rows=rows) if steps >= REPAID or is_packed(model, rows=rows) else nullcontext():
            yield
    finally:
        for part in training:
            part.training = True


@torch.no_grad()
def stream(
    model: nn.Module,
    prompt: Tensor,
    *,
    mask: Tensor | None = None,
    length: int = 100,
    filters: Sequence[Filter] = (),
    choose: Callable[[Tensor], Tensor] = best,
    ends: Sequence[int] = (),
    stop: Stop | None = None,
    start: int | None = None,
) -> Iterator[Step]:
    """New tokens as they come, at most `length` a row, until every row has ended.

    `filters` change the scores in order, `choose` takes a token (`best`, or `drawn()`). A token of `ends` or a
    string of `stop` ends its row, which then repeats its last token. Raises InputError for an empty prompt.
    prompt: (batch, time) long, mask: (batch, time) bool, True at tokens, padding on either side, or None
    """
    alone = prompt.shape[0] == 1 and choose is best and (mask is None or bool(mask.all()))
    guesser = guesser_of(model, steps=length) if alone else None
    with at_work(model, GUESSES + 1 if guesser else prompt.shape[0], length):
        work = Decoding(Ahead(model, guesser) if guesser else model, prompt, mask, length, start)
        running = torch.ones(prompt.shape[0], dtype=torch.bool, device=prompt.device)
        final = torch.as_tensor(list(ends), dtype=torch.long, device=prompt.device)
        before = work.record.shape[1]
        tokens = prompt[:, -1]
        for count in range(1, work.room + 1):
            scores = work.scores
            for change in filters:
                scores = change(scores, work.record)
            tokens = torch.where(running, choose(scores), tokens)
            if len(final):
                running = running & ~torch.isin(tokens, final)
            yield Step(tokens, running)
            if stop is not None:
                new = torch.cat((work.record[:, before:], tokens.unsqueeze(1)), dim=1)
                running = running & ~stop(new, running)
            if count == work.room or not bool(running.any()):
                return
            work.add(tokens)


def generate(model: nn.Module, prompt: Tensor, **options: Any) -> list[Tensor]:
    """The new tokens of each row, without the token that ended it; options as in `stream`.

    prompt: (batch, time) long -> one (new,) long a row
    """
    steps = list(stream(model, prompt, **options))
    if not steps:
        return [prompt.new_zeros(0) for _ in prompt]
    tokens = torch.stack([step.tokens for step in steps], dim=1)
    lengths = torch.stack([step.running for step in steps], dim=1).sum(dim=1).tolist()
    return [row[:length] for row, length in zip(tokens, lengths, strict=True)]
