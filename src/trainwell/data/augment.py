"""A batch of pictures to a batch of changed pictures whose labels still hold, on the batch's own device.

Random numbers come from torch's generator of that device, which a run seeds and its checkpoints keep, so that a resumed
run draws what the uninterrupted one would have drawn.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainwell.data.augment_boxes import moved_boxes
from trainwell.data.augment_kornia import Jitter, Kornia, RandAugment
from trainwell.data.augment_sound import Hiss, Pace, Trim

Batch = dict[str, Any]
IGNORED = -100  # the mark of mask pixels that came from outside the picture; torch's losses skip it


class Picturewise:
    """The base of changes to pictures alone: what they do to a batch is what `change` does to its first input.

    inputs: ((batch, channels, height, width) bytes or floats, ...) -> the same shapes and types
    """

    def __call__(self, batch: Batch) -> Batch:
        pictures, *rest = batch["inputs"]
        return {**batch, "inputs": (self.change(pictures), *rest)}

    def change(self, x: Tensor) -> Tensor:
        """The changed pictures, (batch, channels, height, width) -> the same shape and type."""
        raise TypeError(f"{type(self).__name__} defines no change")


class Movement:
    """One movement for each picture of a batch: of pictures, or of masks where it is told so, and, as affine matrices
    from the new to the old place, both from -1 to 1, of boxes: (batch, 2, 3).
    """

    def __init__(self, move: Callable[[Tensor, bool], Tensor], matrix: Tensor) -> None:
        self.move, self.matrix = move, matrix

    def __call__(self, pixels: Tensor, mask: bool) -> Tensor:
        return self.move(pixels, mask)


class Geometric:
    """The base of changes that move pixels, in the pictures and in the mask or the boxes that the target holds.

    inputs: ((batch, channels, height, width), ...), target: anything, a mask of whole numbers (batch, height, width),
    or floats (batch, boxes, 5) of class, left, top, right and bottom -> the same shapes
    """

    def __call__(self, batch: Batch) -> Batch:
        pictures, *rest = batch["inputs"]
        move = self.draw(pictures)
        changed = {**batch, "inputs": (move(pictures, False), *rest)}
        target = batch.get("target")
        if isinstance(target, Tensor) and target.ndim == 3 and target.is_floating_point():
            changed["target"] = moved_boxes(target, move.matrix, pictures.shape[-2], pictures.shape[-1])
        elif isinstance(target, Tensor) and target.ndim == 3:
            changed["target"] = move(target[:, None], True)[:, 0]
        return changed

    def draw(self, x: Tensor) -> Movement:
        """Draws one movement for each picture; the result moves pictures, or masks where it is told so."""
        raise TypeError(f"{type(self).__name__} defines no movement")


class Shift(Geometric):
    """Moves each picture by up to so many pixels down and across, which equals padding and cropping at random.

    `fill` is "reflect" or "zero", for the pixels laid bare; ValueError for another.
    """

    def __init__(self, *, pixels: int = 2, fill: str = "reflect") -> None:
        if fill not in ("reflect", "zero"):
            raise ValueError(f"fill {fill!r}: expected reflect or zero")
        self.pixels, self.fill = pixels, fill

    def draw(self, x: Tensor) -> Movement:
        height, width = x.shape[-2:]
        moves = torch.randint(-self.pixels, self.pixels + 1, (2, len(x), 1), device=x.device)
        rows = torch.arange(height, device=x.device) + moves[0]  # (batch, height)
        columns = torch.arange(width, device=x.device) + moves[1]
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        places = (_reflected(rows, height)[:, :, None] * width + _reflected(columns, width)[:, None, :]).flatten(1)

        def move(pixels: Tensor, mask: bool) -> Tensor:
            index = places[:, None].expand(-1, pixels.shape[1], -1)
            moved = pixels.flatten(2).gather(2, index).view_as(pixels)
            if self.fill == "reflect":
                return moved
            return moved.long().masked_fill(~inside[:, None], IGNORED) if mask else moved * inside[:, None]

        still = torch.zeros_like(moves[0], dtype=torch.float32)
        across = torch.cat([still + 1, still, moves[1] * (2 / width)], 1)
        down = torch.cat([still, still + 1, moves[0] * (2 / height)], 1)
        return Movement(move, torch.stack([across, down], 1))


class Flip(Geometric):
    """Mirrors half of the pictures left to right."""

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = probability

    def draw(self, x: Tensor) -> Movement:
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < self.probability
        matrix = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
        matrix[:, 0, 0] = torch.where(chosen.flatten(), -1.0, 1.0)
        return Movement(lambda pixels, mask: torch.where(chosen, pixels.flip(-1), pixels), matrix)


class Rotation(Geometric):
    """Turns each picture about its middle by up to so many degrees; outside, its edge goes on."""

    def __init__(self, *, degrees: float = 10.0) -> None:
        self.degrees = degrees

    def draw(self, x: Tensor) -> Movement:
        angle = (torch.rand(len(x), device=x.device) * 2 - 1) * math.radians(self.degrees)
        aspect = x.shape[-2] / x.shape[-1]
        zero = torch.zeros_like(angle)
        across = torch.stack([angle.cos(), -angle.sin() * aspect, zero], 1)
        down = torch.stack([angle.sin() / aspect, angle.cos(), zero], 1)
        return _affine(torch.stack([across, down], 1), "border")


class Crop(Geometric):
    """Cuts out a part of each picture, of this least share of its area and of 3:4 to 4:3 its shape, and enlarges it."""

    def __init__(self, *, least: float = 0.35) -> None:
        self.least = least

    def draw(self, x: Tensor) -> Movement:
        area, shape, down, across = torch.rand(4, len(x), device=x.device)
        area = self.least + (1 - self.least) * area
        stretch = torch.exp((shape * 2 - 1) * math.log(4 / 3) / 2)
        sides = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
        # Whole pixels, so that bytes can be cut rather than sampled.
        spans = [_span(share, at, size) for share, at, size in zip(sides, (down, across), x.shape[-2:], strict=True)]
        (top, height), (left, width) = spans
        zero = torch.zeros_like(area)
        first = torch.stack([width / x.shape[-1], zero, (2 * left + width) / x.shape[-1] - 1], 1)
        second = torch.stack([zero, height / x.shape[-2], (2 * top + height) / x.shape[-2] - 1], 1)
        sampled = _affine(torch.stack([first, second], 1), "border")

        def move(pixels: Tensor, mask: bool) -> Tensor:
            if mask or pixels.dtype != torch.uint8 or pixels.device.type != "cpu":
                return sampled(pixels, mask)
            cuts = torch.stack([top, top + height, left, left + width], 1).long().tolist()
            moved = torch.empty_like(pixels)
            for picture, new, (low, high, start, end) in zip(pixels, moved, cuts, strict=True):
                part = picture[None, :, low:high, start:end]
                new.copy_(F.interpolate(part, pixels.shape[-2:], mode="bilinear", antialias=True)[0])
            return moved

        return Movement(move, sampled.matrix)


class Zoom(Geometric):
    """Shows each picture nearer or farther by up to these factors, its shape up to 6:5, anywhere within the frame.

    Round a picture that became smaller its edge goes on, in a mask the mark that counts for nothing.
    """

    def __init__(self, *, least: float = 0.7, most: float = 1.8) -> None:
        if not 0 < least <= most:
            raise ValueError(f"least {least}, most {most}: expected factors above zero, the least first")
        self.least, self.most = least, most

    def draw(self, x: Tensor) -> Movement:
        size, shape, down, across = torch.rand(4, len(x), device=x.device)
        factor = self.least * (self.most / self.least) ** size
        stretch = torch.exp((shape * 2 - 1) * math.log(6 / 5) / 2)
        height, width = stretch / factor, 1 / (stretch * factor)
        zero = torch.zeros_like(factor)
        first = torch.stack([width, zero, (across * 2 - 1) * (1 - width).abs()], 1)
        second = torch.stack([zero, height, (down * 2 - 1) * (1 - height).abs()], 1)
        return _affine(torch.stack([first, second], 1), "border")


class Cutout(Picturewise):
    """Paints a square of each picture, of this share of its side, in the picture's mean. DeVries & Taylor 2017.

    arXiv:1708.04552
    """

    def __init__(self, *, share: float = 0.375) -> None:
        self.share = share

    def change(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        hole = _boxes(x, torch.full((len(x),), self.share, device=x.device), height, width)
        mean = x.float().mean((2, 3), keepdim=True).to(x.dtype)
        return torch.where(hole, mean, x)


class Colour(Picturewise):
    """Changes the brightness and the contrast of each picture by up to this share; bytes stay within 0 to 255."""

    def __init__(self, *, brightness: float = 0.2, contrast: float = 0.2) -> None:
        self.brightness, self.contrast = brightness, contrast

    def change(self, x: Tensor) -> Tensor:
        bright, strong = torch.rand(2, len(x), 1, 1, 1, device=x.device) * 2 - 1
        factor, light = 1 + self.contrast * strong, self.brightness * bright - self.contrast * strong
        changed = torch.empty_like(x)
        at_once = max(1, len(x)) if x.device.type != "cpu" else 1  # one picture's floats stay in the cache
        for part, new, by, lift in zip(*(each.split(at_once) for each in (x, changed, factor, light)), strict=True):
            floats = part.float()
            new.copy_(_like(floats.mean((1, 2, 3), keepdim=True).mul(lift).addcmul(floats, by), x))
        return changed


class Noise(Picturewise):
    """Adds independent Gaussian noise of this deviation, in the unit of the pictures (of 255 for bytes)."""

    def __init__(self, *, deviation: float = 8.0) -> None:
        self.deviation = deviation

    def change(self, x: Tensor) -> Tensor:
        return _like(x + self.deviation * torch.randn(x.shape, device=x.device), x)


class Mixup:
    """Blends each picture and its target with another of the batch. Zhang et al. 2017, arXiv:1710.09412.

    inputs: ((batch, channels, height, width), ...) -> floats of that shape; target: (batch,) ids -> (batch, classes)
    """

    def __init__(self, classes: int, *, alpha: float = 0.2) -> None:
        self.classes, self.alpha = classes, alpha

    def __call__(self, batch: Batch) -> Batch:
        pictures, *rest = batch["inputs"]
        share = _beta(self.alpha, len(pictures), pictures.device)
        others = torch.randperm(len(pictures), device=pictures.device)
        mixed = pictures[others].float().lerp(pictures.float(), share[:, None, None, None])
        return {
            **batch,
            "inputs": (mixed, *rest),
            "target": _mixed_targets(batch["target"], others, share, self.classes),
        }


class CutMix:
    """Lays a part of another picture over each and shares the target by area. Yun et al. 2019, arXiv:1905.04899.

    inputs: ((batch, channels, height, width), ...) -> the same; target: (batch,) ids -> (batch, classes)
    """

    def __init__(self, classes: int, *, alpha: float = 1.0) -> None:
        self.classes, self.alpha = classes, alpha

    def __call__(self, batch: Batch) -> Batch:
        pictures, *rest = batch["inputs"]
        height, width = pictures.shape[-2:]
        side = (1 - _beta(self.alpha, len(pictures), pictures.device)).sqrt()
        hole = _boxes(pictures, side, height, width)
        others = torch.randperm(len(pictures), device=pictures.device)
        share = 1 - hole.float().mean((1, 2, 3))  # what is really left after rounding to pixels
        target = _mixed_targets(batch["target"], others, share, self.classes)
        return {**batch, "inputs": (torch.where(hole, pictures[others], pictures), *rest), "target": target}


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places beyond an edge to those mirrored at it, within 0 to size - 1."""
    if size == 1:
        return torch.zeros_like(places)
    return (size - 1) - ((size - 1) - places.abs() % (2 * (size - 1))).abs()


