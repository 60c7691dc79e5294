"""A language model and a rough copy of it to several tokens a pass: the copy guesses, the model checks.

Leviathan et al. 2022, arXiv:2211.17192; a copy of the model in fewer bits as the one that guesses: Tiwari et al. 2025,
arXiv:2502.10424.
"""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from trainwell.nn.packed import marks
from trainwell.nn.rough import roughened
from trainwell.nn.transformer import Cache, CausalModel

GUESSES = 5  # tokens at most that are guessed before they are checked
LARGE = 2**24  # weights from which on reading them takes longer than anything else in a step
REPAID = 96  # steps after which making the copy has cost less than it saved

_KEPT: WeakKeyDictionary[nn.Module, tuple[list[Any], nn.Module]] = WeakKeyDictionary()


def guesser_of(model: nn.Module, *, steps: int) -> nn.Module | None:
    """A rough copy that guesses for the model; None where it would not repay itself in so many steps.

    It is kept for the next time, as long as the model lives and its weights stay as they are.
    """
    if not isinstance(model, CausalModel) or sum(weight.numel() for weight in model.parameters()) < LARGE:
        return None
    now = marks(model, 1)
    if model in _KEPT and _KEPT[model][0] == now:
        return _KEPT[model][1]
    _KEPT.pop(model, None)
    twin = roughened(model) if steps >= REPAID else None
    if twin is not None:
        _KEPT[model] = (now, twin)
    return twin


class Ahead:
    """A causal model that decodes one row without padding, with the scores that it always gives, but reads its weights
    once for several tokens: those that its rough copy guessed and it checks together.

    Keys and values of a guess are written over by those of the model itself. As many tokens are guessed as were right
    the last time, and one more.
    """

    def __init__(self, model: Any, guesser: nn.Module) -> None:
        self.model, self.guesser, self.context = model, guesser, getattr(model, "context", None)
        self.count = GUESSES
        self.checked = self.right = 0  # guesses so far, and those that the text went on with

    def begin(self, prompt: Tensor, mask: Tensor | None, capacity: int) -> tuple[Tensor, Cache]:
        """As the model's own. prompt: (1, time) long, mask: None -> (1, vocabulary) and the cache"""
        self.capacity, self.length = capacity, prompt.shape[1]
        self.guesses: list[int] = []  # what was guessed to come next
        self.scored: list[Tensor] = []  # what comes after each guess, by the model
        return self.model.begin(prompt, mask, capacity)

    def advance(self, tokens: Tensor, cache: Cache) -> Tensor:
        """As the model's own. tokens: (1,) long -> (1, vocabulary)"""
        self.length += 1
        if self.guesses:
            hit = self.guesses[0] == int(tokens)
            self.right += hit
            if hit:
                self.guesses.pop(0)
                return self.scored.pop(0)
            self.count = max(1, self.count - len(self.guesses) + 1)
        else:
            self.count = min(GUESSES, self.count + 1)
        count = max(0, min(self.count, self.capacity - self.length))
        cache.forget(self.length - 1)
        row = [tokens]
        for _ in range(count):
            row.append(self.guesser.advance(row[-1], cache).argmax(dim=-1))  # type: ignore[operator]
        cache.forget(self.length - 1)
        together = torch.stack(row, dim=1)
        scores = self.model.advance_all(together, cache)
        self.guesses, self.checked = together[0, 1:].tolist(), self.checked + count
        self.count = count or self.count
        self.scored = list(scores[:, 1:].unbind(dim=1))
        return scores[:, 0]
