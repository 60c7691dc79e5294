"""Rows of pictures that memory does not hold once decoded to batches of them, decoded when they are asked for."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from trainwell.data.rows import Source
from trainwell.data.transform import Transform


class EncodedRows:
    """Batches of a source by place, the same that its transform's encode gives, target included."""

    def __init__(self, transform: Any, source: Source, rows: np.ndarray) -> None:
        self.transform, self.source, self.rows = transform, source, np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: list[int]) -> tuple[dict[str, Any], list[str]]:
        """The rows at these places that could be read, and notes on those that could not."""
        known = len(self.transform.notes)
        found = self.transform.encode(self.source, self.rows[np.asarray(places, dtype=np.int64)])
        return found, self.transform.notes[known:]


class PictureRows:
    """Batches of a source's pictures by place, the same that Transform.encode gives; what a StreamingLoader reads.

    Holds paths or encoded bytes, never pixels, and nothing that a worker process could not take over.
    """

    def __init__(self, transform: Transform, source: Source, rows: np.ndarray, fold: np.ndarray | None = None) -> None:
        assert transform.pictures is not None
        self.pictures, self.rows, self.fold = transform.pictures, np.asarray(rows), fold
        self.array = source.arrays.get(self.pictures.column)
        self.cells = [] if self.array is not None else source.frame[self.pictures.column][self.rows].to_list()
        self.target: np.ndarray | None = None
        if transform.target.columns:
            self.target = transform.target.encode(replace(source, arrays={}).take(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: list[int]) -> tuple[dict[str, Any], list[str]]:
        """The rows at these places that could be read, and notes on those that could not."""
        notes: list[str] = []
        chosen = np.asarray(places, dtype=np.int64)
        rows = self.rows[chosen]
        if self.array is not None:
            pixels, good = self.pictures.scale(self.array[rows], notes)
        else:
            pixels, good = self.pictures.decode([self.cells[place] for place in places], rows, notes)
        found: dict[str, Any] = {
            "inputs": (torch.from_numpy(pixels if good.all() else pixels[good]),),
            "row": torch.from_numpy(rows[good]),
        }
        if self.target is not None:
            found["target"] = torch.from_numpy(self.target[chosen[good]])
        if self.fold is not None:
            found["fold"] = torch.as_tensor(self.fold[rows[good]])
        return found, notes
