"""A table of sounds and what is said in them to its schema, and to waves and characters for recognition."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data.clips import SoundTransform
from trainwell.data.encode_target import TargetEncoder
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.data.tokens import Ragged
from trainwell.errors import InputError, suggest

NAMES = ("transcript", "transcription", "sentence", "text", "words", "said", "utterance")
FEWEST = 10  # rows


def spoken_column(source: Source, target: str | None = None) -> str | None:
    """The column of what is said, beside one of sounds: the one that is named, else one called so; None without."""
    kinds = source.hints.get("kinds", {})
    if "audio" not in kinds.values():
        return None
    texts = [name for name in source.frame.columns if kinds.get(name) != "audio"]
    texts = [name for name in texts if source.frame[name].dtype == pl.String]
    if target is not None:
        return target if target in texts and _is_said(source.frame[target]) else None
    return next((name for name in texts if name.lower() in NAMES and _is_said(source.frame[name])), None)


def _is_said(cells: pl.Series) -> bool:
    """Whether texts are sentences or strings of many kinds rather than the names of a few classes."""
    cells = cells.drop_nulls()
    return len(cells) > 0 and cells.n_unique() > max(20, 0.2 * len(cells))


def as_speech(source: Source, target: str | None = None) -> tuple[Source, Schema]:
    """The rows that have a sound and a text, and their schema. target: the column of what is said.

    Raises InputError where there is no column of sounds, none of text, or hardly a row with both.
    """
    kinds, names = source.hints.get("kinds", {}), source.frame.columns
    sounds = [name for name in names if kinds.get(name) == "audio"]
    if not sounds:
        raise InputError(f"{source.origin}: no column of sounds; expected file names such as a.wav beside what is said")
    said = target or spoken_column(source)
    if said is None or said not in names:
        raise InputError(
            f"{source.origin}: which column says what is spoken? Name it with --target; {suggest(said or '', names)}"
        )
    if source.frame[said].dtype != pl.String:  # strings of digits, which a table reads as numbers
        source.frame = source.frame.with_columns(pl.col(said).cast(pl.String))
    texts = source.frame[said].fill_null("").str.strip_chars().str.replace_all(r"\s+", " ")
    source.frame = source.frame.with_columns(texts.alias(said))
    full = np.array([bool(text) for text in texts]) & source.frame[sounds[0]].is_not_null().to_numpy()
    if full.sum() < FEWEST:
        raise InputError(f"{source.origin}: {counted(int(full.sum()), 'row')} with sound and text; {FEWEST} are needed")
    if not full.all():
        kept = source.take(np.flatnonzero(full))
        kept.notes.append(f"{counted(int((~full).sum()), 'row')} without a sound or a text left out")
        source = kept
    columns = [
        Column(sounds[0], "audio", "input", "sound files"),
        Column(said, "text", "target", "what is said", unique=source.frame[said].n_unique()),
    ]
    columns += [Column(name, "category", "ignored", "neither sound nor text") for name in names
                if name not in (sounds[0], said)]  # fmt: skip
    return source, Schema(columns, source.rows, "recognize")


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
        made = cls(state["layout"], Spelling(**state["target"]), state["column"], state["rate"], state["longest"])
        made.notes = list(state.get("notes", []))
        return made
