"""Encoded pictures, picture files and picture arrays to uint8 pixels of one size."""

import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainwell.data.rows import Source, counted
from trainwell.errors import InputError

SAMPLE = 2000  # pictures that are looked at to choose size and colours, and to measure mean and deviation
LARGEST = 256  # a side up to which pictures of one common size keep it
USUAL = 128  # the longer side that other pictures are brought to
PIXELS = 500_000_000  # a picture of more is refused by what its header says, unless its user sets another limit
DEPTHS = (255, 1023, 4095, 16383, 65535)  # the greatest value of grey pictures of 8, 10, 12, 14 and 16 bits
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of more than 8 bits
ORIENTATION = 0x0112  # of EXIF: how the camera was held
Chooser = Callable[[Counter[tuple[int, int]], int | None, list[str]], tuple[int, int]]  # of the size for all pictures


class PictureError(Exception):
    """A picture that cannot be read, with the reason in a few words."""


@dataclass
class PictureEncoder:
    """Size, colours and range fitted on training rows.

    encode: source -> (rows, channels, height, width) uint8, and which rows could be read. `mean` and `std` are by
    channel, in shares of 255.
    """

    column: str
    height: int
    width: int
    channels: int
    low: float = 0.0  # of array values: what becomes 0
    high: float = 255.0  # and what becomes 255
    whole: bool = False  # pictures of another shape are squeezed into the size rather than cut
    depth: list[float] = field(default_factory=list)  # of grey of more than 8 bits: what becomes 0 and what 255
    limit: int = PIXELS
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)

    @classmethod
    def fit(
        cls,
        source: Source,
        column: str,
        rows: np.ndarray,
        size: int | None,
        notes: list[str],
        choose: "Chooser | None" = None,
        limit: int | None = None,
    ) -> "PictureEncoder":
        """Fit on these rows; `choose` gives the size that whole pictures are squeezed into, where none shall be cut;
        `limit` is the number of pixels from which on a picture is refused.

        Raises InputError where no picture among the rows can be read.
        """
        rows = rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]
        if column in source.arrays:
            encoder = _fit_array(column, source.arrays[column], rows, size, notes)
        else:
            encoder = _fit_files(source, column, rows, size, notes, choose or common_size, limit or PIXELS)
            encoder.whole = choose is not None
        pixels, good = encoder.encode(source, rows, [])
        shares = pixels[good].astype(np.float32) / 255
        encoder.mean = [round(float(value), 6) for value in shares.mean(axis=(0, 2, 3), dtype=np.float64)]
        encoder.std = [round(max(float(value), 1e-3), 6) for value in shares.std(axis=(0, 2, 3), dtype=np.float64)]
        return encoder

    def scaled_by(self, mean: list[float] | None, std: list[float] | None) -> None:
        """Take these instead of the pictures' own; raises InputError for another number of channels."""
        for name, given in (("mean", mean), ("std", std)):
            if given is None:
                continue
            if len(given) != self.channels or (name == "std" and min(given) <= 0):
                raise InputError(f"transform.{name}={given}: expected a number for each of {self.channels} channels")
            setattr(self, name, list(given))

    def encode(self, source: Source, rows: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """rows -> (rows, channels, height, width) uint8 and (rows,) bool: which could be read.

        Pictures that cannot be read are black, counted and named in `notes`.
        """
        if self.column in source.arrays:
            return self.scale(source.arrays[self.column][rows], notes)
        if self.column not in source.frame.columns:
            raise InputError(f"{source.origin}: no column {self.column!r} with the pictures")
        return self.decode(source.frame[self.column][rows].to_list(), rows, notes)

    def decode(self, cells: list[Any], rows: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Encoded bytes or paths of these rows -> what `encode` gives."""
        pixels = np.zeros((len(cells), self.height, self.width, self.channels), dtype=np.uint8)
        bad: dict[int, str] = {}

        def work(places: Sequence[int]) -> None:
            """Decode these places into `pixels`."""
            for place in places:
                try:
                    pixels[place] = self._pixels(cells[place])
                except PictureError as error:
                    bad[place] = str(error)

        blocks = [range(start, min(start + 64, len(cells))) for start in range(0, len(cells), 64)]
        if len(cells) and _is_heavy(cells[len(cells) // 2]):
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                list(pool.map(work, blocks))
        else:  # the interpreter's lock makes threads useless for thumbnails
            for block in blocks:
                work(block)
        good = np.ones(len(cells), dtype=bool)
        good[list(bad)] = False
        if bad:
            notes.append(_say_bad(bad, cells, rows))
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), good

    def _pixels(self, cell: Any) -> np.ndarray:
        """One cell to (height, width, channels)."""
        size, mode = (self.width, self.height), "L" if self.channels == 1 else "RGB"
        picture = opened(cell, size, mode, self.limit)
        if picture.size == (1, 1) != size:
            raise PictureError("1 x 1 pixel")
        array = np.asarray(shaped(picture, size, mode, self.whole, self.depth))
        return array[..., None] if array.ndim == 2 else array

    def scale(self, array: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Pictures as an array -> what `encode` gives."""
        if array.ndim == 3:
            array = array[..., None]
        if array.shape[1:] != (self.height, self.width, self.channels):
            array = _resized(array, self.height, self.width, self.channels)
        if array.dtype == np.uint8 and (self.low, self.high) == (0.0, 255.0):
            pixels = array
        else:
            values = array.astype(np.float32)
            gaps = ~np.isfinite(values)
            if gaps.any():
                notes.append(f"{counted(int(gaps.sum()), 'pixel')} of NaN or infinity taken as {self.low:g}")
                values = np.where(gaps, self.low, values)
            shares = (values - self.low) / (self.high - self.low)
            pixels = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.ones(len(array), dtype=bool)


def _say_bad(bad: dict[int, str], cells: list[Any], rows: np.ndarray) -> str:
    shown = []
    for place in sorted(bad)[:3]:
        name = cells[place] if isinstance(cells[place], str) else f"row {int(rows[place]) + 1}"
        shown.append(f"{name}: {bad[place]}")
    more = f" (and {len(bad) - 3:,} more)" if len(bad) > 3 else ""
    return f"{counted(len(bad), 'picture')} could not be read and left out: {'; '.join(shown)}{more}"


def _is_heavy(cell: Any) -> bool:
    return isinstance(cell, str) or (cell is not None and len(cell) > 4000)


def open_picture(cell: Any, size: tuple[int, int] | None, mode: str | None, *, whole: bool = False) -> Any:
    """Encoded bytes or a path to a picture, turned as its camera was held, in this size (width, height) and mode.

    One of another shape is cut in the middle, or squeezed where it shall stay whole.
    Raises PictureError that says why a picture cannot be read.
    """
    return shaped(opened(cell, size, mode), size, mode, whole)


def opened(cell: Any, size: tuple[int, int] | None, mode: str | None, limit: int = PIXELS) -> Any:
    """Encoded bytes or a path to the first frame of a picture as it is stored; large JPEGs come reduced.

    Raises PictureError that says why a picture cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = 100 * limit  # Pillow's own guard, which warns of what ours refuses, stands far behind
    if cell is None:
        raise PictureError("no picture in this row")
    try:
        picture: Any = Image.open(cell if isinstance(cell, str) else io.BytesIO(cell))
        if picture.width * picture.height > limit:
            raise PictureError(f"{picture.width:,} x {picture.height:,}, more than {limit:,} pixels")
        if picture.format == "JPEG" and size and picture.size != size:
            picture.draft(mode, size)  # decodes at a half, a quarter or an eighth, never below the size
        picture.load()
        if getattr(picture, "is_animated", False):  # which keeps its file open for the next frame
            with picture as moving:
                picture = moving.copy()
                picture.format, picture.info["frames"] = moving.format, True
    except Image.DecompressionBombError as error:
        raise PictureError(f"more than {limit:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PictureError(_what(cell)) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        lost = isinstance(error, FileNotFoundError)
        raise PictureError("no such file" if lost else f"damaged ({str(error)[:60]})") from error
    return picture


def shaped(
    picture: Any, size: tuple[int, int] | None, mode: str | None, whole: bool = False, depth: Sequence[float] = ()
) -> Any:
    """A picture turned as its camera was held, in 8 bits, this size and mode; depth: what becomes 0 and what 255."""
    from PIL import Image, ImageOps

    if "exif" in picture.info or picture.format in ("TIFF", "MPO"):
        picture = ImageOps.exif_transpose(picture)
    picture = _flat_mode(picture, mode, depth)
    if size and picture.size != size and whole:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    elif size and picture.size != size:
        picture = ImageOps.fit(picture, size, Image.Resampling.BILINEAR)
    return picture


def header(cell: Any) -> tuple[tuple[int, int], tuple[int, int], Any]:
    """(width, height) of a picture as it is shown and as it is stored, and how Pillow turns it, by its header alone.

    Raises PictureError where it has none.
    """
    from PIL import Image

    try:
        with Image.open(cell if isinstance(cell, str) else io.BytesIO(cell)) as picture:
            stored, orientation = picture.size, picture.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise PictureError(f"no picture ({str(error)[:60]})") from error
    shown = (stored[1], stored[0]) if orientation in (5, 6, 7, 8) else stored
    names = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
    name = {**names, 7: "TRANSVERSE", 8: "ROTATE_90"}.get(orientation)
    return shown, stored, None if name is None else Image.Transpose[name]


def _what(cell: Any) -> str:
    """Why a file is no picture, by its first bytes."""
    if isinstance(cell, str):
        if not os.path.getsize(cell):
            return "empty file"
        with open(cell, "rb") as file:
            start = file.read(16)
    else:
        start = bytes(cell[:16])
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in start[:8])
    return f"no picture (begins with {shown})" if start else "empty"


def _flat_mode(picture: Any, mode: str | None, depth: Sequence[float] = ()) -> Any:
    """Grey or RGB: see-through pictures are laid on white, grey of more than 8 bits is scaled from `depth`."""
    from PIL import Image

    if picture.mode in DEEP:
        values = np.asarray(picture, dtype=np.float32)
        low, high = depth or depth_of([values])
        picture = Image.fromarray((np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or (picture.mode == "P" and "transparency" in picture.info):
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture).convert("RGB")
    mode = mode or ("L" if picture.mode in ("L", "1") else "RGB")
    return picture if picture.mode == mode else picture.convert(mode)


def depth_of(greys: list[np.ndarray]) -> tuple[float, float]:
    """What becomes 0 and what 255 of grey values of more than 8 bits: the range of the least depth that holds them."""
    ends = [float(end) for each in greys for end in (np.nanmin(each), np.nanmax(each)) if np.isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=255.0)
    whole = all((each[:64] == np.rint(each[:64])).all() for each in greys)
    if low >= 0 and whole and high > 1:
        return 0.0, float(next((top for top in DEPTHS if high <= top), high))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-6))


def _fit_files(
    source: Source,
    column: str,
    rows: np.ndarray,
    size: int | None,
    notes: list[str],
    choose: Chooser,
    limit: int,
) -> PictureEncoder:
    """Size and colours by a look at a sample of pictures."""
    sizes: Counter[tuple[int, int]] = Counter()
    colour, reason, moving, ends = False, "", 0, []
    for cell in source.frame[column][rows].to_list():
        try:
            raw = opened(cell, None, None, limit)
        except PictureError as error:
            reason = str(error)
            continue
        moving += raw.format != "MPO" and "frames" in raw.info
        if raw.mode in DEEP:
            values = np.asarray(raw, dtype=np.float32)
            ends.append(np.array([values.min(), values.max(), *values.ravel()[:62]]))
        picture = shaped(raw, None, None)
        sizes[picture.size] += 1
        if not colour and picture.mode == "RGB":
            pixels = np.asarray(picture).astype(np.int16)
            colour = bool((np.abs(pixels - pixels[..., :1]) > 2).any())
    if not sizes:
        raise InputError(f"{source.origin}: none of {len(rows)} pictures could be read ({reason})")
    width, height = choose(sizes, size, notes)
    if max(width, height) < 2:
        raise InputError(f"{source.origin}: pictures of 1 x 1 pixel show nothing to learn from")
    encoder = PictureEncoder(column, height, width, 3 if colour else 1, limit=limit)
    if moving:
        notes.append(f"{counted(moving, 'picture')} with several frames: the first of each is read")
    if ends:
        encoder.depth = list(depth_of(ends))
        low, high = encoder.depth
        notes.append(f"{counted(len(ends), 'picture')} of more than 8 bits: values {low:g} to {high:g} become 0 to 255")
    return encoder


def common_size(sizes: Counter[tuple[int, int]], size: int | None, notes: list[str]) -> tuple[int, int]:
    """(width, height) that all pictures are brought to."""
    common, count = sizes.most_common(1)[0]
    if count >= 0.95 * sizes.total():
        width, height = common
        cap = size or (LARGEST if max(common) <= LARGEST else USUAL)
    else:
        every = np.array(list(sizes.elements()))
        width, height = (int(value) for value in np.median(every, axis=0))
        cap = size or USUAL
    factor = min(1.0, cap / max(width, height))
    width, height = max(1, round(width * factor)), max(1, round(height * factor))
    if sizes.keys() != {(width, height)}:
        found = f"{len(sizes)} sizes" if len(sizes) > 1 else f"{common[0]} x {common[1]} pixels"
        notes.append(f"pictures of {found} are brought to {width} x {height} (width x height), cut in the middle")
    return width, height


def _fit_array(column: str, array: np.ndarray, rows: np.ndarray, size: int | None, notes: list[str]) -> PictureEncoder:
    """Size, colours and range of an array of pictures."""
    sample = array[rows]
    height, width = array.shape[1:3]
    channels = array.shape[3] if array.ndim == 4 else 1
    if size and max(height, width) > size:
        height, width = (max(1, round(side * size / max(height, width))) for side in (height, width))
        notes.append(f"pictures are brought to {width} x {height} (width x height)")
    encoder = PictureEncoder(column, height, width, channels)
    if array.dtype == np.uint8:
        return encoder
    values = sample[np.isfinite(sample)] if array.dtype.kind == "f" else sample
    if not values.size:
        raise InputError(f"column {column!r}: every value of the pictures is NaN or infinite")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        encoder.low, encoder.high = 0.0, 1.0
    elif low < 0 or high > 255 or high < 128:
        encoder.low, encoder.high = low, high if high > low else low + 1
        notes.append(f"pixel values {low:g} to {high:g} were stretched to 0 to 255")
    return encoder


def _resized(array: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """(rows, any height, any width, channels) -> (rows, height, width, channels), by area or bilinear."""
    import torch
    from torch.nn import functional

    if array.shape[3] != channels:
        raise InputError(f"pictures of {array.shape[3]} channels where {channels} were in training")
    pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2), dtype=np.float32))
    pixels = functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    result = pixels.numpy().transpose(0, 2, 3, 1)
    return np.rint(result).astype(np.uint8) if array.dtype == np.uint8 else result
