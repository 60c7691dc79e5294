"""A batch of sounds to a batch of changed sounds whose labels still hold, on the batch's own device.

Random numbers come from torch's generator of that device, as in `augment`. Raises InputError for anything but sounds.
"""

from typing import Any

import torch
from torch import Tensor

from trainwell.errors import InputError

Batch = dict[str, Any]


class Soundwise:
    """The base of changes to sounds: what they do to a batch is what `change` does to its waves and their lengths.

    inputs: ((batch, samples), (batch,) lengths) or the waves alone -> the same, of another size where pace changes
    """

    def __call__(self, batch: Batch) -> Batch:
        waves, *rest = batch["inputs"]
        if waves.ndim != 2:
            raise InputError(
                f"augment: {type(self).__name__.lower()} changes sounds, and this batch is {tuple(waves.shape)}"
            )
        lengths = rest[0] if rest else waves.new_full((len(waves),), waves.shape[1], dtype=torch.long)
        changed, ends = self.change(waves, lengths)
        return {**batch, "inputs": (changed, ends) if rest else (changed,)}

    def change(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The changed waves and their lengths: (batch, samples), (batch,) -> the same."""
        raise TypeError(f"{type(self).__name__} defines no change")


class Pace(Soundwise):
    """Plays each sound faster or slower by up to this share, which moves its pitch too. Ko et al. 2015.

    Between samples it goes in straight lines.
    """

    def __init__(self, *, most: float = 0.15) -> None:
        if not 0 <= most < 1:
            raise ValueError(f"most={most}: expected a share from 0 to 1")
        self.most = most

    def change(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        speed = 1 + self.most * (torch.rand(len(x), 1, device=x.device) * 2 - 1)
        ends = (lengths / speed[:, 0]).long().clamp_min(1)
        place = torch.arange(int(ends.max()), device=x.device) * speed
        below = place.long()
        last = x.shape[1] - 1
        left, right = x.gather(1, below.clamp(max=last)), x.gather(1, (below + 1).clamp(max=last))
        inside = torch.arange(place.shape[1], device=x.device) < ends[:, None]
        return torch.lerp(left, right, place - below) * inside, ends


class Trim(Soundwise):
    """Cuts up to this share of each sound off each of its ends."""

    def __init__(self, *, share: float = 0.1) -> None:
        if not 0 <= share < 0.5:
            raise ValueError(f"share={share}: expected 0 to 0.5")
        self.share = share

    def change(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        first, last = (self.share * lengths * torch.rand(2, len(x), device=x.device)).long()
        ends = lengths - first - last
        place = torch.arange(int(ends.max()), device=x.device)
        moved = x.gather(1, (place + first[:, None]).clamp(max=x.shape[1] - 1))
        return moved * (place < ends[:, None]), ends


class Hiss(Soundwise):
    """Adds white noise to half of the sounds, its deviation up to this share of the sound's own."""

    def __init__(self, *, most: float = 0.02) -> None:
        self.most = most

    def change(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        strength = self.most * torch.rand(len(x), 1, device=x.device) * (torch.rand(len(x), 1, device=x.device) < 0.5)
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        own = (x.square().sum(1, keepdim=True) / lengths[:, None]).sqrt()
        return x + strength * own * torch.randn(x.shape, device=x.device) * inside, lengths
