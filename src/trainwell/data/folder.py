"""A folder (of class folders, of parts, of table files) to a frame of paths, text and labels."""

import hashlib
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.answers import read_answers
from trainwell.data.dialect import guess_code
from trainwell.data.file_names import label_by_names
from trainwell.data.memory import read_memory
from trainwell.data.pairs import read_pairs
from trainwell.data.rows import Source, counted
from trainwell.data.table import Table, is_table, read_table
from trainwell.data.tags import read_tags
from trainwell.errors import InputError

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
TEXTS = (".txt", ".abc")
PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
MOST_TRIED = 100  # files of a table that folders are searched for
KINDS = {"image": PICTURES, "audio": SOUNDS, "text": TEXTS}
_ABOUT = ("readme", "license", "licence", "citation", "changelog", "notice", "copying")


def _plain(path: Path) -> bool:
    """Whether a file is part of the data: not hidden, not a page about it, not what a system leaves behind."""
    name = path.name.lower()
    return not name.startswith((".", "_", *_ABOUT)) and name not in ("thumbs.db", "desktop.ini")


def listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files directly inside, sorted; raises InputError where the folder cannot be read."""
    try:
        entries = sorted(folder.iterdir())
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read this folder") from error
    return [p for p in entries if p.is_dir() and _plain(p)], [p for p in entries if p.is_file() and _plain(p)]


def read_folder(folder: Path) -> Source:
    """A folder's examples: tables by part, one table, or files by class folder.

    Raises InputError for an empty folder, one without pictures, text, sound or a table, or one with several tables.
    """
    folders, files = listed(folder)
    if not folders and not files:
        raise InputError(f"{folder}: the folder is empty; expected class folders with pictures, or a table file")
    written = read_pairs(folder, files) or read_tags(folder, files) or read_answers(folder, files)
    if written is not None:
        return written
    tables = [path for path in files if is_table(path) and path.name != "labels.json"]
    if tables:
        source = _tables(folder, tables)
        if source.hints.get("kinds") or len(folders) < 2 or not all(_holds_pictures(child) for child in folders):
            return source
        files = []
    parts = {PARTS[child.name.lower()]: child for child in folders if child.name.lower() in PARTS}
    pieces: list[tuple[str, list[Path], list[str | None]]]
    if parts and "train" in parts:
        pieces = [(part, *_files(parts[part])) for part in ("train", "val", "test") if part in parts]
    else:
        pieces = [("", *_files(folder))]
    source = _examples(folder, pieces)
    classes = {child.name for base in (parts.values() if pieces[0][0] else [folder]) for child in listed(base)[0]}
    bare = sorted(classes - set(source.hints.get("labels", classes)))
    if bare:
        kind = "picture" if "image" in source.frame.columns else "file to learn from"
        more = f" (and {len(bare) - 3} more)" if len(bare) > 3 else ""
        holds = "holds" if len(bare) == 1 else "hold"
        source.notes.append(f"{counted(len(bare), 'class folder')} {holds} no {kind}: {', '.join(bare[:3])}{more}")
    return source


def _holds_pictures(folder: Path) -> bool:
    return any(name.lower().endswith(PICTURES) for _, _, names in os.walk(folder) for name in names)


def _tables(folder: Path, tables: list[Path]) -> Source:
    by_part = {PARTS[_stem(path)]: path for path in tables if _stem(path) in PARTS}
    if "train" in by_part:
        pieces = [(part, read_file(by_part[part])) for part in ("train", "val", "test") if part in by_part]
        source = concat([piece for piece in pieces if not _lacks_answers(piece, pieces[0][1])])
        left = [path.name for path in tables if path not in by_part.values()]
        if left:
            source.notes.append(f"not read: {', '.join(left[:5])}")
    elif len(tables) == 1:
        source = read_file(tables[0])
    else:
        names = ", ".join(path.name for path in tables[:6])
        raise InputError(f"{folder}: {len(tables)} tables ({names}): give one of them, or name them train and test")
    source.name, source.origin = folder.name, str(folder)
    labels = folder / "labels.json"
    if labels.is_file() and "labels" not in source.hints:
        try:
            names = json.loads(labels.read_text(encoding="utf-8")).get("label_names")
        except (json.JSONDecodeError, AttributeError, UnicodeDecodeError) as error:
            raise InputError(f"{labels}: expected an object with a list label_names ({error})") from error
        if names and "label" in source.frame.columns:
            _name_labels(source, "label", [str(name) for name in names])
    return source


def _lacks_answers(piece: tuple[str, Source], first: Source) -> bool:
    """Whether a test table has all columns but one, as where its answers are kept back; that is noted."""
    part, source = piece
    lost = [name for name in first.columns if name not in source.columns]
    if part != "test" or len(lost) != 1:
        return False
    first.notes.append(f"{Path(source.origin).name} has no column {lost[0]!r} and was left out: predict can answer it")
    return True


def _stem(path: Path) -> str:
    return path.name.lower().split(".")[0]


def read_file(path: Path) -> Source:
    """A table file as a source; raises InputError as read_table does."""
    try:
        raw = path.read_bytes()
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read this file") from error
    table: Table = read_table(path, raw)
    total = hashlib.sha256(raw).hexdigest()
    source = Source(_stem(path), table.frame, {}, str(path), None, table.notes, total)
    if table.arrays:
        found = read_memory(table.arrays)
        source = replace(found, name=_stem(path), origin=str(path), digest=total)
    for column, names in table.labels.items():
        _name_labels(source, column, names)
    kinds = {
        series.name: "audio" if bytes(series.drop_nulls().head(1).to_list()[0][:4]) == b"RIFF" else "image"
        for series in source.frame.iter_columns()
        if series.dtype == pl.Binary and series.null_count() < len(series)
    }
    if kinds:
        source.hints["kinds"] = kinds
    _beside(source, path.parent)
    return source


def _beside(source: Source, folder: Path) -> None:
    """Columns of picture or sound file names beside a table, or in a folder beside it, become absolute paths."""
    for series in source.frame.iter_columns():
        if series.dtype != pl.String:
            continue
        cells = series.to_list()
        sample = [cell for cell in cells if cell][:20]
        kind = next((k for k in ("image", "audio") if all(cell.lower().endswith(KINDS[k]) for cell in sample)), "")
        if not sample or not kind:
            continue
        place = _place(folder, Path(source.origin).name.split(".")[0], [cell for cell in cells if cell])
        if place is None:
            continue
        paths = [str((place / cell).absolute()) if cell and (place / cell).is_file() else None for cell in cells]
        lost = [cell for cell, path in zip(cells, paths, strict=True) if cell and not path]
        if lost:
            source.notes.append(f"column {series.name!r}: {counted(len(lost), 'file')} missing, as {lost[0]}")
        source.frame = source.frame.with_columns(pl.Series(series.name, paths, dtype=pl.String))
        source.hints.setdefault("kinds", {})[series.name] = kind


def _place(folder: Path, stem: str, names: list[str]) -> Path | None:
    """The folder that holds most of these files: that of the table, one called as the table, or another beside it."""
    some = [names[at] for at in np.unique(np.linspace(0, len(names) - 1, MOST_TRIED).round().astype(int))]
    beside = sorted(
        (child for child in folder.iterdir() if child.is_dir()), key=lambda child: (child.name != stem, child.name)
    )
    held = {place: sum((place / name).is_file() for name in some) for place in (folder, *beside)}
    best = max(held, key=held.__getitem__)  # of equal ones the first
    return best if held[best] else None


def _name_labels(source: Source, column: str, names: list[str]) -> None:
    """Integer codes of a label column by their class names."""
    codes = source.frame[column]
    if not codes.dtype.is_integer():
        return
    wrong = codes.drop_nulls().filter((codes.drop_nulls() < -1) | (codes.drop_nulls() >= len(names)))
    if len(wrong):
        raise InputError(f"{source.origin}: label {wrong[0]} has no name among the {len(names)} of its metadata")
    named = codes.replace_strict({-1: None, **dict(enumerate(names))}, return_dtype=pl.String)
    source.frame = source.frame.with_columns(named.alias(column))
    source.hints.update({"target": column, "labels": names})


def _files(folder: Path) -> tuple[list[Path], list[str | None]]:
    """All files under a folder with their class: the first folder below, or nothing for files outside any."""
    paths: list[Path] = []
    labels: list[str | None] = []
    folders, files = listed(folder)
    for path in files:
        paths.append(path)
        labels.append(None)
    for child in folders:
        inside = [Path(root) / name for root, _, names in os.walk(child) for name in names]
        for path in sorted(path for path in inside if _plain(path)):
            paths.append(path)
            labels.append(child.name)
    return paths, labels


def _examples(folder: Path, pieces: list[tuple[str, list[Path], list[str | None]]]) -> Source:
    """Files of the commonest kind as examples; the others are counted in the notes."""
    every = [(part, path, label) for part, paths, labels in pieces for path, label in zip(paths, labels, strict=True)]
    counts = Counter(_kind(path) for _, path, _ in every)
    known = [(count, kind) for kind, count in counts.items() if kind]
    if not known:
        endings = ", ".join(sorted({path.suffix or path.name for _, path, _ in every})[:6]) or "no files"
        raise InputError(
            f"{folder}: no pictures, sounds or texts inside (found {endings}): expected class folders with pictures "
            f"({', '.join(PICTURES[:4])} ...), or a table file"
        )
    kind = max(known)[1]
    notes = []
    chosen = [item for item in every if _kind(item[1]) == kind]
    other = [path for _, path, _ in every if _kind(path) != kind]
    if other:
        notes.append(
            f"{counted(len(other), 'file')} of another kind than {kind} left out, as {other[0].relative_to(folder)}"
        )
    labelled = [item for item in chosen if item[2] is not None]
    if labelled and len(labelled) < len(chosen):
        notes.append(f"{counted(len(chosen) - len(labelled), 'file')} outside the class folders left out")
        chosen = labelled
    names = {label for _, _, label in labelled}
    if names == {"images", "masks"}:
        raise InputError(
            f"{folder}: folders of images and masks, not of classes: expected one folder for each class of picture"
        )
    if len(names) == 1:
        labelled = []
    cells: dict[str, Any] = {kind: [str(path.absolute()) for _, path, _ in chosen]}
    if kind == "text":
        cells[kind] = [_read_text(path, folder, notes) for _, path, _ in chosen]
    if labelled:
        cells["label"] = [label for _, _, label in chosen]
    total = hashlib.sha256()
    for _, path, label in chosen:
        total.update(f"{label}/{path.name}:{path.stat().st_size};".encode())
    source = Source(folder.name, pl.DataFrame(cells), {}, str(folder), None, _gather(notes), total.hexdigest())
    source.hints["kinds"] = {kind: kind}
    if labelled:
        source.hints.update({"target": "label", "labels": sorted(set(cells["label"]))})
    if pieces[0][0]:
        source.parts = np.array([part for part, _, _ in chosen])
    elif kind == "audio" and not labelled:
        label_by_names(source, [path for _, path, _ in chosen])
    if len(names) == 1 and "label" not in source.frame.columns:
        source.notes.append(f"all files lie in one folder, {min(map(str, names))!r}: they have no classes")
    return source


def _kind(path: Path) -> str:
    name = path.name.lower()
    return next((kind for kind, endings in KINDS.items() if name.endswith(endings)), "")


def _read_text(path: Path, folder: Path, notes: list[str]) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        guess = guess_code(raw)
        notes.append(f"text|{path.relative_to(folder)} is not UTF-8 at byte {error.start}: read as {guess}")
        return raw.decode(guess, errors="replace")


def _gather(notes: list[str]) -> list[str]:
    """Notes on single texts, folded into one sentence."""
    texts = [note.removeprefix("text|") for note in notes if note.startswith("text|")]
    rest = [note for note in notes if not note.startswith("text|")]
    if texts:
        more = f" (and {counted(len(texts) - 1, 'text')} more)" if len(texts) > 1 else ""
        rest.append(texts[0] + more)
    return rest


def concat(pieces: list[tuple[str, Source]]) -> Source:
    """Sources one below the other, each row marked with its part; columns that differ are unified or counted.

    Raises InputError where a part lacks a column of the first.
    """
    first = pieces[0][1]
    frames, notes = [], list(first.notes)
    for part, source in pieces:
        missing = [name for name in first.columns if name not in source.columns]
        if missing:
            raise InputError(f"{source.origin}: the {part} part lacks the column {missing[0]!r} of {first.origin}")
        extra = [name for name in source.columns if name not in first.columns]
        if extra:
            notes.append(f"{part} part: columns {', '.join(extra[:5])} are not in the training part and were left out")
        if source is not first:
            notes += [note for note in source.notes if note not in notes]
        frames.append(source.frame.select(first.frame.columns))
    for name in first.frame.columns:
        types = {frame.schema[name] for frame in frames} - {pl.Null()}
        if len(types) > 1 and not all(kind.is_numeric() for kind in types):
            frames = [frame.with_columns(pl.col(name).cast(pl.String)) for frame in frames]
    return Source(
        first.name,
        pl.concat(frames, how="vertical_relaxed"),
        {name: np.concatenate([source.arrays[name] for _, source in pieces]) for name in first.arrays},
        first.origin,
        np.concatenate([np.full(source.rows, part) for part, source in pieces]).astype("<U5"),
        notes,
        hashlib.sha256("".join(source.digest for _, source in pieces).encode()).hexdigest(),
        first.hints,
    )
