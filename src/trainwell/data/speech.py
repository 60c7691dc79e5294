"""A table of sounds and what is said in them to its schema."""

import numpy as np
import polars as pl

from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
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
