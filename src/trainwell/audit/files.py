"""Files of pictures or sounds to what is wrong with them before a network sees them: broken, blank, telling, apart."""

import time
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.copies import near
from trainwell.audit.parts import FEWEST, ks
from trainwell.audit.points import bands_of
from trainwell.audit.shortcuts import burnt_class, exchanged_colors, hum_of, humming_class
from trainwell.audit.view import View
from trainwell.data.audio import AudioError, open_sound
from trainwell.data.image import PictureError, header, open_picture
from trainwell.doctor.finding import Finding

SECONDS, FILES = 2.0, 600  # that reading takes at most
SIDE = 64  # pixels beyond which pictures are made smaller
ALIKE = 8  # of 255, within which two pixels say the same
OWN, OTHERS = 0.98, 0.1  # shares of a class and of the other rows that have what tells the class


class Read(ABC):
    """What some of the files hold: rows that could be read, why the others could not, marks and numbers of each."""

    def __init__(self, view: View, name: str) -> None:
        self.kept: list[int] = []
        self.broken: list[str] = []
        self.marks: list[tuple[Any, ...]] = []
        self.values: list[Any] = []
        order = np.random.default_rng(0).permutation(view.rows)[:FILES]
        cells, began = view.series(name), time.perf_counter()
        self.looked = 0
        for row in order:
            if time.perf_counter() - began > SECONDS and len(self.kept) >= 50:
                break
            self.looked += 1
            try:
                mark, value = self.read(cells[int(row)])
            except (PictureError, AudioError) as error:
                self.broken.append(f"{str(cells[int(row)])[-40:]!r}: {error}")
                continue
            self.kept.append(int(row))
            self.marks.append(mark)
            self.values.append(value)

    @abstractmethod
    def read(self, cell: Any) -> tuple[tuple[Any, ...], Any]:
        """A file's mark and what is kept of it."""


class Pictures(Read):
    """Pictures in one mode; a mark is size as it is shown."""

    def read(self, cell: Any) -> tuple[tuple[Any, ...], Any]:
        shown = header(cell)[0]
        side = (min(SIDE, shown[0]), min(SIDE, shown[1]))
        return shown, np.asarray(open_picture(cell, side, "RGB", whole=True), dtype=np.int16)

    @cached_property
    def pixels(self) -> np.ndarray:
        """All in one size, (rows, height, width, 3)."""
        return _one_size(self.values)


class Sounds(Read):
    """What a sound is like: silent or not, the share of samples at full scale, how loud it is by band and stretch, and
    at the mains' frequencies; a mark is rate, channels, bits."""

    def read(self, cell: Any) -> tuple[tuple[Any, ...], Any]:
        sound = open_sound(cell)
        top = float(np.abs(sound.samples).max())
        full = float((np.abs(sound.samples) >= 0.999).mean()) if top >= 0.999 else 0.0
        return (sound.rate, sound.channels, sound.bits), (
            sound.silent,
            full,
            bands_of(sound.samples, sound.rate),
            hum_of(sound.samples, sound.rate),
        )

    @cached_property
    def bands(self) -> np.ndarray:
        """How loud each band of tones is in each stretch, (rows, features)."""
        return np.stack([bands for _, _, bands, _ in self.values])


def pictures_of(view: View, name: str) -> Pictures:
    """Some of the pictures of a column, read once for all rules."""
    if name not in view.read:
        view.read[name] = Pictures(view, name)
    return view.read[name]


def sounds_of(view: View, name: str) -> Sounds:
    """Some of the sounds of a column, read once for all rules."""
    if name not in view.read:
        view.read[name] = Sounds(view, name)
    return view.read[name]


