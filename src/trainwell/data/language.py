"""Texts without labels to the pieces that a language model learns from, in their order or as single examples."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

PIECES = 1_000  # equal stretches that one long text is divided by
FEWEST = 400  # characters below which nothing can be learned and tested
BLANK = 0.02  # share of blank lines that a list may have by a slip
LIST_LINE, LONGEST_LINE, LIST_LINES = 40, 200, 50  # characters of a usual and of any line; lines of a list


def as_language(source: Source, target: str | None = None, task: str = "language") -> tuple[Source, Schema]:
    """The source as pieces of text, one a row, and its schema for a language model.

    One text is cut into 1,000 equal stretches, to be divided in their order; the lines of a list, and several texts,
    are examples of their own, each with the line break or blank line that ends it, and shuffled, or a sorted list
    would tell by its neighbours how the next one begins. target: the column of text.
    Raises InputError where there is no text, or too little.
    """
    name = _column(source, target)
    texts = source.frame[name].cast(pl.String).fill_null("").to_list()
    separator = str(source.hints.get("separator", "\n\n"))
    notes = list(source.notes)
    empty = sum(not text.strip() for text in texts)
    if empty:
        notes.append(f"{counted(empty, 'empty text')} left out")
    kept = np.array([bool(text.strip()) for text in texts])
    parts = None if source.parts is None else source.parts[kept]
    texts = [text for text in texts if text.strip()]
    characters = sum(map(len, texts))
    if characters < FEWEST:
        raise InputError(
            f"{source.origin}: {characters} characters of text; at least {FEWEST} are needed to learn from and to test"
        )
    single = len(texts) == 1 or (separator == "\n\n" and "separator" in source.hints)
    if single:
        whole = separator.join(texts)
        listed = _is_list(whole)
        blank = sum(not line.strip() for line in whole.strip().splitlines())
        if listed and blank:
            notes.append(f"{counted(blank, 'empty line')} left out")
        pieces = [line + "\n" for line in whole.splitlines() if line.strip()] if listed else _stretches(whole)
        pieces = pieces if listed or task == "language" else _between_words(pieces)
        parts = None
    else:
        listed, pieces = True, [text + separator for text in texts]
    place = np.random.default_rng(0).permutation(len(pieces)) if listed else np.arange(len(pieces))
    pieces = [pieces[each] for each in place]
    parts = None if parts is None else parts[place]
    facts: dict[str, Any] = {
        "characters": sum(map(len, pieces)),
        "different": len(set("".join(pieces))),
        "pieces": len(pieces),
        "listed": listed,
        "ends": "\n" if single else separator,
    }
    frame = pl.DataFrame({"text": pieces, "place": place})
    made = replace(source, frame=frame, arrays={}, parts=parts, notes=notes, hints={**source.hints, "language": facts})
    order = "each an example of its own" if listed else "stretches of one text, in their order"
    columns = [
        Column("text", "text", "input", f"{len(pieces):,} pieces, {order}", facts=facts),
        Column("place", "number", "ignored", "where a piece stands"),
    ]
    return made, Schema(columns, len(pieces), task)


def _column(source: Source, target: str | None) -> str:
    """The column of text."""
    names = [name for name in source.frame.columns if source.frame[name].dtype == pl.String]
    if target is not None:
        if target not in names:
            raise InputError(f"{source.origin}: no column {target!r} of text to learn; {suggest(target, names)}")
        return target
    told = [name for name, kind in source.hints.get("kinds", {}).items() if kind == "text" and name in names]
    if not told and not names:
        raise InputError(f"{source.origin}: no column of text, which a language model learns from")
    if told:
        return told[0]
    return max(names, key=lambda name: int(source.frame[name].str.len_chars().sum() or 0))


def _is_list(text: str) -> bool:
    """Whether lines are examples of their own, as names are: many, short, and hardly a blank line between them."""
    lines = text.strip().splitlines()
    lengths = np.array([len(line) for line in lines])
    return bool(
        len(lines) >= LIST_LINES
        and (lengths == 0).mean() <= BLANK
        and np.median(lengths) <= LIST_LINE
        and lengths.max() <= LONGEST_LINE
    )


def _stretches(text: str) -> list[str]:
    """A text in equal stretches that join to it again."""
    count = min(PIECES, len(text) // 10)
    ends = np.round(np.arange(1, count + 1) * len(text) / count).astype(int).tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _between_words(pieces: list[str]) -> list[str]:
    """The same stretches, the end of each moved back to the last blank, as half a word is no word to find."""
    found, rest = [], ""
    for piece in pieces:
        rest += piece
        cut = max(rest.rfind(blank) for blank in " \n\t")
        if cut > 0:
            found.append(rest[:cut])
            rest = rest[cut:]
    return [*found[:-1], found[-1] + rest] if found else [rest]


def looks_like_language(source: Source) -> bool:
    """Whether a source is text alone, without labels."""
    if source.arrays or source.hints.get("target") or source.frame.width != 1:
        return False
    return source.hints.get("kinds", {}).get(source.frame.columns[0]) == "text"
