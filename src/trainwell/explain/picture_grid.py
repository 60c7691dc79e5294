"""Pictures to one picture of them all, and a way of such pictures to an animation."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def grid(pictures: Tensor, *, columns: int = 8, gap: int = 1, background: int = 255) -> Tensor:
    """Pictures in rows, from the upper left.

    pictures: (batch, channels, height, width) uint8 -> (channels, rows * (height + gap) + gap, ...) uint8
    """
    missing = -len(pictures) % columns
    spare = pictures.new_full((missing, *pictures.shape[1:]), background)
    framed = F.pad(torch.cat([pictures, spare]), (0, gap, 0, gap), value=background)
    rows = framed.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    return F.pad(rows, (gap, 0, gap, 0), value=background)


def as_image(picture: Tensor, *, enlarge: int = 1) -> Image.Image:
    """One picture for Pillow, each pixel `enlarge` wide.

    picture: (channels, height, width) uint8; 3 channels are RGB, of others the first is shown in grey
    """
    array = picture.permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(array) if array.shape[2] == 3 else Image.fromarray(array[:, :, 0])
    return image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST)


def as_text(picture: Tensor, *, enlarge: int = 2) -> str:
    """One picture as the base64 text of a PNG. picture: (channels, height, width) uint8"""
    file = io.BytesIO()
    as_image(picture, enlarge=enlarge).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def save_grid(pictures: Tensor, path: Path, *, columns: int = 8, enlarge: int = 2) -> Path:
    """The pictures as one PNG. pictures: (batch, channels, height, width) uint8"""
    as_image(grid(pictures, columns=columns), enlarge=enlarge).save(path)
    return path


def save_animation(
    steps: Sequence[Tensor], path: Path, *, columns: int = 8, enlarge: int = 2, milliseconds: int = 80
) -> Path:
    """Grids after one another as a GIF that stays at the last for two seconds and begins again.

    steps: each (batch, channels, height, width) uint8
    """
    frames = [as_image(grid(each, columns=columns), enlarge=enlarge) for each in steps]
    waits = [milliseconds] * (len(frames) - 1) + [2000]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=waits, loop=0)
    return path
