"""A schema to the few figures that the choices of a plan rest on."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import torch

from trainwell.data import Schema, Source
from trainwell.data.image import common_size
from trainwell.train.precision import has_fast_bfloat16

LOOKS = 200  # pictures whose headers are read
WORDS = 1_000  # rows whose words are counted
HEAVY_TAIL = 12.0  # kurtosis: twice that of an exponential distribution's excess
SKEWED = 2.0
LONG = 1_800  # seconds of training from which on more passes or larger pictures pay
LONGITUDE, LATITUDE = r"(?<![a-z])(longitude|long|lng|lon)(?![a-z])", r"(?<![a-z])(latitude|lat)(?![a-z])"


@dataclass
class Profile:
    """What there is to learn from, and on what machine for how long."""

    rows: int
    task: str
    numbers: int
    categories: int
    texts: int
    images: int
    sounds: int
    heavy_tails: int  # number columns with kurtosis above 12 or skew above 2
    gaps: int  # columns with missing cells
    many_levels: int  # category columns with more than 9 levels
    classes: int
    smallest_class: int  # rows
    labels: int  # targets, where there are several
    target_skew: float
    shape: tuple[int, ...]  # of a picture: height, width and, for colour, channels
    locations: list[list[str]]  # pairs of longitude and latitude columns
    given: frozenset[str]  # parts that the source itself gives: val, test
    bfloat16: bool
    device: str
    seconds: float | None
    series: dict[str, Any] = field(default_factory=dict)  # of a forecast: steps, step, period, time, channels
    language: dict[str, Any] = field(default_factory=dict)  # of text alone: characters, pieces, listed
    masks: dict[str, Any] = field(default_factory=dict)  # of segmentation: shares of the classes, width, height
    tagged: dict[str, Any] = field(default_factory=dict)  # of sentences with tags: tokens, sentences, classes
    asked: dict[str, Any] = field(default_factory=dict)  # of questions on passages: questions, passages
    aligned: dict[str, Any] = field(default_factory=dict)  # of pairs of texts: from, to, pairs, characters
    boxes: dict[str, Any] = field(default_factory=dict)  # of detection: how many, of what size, in what pictures
    target: str = ""  # the column to answer, where there is one alone
    words: float = 0.0  # of a text, on average, those of all its columns together

    @property
    def long(self) -> bool:
        """Whether there is time for more passes or larger pictures than usual."""
        return (self.seconds or 0) >= LONG

    def divided(self, test: float, val: float) -> str:
        """The split in words: parts as the data gives them, shares of the rows for the others."""
        shares = {"test": (test, "test"), "val": (val, "validation")}
        given = [name for part, (_, name) in shares.items() if part in self.given]
        told = [f"{100 * share:.0f} % {name}" for part, (share, name) in shares.items() if part not in self.given]
        kept = [f"{' and '.join(given)} as the data gives {'them' if given[1:] else 'it'}"] if given else []
        return ", ".join(kept + told)


def profile(source: Source, schema: Schema, device: torch.device, seconds: float | None = None) -> Profile:
    """The profile of a source under its schema, for a training on this device of at most so many seconds."""
    columns = schema.inputs
    numbers = [column for column in columns if column.kind == "number"]
    categories = [column for column in columns if column.kind == "category"]
    targets = schema.targets
    images = [column for column in columns if column.kind == "image"]
    heavy = [
        column
        for column in numbers
        if abs(column.facts.get("skew", 0)) > SKEWED or column.facts.get("kurtosis", 0) > HEAVY_TAIL
    ]
    parts = set() if source.parts is None else set(source.parts.tolist())
    rows = int((source.parts == "train").sum()) if "train" in parts and source.parts is not None else source.rows
    return Profile(
        rows=rows,
        task=schema.task,
        numbers=len(numbers) + sum(column.kind == "time" for column in columns),
        categories=len(categories),
        texts=sum(column.kind == "text" for column in columns),
        images=len(images),
        sounds=sum(column.kind == "audio" for column in columns),
        heavy_tails=len(heavy),
        gaps=sum(column.missing > 0 for column in columns),
        many_levels=sum(column.unique > 9 for column in categories),
        classes=len(schema.classes),
        smallest_class=int(targets[0].facts.get("smallest", 0)) if schema.classes and len(targets) == 1 else 0,
        labels=len(targets) if len(targets) > 1 else 0,
        target_skew=float(targets[0].facts.get("skew", 0)) if schema.task == "regress" and targets else 0.0,
        shape=_shape(source, images[0].name) if images else (),
        locations=_locations([column.name for column in numbers]),
        given=frozenset(parts & {"val", "test"}),
        bfloat16=has_fast_bfloat16(device),
        device=device.type,
        seconds=seconds,
        series=_series(source),
        language=source.hints.get("language", {}),
        masks={**images[0].facts, **targets[0].facts} if schema.task == "segment" else {},
        tagged=source.hints.get("tagged", {}),
        asked=source.hints.get("asked", {}),
        aligned=source.hints.get("aligned", {}),
        boxes=targets[0].facts if schema.task == "detect" else {},
        target=targets[0].name if len(targets) == 1 else "",
        words=_words(source, [column.name for column in columns if column.kind == "text"]),
    )


def _series(source: Source) -> dict[str, Any]:
    found = source.hints.get("series")
    return {**found, "channels": len(found["channels"])} if found else {}


def _words(source: Source, columns: list[str]) -> float:
    """How many words a row has in these columns, on average of a thousand rows."""
    some = source.frame.select(columns) if columns and set(columns) <= set(source.frame.columns) else None
    if some is None or not some.height:
        return 0.0
    some = some.sample(min(WORDS, some.height), seed=0)
    counts = [some[name].cast(pl.String).fill_null("").str.count_matches(r"\S+").sum() for name in columns]
    return float(sum(counts)) / some.height


def _locations(names: list[str]) -> list[list[str]]:
    """Pairs of columns whose names say longitude and latitude and are otherwise alike, as start_lng and start_lat."""
    across = {re.sub(LONGITUDE, "*", name.lower()): name for name in names if re.search(LONGITUDE, name.lower())}
    up = {re.sub(LATITUDE, "*", name.lower()): name for name in names if re.search(LATITUDE, name.lower())}
    return [[across[rest], up[rest]] for rest in across if rest in up]


def _shape(source: Source, name: str) -> tuple[int, ...]:
    """Height, width and channels that pictures are brought to, by the headers of some; of an array, its own."""
    if name in source.arrays:
        return tuple(source.arrays[name].shape[1:])
    import io

    from PIL import Image, UnidentifiedImageError

    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for cell in source.frame[name].sample(min(LOOKS, source.rows), seed=0):
        try:
            with Image.open(io.BytesIO(cell) if isinstance(cell, bytes) else cell) as picture:
                sizes[picture.size] += 1
                grey &= picture.mode in ("1", "L", "I", "I;16", "F")
        except (OSError, UnidentifiedImageError, AttributeError):
            continue
    if not sizes:
        return ()
    width, height = common_size(sizes, None, [])
    return (height, width) if grey else (height, width, 3)
