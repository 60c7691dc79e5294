"""Batches of a training to the pictures in them as the augmentations left them, each with what it is to be read as."""

from typing import Any

import torch
from torch import Tensor

from trainwell.explain.cases import picture
from trainwell.explain.detections import outlined
from trainwell.explain.segments import overlaid

LEAST_SHARE = 0.05  # of a mixed label, below which it is not named


def augmented(loader: Any, classes: list[str], shown: int = 16) -> dict[str, list[str]]:
    """The first training pictures of an epoch, base64 PNGs, and their labels, where there are any.

    Boxes and masks are drawn in, so that a reader sees whether they moved along. The random numbers of the training
    stay as they were.
    """
    found: list[str] = []
    labels: list[str] = []
    with torch.random.fork_rng():
        for batch in loader:
            pictures, target = batch["inputs"][0].cpu(), batch.get("target")
            if isinstance(target, Tensor):
                pictures, target = drawn(pictures, target.cpu(), classes), target.cpu()
                labels += [label(each, classes) for each in target[: shown - len(found)]]
            found += [picture(each) for each in pictures[: shown - len(found)]]
            if len(found) == shown:
                break
    return {"pictures": found, "labels": labels if any(labels) else []}


def drawn(pictures: Tensor, target: Tensor, classes: list[str]) -> Tensor:
    """Pictures with their boxes or masks drawn in; others as they are.

    pictures: (batch, channels, height, width) bytes; target: (batch, boxes, 5) or (batch, height, width) classes
    """
    if target.ndim != 3:
        return pictures
    if target.is_floating_point():
        return outlined(pictures, target)
    if target.shape[1:] != pictures.shape[2:]:
        return pictures
    codes = torch.where(target < 0, 255, target).clamp_max(255).to(torch.uint8).numpy()
    pairs = zip(pictures.numpy(), codes, strict=True)
    painted = [torch.from_numpy(overlaid(pixels, each, len(classes))) for pixels, each in pairs]
    return torch.stack(painted).permute(0, 3, 1, 2)


def label(target: Tensor, classes: list[str]) -> str:
    """What one picture is to be read as: its class, the shares of a mixed one, or nothing where it has no class."""
    if target.ndim == 0 and not target.is_floating_point() and 0 <= int(target) < len(classes):
        return classes[int(target)]
    if target.ndim == 1 and target.is_floating_point() and len(target) == len(classes):
        order = target.argsort(descending=True, stable=True)[:2].tolist()
        kept = [place for place in order if target[place] >= LEAST_SHARE]
        return ", ".join(f"{classes[place]} {100 * float(target[place]):.0f} %" for place in kept)
    return ""
