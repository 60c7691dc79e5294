"""Pictures and their masks to tensors of one size, fitted on training rows and kept with the run."""

from collections import Counter
from typing import Any

import numpy as np
import torch

from trainwell.data.image import PictureEncoder, PictureError, header
from trainwell.data.mask import MaskEncoder
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.errors import InputError

SIDE = 256  # pixels: the longer side that pictures are brought below, by a whole number where their sizes agree


class MaskTransform:
    """What turns pictures and masks into a model's inputs and targets.

    Inputs are (rows, channels, height, width) uint8; the target is (rows, height, width) uint8 class codes, 255 for
    pixels that belong to no class. Pictures are squeezed into one size, never cut, so that every pixel is answered.
    """

    by_row = True
    layout = "mask"

    def __init__(self, pictures: PictureEncoder, masks: MaskEncoder, classes: list[str]) -> None:
        self.pictures, self.masks, self.classes = pictures, masks, classes
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        *,
        layout: str = "mask",
        size: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        most_pixels: int | None = None,
    ) -> "MaskTransform":
        """Fit on these rows; `size` is the longest side, the others are those of `Transform.fit`.

        Raises InputError where no picture can be read."""
        image = next(column.name for column in schema.inputs if column.kind == "image")
        mask, notes = schema.targets[0], list[str]()
        pictures = PictureEncoder.fit(source, image, np.asarray(rows), size, notes, whole_size, most_pixels)
        pictures.scaled_by(mean, std)
        facts = mask.facts
        masks = MaskEncoder(
            mask.name, image, pictures.height, pictures.width, facts["form"], facts["values"], facts["ignored"]
        )
        made = cls(pictures, masks, list(schema.classes))
        made.notes += notes
        return made

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """{"inputs": (pictures,), "target": codes, "row": row numbers}; without rows, all of them.

        Pictures and masks that cannot be read are left out and named in `notes`, so that "row" may be shorter than
        `rows`. Raises InputError where the source lacks the column of pictures or, for the target, of masks.
        """
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        notes: list[str] = []
        pixels, kept = self.pictures.encode(source, places, notes)
        result: dict[str, Any] = {}
        if with_target:
            if self.masks.column not in source.frame.columns:
                raise InputError(f"{source.origin}: no column {self.masks.column!r} with the masks to judge by")
            readable = np.flatnonzero(kept)
            codes, good = self.masks.encode(source, places[readable], notes)
            kept[readable[~good]] = False
            result["target"] = torch.from_numpy(codes if good.all() else codes[good])
        self.notes += [note for note in notes if note not in self.notes]
        result["inputs"] = (torch.from_numpy(pixels if kept.all() else pixels[kept]),)
        result["row"] = torch.from_numpy(places[kept].astype(np.int64))
        return result

    def own_size(self, source: Source, codes: np.ndarray) -> list[np.ndarray | None]:
        """Answered codes, (rows, height, width), as masks of each picture's own size in the numbers learned from.

        None for a picture that cannot be read.
        """
        found: list[np.ndarray | None] = []
        for cell, answer in zip(source.frame[self.pictures.column], codes, strict=True):
            try:
                size = header(cell)[0]
            except PictureError:
                found.append(None)
                continue
            found.append(None if np.isnan(answer).any() else self.masks.undo(answer.astype(np.int64), size))
        return found

    @property
    def columns(self) -> list[str]:
        """The columns that `encode` reads, the target aside."""
        return [self.pictures.column]

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        p = self.pictures
        return {"channels": p.channels, "height": p.height, "width": p.width, "classes": len(self.classes)}

    @property
    def facts(self) -> dict[str, Any]:
        """The picture's mean and std by channel, in shares of 255."""
        return {"mean": self.mean, "std": self.std, "column": self.pictures.column}

    @property
    def mean(self) -> list[float]:
        """Of pictures, by channel, in shares of 255."""
        return self.pictures.mean

    @property
    def std(self) -> list[float]:
        """Of pictures, by channel, in shares of 255."""
        return self.pictures.std

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "classes": self.classes, "notes": list(self.notes)}
        return {**state, "pictures": dict(vars(self.pictures)), "masks": dict(vars(self.masks))}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "MaskTransform":
        """The transform that was saved."""
        return cls(PictureEncoder(**state["pictures"]), MaskEncoder(**state["masks"]), state["classes"])


def whole_size(sizes: Counter[tuple[int, int]], size: int | None, notes: list[str]) -> tuple[int, int]:
    """(width, height) that all pictures are squeezed into.

    Without a wished size it is the commonest one divided by a whole number, so that each mask pixel is one that was
    drawn.
    """
    width, height = sizes.most_common(1)[0][0]
    longest = max(width, height)
    factor = float(-(-longest // SIDE)) if size is None else max(1.0, longest / size)
    chosen = max(1, round(width / factor)), max(1, round(height / factor))
    if sizes.keys() != {chosen}:
        found = f"{len(sizes)} sizes" if len(sizes) > 1 else f"{width} x {height} pixels"
        notes.append(f"pictures and masks of {found} are brought to {chosen[0]} x {chosen[1]} (width x height)")
    return chosen
