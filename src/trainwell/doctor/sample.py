"""Batches of any loop to a sample: a few hundred rows of inputs and targets that the checks before training read."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.patient import Patient, as_tuple, leaving_no_trace


@dataclass
class Sample:
    """Rows as the model receives them: `inputs` one tensor an argument, `target`, and the batches they came in."""

    inputs: list[Tensor] = field(default_factory=list)
    target: Tensor | None = None
    batches: list[Any] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # rows of each batch
    hashes: list[int] = field(default_factory=list)  # of every row seen, also beyond those kept
    masks: dict[str, Tensor] = field(default_factory=dict)  # other tensors of the first batch, by name

    @cached_property
    def known(self) -> frozenset[int]:
        """The rows that were seen, asked for once all are in."""
        return frozenset(self.hashes)

    @property
    def folded(self) -> bool:
        """Whether its rows take turns at being held out."""
        return any(isinstance(each, dict) and "held_out_fold" in each for each in self.batches)

    @property
    def rows(self) -> int:
        asked = len(self.target) if self.target is not None and self.target.dim() else 0
        return asked if any(len(each) == asked for each in self.inputs) else len(self.inputs[0]) if self.inputs else 0

    @property
    def labels(self) -> np.ndarray | None:
        """Class indices, one a row, or None where the target is something else."""
        target = self.target
        if target is None or target.is_floating_point() or target.dim() == 0:
            return None
        if target.dim() == 2 and target.shape[1] == 1:
            target = target[:, 0]
        return target.cpu().numpy() if target.dim() == 1 else None

    def numbers(self) -> list[tuple[int, np.ndarray]]:
        """Floating inputs as (argument, matrix of rows by features); pictures give one row a pixel, a feature
        a channel."""
        found = []
        for place, each in enumerate(self.inputs):
            if (each.is_floating_point() or is_picture(each)) and each.dim() >= 2 and each.numel():
                each = each.detach().float().cpu()
                if each.dim() >= 4:
                    each = each.movedim(1, -1).flatten(0, -2)[:200_000]
                elif each.dim() == 3:
                    each = each.flatten(0, 1)
                found.append((place, each.numpy().astype(np.float64)))
        return found


def collect(
    patient: Patient, batches: Iterable[Any], rows: int = 512, seconds: float = 2.0, hashed: int = 50_000
) -> Sample:
    """The first rows of the batches, and a hash of every row that can be read in these seconds."""
    sample = Sample()
    inputs: list[tuple[Any, ...]] = []
    targets: list[Any] = []
    kept, began = 0, time.perf_counter()
    with leaving_no_trace():
        for batch in batches:
            parts = patient.inputs_of(batch)
            size = patient.rows(batch)
            if kept < rows or len(sample.batches) < 4:
                sample.batches.append(batch)
                sample.sizes.append(size)
                inputs.append(parts)
                targets.append(patient.target_of(batch))
                kept += size
                if isinstance(batch, dict) and not sample.masks:
                    sample.masks = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
            if len(sample.hashes) < hashed:
                sample.hashes += row_hashes(parts)
            elif kept >= rows:
                break
            if kept >= rows and time.perf_counter() - began > seconds:
                break
    sample.inputs = [joined for joined in (_join(each) for each in zip(*inputs, strict=False)) if joined is not None]
    sample.target = _join(targets)
    lost = sum(sample.sizes) - sample.rows  # batches whose inputs have another shape than the first one's
    if lost and sample.target is not None and len(sample.target) == sum(sample.sizes):
        sample.target = _join([each for each, parts in zip(targets, inputs, strict=True) if _alike(parts, inputs[0])])
    return sample


def read(loader: Any) -> Iterable[Any]:
    """The batches of a loader from its beginning, whichever way it hands them out."""
    return loader.iterate(0) if hasattr(loader, "iterate") else iter(loader)


def is_picture(value: Tensor) -> bool:
    """Whether it holds pictures as bytes, which a layer of the model turns into numbers."""
    return value.dtype == torch.uint8 and value.dim() == 4


def row_hashes(parts: tuple[Any, ...]) -> list[int]:
    """One hash a row over all tensors of the inputs."""
    tensors = [each.detach().cpu() for each in as_tuple(parts) if isinstance(each, Tensor) and each.dim()]
    if not tensors:
        return []
    length = len(tensors[0])
    flat = [each.reshape(length, -1).float().numpy() for each in tensors if len(each) == length]
    joined = np.ascontiguousarray(np.concatenate(flat, 1))
    return [hash(row.tobytes()) for row in joined]


def _alike(parts: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Whether two batches' first inputs differ in their number of rows alone."""
    one, other = (next((each for each in group if isinstance(each, Tensor)), None) for group in (parts, others))
    return one is not None and other is not None and one.shape[1:] == other.shape[1:]


def _join(parts: Any) -> Tensor | None:
    """Tensors of several batches one below the other; only the first where their shapes differ."""
    tensors = [each for each in parts if isinstance(each, Tensor)]
    if not tensors or tensors[0].dim() == 0:
        return None
    same = [each for each in tensors if each.shape[1:] == tensors[0].shape[1:]]
    return torch.cat([each.detach() for each in same])
