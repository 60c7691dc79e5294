"""Records of marked pictures to a source of pictures with their boxes, each box checked against its picture."""

import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.box_files import Box, Marks, Record, marks_of_table, read_marks
from trainwell.data.image import PictureError, header
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError

FEWEST = 10  # pictures
SLACK = 1.5  # pixels that a box may reach beyond its picture without a word: files count from 0 or from 1
BOX = pl.Struct({"label": pl.String, **{side: pl.Float64 for side in ("left", "top", "right", "bottom")}})


def boxes_of_folder(folder: Path) -> Source | None:
    """A folder's pictures with the boxes that files in it mark; nothing where none are marked.

    Raises InputError where no picture with boxes is left, and for classes that are not known.
    """
    marks = read_marks(folder)
    return None if marks is None else _source(marks, folder.name, str(folder))


def boxes_of_table(source: Source) -> Source | None:
    """A table of one row a box as pictures with their boxes; nothing for any other table."""
    marks = marks_of_table(source)
    return None if marks is None else _source(marks, source.name, source.origin)


def looks_like_boxes(source: Source) -> bool:
    """Whether a source holds pictures with boxes."""
    return source.hints.get("kinds", {}).get("boxes") == "boxes"


def as_boxes(source: Source) -> tuple[Source, Schema]:
    """The source and its schema: pictures in, boxes out. Raises InputError where there are no boxes or few pictures."""
    if not looks_like_boxes(source):
        raise InputError(
            f"{source.origin}: no boxes found; detection reads VOC XML, COCO JSON, YOLO text, or a table with the "
            "columns image, class, xmin, ymin, xmax, ymax"
        )
    if source.rows < FEWEST:
        raise InputError(
            f"{source.origin}: {counted(source.rows, 'picture')} with boxes; at least {FEWEST} are needed to learn "
            "and to test"
        )
    labels = source.hints["labels"]
    facts = _facts(source, labels)
    target = Column(
        "boxes", "boxes", "target", f"boxes of {source.hints['marks']} around {len(labels)} kinds of thing",
        categories=labels, unique=len(labels), facts=facts,
    )  # fmt: skip
    columns = [
        Column("image", "image", "input", "picture files", unique=source.rows),
        *(Column(name, "number", "ignored", "of the picture, in pixels") for name in ("width", "height")),
        target,
    ]
    return source, Schema(columns, source.rows, "detect", list(labels))


def _facts(source: Source, labels: list[str]) -> dict[str, Any]:
    """How many boxes of each class there are, and how small those of the smallest class, as a share of the picture."""
    rows = source.frame.select("width", "height", pl.col("boxes")).explode("boxes").drop_nulls().unnest("boxes")
    shorter = pl.min_horizontal(pl.col("right") - pl.col("left"), pl.col("bottom") - pl.col("top"))
    share = rows.select("label", share=shorter / pl.max_horizontal("width", "height"))
    medians = share.group_by("label").agg(pl.col("share").median())["share"]
    counts = Counter(rows["label"].to_list())
    return {
        "boxes": rows.height,
        "by class": {label: counts[label] for label in labels},
        "smallest": min(counts.values(), default=0),
        "share": float(medians.min() or 0.0),  # type: ignore[arg-type]
        "side": float(source.frame.select(pl.max_horizontal("width", "height")).to_series().median() or 0),  # type: ignore[arg-type]
        "most": int(source.frame["boxes"].list.len().max() or 0),  # type: ignore[arg-type]
    }


