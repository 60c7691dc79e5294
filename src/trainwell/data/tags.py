"""Files of one token and its tag a line to sentences, one a row: what a tagger of names and words learns from."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from trainwell.data.dialect import decode, unpack
from trainwell.data.pairs import part_named
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

SUFFIXES = (".conll", ".bio", ".iob", ".iob2")
TAG = re.compile(r"^(O|[BIESLU]-\S+)$")
ENDS = {"S": "B", "U": "B", "E": "I", "L": "I"}  # of BIOES and BILOU, in the letters of BIO
LOOKS, MOST = 20_000, 50  # bytes by which a file is known; files of a folder
ORDER = {"train": 0, "val": 1, "test": 2, None: 3}


def is_tagged(path: Path) -> bool:
    """Whether a file holds a token and its tag on each line, by its ending or by its first lines."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(SUFFIXES):
        return True
    with path.open("rb") as file:
        head = file.read(LOOKS)
    lines = head.decode("utf-8", errors="replace").split("\n")[:-1]
    cells = [_cells(line) for line in lines if line.strip()]
    return (
        len(cells) > 2
        and any(not line.strip() for line in lines)
        and all(len(row) > 1 and TAG.match(row[-1]) for row in cells)
    )


def read_tags(folder: Path, files: list[Path]) -> Source | None:
    """The files of a folder, or one file, as tagged sentences with their parts; None where they are none.

    Raises InputError for a line with one column.
    """
    if not files or len(files) > MOST or not all(is_tagged(path) for path in files):
        return None
    tagged = sorted(files, key=lambda path: (ORDER[part_named(path.name)], path.name))
    tokens: list[str] = []
    tags: list[str] = []
    parts: list[str] = []
    notes: list[str] = []
    total = hashlib.sha256()
    turned, first = 0, ""
    odd: list[str] = []  # tags that are none of BIO, and where
    for path in tagged:
        raw = path.read_bytes()
        total.update(raw)
        sentences = _sentences(decode(unpack(raw, str(path)), str(path)), path)
        for start, words, marks in sentences:
            kept, wrong = in_order(marks)
            turned += len(wrong)
            odd += [f"{path.name}, line {start + i}: {tag}" for i, tag in enumerate(marks) if not TAG.match(tag)]
            if wrong and not first:
                before = marks[wrong[0] - 1] if wrong[0] else "the beginning"
                first = f"{path.name}, line {start + wrong[0]}: {marks[wrong[0]]} after {before}"
            tokens.append(" ".join(words))
            tags.append(" ".join(kept))
        parts += [part_named(path.name) or ""] * len(sentences)
    if not tokens:
        raise InputError(f"{folder}: no sentence inside; expected a token and its tag on each line")
    if turned:
        notes.append(f"{counted(turned, 'tag')} out of order, read as the beginning of a span (first in {first})")
    if odd and 2 * len(odd) < sum(len(line.split()) for line in tags):
        notes.append(
            f"{counted(len(odd), 'tag')} of another form than O, B-KIND and I-KIND, in no entity (first in {odd[0]})"
        )
    given = np.array(parts) if "train" in parts and "" not in parts and len(set(parts)) > 1 else None
    hints = {"kinds": {"tokens": "text", "tags": "text"}, "tags": {"tokens": "tokens", "tags": "tags"}}
    frame = pl.DataFrame({"tokens": tokens, "tags": tags})
    return Source(folder.stem, frame, {}, str(folder), given, notes, total.hexdigest(), hints)


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _sentences(text: str, path: Path) -> list[tuple[int, list[str], list[str]]]:
    """The sentences that blank lines part, each with the number of its first line."""
    found: list[tuple[int, list[str], list[str]]] = []
    open_ = False
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("-DOCSTART-"):
            open_ = False
            continue
        cells = _cells(line)
        if len(cells) < 2 or not cells[0].strip() or not cells[-1].strip():
            raise InputError(
                f"{path}, line {number}: found {line[:40]!r}, expected a token and its tag with a tab or blank between"
            )
        if not open_:
            found.append((number, [], []))
            open_ = True
        found[-1][1].append("_".join(cells[0].split()))
        found[-1][2].append("_".join(cells[-1].split()))
    return found


