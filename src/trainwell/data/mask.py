"""Mask pictures, whose pixels are class numbers or class colours, to class codes of one size."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainwell.data.image import PictureError, header
from trainwell.data.rows import Source, counted
from trainwell.errors import InputError

UNKNOWN = 255  # the code of pixels without a class; losses and metrics leave them out
MOST_CLASSES = 255  # codes are bytes
WRONG = 0.5  # share of pixels without a known class from which the masks are refused


def open_mask(cell: Any) -> Any:
    """A mask as Pillow opens it, unchanged; raises PictureError where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    if cell is None:
        raise PictureError("no mask")
    try:
        picture = Image.open(cell if isinstance(cell, str) else io.BytesIO(cell))
        picture.load()
    except FileNotFoundError as error:
        raise PictureError("no such mask") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        empty = isinstance(cell, str) and os.path.exists(cell) and not os.path.getsize(cell)
        raise PictureError("empty mask file" if empty else f"damaged mask ({str(error)[:60]})") from error
    return picture


def mask_values(picture: Any, form: str) -> np.ndarray:
    """The number of each pixel: its index, or its colour as red * 65536 + green * 256 + blue.

    (height, width) int32; form: "index" or "colour"
    """
    if form == "colour":
        pixels = np.asarray(picture.convert("RGB")).astype(np.int32)
        return (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    if picture.mode == "1":
        return np.asarray(picture).astype(np.int32)
    array = np.asarray(picture)
    return (array if array.ndim == 2 else array[..., 0]).astype(np.int32)


def is_coloured(picture: Any) -> bool:
    """Whether a mask's classes are colours: three channels that differ; a palette's are its indices."""
    if picture.mode not in ("RGB", "RGBA"):
        return False
    pixels = np.asarray(picture)
    return bool((pixels[..., :1] != pixels[..., 1:3]).any())


def said_value(value: int, form: str) -> str:
    """A pixel's number as a person writes it: 17, or #ff8000."""
    return str(value) if form == "index" else f"#{value:06x}"


@dataclass
class MaskEncoder:
    """The classes of mask pixels, and the size that masks are brought to.

    `values` are pixel numbers in the order of the classes, `ignored` those that belong to none. encode: source ->
    (rows, height, width) uint8 class codes, 255 for pixels without one, and which rows could be read.
    """

    column: str
    picture: str  # the column of the pictures that the masks belong to
    height: int
    width: int
    form: str  # "index" or "colour"
    values: list[int]
    ignored: list[int] = field(default_factory=list)

    def encode(self, source: Source, rows: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Masks that are missing, torn or of another size than their picture are left out, counted and named.

        Pixels of an unknown number have no class, and are counted and named. Raises InputError where that is most.
        """
        masks, pictures = (source.frame[name][rows].to_list() for name in (self.column, self.picture))
        codes = np.full((len(masks), self.height, self.width), UNKNOWN, dtype=np.uint8)
        bad: dict[int, str] = {}
        strange: dict[int, tuple[int, int]] = {}  # place -> how many pixels, and the first's number

        def work(places: Sequence[int]) -> None:
            """Decode these places into `codes`."""
            for place in places:
                try:
                    codes[place], found = self._codes(masks[place], pictures[place])
                    if found[0]:
                        strange[place] = found
                except PictureError as error:
                    bad[place] = str(error)

        blocks = [range(start, min(start + 16, len(masks))) for start in range(0, len(masks), 16)]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(work, blocks))
        good = np.ones(len(masks), dtype=bool)
        good[list(bad)] = False
        if bad:
            shown = "; ".join(f"{_name(masks[at] or pictures[at], rows[at])}: {bad[at]}" for at in sorted(bad)[:3])
            more = f" (and {len(bad) - 3:,} more)" if len(bad) > 3 else ""
            notes.append(f"{counted(len(bad), 'picture')} left out for want of a mask that fits: {shown}{more}")
        if strange:
            self._say_strange(source, strange, masks, rows, notes)
        return codes, good

    def _say_strange(
        self, source: Source, strange: dict[int, tuple[int, int]], masks: list[Any], rows: np.ndarray, notes: list[str]
    ) -> None:
        first = min(strange)
        pixels, value = strange[first]
        total = sum(count for count, _ in strange.values())
        where = f"{_name(masks[first], rows[first])}: {said_value(value, self.form)} in {counted(pixels, 'pixel')}"
        told = f"{counted(len(strange), 'mask')} with pixels of no known class ({where})"
        if total > WRONG * len(masks) * self.height * self.width:
            known = ", ".join(said_value(each, self.form) for each in self.values[:8])
            raise InputError(
                f"{source.origin}: {told}, {total / (len(masks) * self.height * self.width):.0%} of all pixels; "
                f"the classes are {known}{' ...' if len(self.values) > 8 else ''}: check the list of classes"
            )
        notes.append(f"{told}: {counted(total, 'pixel')} in all neither teach nor count")

    def _codes(self, mask: Any, picture: Any) -> tuple[np.ndarray, tuple[int, int]]:
        """One mask as codes, with how many of its pixels are of an unknown number and the first such number."""
        opened = open_mask(mask)
        if picture is not None:
            opened = _fitting(opened, picture)
        found = mask_values(opened, self.form)
        known = np.array([*self.values, *self.ignored], dtype=np.int32)
        codes = np.array([*range(len(self.values)), *[UNKNOWN] * len(self.ignored)], dtype=np.uint8)
        order = np.argsort(known)
        known, codes = known[order], codes[order]
        small = found[_middles(found.shape[0], self.height)][:, _middles(found.shape[1], self.width)]
        place = np.minimum(np.searchsorted(known, small), len(known) - 1)
        strange = known[place] != small
        result = np.where(strange, UNKNOWN, codes[place]).astype(np.uint8)
        return result, (int(strange.sum()), int(small[strange][0]) if strange.any() else 0)

    def undo(self, codes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Answered codes as a mask of this size (width, height) in the numbers or colours of the masks learned from.

        codes: (height, width) -> (height, width) of numbers, or (height, width, 3) bytes of colours
        """
        small = np.array(self.values, dtype=np.int32)[codes]
        whole = small[_middles(codes.shape[0], size[1])][:, _middles(codes.shape[1], size[0])]
        if self.form == "colour":
            return np.stack([whole >> 16, (whole >> 8) & 255, whole & 255], -1).astype(np.uint8)
        return whole.astype(np.uint8 if max(self.values) < 256 else np.uint16)


def _name(cell: Any, row: int) -> str:
    return os.path.basename(cell) if isinstance(cell, str) else f"row {int(row) + 1}"


def _middles(before: int, after: int) -> np.ndarray:
    """The place in a side of `before` pixels that each of `after` pixels shows: (after,)."""
    return ((np.arange(after) + 0.5) * before / after).astype(np.int64)


def _fitting(mask: Any, cell: Any) -> Any:
    """The mask as its picture is shown; one that lies as the camera was held is turned with its picture.

    Raises PictureError for another size.
    """
    shown, stored, turn = header(cell)
    if mask.size == shown:
        return mask
    if mask.size == stored and turn is not None:
        return mask.transpose(turn)
    sizes = f"{mask.size[0]} x {mask.size[1]}, its picture {shown[0]} x {shown[1]}"
    raise PictureError(f"the mask is {sizes}")
