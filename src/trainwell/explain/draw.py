"""Boxes answered and boxes true to a picture with them drawn, each class in its colour."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

# Okabe and Ito 2008: told apart by the colour-blind too; the darkest first, as most pictures are bright.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
SIDES = ("left", "top", "right", "bottom")


def draw_boxes(
    picture: Image.Image,
    answers: Sequence[dict[str, Any]],
    labels: Sequence[str],
    truth: Sequence[dict[str, Any]] = (),
    *,
    side: int | None = None,
) -> Image.Image:
    """A copy of the picture with answers in their class's colour, with name and score, and true boxes dashed in white.

    side: of the copy, the longer one in pixels; without it the picture keeps its size
    """
    factor = side / max(picture.size) if side else 1.0
    size = tuple(max(1, round(each * factor)) for each in picture.size)
    copy = picture.convert("RGB").resize((size[0], size[1]))
    pen = ImageDraw.Draw(copy)
    width = max(1, round(max(size) / 250))
    for box in truth:
        dashed(pen, [box[each] * factor for each in SIDES], width)
    for box in answers:
        place = [box[each] * factor for each in SIDES]
        colour = COLOURS[labels.index(box["label"]) % len(COLOURS)]
        pen.rectangle(place, outline=colour, width=width)
        text = f"{box['label']} {box['score']:.2f}" if "score" in box else str(box["label"])
        high = max(9, round(max(size) / 45))
        at = (place[0] + width, max(0, place[1] - high - 3))
        around = pen.textbbox(at, text, font_size=high)
        pen.rectangle((around[0] - 1, around[1] - 1, around[2] + 1, around[3] + 1), fill=colour)
        pen.text(at, text, fill="white" if colour not in ("#f0e442", "#e69f00", "#56b4e9") else "black", font_size=high)
    return copy


def dashed(pen: ImageDraw.ImageDraw, box: Sequence[float], width: int, dash: int = 5) -> None:
    """A rectangle of white dashes with a dark line beneath, to be seen on bright and dark ground."""
    left, top, right, bottom = box
    pen.rectangle((left, top, right, bottom), outline="#333333", width=width)
    for low, high, ends in ((left, right, (top, bottom)), (top, bottom, (left, right))):
        for start in range(round(low), round(high), 2 * dash):
            stop = min(start + dash, high)
            for at in ends:
                line = (start, at, stop, at) if low == left and ends == (top, bottom) else (at, start, at, stop)
                pen.line(line, fill="white", width=width)


def as_jpeg(picture: Image.Image, quality: int = 82) -> str:
    """The picture as base64 text of a JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(file.getvalue()).decode()
