"""Two aligned text files, or two columns of a table, to pairs of texts, one a row: what a translation learns from."""

import hashlib
import re
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl

from trainwell.data.dialect import decode, unpack
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

# ISO 639-1: what the last part of a file's name, or the name of a column, has to be to stand for a language.
LANGUAGES = frozenset(
    code
    for line in (
        "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el",
        "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it",
        "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt",
        "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl",
        "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo",
        "za zh zu",
    )
    for code in line.split()
)
SIDES = re.compile(r"^(?P<stem>.+)\.(?P<code>[a-z]{2})(?:\.txt)?(?:\.gz)?$")
PARTS = {"train": "train", "training": "train", "dev": "val", "val": "val", "valid": "val", "validation": "val"}
PARTS |= {"test": "test", "testing": "test"}


def part_named(stem: str) -> str | None:
    """The part that a word of a file's name stands for: train, val or test, or nothing.

    A word may carry digits and stand at the end of another, as in wnut17train.
    """
    words = [word for word in re.split(r"[^a-z]+", stem.lower()) if word]
    return next((PARTS[word] for word in words if word in PARTS), None)


def read_pairs(folder: Path, files: list[Path]) -> Source | None:
    """The files of a folder as aligned pairs, where they are called STEM.LANGUAGE.txt; None where they are not.

    Raises InputError for a stem that has one language only, for more than two languages, and where two files have
    unequal numbers of lines.
    """
    found = [(path, match) for path in files if (match := SIDES.match(path.name)) and match["code"] in LANGUAGES]
    codes = sorted({match["code"] for _, match in found})
    if len(codes) < 2 or len(found) * 2 < len(files):
        return None
    if len(codes) > 2:
        raise InputError(
            f"{folder}: files of {len(codes)} languages ({', '.join(codes)}): keep two of them in a folder"
        )
    named = [word for word in re.split(r"[^a-z]+", folder.name.lower()) if word in codes]
    codes = named if sorted(named) == codes else codes
    table = {(match["stem"], match["code"]): path for path, match in found}
    order = {"train": 0, "val": 1, "test": 2, None: 3}
    stems = sorted({stem for stem, _ in table}, key=lambda stem: (order[part_named(stem)], stem))
    columns: dict[str, list[str]] = {code: [] for code in codes}
    parts: list[str] = []
    total = hashlib.sha256()
    for stem in stems:
        lacking = [code for code in codes if (stem, code) not in table]
        if lacking:
            there = next(path.name for (name, _), path in table.items() if name == stem)
            raise InputError(
                f"{folder}: {there} has no partner in {lacking[0]!r}; expected both languages of each part"
            )
        sides = [_lines(table[stem, code], total) for code in codes]
        _check_equal([table[stem, code] for code in codes], sides)
        for code, lines in zip(codes, sides, strict=True):
            columns[code] += lines
        parts += [part_named(stem) or ""] * len(sides[0])
    given = np.array(parts) if "train" in parts and "" not in parts and len(set(parts)) > 1 else None
    hints = {"kinds": dict.fromkeys(codes, "text"), "pairs": {"from": codes[0], "to": codes[1]}}
    notes = [f"{counted(len(parts), 'pair')} of lines, {codes[0]} to {codes[1]}; --target {codes[0]} turns them round"]
    return Source(folder.name, pl.DataFrame(columns), {}, str(folder), given, notes, total.hexdigest(), hints)


def _lines(path: Path, total: "hashlib._Hash") -> list[str]:
    """The lines of a file, ended by line feeds alone: other breaks that Unicode knows stand inside sentences."""
    raw = path.read_bytes()
    total.update(raw)
    lines = decode(unpack(raw, str(path)), str(path)).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _check_equal(paths: list[Path], sides: list[list[str]]) -> None:
    """Raises InputError that names the first line without a partner where two files have unequal lengths."""
    first, second = sides
    if len(first) == len(second):
        return
    short, long = (0, 1) if len(first) < len(second) else (1, 0)
    pairs = zip_longest(first, second, fillvalue="")
    gaps = (bool(one.strip()) != bool(other.strip()) for one, other in pairs)
    gap = next((place for place, found in enumerate(gaps) if found), len(sides[short]))
    side = short if gap >= len(sides[short]) or not sides[short][gap].strip() else long
    raise InputError(
        f"{paths[short]}: {counted(len(sides[short]), 'line')}, but {paths[long].name} has {len(sides[long]):,}; the "
        f"first gap is line {gap + 1:,} of {paths[side].name}, opposite to {sides[1 - side][gap][:60]!r}: "
        "add or remove lines until both files have the same"
    )


def as_pairs(source: Source, target: str | None = None, task: str = "translate") -> tuple[Source, Schema]:
    """The source as pairs of texts, empty ones left out, and its schema. target: the column to write.

    Raises InputError where there are no two columns of text, or no pair with text on both sides.
    """
    names = [name for name in source.frame.columns if source.frame[name].dtype == pl.String]
    hinted: dict[str, str] = source.hints.get("pairs", {})
    if not hinted and len(names) == 2 and set(names) <= LANGUAGES:
        hinted = {"from": names[0], "to": names[1]}
    if target is None and not hinted:
        raise InputError(f"{source.origin}: which column is to be written? Name it with --target; {suggest('', names)}")
    to = str(target or hinted["to"])
    if to not in names:
        raise InputError(f"{source.origin}: no column {to!r} of text to write; {suggest(to, names)}")
    others = [name for name in names if name != to]
    if not others:
        raise InputError(f"{source.origin}: {to!r} is the only column of text; expected another one to read")
    read = max(others, key=lambda name: int(source.frame[name].str.len_chars().sum() or 0))
    if to in hinted.values():
        read = next(name for name in hinted.values() if name != to)
    frame = source.frame.select(pl.col(read, to).fill_null("").str.strip_chars())
    full = ((frame[read] != "") & (frame[to] != "")).to_numpy()
    notes = list(source.notes)
    if not full.all():
        empty = int((~full).sum())
        first = int(np.argmin(full)) + 1
        notes.append(f"{counted(empty, 'pair')} with an empty side left out (the first is number {first:,})")
    if not full.any():
        raise InputError(f"{source.origin}: no pair has text in both {read!r} and {to!r}")
    kept = np.flatnonzero(full)
    facts = {"from": read, "to": to, "pairs": len(kept), "characters": int(frame[to][kept].str.len_chars().sum())}
    made = replace(
        source,
        frame=frame[kept],
        arrays={},
        parts=None if source.parts is None else source.parts[kept],
        notes=notes,
        hints={**source.hints, "pairs": {"from": read, "to": to}, "aligned": facts},
    )
    columns = [
        Column(read, "text", "input", "what is read", unique=frame[read].n_unique()),
        Column(to, "text", "target", "what is written", unique=frame[to].n_unique()),
    ]
    return made, Schema(columns, len(kept), task)


def looks_like_pairs(source: Source) -> bool:
    """Whether a source is pairs of two languages: aligned files, or two columns that are named after languages."""
    names = source.frame.columns
    texts = all(source.frame[name].dtype == pl.String for name in names)
    return "pairs" in source.hints or (not source.arrays and len(names) == 2 and set(names) <= LANGUAGES and texts)
