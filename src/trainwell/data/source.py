"""A path, a named set, a frame or arrays to a source: examples as they were found, one a row."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.answers import read_answers
from trainwell.data.boxes import boxes_of_folder, boxes_of_table
from trainwell.data.dialect import decode, sniff, split_by_blanks, unpack
from trainwell.data.folder import PARTS, PICTURES, SOUNDS, concat, listed, read_file, read_folder
from trainwell.data.memory import read_memory
from trainwell.data.named import SOURCES
from trainwell.data.rows import Source
from trainwell.data.segment import read_segments
from trainwell.data.table import is_table
from trainwell.data.tags import read_tags
from trainwell.errors import InputError, suggest

SOUND = {"kinds": {"audio": "audio"}}

__all__ = ["SOURCES", "Source", "read"]


def read(
    source: Any, *, target: str | list[str] | None = None, val: Any = None, test: Any = None, limit: int | None = None
) -> Source:
    """Examples from a path, the name of a set, NumPy arrays, a frame, torch tensors or a torch data set.

    `val` and `test` are further sources of the same columns, kept as parts. `target` names the columns that they
    must have. `limit` keeps that many rows, spread evenly. Raises InputError for what cannot be read, with the place.
    """
    found = _read(source)
    others = [(part, _read(other)) for part, other in (("val", val), ("test", test)) if other is not None]
    if others:
        if found.parts is not None:
            found = found.take(np.flatnonzero(found.parts == "train"))
        names = [target] if isinstance(target, str) else target or [str(found.hints.get("target", ""))]
        for part, other in others:
            lacking = [name for name in names if name in found.columns and name not in other.columns]
            if lacking:
                raise InputError(f"{other.origin}: the {part} part has no column {lacking[0]!r}, which is the target")
        found = concat([("train", found), *others])
    if not found.rows:
        raise InputError(f"{found.origin}: no rows; expected one row an example")
    if limit is not None and limit < found.rows:
        if limit < 1:
            raise InputError(f"limit={limit}: expected at least 1 row")
        found.notes.append(f"{limit:,} of {found.rows:,} rows are used, spread evenly")
        found = found.take(np.linspace(0, found.rows - 1, limit).round().astype(np.int64))
    return found


def _read(source: Any) -> Source:
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _path(source)
    if source is None:
        raise InputError("no source given: expected a path, the name of a set, a frame or arrays")
    try:
        return read_memory(source)
    except (TypeError, AttributeError) as error:
        raise InputError(f"a {type(source).__name__} is no source: expected a path, a frame or arrays") from error


def _path(given: str | os.PathLike[str]) -> Source:
    """A file or folder, or, where none is called so, a named set."""
    path = Path(given).expanduser()
    try:
        exists = path.exists()
    except OSError as error:
        raise InputError(f"{str(given)[:100]!r}: no path ({error.strerror})") from error
    if not exists:
        if str(given) in SOURCES:
            return SOURCES[str(given)]()
        if "://" in str(given):
            raise InputError(f"{given}: an address; download the file first and give its path")
        raise InputError(f"{given}: no such file or folder, and no set of this name; {_near(path)}")
    if path.is_dir():
        return read_segments(path) or boxes_of_folder(path) or _boxed(read_folder(path))
    if not path.is_file():
        raise InputError(f"{path}: neither a file nor a folder")
    if path.name.lower().endswith(SOUNDS):
        return Source(path.stem, pl.DataFrame({"audio": [str(path.absolute())]}), {}, str(path), hints=SOUND)
    if path.name.lower().endswith(PICTURES):
        raise InputError(f"{path}: one file alone; give the folder that holds the class folders")
    if not is_table(path) and path.name.lower().removesuffix(".gz").endswith((".txt", ".text", ".md", ".rst", ".abc")):
        return read_tags(path, [path]) or _text_file(path)
    return read_tags(path, [path]) or read_answers(path, [path]) or _boxed(read_file(path))


def _boxed(source: Source) -> Source:
    """A table of boxes as pictures with their boxes, any other source as it is."""
    return boxes_of_table(source) or source


def _near(path: Path) -> str:
    """What lies beside a path that does not exist, or the names of the sets."""
    known = set(SOURCES)
    if path.parent.is_dir():
        folders, files = listed(path.parent)
        known |= {child.name for child in folders + files} if len(path.parts) == 1 else set()
        if len(path.parts) > 1:
            return suggest(path.name, [child.name for child in folders + files])
    elif len(path.parts) > 1:
        return f"the folder {path.parent} does not exist either"
    return suggest(path.name, known)


def _text_file(path: Path) -> Source:
    """A text file: a table if its lines have the same cells, else lines or, for long text, paragraphs as rows."""
    try:
        raw = path.read_bytes()
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read this file") from error
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; expected text or a table")
    text = decode(unpack(raw, str(path)), str(path))
    if path.name.lower().endswith((".abc", ".abc.gz")):
        return _tunes(path, text, raw)
    lines = [line for line in text.splitlines() if line.strip()]
    dialect = sniff(text, path.name)
    if split_by_blanks(text) is not text:
        return read_file(path)
    cells = {line.count(dialect.separator) for line in lines[:200]}
    if dialect.columns > 1 and len(cells) == 1 and dialect.quote == '"':
        return read_file(path)
    paragraphs = [part.strip("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]
    whole = len(paragraphs) > 1
    frame = pl.DataFrame({"text": paragraphs if whole else lines})
    hints = {"kinds": {"text": "text"}, "separator": "\n\n" if whole else "\n"}
    kept = f"{frame.height:,} {'paragraphs' if whole else 'lines'} of text, one a row"
    return Source(path.stem, frame, {}, str(path), None, [kept], hashlib.sha256(raw).hexdigest(), hints)


def _tunes(path: Path, text: str, raw: bytes) -> Source:
    """Music in ABC notation to a tune a row: each begins with its number, as X:12, and ends with an empty line."""
    tunes = [part.strip() for part in re.split(r"^(?=X:)", text.replace("\r\n", "\n"), flags=re.MULTILINE)]
    tunes = [part for part in tunes if part.startswith("X:")]
    if not tunes:
        raise InputError(f"{path}: no tune in ABC notation; expected each to begin with a line such as X:1")
    kept = f"{len(tunes):,} tunes in ABC notation, one a row"
    hints = {"kinds": {"text": "text"}}
    return Source(
        path.stem, pl.DataFrame({"text": tunes}), {}, str(path), None, [kept], hashlib.sha256(raw).hexdigest(), hints
    )


def part_of(name: str) -> str | None:
    """The part that a file or folder name stands for: train, val or test, or nothing."""
    return PARTS.get(name.lower())
