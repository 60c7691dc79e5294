"""Rows of unequal length to shuffled batches of rows that are about as long as each other."""

from typing import Any

import torch
from torch import Tensor

from trainwell.data.loader import Loader
from trainwell.data.tokens import Mask, Ragged

POOL = 50  # batches among which rows are put by length


class BucketedLoader(Loader):
    """A Loader whose batches hold rows of like length, so that little of them is padding.

    Each epoch's random order is cut into pools of 50 batches, each pool put by length, and the batches shuffled; the
    rows that fill no batch stay last. Order, resuming and ranks are as in Loader.
    """

    def __init__(self, tensors: dict[str, Any], **options: Any) -> None:
        super().__init__(tensors, **options)
        inputs = [each for each in tensors["inputs"] if isinstance(each, Ragged) and not isinstance(each, Mask)]
        self.lengths = torch.stack([each.lengths for each in inputs]).sum(0)

    def order(self) -> Tensor | None:
        """Row places in the order of this epoch: (rows,) long, or nothing where they stay as they are."""
        places = super().order()
        if places is None:
            return None
        places, size = places.cpu(), self.batch_size
        whole = len(places) - len(places) % size
        pools = places[:whole].split(POOL * size)
        batches = torch.cat([pool[self.lengths[pool].argsort(stable=True)] for pool in pools]).view(-1, size)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch + 1) % 2**63)
        shuffled = batches[torch.randperm(len(batches), generator=generator)].flatten()
        return torch.cat([shuffled, places[whole:]]).to(self.device)