def _source(marks: Marks, name: str, origin: str) -> Source:
    """The records whose pictures can be read, as a source, with notes on all that was left out."""
    lost, torn, cells = [], [], []
    checks = _Checks()
    for record in marks.records:
        if not Path(record.picture).is_file():
            lost.append(f"{record.picture} (named in {record.where})")
            continue
        try:
            width, height = header(record.picture)[0]
        except PictureError as error:
            torn.append(f"{Path(record.picture).name}: {error}")
            continue
        boxes = checks.kept(record, width, height)
        cells.append((str(Path(record.picture).absolute()), width, height, boxes, record.part))
    notes = list(marks.notes)
    for found, what in ((lost, "that the annotations name missing"), (torn, "that could not be read")):
        if found:
            notes.append(f"{counted(len(found), 'picture')} {what}: left out, as {found[0]}")
    notes += checks.notes()
    cells = _in_parts(cells, notes)
    used = {box[0] for cell in cells for box in cell[3]}
    if not used:
        why = f" ({notes[-1]})" if notes else ""
        raise InputError(f"{origin}: {marks.kind} marks no box in a picture that is there{why}")
    frame = pl.DataFrame(
        {
            "image": [cell[0] for cell in cells],
            "width": [cell[1] for cell in cells],
            "height": [cell[2] for cell in cells],
            "boxes": pl.Series(
                [[dict(zip(BOX.to_schema(), box, strict=True)) for box in cell[3]] for cell in cells],
                dtype=pl.List(BOX),
            ),
        }
    )
    labels = [label for label in marks.labels if label in used] if marks.labels else sorted(used)
    total = hashlib.sha256(repr([(Path(cell[0]).name, *cell[1:]) for cell in cells]).encode()).hexdigest()
    boxes_there = sum(len(cell[3]) for cell in cells)
    notes.insert(0, f"{boxes_there:,} boxes in {counted(len(cells), 'picture')}, read from {marks.kind}")
    source = Source(name, frame, {}, origin, None, notes, total)
    source.hints = {
        "target": "boxes", "labels": labels, "kinds": {"image": "image", "boxes": "boxes"}, "marks": marks.kind,
    }  # fmt: skip
    if any(cell[4] for cell in cells):
        source.parts = np.array([cell[4] for cell in cells])
    return source


def _in_parts(cells: list[Any], notes: list[str]) -> list[Any]:
    """The pictures of all parts, or, without a training part, those of no part too, as one whole."""
    if "train" not in {cell[4] for cell in cells}:
        return [(*cell[:4], "") for cell in cells]
    outside = sum(not cell[4] for cell in cells)
    if outside:
        notes.append(f"{counted(outside, 'picture')} in none of the parts left out")
    return [cell for cell in cells if cell[4]]


WRONG = {
    "numbers": "without four numbers or a class left out",
    "area": "of no area left out",
    "outside": "wholly outside the picture left out",
    "cut": "reaching beyond the picture cut at its edge",
}


class _Checks:
    """Boxes that are dropped or cut, counted, the first of each kind named."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {kind: [] for kind in WRONG}

    def kept(self, record: Record, width: int, height: int) -> list[Box]:
        """The boxes in pixels that can be learned from, within the picture."""
        kept = []
        for label, *sides in record.boxes:
            across, down = (width, height) if record.shares else (1, 1)
            left, top, right, bottom = (side * unit for side, unit in zip(sides, (across, down) * 2, strict=True))
            inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
            beyond = max(-left, -top, right - width, bottom - height)
            kind = ""
            if not label or not all(map(math.isfinite, (left, top, right, bottom))):
                kind = "numbers"
            elif right <= left or bottom <= top:
                kind = "area"
            elif inside[2] <= inside[0] or inside[3] <= inside[1]:
                kind = "outside"
            elif beyond > SLACK:
                kind = "cut"
            if kind:
                words = ", ".join(f"{side:g}" for side in (left, top, right, bottom))
                self.found[kind].append(f"{record.where} ({label or 'no class'} at {words})")
            if kind in ("", "cut"):
                kept.append((label, *inside))
        return kept

    def notes(self) -> list[str]:
        """A sentence for each kind that was found."""
        notes = []
        for kind, places in self.found.items():
            if places:
                boxes = f"{len(places):,} box{'es' if len(places) > 1 else ''}"
                notes.append(f"{boxes} {WRONG[kind]}, as {places[0]}")
        return notes