def picture_files(view: View) -> list[Finding]:
    """Pictures that cannot be read, tell their class by something else than what they show, or differ by part."""
    name = view.column("image")
    if name is None or name not in view.frame.columns:
        return []
    files = pictures_of(view, name)
    found = _unreadable(files, "pictures")
    if len(files.kept) < 50:
        return found
    labels = view.labels[files.kept] if view.labels is not None else None
    pixels = files.pixels
    told = _by_mark(view, files.marks, labels, "size in pixels") if labels is not None else []
    told = told or (_by_place(view, pixels, labels) if labels is not None else [])
    told = told or (burnt_class(view, pixels, labels) if labels is not None else [])
    told = told or _by_part(view, pixels, files.kept) or exchanged_colors(view, pixels, files.kept) or _grounds(pixels)
    return found + told + _near(pixels, view.parts[files.kept] if view.parts is not None else None)


def sound_files(view: View) -> list[Finding]:
    """Sounds that cannot be read, are silent or cut at full scale, or tell their class by how they are stored."""
    name = view.column("audio")
    if name is None:
        return []
    files = sounds_of(view, name)
    found = _unreadable(files, "sounds")
    if len(files.kept) < 20:
        return found
    silent = float(np.mean([silent for silent, *_ in files.values]))
    clipped = float(np.mean([share > 0.01 for _, share, *_ in files.values]))
    if silent > 0.01:
        text = f"{silent:.0%} of {len(files.kept):,} sounds looked at are silent from end to end."
        found.append(said("bad-features", "sounds", "warn", text, "A recording that failed, or a muted channel.", 0.95))
    if clipped > 0.05:
        text = f"{clipped:.0%} of {len(files.kept):,} sounds have more than a hundredth of their samples at full scale."
        cause = "They were recorded or made too loud, so that what was louder is cut off."
        found.append(said("bad-features", "sounds", "warn", text, cause, 0.85))
    if view.labels is not None:
        labels = view.labels[files.kept]
        told = _by_mark(view, files.marks, labels, "samples a second, channels and bits")
        found += told or humming_class(view, np.array([hums for *_, hums in files.values]), labels)
    return found


def _unreadable(files: Read, what: str) -> list[Finding]:
    if not files.broken:
        return []
    share = len(files.broken) / files.looked
    shown = "; ".join(files.broken[:2])
    text = f"{len(files.broken):,} of {files.looked:,} {what} looked at cannot be read and are left out: {shown}."
    cause = "Downloads that broke off, or files of another kind under this name."
    return [said("bad-features", what, "warn" if share > 0.01 else "note", text, cause, 0.95)]


def _by_mark(view: View, marks: list[tuple[Any, ...]], labels: np.ndarray, what: str) -> list[Finding]:
    """How files are stored, which is one thing in a class and another in all others."""
    codes = np.array([hash(mark) for mark in marks])
    for kind in np.unique(labels):
        own = labels == kind
        if min(own.sum(), (~own).sum()) < 10:
            continue
        code = codes[own][0] if (codes[own] == codes[own][0]).mean() > 0.5 else np.median(codes[own])
        if (codes[own] == code).mean() >= OWN and (codes[~own] == code).mean() <= 1 - OWN:
            mark = " x ".join(map(str, marks[int(np.flatnonzero(own)[0])]))
            text = f"All files of class {view.classes[int(kind)]!r} have the {what} {mark}, hardly any of the others."
            cause = "The class can be told without a look at what the files show: bring all into one form."
            return [said("data-leakage", "files", "warn", text, cause, 0.85)]
    return []


