"""Questions and their passages to one row of tokens each, with where the answer begins and ends."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.sentences import ragged
from trainwell.data.text import UNKNOWN, Tokenizer, restored_tokenizer, tokenizer_of
from trainwell.data.tokens import Mask
from trainwell.errors import InputError, suggest

COLUMNS = ("context", "question")


class AnswerTransform:
    """What turns questions on passages into tokens, fitted once and kept with the run.

    Inputs are the question's and then the passage's tokens (rows, longest), their mask, and segments, 1 from the
    passage on. "inside" is 1 at tokens of the passage. The target is the first and the last token of the answer,
    (rows, 2), -1 where it was cut off or is not known.
    """

    by_row = True
    bucketed = True
    at_once = 32
    layout = "answers"

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self.tokenizer, self.length = tokenizer, length
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int = 512,
        *,
        layout: str = "answers",
        tokenizer: str = "bpe",
        vocabulary: int = 8_000,
        length: int = 384,
    ) -> "AnswerTransform":
        """Learn the vocabulary from these rows; a question takes at most a third of `length`, the passage the rest."""
        if length < 16 or vocabulary < 3:
            raise InputError(f"transform: length={length} and vocabulary={vocabulary}: expected 16 and 3 at least")
        training = source.frame[np.asarray(rows)]
        texts = [*training["context"].unique(maintain_order=True).to_list(), *training["question"].to_list()]
        made = cls(tokenizer_of(tokenizer, texts, vocabulary), min(length, context))
        cut = int((made.encode(source)["target"][:, 0] < 0).sum())
        if cut:
            made.notes.append(
                f"{counted(cut, 'answer')} of {source.rows:,} beyond the {made.length} tokens that are read; "
                "transform.length changes that, as far as the network's context"
            )
        return made

    def places(self, source: Source) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Of each row, where its passage begins, its tokens and the characters (tokens, 2) that each stands for.

        A place is -1 for what stands around the texts. Raises InputError for a missing column.
        """
        for name in COLUMNS:
            if name not in source.frame.columns:
                raise InputError(f"{source.origin}: no column {name!r}; {suggest(name, source.frame.columns)}")
        before, after = getattr(self.tokenizer, "around", ([UNKNOWN], [UNKNOWN]))
        known: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        found = []
        columns = (source.frame[name].cast(pl.String).fill_null("").to_list() for name in COLUMNS)
        for context, question in zip(*columns, strict=True):
            if context not in known:
                known[context] = self.tokenizer.located(context)
            tokens, characters = known[context]
            asked = self.tokenizer.encode([question])[0][: self.length // 3]
            start = len(before) + len(asked) + len(after)
            room = self.length - start - len(after)
            row = np.concatenate([before, asked, after, tokens[:room], after]).astype(np.int32)
            stands = np.full((len(row), 2), -1)
            stands[start : start + len(tokens[:room])] = characters[:room]
            found.append((start, row, stands))
        return found

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (tokens, mask, segments), "inside", "target", "row"}; without rows, all of them."""
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        part = source if rows is None else source.take(places)
        found = self.places(part)
        tokens = ragged([row for _, row, _ in found])
        segments = ragged([(np.arange(len(row)) >= start).astype(np.int32) for start, row, _ in found])
        inside = ragged([(stands[:, 0] >= 0).astype(np.int32) for _, _, stands in found])
        target = np.full((len(found), 2), -1)
        if {"answer", "start"} <= set(part.frame.columns):
            answers = zip(part.frame["answer"].to_list(), part.frame["start"].to_list(), strict=True)
            for row, ((_, _, stands), (answer, start)) in enumerate(zip(found, answers, strict=True)):
                if start is None or start < 0 or not answer:
                    continue
                end = start + len(answer)
                touched = np.flatnonzero((stands[:, 1] > start) & (stands[:, 0] < end) & (stands[:, 0] >= 0))
                if len(touched) and stands[touched[-1], 1] >= end:
                    target[row] = touched[0], touched[-1]
        return {
            "inputs": (tokens, Mask(tokens.values, tokens.starts, tokens.lengths), segments),
            "inside": inside,
            "target": torch.from_numpy(target),
            "row": torch.from_numpy(places.astype(np.int64)),
        }

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures: a score for the first and one for the last."""
        return {"vocabulary": self.tokenizer.vocabulary, "classes": 2}

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "length": self.length, "notes": self.notes}
        return {**state, "tokenizer": self.tokenizer.save()}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "AnswerTransform":
        """The transform that was saved."""
        return cls(restored_tokenizer(state["tokenizer"]), state["length"])
