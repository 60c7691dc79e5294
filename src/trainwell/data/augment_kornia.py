"""A batch of pictures to one changed by kornia, masks and boxes moved along: whatever the extra `vision` brings."""

from typing import Any

import torch
from torch import Tensor

from trainwell.data.augment_boxes import remaining_boxes
from trainwell.errors import InputError, suggest

Batch = dict[str, Any]
OUTSIDE = -100  # the mark of mask pixels that came from outside the picture


def _kornia() -> Any:
    """The module; raises InputError with the line that installs it."""
    try:
        import kornia.augmentation
    except ImportError as error:
        raise InputError("augment: this augmentation needs kornia: pip install 'trainwell[vision]'") from error
    return kornia.augmentation


class Kornia:
    """Any augmentation of kornia by its name, as {"name": "kornia", "kind": "RandomPerspective", "arguments": {...}}.

    kind: a class of kornia.augmentation for pictures; arguments: what it takes. Raises ValueError for a kind that is
    not there, InputError where kornia is absent. Riba et al. 2020, arXiv:1910.02190.

    inputs: ((batch, channels, height, width) bytes or floats, ...), target: anything, a mask of whole numbers (batch,
    height, width), or floats (batch, boxes, 5) of class and four sides -> the same shapes and types
    """

    def __init__(self, *, kind: str = "RandomPerspective", arguments: dict[str, Any] | None = None) -> None:
        known = [name for name in dir(_kornia()) if name.startswith(("Random", "Color")) and "3D" not in name]
        if kind not in known:
            raise ValueError(f"kornia has no {kind!r}; {suggest(kind, known)}")
        self.change = getattr(_kornia(), kind)(**(arguments or {}))

    def __call__(self, batch: Batch) -> Batch:
        pictures, *rest = batch["inputs"]
        target = batch.get("target")
        most = 255.0 if not pictures.is_floating_point() or pictures.max() > 1.5 else 1.0
        shown, changed = pictures.float() / most, dict(batch)
        if not isinstance(target, Tensor) or target.ndim != 3:
            shown = self._moving("input")(shown)
        elif target.is_floating_point():
            shown, corners = self._moving("input", "bbox_xyxy")(shown, _corners(target))
            low, high = (corners + 0.5).split(2, -1)
            changed["target"] = remaining_boxes(target, low, high, pictures.shape[-2], pictures.shape[-1])
        else:
            # Raised above zero, so that zeros from outside become the mark.
            shown, mask = self._moving("input", "mask")(shown, target[:, None].float() - OUTSIDE)
            changed["target"] = (mask[:, 0].round() + OUTSIDE).to(target.dtype)
        shown = shown.clamp(0, 1) * most
        shown = shown.to(pictures.dtype) if pictures.is_floating_point() else shown.round().to(pictures.dtype)
        return {**changed, "inputs": (shown, *rest)}

    def _moving(self, *keys: str) -> Any:
        """The change, applied alike to things of these kinds."""
        return _kornia().AugmentationSequential(self.change, data_keys=list(keys))


def _corners(target: Tensor) -> Tensor:
    """Boxes by the pixels that they begin and end in, as kornia counts: (batch, boxes, 5) -> (batch, boxes, 4).

    Rows that are no box become a box of one pixel, as kornia takes no empty ones.
    """
    blank = target.new_tensor([0.0, 0.0, 1.0, 1.0])
    return torch.where(target[..., :1] >= 0, target[..., 1:] - 0.5, blank)


class RandAugment(Kornia):
    """So many changes of one strength, drawn anew for each batch from 14 kinds. Cubuk et al. 2019, arXiv:1909.13719.

    `strength` goes from 0 to 30. Labels that turning or shading changes, as of digits, may not survive: look at the
    report's page of training pictures.
    """

    def __init__(self, *, operations: int = 2, strength: int = 10) -> None:
        _kornia()
        from kornia.augmentation.auto import RandAugment as Drawn

        self.change = Drawn(n=operations, m=strength)


class Jitter(Kornia):
    """Changes brightness, contrast, saturation and hue of each picture by up to these shares; grey ones lose none."""

    def __init__(
        self, *, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.05
    ) -> None:
        self.change = _kornia().ColorJiggle(brightness, contrast, saturation, hue, p=1.0)
