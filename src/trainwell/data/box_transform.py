"""Pictures with boxes to whole pictures of one size and padded rows of boxes in their pixels, and answers back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainwell.data.boxes import looks_like_boxes
from trainwell.data.image import PictureEncoder, PictureError, header, open_picture
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.transform import Transform
from trainwell.errors import InputError, suggest

USUAL = 320  # pixels: the longer side where none is asked for
MULTIPLE = 32  # pixels that both sides are whole multiples of, as the maps of most networks halve five times
LOOKS = 200  # pictures that tell colours, mean and deviation
EMPTY = 114  # grey beside pictures of another shape


def fitted(width: int, height: int, within: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture as large as fits within (width, height), its shape kept."""
    factor = min(within[0] / width, within[1] / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def whole(picture: Any, size: tuple[int, int]) -> Any:
    """A picture of Pillow, its shape kept, in the upper left corner of one of this size; the rest is grey."""
    from PIL import Image

    inner = fitted(picture.width, picture.height, size)
    if picture.size != inner:
        picture = picture.resize(inner, Image.Resampling.BILINEAR)
    if inner == size:
        return picture
    sheet = Image.new(picture.mode, size, EMPTY if picture.mode == "L" else (EMPTY,) * 3)
    sheet.paste(picture)
    return sheet


class WholePictures(PictureEncoder):
    """Pictures of any shape with nothing cut off: (rows, channels, height, width) uint8, grey beside them."""

    def _pixels(self, cell: Any) -> np.ndarray:
        size, mode = (self.width, self.height), "L" if self.channels == 1 else "RGB"
        array = np.asarray(whole(open_picture(cell, None, mode), size))
        return array[..., None] if array.ndim == 2 else array

    def scale(self, array: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        mode = "L" if self.channels == 1 else "RGB"
        array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
        pictures = (Image.fromarray(each.astype(np.uint8)).convert(mode) for each in array)
        pixels = np.stack([np.asarray(whole(each, (self.width, self.height))) for each in pictures])
        pixels = pixels.reshape(len(pixels), self.height, self.width, self.channels)
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.ones(len(array), dtype=bool)


@dataclass
class BoxTarget:
    """Boxes in a picture's own pixels to those of the encoded picture, and back.

    encode gives (rows, most boxes, 5) float32 of class, left, top, right and bottom; class -1 where there is no box.
    """

    classes: list[str]
    width: int
    height: int
    room: int = 1  # boxes that every row has room for, so that rows encoded apart can be put together
    columns: list[str] = field(default_factory=lambda: ["boxes"])
    task: str = "detect"

    @property
    def outputs(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    def encode(self, source: Source) -> np.ndarray:
        """source -> boxes as above; raises InputError where there are none, or of a class not there in training."""
        if "boxes" not in source.frame.columns:
            raise InputError(
                f"{source.origin}: no boxes found to judge by; expected VOC XML, COCO JSON, YOLO text or a table"
            )
        code = {label: place for place, label in enumerate(self.classes)}
        rows = source.frame.select("image", "width", "height", "boxes").to_dicts()
        most = max([self.room, *(len(row["boxes"]) for row in rows)])
        encoded = np.zeros((len(rows), most, 5), dtype=np.float32)
        encoded[..., 0] = -1
        for row, place in zip(rows, encoded, strict=True):
            inner = fitted(row["width"], row["height"], (self.width, self.height))
            across, down = inner[0] / row["width"], inner[1] / row["height"]
            for box, cell in zip(row["boxes"], place, strict=False):
                if box["label"] not in code:
                    raise InputError(
                        f"{row['image']}: a box of the class {box['label']!r}, which was not there in training; "
                        f"{suggest(box['label'], self.classes)}"
                    )
                sides = (box["left"] * across, box["top"] * down, box["right"] * across, box["bottom"] * down)
                cell[:] = (code[box["label"]], *sides)
        return encoded

    def back(self, answers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Answers in the pixels of their own pictures: (rows, answers, 6), sizes (rows, 2) of width and height."""
        found = np.array(answers, dtype=np.float64)
        for answer, (width, height) in zip(found, sizes.tolist(), strict=True):
            inner = fitted(width, height, (self.width, self.height))
            answer[:, [2, 4]] = (answer[:, [2, 4]] * width / inner[0]).clip(0, width)
            answer[:, [3, 5]] = (answer[:, [3, 5]] * height / inner[1]).clip(0, height)
        return found

    def save(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return dict(vars(self))


class BoxTransform(Transform):
    """What turns pictures into whole ones of one size and their boxes into numbers, fitted once and kept with the run.

    x: (rows, channels, height, width) uint8, target: (rows, boxes, 5) as BoxTarget gives them
    """

    saved_as, of_target, of_pictures = "boxes", BoxTarget, WholePictures

    @classmethod
    def fit(  # type: ignore[override]
        cls, source: Source, schema: Schema, rows: np.ndarray, *, layout: str = "boxes", size: int = USUAL
    ) -> "BoxTransform":
        """Fit on these rows; `size` is the longer side of the encoded pictures, in pixels.

        Raises InputError for a size below 32.
        """
        if size < MULTIPLE:
            raise InputError(f"transform.size={size}: expected {MULTIPLE} pixels or more")
        notes: list[str] = []
        sample = rows[np.linspace(0, len(rows) - 1, min(LOOKS, len(rows))).astype(np.int64)]
        seen = PictureEncoder.fit(source, "image", sample, size, [])
        sides = source.frame[rows].select("width", "height").to_numpy()
        ratio = float(np.median(sides[:, 0] / sides[:, 1]))
        width, height = (
            max(MULTIPLE, round(size * share / MULTIPLE) * MULTIPLE) for share in (min(1.0, ratio), min(1.0, 1 / ratio))
        )
        pictures = WholePictures("image", height, width, seen.channels, mean=seen.mean, std=seen.std)
        notes.append(f"pictures are brought to {width} x {height} (width x height), whole, their shape kept")
        made = cls("image", BoxTarget(list(schema.classes), width, height), pictures=pictures)  # type: ignore[arg-type]
        made.notes += notes
        return made

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """As of any transform; rows have room for as many boxes as the fullest picture of the source has."""
        if looks_like_boxes(source):
            target: BoxTarget = self.target  # type: ignore[assignment]
            target.room = max(1, int(source.frame["boxes"].list.len().max() or 1))  # type: ignore[arg-type]
        return super().encode(source, rows, with_target)

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        assert self.pictures is not None
        p = self.pictures
        sizes = {"channels": p.channels, "height": p.height, "width": p.width}
        return {"classes": len(self.classes), "outputs": len(self.classes), **sizes}

    def in_pictures(self, source: Source, rows: np.ndarray, answers: np.ndarray) -> list[list[dict[str, Any]]]:
        """Answers for rows of a source as boxes in each picture's own pixels, the surest first, with label and score.

        answers: (rows, answers, 6)
        """
        target: BoxTarget = self.target  # type: ignore[assignment]
        found = target.back(answers, sizes(source, rows))
        names = ("left", "top", "right", "bottom")
        return [
            [
                {"label": self.classes[int(box[0])], "score": round(float(box[1]), 4)}
                | {name: round(float(side), 1) for name, side in zip(names, box[2:], strict=True)}
                for box in each
                if box[0] >= 0
            ]
            for each in found
        ]


def sizes(source: Source, rows: np.ndarray) -> np.ndarray:
    """Width and height of the pictures in these rows: (rows, 2) int; 1 x 1 for those that cannot be read."""
    if "image" in source.arrays:
        height, width = source.arrays["image"].shape[1:3]
        return np.tile([width, height], (len(rows), 1))
    if looks_like_boxes(source):
        return source.frame[np.asarray(rows)].select("width", "height").to_numpy()
    found = []
    for cell in source.frame["image"][np.asarray(rows)]:
        try:
            found.append(header(cell)[0])
        except (PictureError, AttributeError):
            found.append((1, 1))
    return np.array(found).reshape(-1, 2)
