"""Vectors to weighted sums of other vectors: self-, cross- and additive attention, masks, a cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from trainwell.nn.position import rotate

SHORT = 512  # keys up to which products written out are faster than the fused kernel in bfloat16 on a processor


class View(NamedTuple):
    """What attention may look at and from where.

    mask: (batch or 1, heads or 1, queries, keys), bool (True = may look) or float (added to the scores), or None;
    causal: query i sees keys 0 to i, only with as many queries as keys and no mask;
    rotation: cosines and sines of `Rotary` for the queries and the new keys, or None
    """

    mask: Tensor | None = None
    causal: bool = False
    rotation: tuple[Tensor, Tensor] | None = None


def visible(padding: Tensor | None, queries: int, keys: int, *, causal: bool, device: torch.device) -> Tensor | None:
    """The mask of a View from the padding of the keys: True where a query may look, None if everywhere.

    The queries are the last of the keys. Padding before the first token looks at itself alone, and a row of padding
    looks everywhere, so that no result is undefined. padding: (batch, keys) bool, True at tokens
    -> (batch or 1, 1, queries, keys) bool
    """
    if not causal or queries == 1:
        return None if padding is None else (padding | ~padding.any(dim=1, keepdim=True))[:, None, None, :]
    order = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    if padding is None:
        return order[None, None]
    own = torch.eye(keys, dtype=torch.bool, device=device)[keys - queries :]
    return ((padding[:, None, :] & order) | own).unsqueeze(1)


def attend(
    query: Tensor, key: Tensor, value: Tensor, view: View, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Scaled dot-product attention, by torch's fused kernel where that is fast. Vaswani et al. 2017, arXiv:1706.03762.

    query: (batch, heads, queries, width), key and value: (batch, key heads, keys, width)
    -> (batch, heads, queries, width)
    """
    if slow_in_bfloat16(query, key):
        return attend_in_products(query, key, value, view, dropout, scale)
    given: dict[str, Any] = {"dropout_p": dropout, "is_causal": view.causal, "scale": scale}
    given["enable_gqa"] = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=view.mask, **given)


def slow_in_bfloat16(query: Tensor, key: Tensor) -> bool:
    """Whether attention is learned in bfloat16 on a processor, over few keys: the fused kernel's way back then takes
    up to five times as long as in float32, and twice as long as products written out, as torch 2.13 has it."""
    if query.device.type != "cpu" or key.shape[2] > SHORT or not (query.requires_grad and torch.is_grad_enabled()):
        return False
    automatic = torch.is_autocast_enabled("cpu")
    return (torch.get_autocast_dtype("cpu") if automatic else query.dtype) == torch.bfloat16


