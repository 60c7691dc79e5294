"""Sound files and encoded sounds to samples between -1 and 1, one channel at one rate, and what was odd about each."""

import io
import math
import os
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

RUN = 3  # samples at full scale after one another that count as clipped
OTHER_KINDS = (b"fLaC", b"OggS", b"FORM", b"caff", b"ID3", b"\xff\xfb", b"\xff\xf3")
FEWEST = 16  # samples below which a file holds no sound


class AudioError(Exception):
    """A sound that cannot be read, with the reason in a few words."""


@dataclass
class Sound:
    """Samples of one channel between -1 and 1, and how they came: as in the file, before any change."""

    samples: np.ndarray
    rate: int  # samples a second
    seconds: float
    channels: int
    bits: int  # of one sample in the file
    clipped: bool
    silent: bool


def open_sound(cell: Any) -> Sound:
    """A path or encoded bytes to a sound, its channels mixed to one; raises AudioError that says why it cannot be read.

    A .wav is read by SciPy, whatever else by the soundfile library where it is installed.
    """
    if cell is None:
        raise AudioError("no sound in this row")
    try:
        raw = cell if isinstance(cell, bytes) else _bytes(cell)
    except OSError as error:
        raise AudioError("no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)) from error
    if not raw:
        raise AudioError("empty file")
    rate, values = _wav(raw) if raw[:4] in (b"RIFF", b"RIFX") else _other(raw)
    if values.ndim == 1:
        values = values[:, None]
    if len(values) < FEWEST:
        raise AudioError(f"{len(values)} samples, no sound")
    bits = 8 * values.dtype.itemsize
    scaled, top = _scaled(values)
    if not np.isfinite(scaled).all():
        raise AudioError("holds samples of NaN or infinity")
    return Sound(
        scaled.mean(1, dtype=np.float32),
        rate,
        len(values) / rate,
        values.shape[1],
        bits,
        _is_clipped(scaled, top),
        not values.any() if bits > 8 else bool((values == values[0]).all()),
    )


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _wav(raw: bytes) -> tuple[int, np.ndarray]:
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that it does not know, such as titles
            rate, values = wavfile.read(io.BytesIO(raw))
    except (ValueError, EOFError, LookupError, MemoryError, UnboundLocalError, ArithmeticError, struct.error) as error:
        raise AudioError(f"damaged ({str(error)[:60]})") from error
    if not rate:
        raise AudioError("damaged header (no samples a second)")
    return int(rate), values


def _other(raw: bytes) -> tuple[int, np.ndarray]:
    """What is no .wav, by the soundfile library."""
    if not raw.startswith(OTHER_KINDS):
        raise AudioError(f"no sound (begins with {raw[:8]!r})")
    try:
        import soundfile
    except ImportError:
        raise AudioError("not a .wav: pip install -c constraints.txt -e .[audio] reads this kind") from None
    try:
        values, rate = soundfile.read(io.BytesIO(raw), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise AudioError(f"damaged ({str(error)[:60]})") from error
    return int(rate), values


def _scaled(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Samples as shares of full scale, and the share at which the upper end of the scale lies."""
    if values.dtype.kind == "f":
        return values.astype(np.float32), 1.0
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128.0) / 128.0, 127.0 / 128.0
    full = float(2 ** (8 * values.dtype.itemsize - 1))
    step = 256.0 if values.dtype.itemsize == 4 else 1.0  # 24 bits come as 32 with eight zeros
    return (values / full).astype(np.float32), (full - step) / full


def _is_clipped(scaled: np.ndarray, top: float) -> bool:
    """Whether several samples after one another lie at full scale on one side."""
    for side in (scaled >= top, scaled <= -1.0):
        runs = side[: 1 - RUN].copy()
        for later in range(1, RUN):
            runs &= side[later : len(side) + 1 - RUN + later]
        if runs.any():
            return True
    return False


def resampled(samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """The same sound at another rate, by a polyphase filter. (samples,) float32 -> (samples * after / before,)"""
    if before == after:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(before, after)
    return resample_poly(samples, after // common, before // common).astype(np.float32)


def name_of(cell: Any, row: int) -> str:
    """What to call the sound of a row: its file's name, or the row."""
    return os.path.basename(cell) if isinstance(cell, str) else f"row {row + 1}"
