"""Sentences of words and their tags to pieces of words, the first of each bearing its tag."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.sentences import ragged
from trainwell.data.text import PADDING, UNKNOWN, Tokenizer, restored_tokenizer, tokenizer_of
from trainwell.data.tokens import Mask
from trainwell.errors import InputError, suggest


class TagTransform:
    """What turns tagged sentences into tokens, fitted once and kept with the run.

    Inputs are pieces of words (rows, longest) and their mask; the target holds, at the first piece of each word, one
    more than the number of its tag, and 0 elsewhere. Where the tags are not known it is 1 there, so that it still says
    where words begin.
    """

    by_row = True
    bucketed = True
    at_once = 128
    layout = "tags"

    def __init__(self, sides: tuple[str, str], tags: list[str], tokenizer: Tokenizer, length: int) -> None:
        self.tokens, self.marks = sides
        self.tags, self.tokenizer, self.length = tags, tokenizer, length
        self.notes: list[str] = []
        self.digest = ""  # of the source that the notes already speak of
        self.pieces: dict[str, np.ndarray] = {}

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int = 256,
        *,
        layout: str = "tags",
        tokenizer: str = "bpe",
        vocabulary: int = 4_000,
        length: int = 256,
    ) -> "TagTransform":
        """Learn the vocabulary from these rows; of longer sentences the rest is answered as no entity."""
        if length < 3 or vocabulary < 3:
            raise InputError(f"transform: length={length} and vocabulary={vocabulary}: expected 3 at least")
        sides = schema.inputs[0].name, schema.targets[0].name
        texts = source.frame[np.asarray(rows)][sides[0]].to_list()
        made = cls(sides, list(schema.classes), tokenizer_of(tokenizer, texts, vocabulary), min(length, context))
        made._say(source)
        return made

    def _say(self, source: Source) -> None:
        """Count the sentences that are cut, over all rows."""
        self.digest = source.digest
        sizes = [sum(len(each) for each in self._pieces(words)) for words in self.sentences(source)]
        long = sum(size > self.room for size in sizes)
        if long:
            self.notes.append(f"{counted(long, 'sentence')} longer than {self.room} pieces: what follows is not read")

    @property
    def room(self) -> int:
        """Pieces of words that a sentence may have."""
        return self.length - len(self.around[0]) - len(self.around[1])

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that the vocabulary puts before and after a text."""
        return getattr(self.tokenizer, "around", ([], []))

    def _pieces(self, words: list[str]) -> list[np.ndarray]:
        """The pieces of each word; a word that gives none is unknown."""
        new = [word for word in dict.fromkeys(words) if word not in self.pieces]
        for word, found in zip(new, self.tokenizer.encode([f" {word}" for word in new]), strict=True):
            self.pieces[word] = found if len(found) else np.array([UNKNOWN], dtype=np.int32)
        return [self.pieces[word] for word in words]

    def sentences(self, source: Source) -> list[list[str]]:
        """The words of each row; raises InputError where there is no column of them."""
        names = source.frame.columns
        name = self.tokens if self.tokens in names else names[0] if len(names) == 1 else None
        if name is None:
            raise InputError(
                f"{source.origin}: the column {self.tokens!r} is missing, which the model was trained to read; "
                f"{suggest(self.tokens, names)}"
            )
        return [text.split() for text in source.frame[name].cast(pl.String).fill_null("").to_list()]

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (pieces, mask), "target": tags at first pieces, "row": row numbers}.

        Raises InputError for a tag that was not there in training.
        """
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        if source.digest != self.digest:
            self._say(source)
        part = source if rows is None else source.take(places)
        known = {tag: place for place, tag in enumerate(self.tags, start=1)}
        marks = part.frame[self.marks].to_list() if with_target and self.marks in part.frame.columns else None
        before, after = (np.array(each, dtype=np.int32) for each in self.around)
        tokens, targets = [], []
        for row, words in enumerate(self.sentences(part)):
            pieces = self._pieces(words)
            labels = [1] * len(words) if marks is None else [known.get(tag, -1) for tag in marks[row].split()]
            if min(labels, default=0) < 0:
                tag = marks[row].split()[labels.index(-1)]  # type: ignore[index]
                raise InputError(f"{source.origin}: the tag {tag!r} was not there in training; {suggest(tag, known)}")
            first = np.concatenate(
                [[label] + [0] * (len(each) - 1) for label, each in zip(labels, pieces, strict=True)] or [[]]
            )
            inside = np.concatenate(pieces or [np.zeros(0, dtype=np.int32)])[: self.room]
            tokens.append(
                np.concatenate([before, inside, after]) if len(before) or len(inside) else np.array([UNKNOWN])
            )
            space = [np.zeros(len(each), dtype=np.int32) for each in (before, after)]
            target = np.concatenate([space[0], first[: self.room].astype(np.int32), space[1]])
            targets.append(target if len(target) else np.array([PADDING], dtype=np.int32))
        read = ragged([each.astype(np.int32) for each in tokens])
        return {
            "inputs": (read, Mask(read.values, read.starts, read.lengths)),
            "target": ragged(targets),
            "row": torch.from_numpy(places.astype(np.int64)),
        }

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        return {"vocabulary": self.tokenizer.vocabulary, "classes": len(self.tags), "tags": self.tags}

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "sides": [self.tokens, self.marks], "tags": self.tags}
        return {**state, "length": self.length, "tokenizer": self.tokenizer.save(), "notes": self.notes}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "TagTransform":
        """The transform that was saved."""
        words, marks = state["sides"]
        return cls((words, marks), state["tags"], restored_tokenizer(state["tokenizer"]), state["length"])
