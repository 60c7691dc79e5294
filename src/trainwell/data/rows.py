"""A frame and arrays whose rows correspond to one object: the source that everything downstream reads."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl


@dataclass
class Source:
    """Examples as they were found, one a row, with what was noticed while reading them.

    `frame` holds cells, encoded pictures (binary) or paths; `arrays` holds what fits no cell, one row an example.
    `parts` says "train", "val" or "test" by row where the source itself gives the split. `hints` holds what its layout
    tells: "target", "labels" (class names in order) and "kinds" (column -> kind). `digest` is over the bytes of a file,
    the names and sizes of a folder's files, or the values in memory.
    """

    name: str
    frame: pl.DataFrame
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    origin: str = "memory"
    parts: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    digest: str = ""
    hints: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.arrays.values()))) if self.arrays else self.frame.height

    @property
    def columns(self) -> list[str]:
        """The names of all columns: those of the frame, then the arrays."""
        return [*self.frame.columns, *self.arrays]

    def take(self, rows: np.ndarray) -> "Source":
        """The examples in these rows, in this order."""
        rows = np.asarray(rows)
        return replace(
            self,
            frame=self.frame[rows.astype(np.int64)] if self.frame.width else self.frame,
            arrays={name: array[rows] for name, array in self.arrays.items()},
            parts=None if self.parts is None else self.parts[rows],
            notes=list(self.notes),
        )


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def digest(frame: pl.DataFrame, arrays: dict[str, np.ndarray]) -> str:
    """sha256 over the names and values of a frame and arrays."""
    total = hashlib.sha256()
    for series in frame.iter_columns():
        total.update(f"{series.name}:{series.dtype}:".encode())
        if series.dtype.is_numeric():
            total.update(series.fill_null(0).to_numpy().tobytes())
            total.update(series.is_null().to_numpy().tobytes())
        elif series.dtype == pl.Binary:
            for cell in series:
                total.update(cell or b"\0")
        else:
            total.update("\x1f".join(series.cast(pl.String).fill_null("\0").to_list()).encode())
    for name, array in arrays.items():
        total.update(f"{name}:{array.dtype}:{array.shape}:".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
