"""Pairs of texts to rows of tokens on both sides, from one vocabulary, padded only as far as a batch needs."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.text import SPECIAL, UNKNOWN, Tokenizer, restored_tokenizer, tokenizer_of
from trainwell.data.tokens import Mask, Ragged
from trainwell.errors import InputError, suggest


class PairsTransform:
    """What turns pairs of texts into tokens, fitted once and kept with the run.

    Inputs are source tokens (rows, places), target tokens so far (rows, time), which begin with `start`, and the mask
    of the source; the target is the same one token later, ended by the last number of the vocabulary. Padding is 0.
    """

    by_row = True
    bucketed = True  # batches of rows of like length waste little on padding
    at_once = 64  # rows of an evaluation batch: scores of all tokens at all places take memory
    layout = "pairs"

    def __init__(self, sides: tuple[str, str], tokenizer: Tokenizer, length: int, start: int) -> None:
        self.read, self.written = sides
        self.tokenizer, self.length, self.start = tokenizer, length, start
        self.notes: list[str] = []
        self.digest = ""  # of the source that the notes already speak of

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int = 512,
        start: int = UNKNOWN,
        *,
        layout: str = "pairs",
        tokenizer: str = "bpe",
        vocabulary: int = 8_000,
        length: int = 256,
    ) -> "PairsTransform":
        """Learn one vocabulary from both sides of these rows; longer texts are cut after `length` tokens.

        Raises InputError for lengths and vocabularies that hold nothing.
        """
        if length < 2 or vocabulary < 4:
            raise InputError(f"transform: length={length} and vocabulary={vocabulary}: expected 2 and 4 at least")
        sides = schema.inputs[0].name, schema.targets[0].name
        training = source.frame[np.asarray(rows)]
        texts = [text for side in sides for text in training[side].to_list()]
        made = cls(sides, tokenizer_of(tokenizer, texts, vocabulary - 1), min(length, context), start)
        made._say(source)
        return made

    @property
    def end(self) -> int:
        """The token that ends every text."""
        return self.tokenizer.vocabulary

    def _say(self, source: Source) -> None:
        """Count the texts that are cut, over all rows."""
        self.digest = source.digest
        for side in (self.read, self.written):
            if side not in source.frame.columns:
                continue
            pieces = self.tokenizer.encode(source.frame[side].cast(pl.String).fill_null("").to_list())
            long = sum(len(each) >= self.length for each in pieces)
            if long:
                self.notes.append(
                    f"{counted(long, 'text')} of {side!r} longer than {self.length:,} tokens: cut there; "
                    "transform.length changes that, as far as the network's context"
                )

    def tokens(self, texts: list[str]) -> list[np.ndarray]:
        """The tokens of each text and the one that ends it."""
        end = np.array([self.end], dtype=np.int32)
        return [np.concatenate([each[: self.length - 1], end]) for each in self.tokenizer.encode(texts)]

    def texts(self, source: Source) -> list[str]:
        """What is to be read, from a source that need not hold the other side.

        Raises InputError where there is no such column.
        """
        if source.digest != self.digest:
            self._say(source)
        names = source.frame.columns
        name = self.read if self.read in names else names[0] if len(names) == 1 else None
        if name is None:
            raise InputError(
                f"{source.origin}: the column {self.read!r} is missing, which the model was trained to read; "
                f"{suggest(self.read, names)}"
            )
        return source.frame[name].cast(pl.String).fill_null("").to_list()

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (source, target so far, mask), "target": target, "row": row numbers}.

        Raises InputError where a side is missing. Without rows, all of them.
        """
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        part = source if rows is None else source.take(places)
        if self.written not in part.frame.columns:
            raise InputError(f"{source.origin}: no column {self.written!r}, which the answers are compared with")
        read, written = self.tokens(self.texts(part)), self.tokens(part.frame[self.written].fill_null("").to_list())
        first = np.array([self.start], dtype=np.int32)
        before = [np.concatenate([first, each[:-1]]) for each in written]
        source_tokens = ragged(read)
        mask = Mask(source_tokens.values, source_tokens.starts, source_tokens.lengths)
        return {
            "inputs": (source_tokens, ragged(before), mask),
            "target": ragged(written),
            "row": torch.from_numpy(places.astype(np.int64)),
        }

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        return {"vocabulary": self.tokenizer.vocabulary + 1}

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "sides": [self.read, self.written], "length": self.length}
        return {**state, "start": self.start, "tokenizer": self.tokenizer.save(), "notes": self.notes}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "PairsTransform":
        """The transform that was saved."""
        read, written = state["sides"]
        return cls((read, written), restored_tokenizer(state["tokenizer"]), state["length"], state["start"])

    def decode(self, tokens: list[int]) -> str:
        """The text of these tokens, without those that are none."""
        return self.tokenizer.decode([each for each in tokens if len(SPECIAL) <= each < self.end])


def ragged(rows: list[np.ndarray]) -> Ragged:
    """Rows of unequal length as one tensor that pads them when it is asked."""
    lengths = np.array([len(each) for each in rows], dtype=np.int64)
    values = torch.from_numpy(np.concatenate(rows)) if rows else torch.zeros(0, dtype=torch.int32)
    return Ragged(values, torch.from_numpy(np.cumsum(lengths) - lengths), torch.from_numpy(lengths))
