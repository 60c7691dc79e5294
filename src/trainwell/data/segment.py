"""A folder of pictures with masks, or a table of both, to a source of pairs and its schema with the classes."""

import csv
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.folder import PARTS, PICTURES, listed
from trainwell.data.image import PictureError, header
from trainwell.data.mask import MOST_CLASSES, UNKNOWN, is_coloured, mask_values, open_mask, said_value
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

IMAGES = ("images", "image", "imgs", "img", "pictures", "photos", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annot", "segmentationclass", "segmentation", "gt")
BESIDE = ("annot", "_annot", "_labels", "_label", "_masks", "_mask", "_gt")  # train beside trainannot
ENDINGS = ("", "_mask", "_L", "_label", "_labels", "_seg", "_gt", "_labelIds", "_segmentation")
NAMES: tuple[str, ...] = ("classes.txt", "class_names.txt", "codes.txt", "labels.txt", "label_names.txt")
NAMES += ("class_dict.csv", "label_colors.txt", "labels.json", "classes.json")
IGNORED = ("unlabelled", "unlabeled", "unlabel", "void", "ignore", "ignored", "unknown", "undefined")
LOOKS = 1000  # masks that are looked at for their classes
FEWEST = 10  # pictures below which nothing can be held out


def read_segments(folder: Path) -> Source | None:
    """The pairs of a folder of pictures with masks, the class names beside them; None for any other folder."""
    pieces = _pieces(folder)
    if not pieces:
        return None
    paths: list[str] = []
    masks: list[str | None] = []
    parts: list[str] = []
    alone = 0
    for part, pictures_in, masks_in in pieces:
        found = {path.stem: path for path in _pictures(masks_in)}
        for picture in _pictures(pictures_in):
            stem = next((picture.stem + end for end in ENDINGS if picture.stem + end in found), None)
            paths.append(str(picture.absolute()))
            masks.append(None if stem is None else str(found.pop(stem).absolute()))
            parts.append(part)
        alone += len(found)
    notes = [f"{counted(alone, 'mask')} without a picture of that name left out"] if alone else []
    frame = pl.DataFrame({"image": paths, "mask": masks}, schema={"image": pl.String, "mask": pl.String})
    total = hashlib.sha256()
    for path in [*paths, *masks]:
        total.update(f"{os.path.basename(path or '')}:{os.path.getsize(path) if path else 0};".encode())
    source = Source(folder.name, frame, {}, str(folder), None, notes, total.hexdigest())
    source.hints = {"kinds": {"image": "image", "mask": "mask"}, "target": "mask", "masks": _names_beside(folder)}
    if pieces[0][0]:
        source.parts = np.array(parts)
    return source


def _pictures(folder: Path) -> list[Path]:
    """The picture files anywhere under a folder, sorted."""
    inside = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return sorted(path for path in inside if path.name.lower().endswith(PICTURES) and path.name[0] != ".")


def _pieces(folder: Path) -> list[tuple[str, Path, Path]]:
    """(part, folder of pictures, folder of masks) for each part of the data, or nothing."""
    folders = {child.name.lower(): child for child in listed(folder)[0]}
    parts = {PARTS[name]: child for name, child in folders.items() if name in PARTS}
    order = [part for part in ("train", "val", "test") if part in parts]
    inside = [(part, pair) for part in order if (pair := _pair(parts[part])) is not None]
    if inside and inside[0][0] == "train":
        return [(part, *pair) for part, pair in inside]
    beside: list[tuple[str, Path, Path]] = []
    for part in order:
        names = [f"{parts[part].name.lower()}{ending}" for ending in BESIDE]
        other = next((folders[name] for name in names if name in folders), None)
        if other is not None and _pictures(other):
            beside.append((part, parts[part], other))
    if beside and beside[0][0] == "train":
        return beside
    whole = _pair(folder)
    if whole is None:
        return []
    below = [{PARTS.get(child.name.lower(), ""): child for child in listed(each)[0]} for each in whole]
    if "train" in below[0] and "train" in below[1]:
        return [
            (part, below[0][part], below[1][part])
            for part in ("train", "val", "test")
            if part in below[0].keys() & below[1].keys()
        ]
    return [("", *whole)]


def _pair(folder: Path) -> tuple[Path, Path] | None:
    """A folder of pictures and one of masks directly inside a folder; both hold pictures."""
    folders = {child.name.lower(): child for child in listed(folder)[0]}
    pictures = next((folders[name] for name in IMAGES if name in folders), None)
    masks = next((folders[name] for name in MASKS if name in folders), None)
    if pictures is None or masks is None or not _pictures(pictures) or not _pictures(masks):
        return None
    return pictures, masks


def _names_beside(folder: Path) -> dict[str, Any]:
    """The class names in a file of a folder or the one above: {"file", "names": {number: name}, "colours": ...}."""
    for place in (folder, folder.parent):
        path = next((place / name for name in NAMES if (place / name).is_file()), None)
        if path is not None:
            names, colours = _read_names(path)
            if names:
                return {"file": str(path), "names": names, "colours": colours}
    return {}


def _read_names(path: Path) -> tuple[dict[int, str], bool]:
    """Class names by number or by colour, from lines of names, of numbers and names, or of names and colours."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            held = json.loads(text)
            held = held.get("label_names", held) if isinstance(held, dict) else held
            pairs = held.items() if isinstance(held, dict) else enumerate(held)
            return {int(key): str(name) for key, name in pairs}, False
    except (OSError, UnicodeDecodeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected class names, one a line ({error})") from None
    names: dict[int, str] = {}
    colours = False
    for row in csv.reader(text.splitlines()) if path.suffix == ".csv" else ([line] for line in text.splitlines()):
        line = " ".join(cell.strip() for cell in row).strip()
        after = re.fullmatch(r"(.*\D)\s+(\d+)[\s,]+(\d+)[\s,]+(\d+)", line)
        before = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)", line)
        if after or before:
            found = (after or before).groups()  # type: ignore[union-attr]
            name, shades = (found[0], found[1:]) if after else (found[3], found[:3])
            red, green, blue = map(int, shades)
            names[red << 16 | green << 8 | blue] = name.strip(" ,:")
            colours = True
        elif numbered := re.fullmatch(r"(\d+)\s*[:,;\s]\s*(\S.*)", line):
            names[int(numbered[1])] = numbered[2]
        elif line and not colours and not (path.suffix == ".csv" and line.lower().startswith("name")):
            names[len(names)] = line
    return names, colours


def as_segments(
    source: Source, target: str | None = None, types: dict[str, str] | None = None
) -> tuple[Source, Schema]:
    """The pictures that have a mask, and the schema with the classes of their pixels.

    types: "ignored" for a class whose pixels shall not count. Raises InputError for a source without pictures or
    masks, and for masks that hold no classes.
    """
    image, mask = _columns(source, target)
    keep = source.frame[mask].is_not_null() & source.frame[image].is_not_null()
    lost = int((~keep).sum())
    if lost:
        first = source.frame.filter(~keep)[image].to_list()[0]
        name = os.path.basename(first) if isinstance(first, str) else "one"
        notes = [f"{counted(lost, 'picture')} without a mask left out, the first is {name}"]
        source = source.take(np.flatnonzero(keep.to_numpy()))
        source.notes += notes
    if source.rows < FEWEST:
        raise InputError(
            f"{source.origin}: {counted(source.rows, 'picture')} with a mask; at least {FEWEST} are needed"
        )
    facts, names = _classes(source, mask, types or {})
    given = source.hints.get("masks", {}).get("file")
    why = f"masks of {len(names)} classes, named by {os.path.basename(given)}" if given else f"{len(names)} classes"
    columns = [
        Column(image, "image", "input", "picture files", unique=source.rows, facts=_size(source, image)),
        Column(mask, "mask", "target", why, missing=lost, facts=facts),
    ]
    rest = [name for name in source.columns if name not in (image, mask)]
    columns += [Column(name, "category", "ignored", "segmentation reads pictures and masks alone") for name in rest]
    hints = {**source.hints, "kinds": {**source.hints.get("kinds", {}), image: "image", mask: "mask"}}
    return replace(source, hints=hints), Schema(columns, source.rows, "segment", classes=names)


def _columns(source: Source, target: str | None) -> tuple[str, str]:
    """The columns of pictures and of masks."""
    kinds = source.hints.get("kinds", {})
    pictures = [name for name in source.frame.columns if kinds.get(name) in ("image", "mask")]
    mask = target or source.hints.get("target") or next((n for n in pictures if n.lower() in MASKS), None)
    if mask not in pictures:
        known = suggest(mask or "mask", pictures) if pictures else "there is no column of pictures"
        raise InputError(
            f"{source.origin}: no column {mask or 'of masks'!r} with a mask for each picture; {known}. "
            "Expected folders images and masks with files of the same names, or a table with a column for each"
        )
    image = next((name for name in pictures if name != mask), None)
    if image is None:
        raise InputError(f"{source.origin}: masks in {mask!r}, but no column with the pictures they belong to")
    return image, str(mask)


def _size(source: Source, image: str) -> dict[str, Any]:
    """The commonest width and height of some pictures."""
    sizes: Counter[tuple[int, int]] = Counter()
    for cell in source.frame[image][_spread(source.rows, 50)].to_list():
        try:
            sizes[header(cell)[0]] += 1
        except PictureError:
            continue
    if not sizes:
        return {}
    width, height = sizes.most_common(1)[0][0]
    return {"width": width, "height": height}


def _spread(rows: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).round().astype(np.int64))


def _classes(source: Source, mask: str, types: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The form, values, ignored values and shares of the masks' classes, and the classes' names."""
    given = source.hints.get("masks", {})
    counts, form, looked = _looked_at(source, mask, bool(given.get("colours")))
    named: dict[int, str] = dict(given.get("names", {})) if bool(given.get("colours")) == (form == "colour") else {}
    if not named and given.get("colours") is not None and form == "colour" and not given.get("colours"):
        source.notes.append(f"{given['file']} names classes by number, but the masks are in colours: not used")
    if not named:
        values = sorted(counts)
        if len(values) > MOST_CLASSES + 1 or (len(values) > MOST_CLASSES and UNKNOWN not in values):
            raise InputError(
                f"{source.origin}: the masks hold {len(values):,} different {form} values; expected at most "
                f"{MOST_CLASSES} classes. Masks saved as JPEG have blurred values: save them as PNG"
            )
        binary = form == "index" and values == [0, UNKNOWN]
        named = {0: "background", UNKNOWN: "foreground"} if binary else {}
        named |= {each: f"class {said_value(each, form)}" for each in values if each not in named}
        if form == "index" and not binary and UNKNOWN in named and len(values) > 2:
            named[UNKNOWN] = "ignored"
    wrong = [name for name in types if name not in named.values() and name not in source.columns]
    if wrong:
        raise InputError(f"types: no class {wrong[0]!r} in the masks; {suggest(wrong[0], list(named.values()))}")
    ignored = [value for value, name in named.items() if _left_out(name, types)]
    values = [value for value in sorted(named) if value not in ignored]
    if form == "index" and UNKNOWN not in named and UNKNOWN in counts:
        ignored.append(UNKNOWN)
    if len(values) < 2:
        held = ", ".join(named[each] for each in values) or "none"
        raise InputError(f"{source.origin}: masks of one class ({held}) in {looked}: expected two classes or more")
    total = max(1, sum(counts.get(each, 0) for each in values))
    facts: dict[str, Any] = {"form": form, "values": values, "ignored": ignored}
    facts["shares"] = [round(counts.get(each, 0) / total, 6) for each in values]
    if ignored:
        words = ", ".join(named.get(each, said_value(each, form)) for each in ignored)
        source.notes.append(f"pixels of {words} neither teach nor count")
    return facts, [named[each] for each in values]


def _left_out(name: str, types: dict[str, str]) -> bool:
    return types[name] == "ignored" if name in types else name.lower().strip() in IGNORED


def _looked_at(source: Source, mask: str, colours: bool) -> tuple[Counter[int], str, str]:
    """How often each pixel number occurs in training masks, whether they are indices or colours, and how many were."""
    train = np.arange(source.rows) if source.parts is None else np.flatnonzero(source.parts == "train")
    cells = source.frame[mask][train[_spread(len(train), LOOKS)]].to_list()
    opened, reason = [], ""
    for cell in cells:
        try:
            opened.append(open_mask(cell))
        except PictureError as error:
            reason = f"{os.path.basename(cell) if isinstance(cell, str) else 'a mask'}: {error}"
    if not opened:
        raise InputError(f"{source.origin}: none of {len(cells)} masks could be read ({reason})")
    palettes = colours and all(each.mode in ("P", "RGB", "RGBA") for each in opened)
    form = "colour" if palettes or any(map(is_coloured, opened)) else "index"
    counts: Counter[int] = Counter()
    for each in opened:
        found, times = np.unique(mask_values(each, form), return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    return counts, form, counted(len(opened), "mask")
