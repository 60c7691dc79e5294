"""Attention and feed-forward parts to transformer blocks: pre-norm or post-norm, with or without a second sequence."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.attention import CrossAttention, KeyValueCache, View, visible
from trainwell.nn.position import positions_of


class PreNorm(nn.Module):
    """A residual branch that norms what it reads. Xiong et al. 2020, arXiv:2002.04745.

    x: (batch, time, width) -> (batch, time, width); further inputs go to the part
    """

    def __init__(self, norm: nn.Module, part: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.part, self.dropout = norm, part, nn.Dropout(dropout)

    def forward(self, x: Tensor, *inputs: Any) -> Tensor:
        return x + self.dropout(self.part(self.norm(x), *inputs))


class PostNorm(nn.Module):
    """A residual branch that norms the sum. Vaswani et al. 2017, arXiv:1706.03762.

    x: (batch, time, width) -> (batch, time, width); further inputs go to the part
    """

    def __init__(self, norm: nn.Module, part: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.part, self.dropout = norm, part, nn.Dropout(dropout)

    def forward(self, x: Tensor, *inputs: Any) -> Tensor:
        return self.norm(x + self.dropout(self.part(x, *inputs)))


class Block(nn.Module):
    """Self-attention, then feed-forward, each a residual branch (`PreNorm` or `PostNorm`).

    x: (batch, time, width) -> (batch, time, width)
    """

    def __init__(self, attention: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x: Tensor, view: View, cache: KeyValueCache | None = None) -> Tensor:
        return self.feed_forward(self.attention(x, view, cache))


class CrossBlock(nn.Module):
    """Self-attention, a look at another sequence, then feed-forward, each a residual branch.

    x: (batch, time, width), memory: (batch, places, width) or its keys and values -> (batch, time, width)
    """

    def __init__(self, attention: nn.Module, cross: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.attention, self.cross, self.feed_forward = attention, cross, feed_forward

    def forward(
        self,
        x: Tensor,
        view: View,
        memory: Tensor | tuple[Tensor, Tensor],
        memory_view: View,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        return self.feed_forward(self.cross(self.attention(x, view, cache), memory, memory_view))


class Cache:
    """What decoding keeps between steps: each layer's keys and values, where the padding of the prompts lies, and,
    behind an encoder, the keys and values of the source.

    layers: one `KeyValueCache` each; padding: (batch, capacity) bool or None; memory: one pair a layer
    """

    def __init__(self, layers: int, capacity: int) -> None:
        self.layers = [KeyValueCache(capacity) for _ in range(layers)]
        self.padding: Tensor | None = None
        self.tokens: Tensor | None = None  # (batch, 1) tokens so far in each row, kept only with padding
        self.memory: list[tuple[Tensor, Tensor]] = []
        self.memory_view = View()

    @property
    def length(self) -> int:
        """How many places are filled."""
        return self.layers[0].length

    def expand(self, count: int) -> None:
        """Make `count` equal rows of each row of the batch, side by side."""
        for layer in self.layers:
            layer.expand(count)
        if self.padding is not None and self.tokens is not None:
            self.padding = self.padding.repeat_interleave(count, 0)
            self.tokens = self.tokens.repeat_interleave(count, 0)
        self.memory = [(k.repeat_interleave(count, 0), v.repeat_interleave(count, 0)) for k, v in self.memory]
        if self.memory_view.mask is not None:
            self.memory_view = View(self.memory_view.mask.repeat_interleave(count, 0))

    def reorder(self, rows: Tensor) -> None:
        """Let row i go on from what row rows[i] holds; both come from one prompt or source. rows: (batch,) long"""
        for layer in self.layers:
            layer.reorder(rows)

    def forget(self, length: int) -> None:
        """Keep the first `length` places alone; for rows without padding."""
        for layer in self.layers:
            layer.length = min(layer.length, length)

    def place(self, mask: Tensor | None, batch: int, time: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Places of the new tokens in their rows and the padding of all keys, those included.

        mask: (batch, time) bool or None -> (batch or 1, time) long and (batch, keys) bool or None
        """
        end = self.length + time
        if mask is not None and self.padding is None and not bool(mask.all()):
            self.padding = torch.ones(batch, self.length, dtype=torch.bool, device=device)
            self.tokens = torch.full((batch, 1), self.length, device=device)
        if self.padding is None or self.tokens is None:
            return torch.arange(self.length, end, device=device).unsqueeze(0), None
        new = torch.ones(batch, time, dtype=torch.bool, device=device) if mask is None else mask
        positions = self.tokens + positions_of(new)
        self.padding = torch.cat((self.padding, new), dim=1)
        self.tokens = self.tokens + new.sum(dim=1, keepdim=True)
        return positions, self.padding


