"""Pieces of text to one stream of tokens and windows on it, each with what comes next as its target."""

from typing import Any

import numpy as np
import torch

from trainwell.data.language import as_language
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.text import UNKNOWN, Tokenizer, restored_tokenizer, tokenizer_of
from trainwell.data.windows import Windows
from trainwell.errors import InputError


class StreamTransform:
    """What turns pieces of text into windows of tokens, fitted once and kept with the run.

    Inputs are tokens: (windows, context) int32; the target is the same, one token later. Windows follow each other
    without overlap; what is left after the last one is not read.
    """

    by_row = False  # an answer is what comes next, not one for each row of a source
    layout = "stream"

    def __init__(self, tokenizer: Tokenizer, context: int, begin: str) -> None:
        self.tokenizer, self.context, self.begin = tokenizer, context, begin
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int = 128,
        *,
        layout: str = "stream",
        tokenizer: str = "characters",
        vocabulary: int = 4_096,
    ) -> "StreamTransform":
        """Learn the vocabulary from these pieces; raises InputError for a context that they do not fill."""
        pieces = source.frame["text"][np.asarray(rows)].to_list()
        made = cls(tokenizer_of(tokenizer, pieces, vocabulary), context, source.hints["language"]["ends"])
        total = sum(map(len, made.tokenizer.encode(pieces)))
        if not 1 <= context < total:
            raise InputError(
                f"model.context={context}: expected 1 token at least and fewer than the {total:,} to learn from"
            )
        return made

    def pieces(self, source: Source) -> Source:
        """The source as pieces of text."""
        return source if "language" in source.hints else as_language(source)[0]

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """{"inputs": (windows,), "target": windows, "row": the place in the stream where each starts}.

        Raises InputError where the pieces do not fill one window.
        """
        source = self.pieces(source)
        texts = source.frame["text"]
        pieces = (texts if rows is None else texts[np.asarray(rows)]).to_list()
        found = self.tokenizer.encode(pieces) if pieces else []
        tokens = np.concatenate(found) if found else np.zeros(0, dtype=np.int32)
        unknown = int((tokens == UNKNOWN).sum())
        if unknown:
            note = f"{unknown:,} of {len(tokens):,} tokens are not in the vocabulary, which training texts gave"
            self.notes += [note] if note not in self.notes else []
        starts = torch.arange(0, max(0, len(tokens) - self.context), self.context)
        if not len(starts):
            raise InputError(
                f"{source.origin}: {len(tokens):,} tokens do not fill one window of {self.context} and the next; "
                "give more text, or a smaller model.context"
            )
        stream = torch.from_numpy(tokens)
        # A text is its own answer, so that the target is there even where none is asked for.
        inputs, target = Windows(stream, starts, self.context), Windows(stream, starts + 1, self.context)
        return {"inputs": (inputs,), "target": target, "row": starts}

    def prompt(self, text: str | None) -> list[int]:
        """The tokens of a prompt, or of how texts begin where there is none.

        Raises InputError for an empty prompt, and for characters that the vocabulary lacks.
        """
        if text is not None and not text:
            raise InputError("--prompt is empty: give a few characters to go on from, or leave it out")
        found = self.tokenizer.encode([self.begin if text is None else text])[0].tolist()
        if text is None and (not found or UNKNOWN in found):
            return [UNKNOWN + 1]  # the first character that was learned
        if UNKNOWN in found:
            lacking = sorted({each for each in str(text) if UNKNOWN in self.tokenizer.encode([each])[0]})
            named = ", ".join(repr(each) for each in lacking[:8]) or "some words"
            raise InputError(f"--prompt: {named}: not in the vocabulary, which the training texts gave; write without")
        return found

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        return {"vocabulary": self.tokenizer.vocabulary}

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "context": self.context, "begin": self.begin}
        return {**state, "tokenizer": self.tokenizer.save(), "notes": self.notes}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "StreamTransform":
        """The transform that was saved."""
        return cls(restored_tokenizer(state["tokenizer"]), state["context"], state["begin"])
