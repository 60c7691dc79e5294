"""Rows of a table, pictures, sounds or texts to points that lie near each other where the rows are alike."""

from typing import Any

import numpy as np

from trainwell.audit.columns import FEW
from trainwell.audit.view import View
from trainwell.data.values import as_text

LEVELS, COLUMNS = 20, 400
SIDE, CELLS, DIRECTIONS, PATCHES = 28, 7, 9, 7
BANDS, STRETCHES, LOWEST, HIGHEST = 24, 10, 50.0, 8000.0  # of sounds, hertz
WORDS = r"\w+|[^\w\s]"
CHARACTERS, HASHES = 1_200, 2**18  # of a text


def of_table(view: View, rows: np.ndarray) -> np.ndarray:
    """Numbers with the middle one in place of what is missing, which has a column of its own, and levels one-hot.

    rows: (rows,) -> (rows, features)
    """
    columns: list[np.ndarray] = []
    for column in view.inputs[:COLUMNS]:
        series = view.series(column.name)[rows]
        if series.dtype.is_numeric() or series.dtype.is_temporal():
            values = view.finite(column.name)[rows] if series.dtype.is_numeric() else series.to_physical().to_numpy()
            missing = np.isnan(values.astype(np.float64))
            middle = float(np.nanmedian(values)) if not missing.all() else 0.0
            columns.append(np.where(missing, middle, values).astype(np.float64))
            if missing.sum() >= FEW:
                columns.append(missing.astype(np.float64))
        else:
            levels = as_text(series).fill_null("").to_numpy()
            names, counts = np.unique(levels, return_counts=True)
            often = np.argsort(-counts, kind="stable")[:LEVELS]
            columns += [(levels == names[each]).astype(np.float64) for each in often if counts[each] >= FEW]
    return np.stack(columns, 1) if columns else np.zeros((len(rows), 0))


def of_pictures(pixels: np.ndarray) -> np.ndarray:
    """Directions of edges by place (Dalal & Triggs 2005) and, for half as much, colors of patches.

    pixels: (rows, height, width, 3) of 0 to 255 -> (rows, features)
    """
    fitted = _fitted(pixels)
    size = SIDE // PATCHES
    patches = fitted.reshape(len(fitted), PATCHES, size, PATCHES, size, 3).mean((2, 4)).reshape(len(fitted), -1)
    return np.concatenate([_even(_edges(fitted.mean(3))), 0.5 * _even(patches)], 1)


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Pictures stretched to one small square."""
    from PIL import Image

    small = [
        np.asarray(Image.fromarray(each.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for each in pixels
    ]
    return np.stack(small).astype(np.float64)


def _even(points: np.ndarray) -> np.ndarray:
    """Around zero and of length one in the middle, so that points of two kinds weigh alike."""
    away = points - points.mean(0)
    return away / np.sqrt((away**2).sum(1).mean() + 1e-12)


def _edges(light: np.ndarray) -> np.ndarray:
    """How strong edges of each direction are in each cell, beside those of the cells around it.

    light: (rows, side, side) -> (rows, cells x cells x directions)
    """
    down, across = np.gradient(light, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = np.mod(np.arctan2(down, across), np.pi) / np.pi * DIRECTIONS
    before = np.floor(direction).astype(np.int64) % DIRECTIONS
    past = direction - np.floor(direction)
    size = SIDE // CELLS
    found = np.empty((len(light), CELLS, CELLS, DIRECTIONS))
    for each in range(DIRECTIONS):
        share = (before == each) * (1 - past) + ((before + 1) % DIRECTIONS == each) * past
        found[..., each] = (strength * share).reshape(len(light), CELLS, size, CELLS, size).sum((2, 4))
    power = np.pad((found**2).sum(3), ((0, 0), (1, 1), (1, 1)))
    moved = [power[:, row : row + CELLS, column : column + CELLS] for row in range(3) for column in range(3)]
    around = np.sum(moved, 0)
    floor = 1e-3 * around.mean((1, 2))[:, None, None, None] + 1e-9
    return np.sqrt(found / np.sqrt(around[..., None] + floor)).reshape(len(light), -1)


def bands_of(samples: np.ndarray, rate: int) -> np.ndarray:
    """How loud each band of tones is in each stretch of a sound, and how long it is.

    samples: (samples,) -> (stretches x bands + 1,), logarithms; rate: samples a second
    """
    size = max(16, int(2 ** np.round(np.log2(0.03 * rate))))
    least = size + size // 2 * STRETCHES
    samples = np.pad(samples.astype(np.float64), (0, max(0, least - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2 @ _filters(size, rate)
    loud = np.log(power + 1e-6 * power.max() + 1e-12)
    stretches = np.stack([loud[each].mean(0) for each in np.array_split(np.arange(len(loud)), STRETCHES)])
    return np.concatenate([(stretches - stretches.mean()).ravel(), [np.log(len(samples) / rate)]])


def _filters(size: int, rate: int) -> np.ndarray:
    """Triangles that are even in mel (Stevens, Volkmann & Newman 1937), (frequencies, bands)."""
    edges = np.linspace(_mel(LOWEST), _mel(min(rate / 2, HIGHEST)), BANDS + 2)
    places = _mel(np.fft.rfftfreq(size, 1 / rate))[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((places - low) / (middle - low), (high - places) / (high - middle)))


def _mel(hertz: Any) -> Any:
    return 2595 * np.log10(1 + hertz / 700)


def of_sounds(bands: np.ndarray) -> np.ndarray:
    """Each number by its mean and deviation over the sounds. bands: (rows, features) -> (rows, features)"""
    return _even((bands - bands.mean(0)) / (bands.std(0) + 1e-9))


def of_texts(texts: list[str]) -> Any:
    """Words, pairs of words and pieces of words by how telling they are (Salton & Buckley 1988), hashed.

    texts: (rows,) -> sparse (rows, features)
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    texts = [text[:CHARACTERS] for text in texts]
    plain: dict[str, Any] = {"norm": None, "alternate_sign": False, "n_features": HASHES}
    words = HashingVectorizer(ngram_range=(1, 2), token_pattern=WORDS, **plain)
    pieces = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), **plain)
    weighed = [TfidfTransformer(sublinear_tf=True).fit_transform(each.transform(texts)) for each in (words, pieces)]
    return hstack([weighed[0], 0.7 * weighed[1]]).tocsr()