def causal_view(tokens: Tensor, mask: Tensor | None, cache: Cache | None) -> tuple[Tensor, View]:
    """Places of the tokens and what they may see: what came before them and is no padding.

    tokens: (batch, time), mask: (batch, time) bool or None -> positions (batch or 1, time) long, and the view
    """
    batch, time = tokens.shape[:2]
    if cache is None:
        positions = torch.arange(time, device=tokens.device).unsqueeze(0) if mask is None else positions_of(mask)
        past, padding = 0, mask
    else:
        past = cache.length
        positions, padding = cache.place(mask, batch, time, tokens.device)
    if padding is None and (past == 0 or time == 1):
        return positions, View(causal=past == 0 and time > 1)
    return positions, View(visible(padding, time, past + time, causal=True, device=tokens.device))


def encoder_view(tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, View]:
    """Places of the tokens and what they may see: every token that is no padding.

    tokens: (batch, time), mask: (batch, time) bool or None -> positions (batch or 1, time) long, and the view
    """
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0), View()
    view = View(visible(mask, tokens.shape[1], tokens.shape[1], causal=False, device=tokens.device))
    return positions_of(mask), view


class CausalModel(nn.Module):
    """What language models share: one forward pass for all places, and step-by-step decoding with a cache.

    A subclass has `depth`, `states(tokens, mask, cache)` and `scores(states)`.
    tokens: (batch, time) long, mask: (batch, time) bool, True at tokens, or None -> (batch, time, vocabulary)
    """

    depth: int

    def states(self, tokens: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        """The last hidden vectors. tokens: (batch, time) long -> (batch, time, width)"""
        raise TypeError(f"{type(self).__name__} defines no states")

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        raise TypeError(f"{type(self).__name__} defines no scores")

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.scores(self.states(tokens, mask, None))

    def begin(self, prompt: Tensor, mask: Tensor | None = None, capacity: int = 0) -> tuple[Tensor, Cache]:
        """Read prompts (padded on the left) and score what comes next; room for `capacity` tokens in all.

        prompt: (batch, time) long, mask: (batch, time) bool or None -> (batch, vocabulary) and the cache
        """
        cache = Cache(self.depth, capacity)
        return self.scores(self.states(prompt, mask, cache)[:, -1]), cache

    def advance(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Read one more token a row and score what comes next. tokens: (batch,) long -> (batch, vocabulary)"""
        return self.advance_all(tokens.unsqueeze(1), cache)[:, 0]

    def advance_all(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Read several more tokens a row and score what comes after each.

        tokens: (batch, time) long -> (batch, time, vocabulary)
        """
        return self.scores(self.states(tokens, None, cache))


class EncoderDecoder(nn.Module):
    """What models from one sequence to another share: teacher forcing, and step-by-step decoding with a cache.

    A subclass has `depth`, `start` (the token that every target begins with), `encode(source, mask)`,
    `decode(target, memory, memory_view, cache)` and `scores(states)`; its decoder's blocks are `decoder`.
    source: (batch, places) long, target: (batch, time) long, mask: (batch, places) bool, True at tokens, or None
    -> (batch, time, vocabulary)
    """

    depth: int
    start: int
    decoder: nn.ModuleList

    def encode(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors of the source. source: (batch, places) long -> (batch, places, width)"""
        raise TypeError(f"{type(self).__name__} defines no encode")

    def decode(self, target: Tensor, memory: Sequence[Any], memory_view: View, cache: Cache | None) -> Tensor:
        """Vectors of the target, given one memory a block. target: (batch, time) long -> (batch, time, width)"""
        raise TypeError(f"{type(self).__name__} defines no decode")

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        raise TypeError(f"{type(self).__name__} defines no scores")

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        memory = self.encode(source, mask)
        view = View(visible(mask, target.shape[1], source.shape[1], causal=False, device=source.device))
        return self.scores(self.decode(target, [memory] * self.depth, view, None))

    def begin(
        self, source: Tensor, mask: Tensor | None = None, capacity: int = 0, start: int | None = None
    ) -> tuple[Tensor, Cache]:
        """Read the source and score the first token of the target; room for `capacity` tokens.

        source: (batch, places) long, mask: (batch, places) bool or None -> (batch, vocabulary) and the cache
        """
        cache = Cache(self.depth, capacity)
        memory = self.encode(source, mask)
        cache.memory = [part.remember(memory) for part in self.decoder.modules() if isinstance(part, CrossAttention)]
        cache.memory_view = View(visible(mask, 1, source.shape[1], causal=False, device=source.device))
        first = torch.full((source.shape[0],), self.start if start is None else start, device=source.device)
        return self.advance(first, cache), cache

    def advance(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Read one more token a row and score what comes next. tokens: (batch,) long -> (batch, vocabulary)"""
        states = self.decode(tokens.unsqueeze(1), cache.memory, cache.memory_view, cache)
        return self.scores(states[:, 0])


def with_bias(bias: Tensor, mask: Tensor | None) -> Tensor:
    """A bias on the scores that also hides what the mask hides.

    bias: (batch or 1, heads, queries, keys) float, mask: the same or broadcast, bool, or None -> as bias
    """
    return bias if mask is None else bias.masked_fill(~mask, float("-inf"))


def initialize_small(module: nn.Module, deviation: float = 0.02) -> None:
    """Normal weights of this standard deviation in linear and embedding layers, zero biases. Radford et al. 2018."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=deviation)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
