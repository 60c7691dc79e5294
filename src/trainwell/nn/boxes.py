"""Boxes to how much they overlap, and to those that are left when doubles are dropped.

A box is (left, top, right, bottom), in pixels.
"""

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """boxes: (..., 4) -> (...), zero for a box turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes by broadcasting: (..., 4), (..., 4) -> (...) within 0 and 1."""
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    shared = sides.clamp_min(0).prod(-1)
    return shared / (area(first) + area(second) - shared).clamp_min(1e-9)


def generalized_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Overlap less the empty share of the box around both: (..., 4), (..., 4) -> (...) within -1 and 1.

    Unlike the overlap it tells boxes apart that do not touch. Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    shared = sides.clamp_min(0).prod(-1)
    union = (area(first) + area(second) - shared).clamp_min(1e-9)
    around = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    hull = around.clamp_min(0).prod(-1).clamp_min(1e-9)
    return shared / union - (hull - union) / hull


def without_doubles(boxes: Tensor, labels: Tensor, *, most: float = 0.6) -> Tensor:
    """Which boxes stay when each drops the later ones of its class that overlap it by more than `most`.

    boxes: (batch, count, 4), the surest first; labels: (batch, count) -> (batch, count) bool
    """
    rivals = overlap(boxes[:, :, None], boxes[:, None]) > most
    rivals &= (labels[:, :, None] == labels[:, None]) & torch.ones_like(rivals).triu(1)
    kept = torch.ones_like(labels, dtype=torch.bool)
    for place in range(boxes.shape[1]):
        kept &= ~(rivals[:, place] & kept[:, place, None])
    return kept
