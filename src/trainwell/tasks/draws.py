"""Row numbers and a seed to noise that is the same in every batch, and pictures to a network's scale and back."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.tasks.task import Batch

STREAMS = 1_000_003  # a prime: row r of stream s has the seed r * STREAMS + s


def row_noise(rows: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Normal noise that depends on each row's own number and on the stream, never on the batch it is in.

    rows: (batch,) long -> (batch, *shape) float, on the device of the rows
    """
    random = torch.Generator()
    noise = torch.empty(len(rows), *shape)
    for place, row in enumerate(rows.tolist()):
        random.manual_seed((row * STREAMS + stream) % 2**63)
        noise[place] = torch.randn(*shape, generator=random)
    return noise.to(rows.device)


def rows_of(batch: Batch) -> Tensor:
    """The rows' numbers where the loader names them, else their places in the batch: (batch,) long."""
    x = batch["inputs"][0]
    return batch["row"] if "row" in batch else torch.arange(len(x), device=x.device)


def even_times(rows: Tensor) -> Tensor:
    """Numbers in (0, 1), spread evenly over any run of rows: steps of the golden ratio. (batch,) long -> (batch,)"""
    return ((rows.double() * 0.6180339887498949 + 0.5) % 1).float().clamp(1e-6, 1 - 1e-6)


def unit(x: Tensor) -> Tensor:
    """Pictures of bytes to [0, 1]; what is no bytes has its scale already. (batch, ...) -> (batch, ...) float"""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def signed(x: Tensor) -> Tensor:
    """Pictures of bytes to [-1, 1]; what is no bytes has its scale already. (batch, ...) -> (batch, ...) float"""
    return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x.float()


def as_bytes(x: Tensor) -> Tensor:
    """Pictures in [0, 1] to bytes. (batch, ...) float -> (batch, ...) uint8"""
    return (x.float() * 255).round().clamp(0, 255).to(torch.uint8)


def inner(model: Any) -> Any:
    """The model itself where torch's distributed wrapper hides its attributes."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def asked_classes(model: Any, count: int, classes: int | Sequence[int] | None) -> Tensor | None:
    """The class of each sample asked for; without a wish all classes in turn, None for a model without classes.

    -> (count,) long. Raises InputError for a class that was not trained, and for any class of an unconditional model.
    """
    known = int(getattr(inner(model), "classes", 0))
    if classes is None:
        return torch.arange(count) % known if known else None
    wanted = [classes] if isinstance(classes, int) else list(classes)
    if not known:
        raise InputError(f"class {wanted[0]} was asked for, but this model was trained without classes; leave it out")
    unknown = [each for each in wanted if not 0 <= each < known]
    if unknown:
        raise InputError(f"class {unknown[0]} was not trained; this model knows the classes 0 to {known - 1}")
    return torch.tensor(wanted)[torch.arange(count) % len(wanted)]
