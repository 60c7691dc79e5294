"""Boxes in pictures that were moved to the boxes that stand around the same things afterwards."""

import torch
from torch import Tensor

SEEN = 0.3  # share of its area that a box must keep within the picture to count on
THIN = 2.0  # pixels: a thinner box is not learned


def moved_boxes(target: Tensor, matrix: Tensor, height: int, width: int) -> Tensor:
    """The upright box around the moved corners of each; one that mostly left the picture gets class -1.

    target: (batch, boxes, 5) of class, left, top, right, bottom in pixels; matrix: (batch, 2, 3) from new to old
    places, both from -1 to 1 -> (batch, boxes, 5)
    """
    size = target.new_tensor([width, height])
    left, top, right, bottom = target[..., 1:].unbind(-1)
    corners = torch.stack([left, top, right, top, left, bottom, right, bottom], -1).unflatten(-1, (4, 2))
    old = corners * (2 / size) - 1  # (batch, boxes, corners, 2)
    matrix = matrix.to(target)
    new = torch.linalg.solve(matrix[:, None, :, :2], (old - matrix[:, None, None, :, 2]).transpose(-1, -2))
    places = (new.transpose(-1, -2) + 1) * (size / 2)
    return remaining_boxes(target, places.amin(2), places.amax(2), height, width)


def remaining_boxes(target: Tensor, low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
    """Moved boxes cut at the picture's edge; one that mostly left it, or was none, gets class -1.

    target: (batch, boxes, 5), of which the class is read; low, high: (batch, boxes, 2) the corners as moved, in pixels
    """
    size = target.new_tensor([width, height])
    inside_low, inside_high = low.clamp_min(0).minimum(size), high.clamp_min(0).minimum(size)
    sides = inside_high - inside_low
    seen = sides.prod(-1) / (high - low).prod(-1).clamp_min(1e-6)
    stays = (target[..., 0] >= 0) & (seen >= SEEN) & (sides.amin(-1) >= THIN)
    moved = torch.cat([target[..., :1], inside_low, inside_high], -1)
    gone = torch.zeros_like(moved)
    gone[..., 0] = -1
    return torch.where(stays[..., None], moved, gone)
