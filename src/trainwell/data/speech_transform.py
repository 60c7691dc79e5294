"""Sounds and what is said in them to waves and characters for recognition."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data.clips import SoundTransform
from trainwell.data.encode_target import TargetEncoder
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.tokens import Ragged
from trainwell.errors import InputError


class Spelling(TargetEncoder):
    """Texts to the places of their characters, from 1 on, as 0 is the blank; unknown characters are left out."""

    def __init__(self, columns: list[str], characters: str) -> None:
        super().__init__(columns, "recognize")
        self.characters = characters

    @property
    def outputs(self) -> int:
        """The characters and the blank."""
        return len(self.characters) + 1

    def ragged(self, texts: list[str]) -> Ragged:
        """Texts as rows of unequal length."""
        place = {each: number for number, each in enumerate(self.characters, start=1)}
        rows = [[place[each] for each in text if each in place] for text in texts]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        values = torch.tensor([each for row in rows for each in row] or [0], dtype=torch.long)
        return Ragged(values, lengths.cumsum(0) - lengths, lengths)

    def decode(self, tokens: list[int]) -> str:
        """Places to the text that they stand for."""
        return "".join(self.characters[each - 1] for each in tokens if each)

    def save(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"columns": self.columns, "characters": self.characters}


class SpeechTransform(SoundTransform):
    """Sounds as waves with their lengths, and as target the characters of what is said: (rows, longest) long, 0 after.

    The alphabet is that of the training rows; other characters are left out and counted.
    """

    target: Spelling

    @classmethod
    def answer(cls, source: Source, schema: Schema, rows: np.ndarray, how: str) -> TargetEncoder:
        """The alphabet of these rows."""
        said = schema.targets[0].name
        characters = sorted({each for text in source.frame[said][rows].to_list() for each in text})
        return Spelling([said], "".join(characters))

    def encoded_target(self, source: Source) -> Any:
        """What is said in these rows, as a ragged tensor; raises InputError where that column is missing."""
        (said,) = self.target.columns
        if said not in source.frame.columns:
            raise InputError(f"{source.origin}: no column {said!r} of what is said")
        texts = source.frame[said].cast(pl.String).fill_null("").to_list()
        unknown = {each for text in texts for each in text} - set(self.target.characters)
        if unknown:
            note = (
                f"{counted(len(unknown), 'character')} that training lacked left out: {' '.join(sorted(unknown))[:60]}"
            )
            self.notes += [note] if note not in self.notes else []
        return self.target.ragged(texts)

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        return {"rate": self.rate, "symbols": self.target.outputs}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "SpeechTransform":
        """The transform that was saved."""
        return cls(state["layout"], Spelling(**state["target"]), state["column"], state["rate"], state["longest"])
