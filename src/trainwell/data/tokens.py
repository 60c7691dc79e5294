"""Columns of text to rows of tokens of unequal length, padded only as far as a batch needs."""

from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trainwell.data.encode_target import TargetEncoder
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.text import PADDING, UNKNOWN, Tokenizer, enclosed, restored_tokenizer, tokenizer_of
from trainwell.errors import InputError, suggest


class Ragged:
    """Rows of unequal length, one after the other in one tensor; asked for some, it pads them to the longest.

    It has what a loader asks of a tensor: `to`, `len`, slices and `index_select`, which give (rows, longest) long.
    """

    def __init__(self, values: Tensor, starts: Tensor, lengths: Tensor) -> None:
        self.values, self.starts, self.lengths = values, starts, lengths

    def to(self, device: torch.device | str) -> "Ragged":
        """The same on a device."""
        return type(self)(self.values.to(device), self.starts.to(device), self.lengths.to(device))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: Any) -> Tensor:
        lengths = self.lengths[part]
        inside = within(lengths)
        places = self.starts[part].unsqueeze(1) + torch.arange(inside.shape[1], device=lengths.device)
        return self.values[places.clamp_max(len(self.values) - 1)].long().masked_fill(~inside, PADDING)

    def index_select(self, dim: int, places: Tensor) -> Tensor:
        """The rows at these places."""
        return self[places]


class Mask(Ragged):
    """Which entries of a ragged batch are tokens rather than padding: (rows, longest) bool."""

    def __getitem__(self, part: Any) -> Tensor:
        return within(self.lengths[part])


def within(lengths: Tensor) -> Tensor:
    """True for the first `lengths` entries of each row. (rows,) long -> (rows, longest) bool"""
    return torch.arange(max(1, int(lengths.max())), device=lengths.device) < lengths.unsqueeze(1)


class TextTransform:
    """What turns texts into tokens and their mask, fitted once and kept with the run.

    Inputs are tokens: (rows, longest) long, padded on the right with 0, and mask: (rows, longest) bool.
    """

    by_row = True
    layout = "tokens"

    def __init__(
        self, target: TargetEncoder, columns: list[str], tokenizer: Tokenizer, length: int, cut: str = "middle"
    ) -> None:
        self.target, self.columns, self.tokenizer, self.length, self.cut = target, columns, tokenizer, length, cut
        self.notes: list[str] = []
        self.digest = ""  # of the source that the notes already speak of
        # Texts that are read by a network of many weights are put by length: padding would cost more than order.
        self.bucketed = tokenizer.save()["name"] == "file"
        self.at_once = 128 if self.bucketed else 1024

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int | None = None,
        *,
        layout: str = "tokens",
        tokenizer: str = "words",
        vocabulary: int = 20_000,
        length: int = 1024,
        cut: Literal["middle", "end"] = "middle",
        target: str = "auto",
    ) -> "TextTransform":
        """Learn the vocabulary from these rows; of texts longer than `length` or the network's context the rest is cut.

        Raises InputError where there is no column of text, or no text in it.
        """
        columns = [column.name for column in schema.inputs if column.kind == "text"]
        if not columns:
            kinds = ", ".join(sorted({column.kind for column in schema.inputs})) or "none"
            raise InputError(f"{source.origin}: layout 'tokens' reads texts; the columns are {kinds}")
        if length < 1 or vocabulary < 3:
            raise InputError(f"transform: length={length} and vocabulary={vocabulary}: expected 1 and 3 at least")
        length = min(length, context or length)
        training = source.frame[np.asarray(rows)]
        if not any(text.strip() for text in joined(training, columns)):
            raise InputError(
                f"{source.origin}: {columns[0]!r}: all {counted(training.height, 'text')} to learn from are empty; "
                "expected words in them"
            )
        answer = TargetEncoder.fit(training, schema, target)
        made = cls(answer, columns, tokenizer_of(tokenizer, joined(training, columns), vocabulary), length, cut)
        left = [column for column in schema.inputs if column.name not in columns]
        if left:
            named = ", ".join(f"{column.name} ({column.kind})" for column in left[:8])
            made.notes.append(f"columns that this layout does not read: {named}")
        made._say(source)
        return made

    def _say(self, source: Source) -> None:
        """Count what is empty and what is cut, over all rows."""
        self.digest, texts = source.digest, joined(source.frame, self.columns)
        empty = sum(not text.strip() for text in texts)
        if empty:
            self.notes.append(f"{counted(empty, 'text')} of {len(texts):,} empty: answered as an unknown word is")
        long = sum(len(each) > self.length for each in self.tokenizer.encode(texts))
        if long:
            fate = "lose their middle" if self.cut == "middle" else "are cut there"
            self.notes.append(
                f"{long:,} of {len(texts):,} texts are longer than {self.length:,} tokens and {fate}; "
                "transform.length and transform.cut change that"
            )

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (tokens, mask), "target": tensor, "row": row numbers}; without rows, all of them.

        Raises InputError for a missing column, or a target that is missing or of an unknown class.
        """
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        lost = [name for name in self.columns if name not in source.frame.columns]
        if lost:
            raise InputError(
                f"{source.origin}: the column {lost[0]!r} is missing, which the model was trained with; "
                f"{suggest(lost[0], source.columns)}"
            )
        if source.digest != self.digest:
            self._say(source)
        part = source if rows is None else source.take(places)
        pieces = self.tokenizer.encode(joined(part.frame, self.columns))
        found = [enclosed(self.tokenizer, each, self.length, self.cut) for each in pieces]
        found = [each if len(each) else np.array([UNKNOWN], dtype=np.int32) for each in found]
        lengths = np.array([len(each) for each in found], dtype=np.int64)
        values = torch.from_numpy(np.concatenate(found))
        starts = torch.from_numpy(np.cumsum(lengths) - lengths)
        ends = torch.from_numpy(lengths)
        result: dict[str, Any] = {
            "inputs": (Ragged(values, starts, ends), Mask(values, starts, ends)),
            "row": torch.from_numpy(places.astype(np.int64)),
        }
        if with_target and self.target.columns:
            result["target"] = torch.from_numpy(self.target.encode(part))
        return result

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        found: dict[str, Any] = {"vocabulary": self.tokenizer.vocabulary, "outputs": self.target.outputs}
        found["classes"] = self.target.outputs
        if self.target.task != "classify" and self.target.columns:
            found.update({name: getattr(self.target, name) for name in ("center", "scale", "log", "low", "high")})
        return found

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        size = {"length": self.length, "cut": self.cut}
        state = {"version": 1, "layout": self.layout, "columns": self.columns, **size}
        return {**state, "target": self.target.save(), "tokenizer": self.tokenizer.save(), "notes": self.notes}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "TextTransform":
        """The transform that was saved."""
        target, tokenizer = TargetEncoder(**state["target"]), restored_tokenizer(state["tokenizer"])
        return cls(target, state["columns"], tokenizer, state["length"], state.get("cut", "end"))


def joined(frame: pl.DataFrame, columns: list[str]) -> list[str]:
    """The texts of several columns one below the other, row by row; missing cells are empty."""
    cells = [frame[name].cast(pl.String).fill_null("").to_list() for name in columns]
    return ["\n".join(parts) for parts in zip(*cells, strict=True)]