def _affine(matrix: Tensor, outside: str = "zeros") -> Movement:
    """A movement by affine matrices, (batch, 2, 3), from the new to the old place, both from -1 to 1."""

    def move(pixels: Tensor, mask: bool) -> Tensor:
        grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
        if mask:  # moved up by as much as the mark is below zero, so that zeros from outside become the mark
            moved = F.grid_sample(pixels.float() - IGNORED, grid, mode="nearest", align_corners=False)
            return moved.long() + IGNORED
        return _like(F.grid_sample(pixels.float(), grid, padding_mode=outside, align_corners=False), pixels)

    return Movement(move, matrix)


def _span(share: Tensor, at: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where a stretch of this share of a side begins and how long it is, in whole pixels: (batch,) floats both."""
    length = (share * size).round().clamp(1, size)
    return (at * (size - length)).round(), length


def _boxes(x: Tensor, side: Tensor, height: int, width: int) -> Tensor:
    """A rectangle in each picture, of this share of both sides: (batch,) -> (batch, 1, height, width) true inside."""
    marks = []
    for size in (height, width):
        length = (side * size).round()
        first = (torch.rand(len(x), device=x.device) * (size - length + 1)).floor()
        places = torch.arange(size, device=x.device)
        marks.append((places >= first[:, None]) & (places < (first + length)[:, None]))
    return (marks[0][:, :, None] & marks[1][:, None, :])[:, None]


def _beta(alpha: float, count: int, device: torch.device) -> Tensor:
    """Shares from Beta(alpha, alpha), (count,)."""
    one, other = torch._standard_gamma(torch.full((2, count), alpha, device=device))
    return one / (one + other).clamp_min(1e-12)


def _mixed_targets(target: Tensor, others: Tensor, share: Tensor, classes: int) -> Tensor:
    """Class ids or probabilities of two pictures to probabilities, `share` of them from the first: (batch, classes)."""
    known = F.one_hot(target.long(), classes).float() if target.ndim == 1 else target.float()
    return known[others].lerp(known, share[:, None])


def _like(x: Tensor, model: Tensor) -> Tensor:
    """Numbers to the type of the pictures they came from; bytes are rounded and kept within 0 to 255."""
    return x.to(model.dtype) if model.is_floating_point() else x.round().clamp(0, 255).to(model.dtype)


AUGMENTATIONS: dict[str, Callable[..., Callable[[Batch], Batch]]] = {
    "shift": Shift,
    "flip": Flip,
    "rotation": Rotation,
    "crop": Crop,
    "zoom": Zoom,
    "cutout": Cutout,
    "colour": Colour,
    "noise": Noise,
    "randaugment": RandAugment,
    "jitter": Jitter,
    "kornia": Kornia,
    "mixup": Mixup,
    "cutmix": CutMix,
    "pace": Pace,
    "trim": Trim,
    "hiss": Hiss,
}
