"""Files as they lie to arrays, read once a process: what the hand-written loops begin with."""

import io
import os
import wave
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


@cache
def parquet(name: str, part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pictures of a set in bytes (rows, height, width[, 3]), and their classes (rows,)."""
    frame = pl.read_parquet(DATA / name / f"{part}.parquet", n_rows=count)
    pictures = [np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in frame["image"]]
    return np.stack(pictures), frame["label"].to_numpy()


@cache
def streets(part: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Photos in bytes (rows, height, width, 3) and the class of each pixel (rows, height, width)."""
    photos, masks = [], []
    for path in sorted((DATA / "camvid" / part / "images").glob("*.jpg")):
        photo, mask = street(path, size)
        photos.append(photo)
        masks.append(mask)
    return np.stack(photos), np.stack(masks)


def street(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One photo and its mask."""
    mask = Image.open(path.parents[1] / "masks" / f"{path.stem}.png")
    photo = Image.open(path).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(photo), np.asarray(mask.resize(size, Image.Resampling.NEAREST))


@cache
def characters() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ink of 1 on 0 (rows, 28, 28), the character of each and who drew it."""
    pictures, kinds, drawers = [], [], []
    with zipfile.ZipFile(DATA / "omniglot" / "images_background_small1.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png") and "MACOSX" not in name)
        folders = sorted({name.rsplit("/", 1)[0] for name in names})
        for name in names:
            picture = Image.open(io.BytesIO(archive.read(name))).convert("L").resize((28, 28))
            pictures.append(1 - np.asarray(picture, dtype=np.float32) / 255)
            kinds.append(folders.index(name.rsplit("/", 1)[0]))
            drawers.append(int(name.rsplit("_", 1)[1].removesuffix(".png")))
    return np.stack(pictures), np.array(kinds), np.array(drawers)


@cache
def recordings() -> tuple[list[str], list[np.ndarray]]:
    """File names and samples from -1 to 1 of the spoken digits."""
    files = sorted((DATA / "fsdd" / "recordings").glob("*.wav"))
    signals = []
    for file in files:
        with wave.open(str(file)) as sound:
            raw = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
        signals.append(raw.astype(np.float32) / 32768)
    return [file.stem for file in files], signals


@cache
def reviews() -> tuple[list[list[str]], list[int]]:
    """The words of each review and whether it praises, those that pan first."""
    texts, labels = [], []
    for label, folder in enumerate(("neg", "pos")):
        for file in sorted((DATA / "review-polarity" / folder).glob("*.txt")):
            texts.append(file.read_text(encoding="utf-8", errors="replace").split())
            labels.append(label)
    return texts, labels


@cache
def sentences(path: str) -> list[tuple[list[str], list[str]]]:
    """Words and tags of each sentence of a file in columns."""
    blocks = (DATA / path).read_text(encoding="utf-8").replace("\r", "").split("\n\n")
    rows = [[line.split("\t") for line in block.splitlines() if "\t" in line] for block in blocks]
    return [([word for word, *_ in row], [tag for *_, tag in row]) for row in rows if row]
