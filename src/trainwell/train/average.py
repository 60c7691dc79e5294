"""Weights step by step to their exponential moving average, which evaluation and the checkpoint may use."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of parameters and buffers; its decay warms up as 1 - (1 + step)^-0.75.

    Polyak & Juditsky 1992; the warm-up is that of timm's ModelEmaV3.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        # Tied weights once; a buffer with infinities, such as a mask, does not move and has no average.
        values = {id(value): value for value in model.state_dict(keep_vars=True).values() if value.is_floating_point()}
        self.live = [value.detach() for value in values.values() if bool(value.isfinite().all())]
        self.shadow = [value.detach().clone() for value in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights as they are after this step."""
        decay = min(self.decay, 1 - (1 + step) ** -0.75)
        torch._foreach_lerp_(self.shadow, self.live, 1 - decay)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """The model holds the average inside the block, its own weights after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, shadow in zip(self.live, self.shadow, strict=True):
            kept = live.clone()
            live.copy_(shadow)
            shadow.copy_(kept)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin again from the weights as they are."""
        for live, shadow in zip(self.live, self.shadow, strict=True):
            shadow.copy_(live)

    def tensors(self) -> dict[str, Tensor]:
        """The averages by number, for a checkpoint."""
        return {str(number): value for number, value in enumerate(self.shadow)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put saved tensors back; raises KeyError if one is missing."""
        for number, value in enumerate(self.shadow):
            value.copy_(tensors[str(number)])