def _one_size(pictures: list[np.ndarray]) -> np.ndarray:
    """(rows, height, width, channels) of the commonest size; those of another size are stretched by their nearest
    pixels."""
    shapes = [each.shape[:2] for each in pictures]
    height, width = max(set(shapes), key=shapes.count)
    fitted = []
    for each in pictures:
        down = (np.arange(height) * each.shape[0] // height).clip(max=each.shape[0] - 1)
        across = (np.arange(width) * each.shape[1] // width).clip(max=each.shape[1] - 1)
        fitted.append(each[down][:, across])
    return np.stack(fitted)


def _by_place(view: View, pixels: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """A place that has one color in all pictures of a class and hardly ever in another."""
    flat = pixels.reshape(len(pixels), -1, 3)
    for kind in np.unique(labels):
        own = labels == kind
        if min(own.sum(), (~own).sum()) < 15:
            continue
        color = np.median(flat[own], 0)
        same = (np.abs(flat - color) <= ALIKE).all(2)
        mine, theirs = same[own].mean(0), same[~own].mean(0)
        telling = (mine >= OWN) & (theirs <= OTHERS)
        if telling.any():
            place = int(np.flatnonzero(telling)[0])
            row, column = divmod(place, pixels.shape[2])
            text = (
                f"{int(telling.sum()):,} of {telling.size:,} places have one color in all pictures of class "
                f"{view.classes[int(kind)]!r} and in {theirs[place]:.0%} of the others, the first at row {row}, column "
                f"{column}."
            )
            cause = "A frame, a stamp, or pictures that were prepared in another way tell the class."
            return [said("data-leakage", "pictures", "warn", text, cause, 0.85)]
    return []


def _grounds(pixels: np.ndarray) -> list[Finding]:
    """Drawings on a black ground and such on a white one in one set."""
    rim = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], 1)
    ground = np.median(rim.mean(2), 1)
    flat = rim.mean(2).std(1) < 40
    black, white = float(((ground <= ALIKE) & flat).mean()), float(((ground >= 255 - ALIKE) & flat).mean())
    if black + white < 0.95 or min(black, white) < 0.1:
        return []
    text = f"{black:.0%} of the pictures have a black ground, {white:.0%} a white one."
    cause = "A part of them is inverted: light for dark."
    return [said("bad-features", "pictures", "warn", text, cause, 0.75)]


def _near(pixels: np.ndarray, parts: np.ndarray | None) -> list[Finding]:
    """Pictures that are another one, coded again or mirrored; where parts are given, one of another part."""
    height, width = (max(1, side // 8) for side in pixels.shape[1:3])
    small = pixels[:, : height * 8, : width * 8].reshape(len(pixels), 8, height, 8, width, 3).mean((2, 4))
    points, first = np.unique(small.reshape(len(pixels), -1), axis=0, return_index=True)
    turned = small[first, :, ::-1].reshape(len(first), -1)
    for way, others, what in (("", None, "but for how it is coded"), ("mirrored ", turned, "mirrored")):
        share = near(points, others=others, least=0.15, parts=None if parts is None else parts[first])
        if share is not None:
            text = f"{share:.0%} of {len(points):,} pictures looked at are another one {what}."
            cause = "Pictures were augmented or coded again before they were dealt: split first, or name --group."
            return [said("data-leakage", f"{way}pictures", "warn", text, cause, 0.8)]
    return []


def _by_part(view: View, pixels: np.ndarray, rows: list[int]) -> list[Finding]:
    """Given parts whose pictures differ in light, contrast or color."""
    if view.parts is None:
        return []
    parts = view.parts[rows]
    means, spread = pixels.mean((1, 2)), pixels.std((1, 2, 3))
    looks = {"light": means.mean(1), "contrast": spread, "red less blue": means[:, 0] - means[:, 2]}
    for part in ("test", "val"):
        ours, theirs = parts == "train", parts == part
        if min(ours.sum(), theirs.sum()) < FEWEST:
            continue
        for name, values in looks.items():
            apart = ks(np.sort(values[ours]), np.sort(values[theirs]))
            middle = (float(np.median(values[ours])), float(np.median(values[theirs])))
            # Other scenes are lighter or darker too, but not by half.
            far = abs(middle[0] - middle[1]) > (10 if "less" in name else 0.4 * max(middle))
            if apart > 0.5 and far:
                text = (
                    f"The {name} of the {part} pictures is {middle[1]:.0f} of 255 in the middle, of "
                    f"the training pictures {middle[0]:.0f}; they hardly overlap."
                )
                cause = "The parts were scaled, inverted or read in another way."
                return [said("preprocessing-mismatch", "pictures", "critical", text, cause, 0.8)]
    return []


RULES = (picture_files, sound_files)