def in_order(tags: list[str]) -> tuple[list[str], list[int]]:
    """Tags in BIO, and the places where an I had no span of its kind before it, which there becomes a B."""
    found: list[str] = []
    wrong = []
    for place, tag in enumerate(tags):
        if not TAG.match(tag) or tag == "O":
            found.append(tag)
            continue
        letter, kind = tag.split("-", 1)
        letter = ENDS.get(letter, letter)
        # After the E of BIOES a span is closed, so that an I there is out of order too.
        closed = place and tags[place - 1][:2] in ("E-", "L-", "S-", "U-")
        if letter == "I" and (not place or closed or found[-1] not in (f"B-{kind}", f"I-{kind}")):
            wrong.append(place)
            letter = "B"
        found.append(f"{letter}-{kind}")
    return found, wrong


def as_tags(source: Source, target: str | None = None) -> tuple[Source, Schema]:
    """The source as sentences of tokens and tags with one blank between, and its schema. target: the column of tags.

    Raises InputError where a row has more tokens than tags, or fewer, or there are no two columns of text.
    """
    names = [name for name in source.frame.columns if source.frame[name].dtype == pl.String]
    hinted: dict[str, str] = source.hints.get("tags", {})
    marks = target or hinted.get("tags")
    if marks is None or marks not in names:
        asked = (
            "which column holds the tags? Name it with --target" if marks is None else f"no column {marks!r} of tags"
        )
        raise InputError(f"{source.origin}: {asked}; {suggest(marks or 'tags', names)}")
    others = [name for name in names if name != marks]
    if not others:
        raise InputError(f"{source.origin}: {marks!r} is the only column of text; expected another one with the tokens")
    words = hinted.get("tokens") or max(others, key=lambda name: int(source.frame[name].str.len_chars().sum() or 0))
    notes, kept = list(source.notes), []
    tags: list[str] = []
    pairs = zip(source.frame[words].fill_null("").to_list(), source.frame[marks].fill_null("").to_list(), strict=True)
    for row, (text, line) in enumerate(pairs):
        length, marked = len(text.split()), line.split()
        if length != len(marked):
            raise InputError(
                f"{source.origin}, row {row + 1}: {counted(length, 'token')} in {words!r}, but {len(marked):,} tags in "
                f"{marks!r}: expected one for each"
            )
        if length:
            kept.append(row)
            tags.append(" ".join(in_order(marked)[0]))
    if not kept:
        raise InputError(f"{source.origin}: every row is empty; expected tokens in {words!r}")
    if len(kept) < source.rows:
        notes.append(f"{counted(source.rows - len(kept), 'empty row')} left out")
    classes = sorted({tag for line in tags for tag in line.split()}, key=lambda tag: (tag != "O", tag[2:], tag))
    part = source.frame[kept]
    frame = pl.DataFrame(
        {words: part[words].str.split(" ").list.eval(pl.element().filter(pl.element() != "")).list.join(" ")}
    )
    frame = frame.with_columns(pl.Series(marks, tags))
    facts = {"tokens": sum(len(line.split()) for line in tags), "sentences": len(kept), "classes": classes}
    parts = None if source.parts is None else source.parts[np.array(kept)]
    hints = {**source.hints, "tags": {"tokens": words, "tags": marks}, "tagged": facts}
    made = replace(source, frame=frame, arrays={}, parts=parts, notes=notes, hints=hints)
    columns = [
        Column(words, "text", "input", f"{facts['tokens']:,} tokens with a blank between"),
        Column(marks, "text", "target", f"one of {len(classes)} tags for each token", categories=classes),
    ]
    return made, Schema(columns, len(kept), "tag", classes)


def looks_like_tags(source: Source) -> bool:
    """Whether a source is tokens with a tag each."""
    return "tags" in source.hints
