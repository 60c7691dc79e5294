"""Encoded tensors, or a torch data set too large to hold, to shuffled batches on the device."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

Change = Callable[[dict[str, Any]], dict[str, Any]]


def _apply(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """The function on a tensor, or on each inside a tuple."""
    return tuple(_apply(part, function) for part in value) if isinstance(value, tuple) else function(value)


def _first(value: Any) -> Tensor:
    return _first(value[0]) if isinstance(value, tuple) else value


class Loader:
    """Batches from tensors that lie in memory, gathered without a worker process.

    A batch holds what `tensors` holds, by the same names, for its rows: {"inputs": (x: (batch, ...), ...), "target":
    (batch, ...), "row": (batch,)}. The order depends on seed and epoch alone, so a run resumes anywhere with `iterate`.
    `batch_size` counts the rows of all ranks: each of `world` ranks takes its share of every batch, so that two ranks
    see what one would. `transform` changes a batch on its device.
    """

    def __init__(
        self,
        tensors: dict[str, Any],
        *,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world: int = 1,
        transform: Change | None = None,
    ) -> None:
        if batch_size < world:
            raise ValueError(f"batch_size={batch_size} is less than one row for each of {world} ranks")
        self.device = torch.device(device)
        self.tensors = {name: _apply(value, lambda part: part.to(self.device)) for name, value in tensors.items()}
        self.rows = len(_first(next(iter(self.tensors.values()))))
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.seed, self.rank, self.world, self.transform = seed, rank, world, transform
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order that the next iteration has."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(self.rows, self.batch_size)
        # A last batch that leaves some rank without a row is left out of training.
        return full + (rest > 0 and not self.drop_last and not (self.shuffle and rest < self.world))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of this epoch from batch `start` on."""
        order = self.order()
        for index in range(start, len(self)):
            low = index * self.batch_size
            batch = self.gather(order, low, min(low + self.batch_size, self.rows))
            yield batch if self.transform is None else self.transform(batch)

    def order(self) -> Tensor | None:
        """Row places in the order of this epoch: (rows,) long, or nothing where they stay as they are."""
        if not self.shuffle:
            return None
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        return torch.randperm(self.rows, generator=generator).to(self.device)

    def gather(self, order: Tensor | None, low: int, high: int) -> dict[str, Any]:
        """The rows at places `low` to `high` of an order, this rank's share of them."""
        if order is None:
            part = slice(low + self.rank, high, self.world)
            return {
                name: tuple(tensor[part] for tensor in value) if isinstance(value, tuple) else value[part]
                for name, value in self.tensors.items()
            }
        places = order[low + self.rank : high : self.world]
        return {
            name: tuple(tensor.index_select(0, places) for tensor in value)
            if isinstance(value, tuple)
            else value.index_select(0, places)
            for name, value in self.tensors.items()
        }


class StreamingLoader:
    """Batches from a torch data set that memory does not hold, read ahead by worker processes.

    The same face as Loader. Items are (input, target), or a dict that already has a batch's names; the batch gets "row"
    either way. Data with `batch(places)` gives whole batches and what it noticed, which `notes` gathers; a batch of
    which no row could be read is passed over. The order depends on seed and epoch alone.
    """

    def __init__(
        self,
        data: Any,
        *,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
        workers: int = 2,
        rank: int = 0,
        world: int = 1,
        transform: Change | None = None,
    ) -> None:
        if batch_size < world:
            raise ValueError(f"batch_size={batch_size} is less than one row for each of {world} ranks")
        self.data, self.batch_size, self.shuffle, self.drop_last = data, batch_size, shuffle, drop_last
        self.seed, self.device, self.workers = seed, torch.device(device), workers
        self.rank, self.world, self.transform = rank, world, transform
        self.notes: list[str] = []
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order that the next iteration has."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.data), self.batch_size)
        return full + (rest > 0 and not self.drop_last and not (self.shuffle and rest < self.world))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of this epoch from batch `start` on; skipped ones are not read."""
        rows = len(self.data)
        if self.shuffle:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
            order = torch.randperm(rows, generator=generator)
        else:
            order = torch.arange(rows)
        batches = [part[self.rank :: self.world].tolist() for part in order.split(self.batch_size)]
        whole = hasattr(self.data, "batch")
        loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
            _Whole(self.data) if whole else _Numbered(self.data),
            batch_sampler=list(islice(batches, start, len(self))),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            pin_memory=self.device.type == "cuda",
            collate_fn=_as_it_is if whole else None,
            generator=torch.Generator(),  # else each epoch would take a number from the training's own
        )
        for item in loader:
            batch = self._noted(*item) if whole else _named(*item)
            if len(batch["row"]):
                moved = {name: _apply(value, lambda part: part.to(self.device)) for name, value in batch.items()}
                yield moved if self.transform is None else self.transform(moved)

    def _noted(self, batch: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        self.notes += [note for note in notes if note not in self.notes]
        return batch


def _named(place: Tensor, item: Any) -> dict[str, Any]:
    """An item of a torch data set under a batch's names."""
    batch = item if isinstance(item, dict) else {"inputs": tuple(item[:-1]), "target": item[-1]}
    return {**batch, "row": place}


def _as_it_is(batch: Any) -> Any:
    return batch


class _Whole(torch.utils.data.Dataset):
    """A data set that is asked for whole batches."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getitems__(self, places: list[int]) -> Any:
        return self.data.batch(places)


class _Numbered(torch.utils.data.Dataset):
    """A data set whose items come with their number."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: int) -> tuple[int, Any]:
        item = self.data[place]
        return place, tuple(item) if isinstance(item, (tuple, list)) else item


def fits(size: int, device: str | torch.device = "cpu", share: float = 0.4) -> bool:
    """Whether `size` bytes take at most this share of the memory that is free now, on the processor or the GPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return size <= share * torch.cuda.mem_get_info(device)[0]
    return size <= share * _free_memory()


def _free_memory() -> int:
    """Bytes of memory that are free now; 4 GB where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 4 << 30