def attend_in_products(
    query: Tensor, key: Tensor, value: Tensor, view: View, dropout: float, scale: float | None
) -> Tensor:
    """Attention as two products and a softmax, in bfloat16; what watches torch's functions sees it as one of them.

    query: (batch, heads, queries, width), key and value: (batch, key heads, keys, width)
    -> (batch, heads, queries, width)
    """
    tensors = (query, key, value)
    if has_torch_function(tensors):
        return handle_torch_function(attend_in_products, tensors, *tensors, view, dropout, scale)
    batch, heads, queries, width = query.shape
    with torch.autocast("cpu", enabled=False):
        if key.shape[1] != heads:
            key, value = (each.repeat_interleave(heads // key.shape[1], dim=1) for each in (key, value))
        query = query * (width**-0.5 if scale is None else scale)
        query, key, value = (each.to(torch.bfloat16).flatten(0, 1) for each in (query, key, value))
        scores = torch.bmm(query, key.transpose(1, 2))
        if view.causal:
            scores = scores + future(queries)
        if view.mask is not None:
            scores = masked(scores.view(batch, heads, queries, -1), view.mask).flatten(0, 1)
        weights = F.dropout(scores.softmax(dim=-1), dropout)
        seen = torch.bmm(weights, value).view(batch, heads, queries, -1)
        if view.mask is None:
            return seen
        allowed = view.mask if view.mask.dtype == torch.bool else view.mask > float("-inf")
        return seen.masked_fill(~allowed.any(dim=-1, keepdim=True), 0)  # sees nothing, as in the fused kernel


def masked(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with a view's mask, finite so that a query without any key has weights. (batch, heads, queries, keys)"""
    least = torch.finfo(scores.dtype).min
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, least)
    return (scores + mask.to(scores.dtype)).clamp_min(least)


def future(count: int) -> Tensor:
    """What to add to scores so that no query sees a later key. -> (count, count) bfloat16, zeros and minus infinity"""
    return torch.full((count, count), float("-inf"), dtype=torch.bfloat16).triu(1)


def attention_weights(query: Tensor, key: Tensor, view: View, *, scale: float | None = None) -> Tensor:
    """How much each query looks at each key; rows sum to one. Written out, for pictures and proofs.

    query: (batch, heads, queries, width), key: (batch, key heads, keys, width) -> (batch, heads, queries, keys)
    """
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if view.causal:
        order = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~order, float("-inf"))
    if view.mask is not None and view.mask.dtype == torch.bool:
        scores = scores.masked_fill(~view.mask, float("-inf"))
    elif view.mask is not None:
        scores = scores + view.mask
    return scores.softmax(dim=-1)


class KeyValueCache:
    """Keys and values of one layer's past tokens, in room that is allocated once and doubled only when it runs out.

    keys and values: (batch, key heads, capacity, width), of which the first `length` places are filled
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new tokens and return all keys and values so far. key, value: (batch, key heads, time, width)"""
        end = self.length + key.shape[2]
        if self.keys is None or self.values is None:
            self.capacity = max(self.capacity, end)
            self.capacity |= 1  # strides of a power of two would fall on the same lines of the processor's cache
            shape = (key.shape[0], key.shape[1], self.capacity, key.shape[3])
            self.keys, self.values = key.new_empty(shape), value.new_empty(shape)
        elif end > self.capacity:
            more = max(end, 2 * self.capacity) - self.capacity
            self.keys, self.values = (F.pad(x, (0, 0, 0, more)) for x in (self.keys, self.values))
            self.capacity += more
        self.keys[:, :, self.length : end] = key
        self.values[:, :, self.length : end] = value
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def expand(self, count: int) -> None:
        """Make `count` equal rows of each row of the batch, side by side."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.repeat_interleave(count, 0), self.values.repeat_interleave(count, 0)

    def reorder(self, rows: Tensor) -> None:
        """Let row i go on from what row rows[i] holds. rows: (batch,) long"""
        for kept in (self.keys, self.values):
            if kept is not None:
                kept[:, :, : self.length] = kept[rows, :, : self.length]


class SelfAttention(nn.Module):
    """Each token looks at the tokens of its own sequence, by several heads that may share keys and values.

    Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023, arXiv:2305.13245; a norm on queries
    and keys: Henry et al. 2020, arXiv:2010.04245. `scale` None divides scores by the root of the head width.
    x: (batch, time, width) -> (batch, time, width)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        key_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        norms: tuple[nn.Module, nn.Module] | None = None,
        dropout: float = 0.0,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        key_heads, head_width = key_heads or heads, head_width or width // heads
        if heads % key_heads or (head_width * heads != width and head_width == width // heads):
            raise ValueError(f"width {width} does not split into {heads} heads over {key_heads} key heads")
        self.heads, self.key_heads, self.head_width = heads, key_heads, head_width
        self.query = nn.Linear(width, heads * head_width, bias=bias)
        self.key = nn.Linear(width, key_heads * head_width, bias=bias)
        self.value = nn.Linear(width, key_heads * head_width, bias=bias)
        self.output = nn.Linear(heads * head_width, width, bias=bias)
        self.query_norm, self.key_norm = norms or (nn.Identity(), nn.Identity())
        self.dropout, self.scale = dropout, scale
        self.maps: list[Tensor] | None = None  # filled while `attention_maps` watches
        self.joint: tuple[nn.Module] | None = None  # the first three layers as one, while packed; a tuple: no submodule

    def forward(self, x: Tensor, view: View = View(), cache: KeyValueCache | None = None) -> Tensor:  # noqa: B008
        return self.mix(*self.project(x, view), view, cache)

    def project(self, x: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, normed and turned. (batch, time, width) -> three of (batch, heads, time, head)"""
        layers = (self.query, self.key, self.value)
        if self.joint is not None:
            sizes = (self.heads, self.key_heads, self.key_heads)
            query, key, value = self.joint[0](x).split([size * self.head_width for size in sizes], dim=-1)
        elif torch.is_grad_enabled() and are_plain(layers):
            query, key, value = learn_together(layers, x)
        else:
            query, key, value = self.query(x), self.key(x), self.value(x)
        query = self.query_norm(split_heads(query, self.heads))
        key = self.key_norm(split_heads(key, self.key_heads))
        if view.rotation is not None:
            query, key = rotate(query, view.rotation), rotate(key, view.rotation)
        return query, key, split_heads(value, self.key_heads)

    def mix(self, query: Tensor, key: Tensor, value: Tensor, view: View, cache: KeyValueCache | None) -> Tensor:
        """Look, and bring the heads together. three of (batch, heads, time, head) -> (batch, time, width)"""
        if cache is not None:
            key, value = cache.append(key, value)
        if self.maps is not None:
            self.maps.append(attention_weights(query, key, view, scale=self.scale).detach())
        seen = attend(query, key, value, view, dropout=self.dropout if self.training else 0.0, scale=self.scale)
        return self.output(join_heads(seen))


def are_plain(layers: Sequence[nn.Module]) -> bool:
    """Whether these are linear layers that nobody watches or changes, all with a bias or all without."""
    if any(type(each) is not nn.Linear or each._forward_hooks or each._forward_pre_hooks for each in layers):
        return False
    return len({each.bias is None for each in layers}) == 1


def learn_together(layers: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, ...]:
    """What each of some plain linear layers makes of the same input, in one product there and one back.

    x: (..., inputs) -> one (..., outputs) a layer
    """
    weights: list[Tensor] = [each.weight for each in layers]  # type: ignore[misc]
    biases: list[Tensor] = [each.bias for each in layers if each.bias is not None]  # type: ignore[misc]
    together = F.linear(x, torch.cat(weights), torch.cat(biases) if biases else None)
    return together.split([len(each) for each in weights], dim=-1)


class CrossAttention(nn.Module):
    """Each token looks at the vectors of another sequence. Vaswani et al. 2017, arXiv:1706.03762.

    x: (batch, time, width), memory: (batch, places, width) -> (batch, time, width)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width or width // heads
        self.query = nn.Linear(width, heads * self.head_width, bias=bias)
        self.key = nn.Linear(width, heads * self.head_width, bias=bias)
        self.value = nn.Linear(width, heads * self.head_width, bias=bias)
        self.output = nn.Linear(heads * self.head_width, width, bias=bias)
        self.dropout, self.scale = dropout, scale
        self.maps: list[Tensor] | None = None

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the memory. (batch, places, width) -> two of (batch, heads, places, head)"""
        return split_heads(self.key(memory), self.heads), split_heads(self.value(memory), self.heads)

    def forward(self, x: Tensor, memory: Tensor | tuple[Tensor, Tensor], view: View = View()) -> Tensor:  # noqa: B008
        key, value = memory if isinstance(memory, tuple) else self.remember(memory)
        query = split_heads(self.query(x), self.heads)
        if self.maps is not None:
            self.maps.append(attention_weights(query, key, view, scale=self.scale).detach())
        seen = attend(query, key, value, view, dropout=self.dropout if self.training else 0.0, scale=self.scale)
        return self.output(join_heads(seen))


class AdditiveAttention(nn.Module):
    """A one-layer network scores each place of a memory against a query. Bahdanau et al. 2014, arXiv:1409.0473.

    query: (batch, query width), memory: (batch, places, memory width), mask: (batch, places) bool or None
    -> (batch, memory width) and the weights (batch, places)
    """

    def __init__(self, query_width: int, memory_width: int, *, width: int = 128) -> None:
        super().__init__()
        self.query = nn.Linear(query_width, width, bias=False)
        self.key = nn.Linear(memory_width, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.maps: list[Tensor] | None = None

    def forward(
        self, query: Tensor, memory: Tensor, mask: Tensor | None = None, keys: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        keys = self.key(memory) if keys is None else keys  # the caller may compute them once for all steps
        scores = self.score(torch.tanh(keys + self.query(query).unsqueeze(1))).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = scores.softmax(dim=-1)
        if self.maps is not None:
            self.maps.append(weights.detach()[:, None, None, :])
        return (weights.unsqueeze(1) @ memory).squeeze(1), weights


def split_heads(x: Tensor, heads: int) -> Tensor:
    """x: (batch, time, heads * width) -> (batch, heads, time, width)"""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """x: (batch, heads, time, width) -> (batch, time, heads * width)"""
    return x.transpose(1, 2).flatten(2)


@contextmanager
def attention_maps(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Within the block, each call of the model adds its attention weights, by module name, to the given dict.

    -> {"blocks.0.attention": [(batch, heads, queries, keys), ...], ...}
    """
    parts = {
        n: m for n, m in model.named_modules() if isinstance(m, SelfAttention | CrossAttention | AdditiveAttention)
    }
    maps: dict[str, list[Tensor]] = {name: [] for name in parts}
    try:
        for name, part in parts.items():
            part.maps = maps[name]
        yield maps
    finally:
        for part in parts.values():
            part.maps = None
