"""Named pictures to pixels and numbers, where some of the names are met only after training."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainwell.data.image import PictureEncoder
from trainwell.data.likeness import names_of
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.transform import Transform
from trainwell.errors import InputError


@dataclass
class NameTarget:
    """Names to numbers: those learned first, then the others; names never met before get further numbers.

    encode gives (rows,) int64.
    """

    column: str
    classes: list[str]
    learned: int  # classes of training rows, which come first
    task: str = "likeness"
    further: dict[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The column that holds the names."""
        return [self.column]

    @property
    def outputs(self) -> int:
        """How many classes are learned."""
        return self.learned

    def encode(self, source: Source) -> np.ndarray:
        """source -> numbers; raises InputError where there are no names, or one is missing."""
        if self.column not in source.frame.columns:
            raise InputError(f"{source.origin}: the column {self.column!r} with the names is missing")
        known = {name: place for place, name in enumerate(self.classes)}
        codes = []
        for row, name in enumerate(names_of(source, self.column)):
            if name is None:
                raise InputError(f"{source.origin}: row {row + 1} has no name in {self.column!r}: leave such rows out")
            if name not in known:
                self.further.setdefault(name, len(known) + len(self.further))
            codes.append(known.get(name, self.further.get(name)))
        return np.array(codes, dtype=np.int64)

    def save(self) -> dict[str, Any]:
        """All that was fitted, for JSON."""
        return {"column": self.column, "classes": self.classes, "learned": self.learned}


class LikenessTransform(Transform):
    """What turns pictures into pixels and names into numbers, fitted once and kept with the run.

    x: (rows, channels, height, width) uint8, target: (rows,) int64
    """

    saved_as, of_target = "likeness", NameTarget

    @classmethod
    def fit(  # type: ignore[override]
        cls, source: Source, schema: Schema, rows: np.ndarray, *, layout: str = "likeness", size: int | None = None
    ) -> "LikenessTransform":
        """Fit on these rows; `size` is the longest side of pictures, in pixels."""
        notes: list[str] = []
        image = next(column.name for column in schema.inputs if column.kind == "image")
        pictures = PictureEncoder.fit(source, image, rows, size, notes)
        column = schema.targets[0].name
        learned = sorted(set(source.frame[column][rows].to_list()))
        target: Any = NameTarget(column, learned + [n for n in schema.classes if n not in set(learned)], len(learned))
        made = cls("image", target, pictures=pictures)
        made.notes += notes
        return made

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        assert self.pictures is not None
        p = self.pictures
        return {
            "classes": self.target.outputs, "outputs": self.target.outputs,
            "channels": p.channels, "height": p.height, "width": p.width,
        }  # fmt: skip
