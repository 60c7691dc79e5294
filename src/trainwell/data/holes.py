"""Pieces of text to windows of tokens whose holes a network is to fill, and texts with [MASK] to their tokens."""

from typing import Any

import numpy as np

from trainwell.data.rows import Source
from trainwell.data.stream import StreamTransform
from trainwell.data.text import UNKNOWN
from trainwell.errors import InputError

MASK = "[MASK]"  # how its user writes a hole


class MaskedTransform(StreamTransform):
    """Windows of tokens that are their own target; one more token, after those of the tokenizer, is the mask.

    Inputs are tokens: (windows, context) int32; the task hides some of them.
    """

    layout = "masked"
    marks = 1  # tokens after those of the tokenizer

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        found = super().encode(source, rows, with_target)
        return {**found, "target": found["inputs"][0]}

    def mark(self, hole: int) -> int:
        """The token that stands in a text's hole, counted from 0."""
        return self.tokenizer.vocabulary

    def parts(self, text: str) -> list[str]:
        """What stands before, between and after the holes of a text, as it is to be encoded.

        Raises InputError for a text without a hole, or with more than there are marks for.
        """
        parts = text.split(MASK)
        if len(parts) == 1:
            raise InputError(f"{text[:60]!r} has nothing to fill in: write {MASK} where a word is wanted")
        glued = self.tokenizer.save()["name"] == "bpe"  # a piece of a word holds the blank before it
        return [part.rstrip(" ") if glued else part for part in parts[:-1]] + parts[-1:]

    def holed(self, text: str) -> list[int]:
        """The tokens of a text with a mark at each hole; raises InputError where it is longer than the context."""
        found: list[int] = []
        parts = self.parts(text)
        for hole, part in enumerate(parts):
            found += self.tokenizer.encode([part])[0].tolist() if part else []
            found += [self.mark(hole)] if hole < len(parts) - 1 else []
        if len(found) > self.context:
            raise InputError(
                f"{text[:60]!r}: {len(found)} tokens, the network reads {self.context}; give a shorter text"
            )
        return found

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, marks left out, and what the vocabulary lacked as its mark."""
        return self.tokenizer.decode([each for each in tokens if UNKNOWN <= each < self.tokenizer.vocabulary])

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        known = self.tokenizer.vocabulary
        return {"vocabulary": known + self.marks, "known": known}


class SpansTransform(MaskedTransform):
    """Windows of tokens of which stretches are to be written anew; after the tokenizer's tokens come an end and 100
    sentinels, the first of them last, as T5 has them. Raffel et al. 2020, arXiv:1910.10683."""

    layout = "spans"
    marks = 101

    def mark(self, hole: int) -> int:
        if hole >= self.marks - 1:
            raise InputError(f"a text has more than {self.marks - 1} holes; give fewer")
        return self.tokenizer.vocabulary + self.marks - 1 - hole
