"""A source and its schema to tensors, by scalings and codes that were fitted on training rows only."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.data.encode_categories import CategoryEncoder
from trainwell.data.encode_numbers import NumberEncoder
from trainwell.data.encode_target import TargetEncoder
from trainwell.data.image import PictureEncoder
from trainwell.data.rows import Source
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

LAYOUTS = ("columns", "vector", "image")


class Transform:
    """What turns rows into a model's inputs and targets, fitted once and kept with the run.

    Layout "columns" gives (rows, numbers) float32 and (rows, categories) int64 codes; "vector" gives (rows, features)
    float32; "image" gives (rows, channels, height, width) uint8. `facts` holds what a page or a model wants to know:
    the names of the numbers, and for pictures the mean and std by channel in shares of 255.
    """

    by_row = True  # one answer for each row of a source
    saved_as: str | None = None  # the name that tells a kind of its own from others of the layout "image"
    of_target: Any = TargetEncoder  # what reads the target, and the pictures
    of_pictures: Any = PictureEncoder

    def __init__(
        self,
        layout: str,
        target: TargetEncoder,
        numbers: NumberEncoder | None = None,
        categories: CategoryEncoder | None = None,
        pictures: PictureEncoder | None = None,
    ) -> None:
        self.layout, self.target = layout, target
        self.numbers, self.categories, self.pictures = numbers, categories, pictures
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        *,
        layout: str = "columns",
        numbers: str = "standard",
        target: str = "auto",
        rare: int = 2,
        missing_indicator: bool = True,
        locations: list[list[str]] | None = None,
        size: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        most_pixels: int | None = None,
    ) -> "Transform":
        """Fit on these rows of the source.

        `size` is the longest side of pictures, in pixels; `locations` pairs columns, as ["longitude", "latitude"];
        `mean` and `std` of pictures by channel, in shares of 255, take the place of the training rows' own;
        `most_pixels` is the number from which on a picture is refused unread.
        Raises InputError for an unknown layout or scaling, and for a schema without columns of the kind that the
        layout reads.
        """
        if layout not in LAYOUTS:
            raise InputError(f"layout={layout!r}: no such layout; {suggest(layout, LAYOUTS)}")
        rows = np.asarray(rows)
        training = source.frame[rows] if source.frame.width else source.frame
        answer = TargetEncoder.fit(training, schema, target)
        if layout == "image":
            column = _only_picture(source, schema)
            notes: list[str] = []
            pictures = PictureEncoder.fit(source, column, rows, size, notes, limit=most_pixels)
            pictures.scaled_by(mean, std)
            made = cls(layout, answer, pictures=pictures)
            made.notes += notes + _left_out(schema, [column])
            return made
        read = [column for column in schema.inputs if column.name in source.frame.columns]
        amounts = [column for column in read if column.kind in ("number", "time")]
        levels = [column for column in read if column.kind == "category"]
        if not amounts and not levels:
            kinds = ", ".join(sorted({column.kind for column in schema.inputs})) or "none"
            raise InputError(
                f"{source.origin}: layout {layout!r} reads numbers and categories; the columns are {kinds}"
            )
        made = cls(
            layout,
            answer,
            NumberEncoder.fit(training, amounts, numbers, missing_indicator, locations),
            CategoryEncoder.fit(training, levels, rare),
        )
        made.notes += _left_out(schema, [column.name for column in amounts + levels])
        return made

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": tuple of tensors, "target": tensor, "row": row numbers}; without rows, all of them.

        Pictures that cannot be read are left out and named in `notes`, so that "row" may be shorter than `rows`.
        Columns are found by name; further ones are passed over. Raises InputError for a missing column, or a target
        that is missing or of an unknown class.
        """
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        self._check_columns(source)
        part = source if rows is None else source.take(places)
        kept = np.ones(len(places), dtype=bool)
        inputs: tuple[np.ndarray, ...]
        if self.pictures is not None:
            notes: list[str] = []
            pixels, kept = self.pictures.encode(part, np.arange(part.rows), notes)
            self.notes += [note for note in notes if note not in self.notes]
            inputs = (pixels if kept.all() else pixels[kept],)
        else:
            inputs = self._columns(part)
        result: dict[str, Any] = {
            "inputs": tuple(torch.from_numpy(array) for array in inputs),
            "row": torch.from_numpy(places[kept].astype(np.int64)),
        }
        if with_target and self.target.columns:
            answered = part if kept.all() else part.take(np.flatnonzero(kept))
            result["target"] = torch.from_numpy(self.target.encode(answered))
        return result

    def _columns(self, source: Source) -> tuple[np.ndarray, ...]:
        assert self.numbers is not None and self.categories is not None
        numbers = self.numbers.encode(source.frame)
        if self.layout == "columns":
            return numbers, self.categories.encode(source.frame)
        return (np.concatenate([numbers, self.categories.one_hot(source.frame)], axis=1),)

    @property
    def columns(self) -> list[str]:
        """The columns that `encode` reads, the target aside."""
        if self.pictures is not None:
            return [self.pictures.column]
        assert self.numbers is not None and self.categories is not None
        return [*self.numbers.columns, *self.categories.columns]

    def _check_columns(self, source: Source) -> None:
        lost = [name for name in self.columns if name not in source.columns]
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise InputError(
                f"{source.origin}: the column {lost[0]!r}{more} is missing, which the model was trained with; "
                f"{suggest(lost[0], source.columns)}"
            )

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        found: dict[str, Any] = {"outputs": self.target.outputs}
        if self.target.columns:
            found["classes"] = self.target.outputs  # or numbers, of a network that was made for classes
        if self.target.task != "classify" and self.target.columns:
            found.update({name: getattr(self.target, name) for name in ("center", "scale", "log", "low", "high")})
        if self.pictures is not None:
            p = self.pictures
            found.update(channels=p.channels, height=p.height, width=p.width)
            found["features"] = p.channels * p.height * p.width
            found["shape"] = (p.channels, p.height, p.width)
        elif self.numbers is not None and self.categories is not None:
            if self.layout == "columns":
                found.update(numbers=self.numbers.width, categories=self.categories.cardinalities)
            else:
                found["features"] = self.numbers.width + self.categories.width
                found["shape"] = (found["features"],)
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Names of the numbers that the layout gives, or the picture's mean and std by channel, in shares of 255."""
        if self.pictures is not None:
            return {"mean": self.pictures.mean, "std": self.pictures.std, "column": self.pictures.column}
        assert self.numbers is not None and self.categories is not None
        missing = [f"{self.numbers.names[place]} is missing" for place in self.numbers.indicators]
        names = [*self.numbers.names, *missing]
        if self.layout == "columns":
            return {"numbers": names, "categories": self.categories.columns}
        return {"features": names + self.categories.names}

    @property
    def mean(self) -> list[float]:
        """Of pictures, by channel, in shares of 255; empty for tables."""
        return self.pictures.mean if self.pictures else []

    @property
    def std(self) -> list[float]:
        """Of pictures, by channel, in shares of 255; empty for tables."""
        return self.pictures.std if self.pictures else []

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the outputs."""
        return self.target.classes

    @property
    def target_center(self) -> list[float]:
        """What was taken off each number to predict, after its logarithm if it has one."""
        return self.target.center

    @property
    def target_scale(self) -> list[float]:
        """What each number to predict was then divided by."""
        return self.target.scale

    @property
    def target_log(self) -> list[bool]:
        """Whether log(1 + number) was taken first."""
        return self.target.log

    @property
    def low(self) -> list[float]:
        """The smallest scaled target of training rows."""
        return self.target.low

    @property
    def high(self) -> list[float]:
        """The largest scaled target of training rows."""
        return self.target.high

    def undo_target(self, scaled: Tensor | np.ndarray) -> np.ndarray:
        """Scaled answers in their own unit: (rows, targets) -> (rows, targets)."""
        return self.target.undo(np.asarray(scaled))

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values and arrays by name."""
        state: dict[str, Any] = {"version": 1, "layout": self.saved_as or self.layout, "target": self.target.save()}
        state["notes"] = list(self.notes)
        arrays: dict[str, np.ndarray] = {}
        if self.numbers is not None:
            state["numbers"], kept = self.numbers.save()
            arrays = {f"numbers.{name}": array for name, array in kept.items()}
        if self.categories is not None:
            state["categories"] = self.categories.save()
        if self.pictures is not None:
            state["pictures"] = dict(vars(self.pictures))
        return state, arrays

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Transform":
        """The transform that was saved."""
        kept = {name.removeprefix("numbers."): array for name, array in arrays.items() if name.startswith("numbers.")}
        return cls(
            state["layout"] if cls.saved_as is None else "image",
            cls.of_target(**state["target"]),
            NumberEncoder.restore(state["numbers"], kept) if "numbers" in state else None,
            CategoryEncoder(**state["categories"]) if "categories" in state else None,
            cls.of_pictures(**state["pictures"]) if "pictures" in state else None,
        )


def _only_picture(source: Source, schema: Schema) -> str:
    """The column with the pictures."""
    found = [column.name for column in schema.inputs if column.kind == "image"]
    if not found:
        kinds = ", ".join(sorted({column.kind for column in schema.inputs})) or "none"
        raise InputError(f"{source.origin}: layout 'image' reads pictures; the columns are {kinds}")
    return found[0]


def _left_out(schema: Schema, read: Iterable[str]) -> list[str]:
    """A sentence on input columns that the layout does not read."""
    read = set(read)
    left: list[Column] = [column for column in schema.inputs if column.name not in read]
    if not left:
        return []
    return [f"columns that this layout does not read: {', '.join(f'{c.name} ({c.kind})' for c in left[:8])}"]
