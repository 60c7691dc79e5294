"""Batches: every row once, the same order again, resumable, and shared out among ranks."""

import pytest
import torch

from trainwell.data import Loader, StreamingLoader, fits


def tensors(rows: int = 53) -> dict:
    numbers = torch.arange(rows * 3.0).view(rows, 3)
    codes = torch.arange(rows * 2).view(rows, 2)
    return {"inputs": (numbers, codes), "target": torch.arange(rows) % 5, "row": torch.arange(rows)}


def rows(loader) -> list[int]:
    return [row for batch in loader for row in batch["row"].tolist()]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_every_row_once_and_parts_agree(shuffle, drop_last):
    loader = Loader(tensors(), batch_size=8, shuffle=shuffle, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader) == (6 if drop_last else 7)
    seen = rows(loader)
    assert len(set(seen)) == len(seen) == (48 if drop_last else 53)
    assert (seen == sorted(seen)) != shuffle
    for batch in batches:
        assert torch.equal(batch["inputs"][0][:, 0] / 3, batch["row"].float())
        assert torch.equal(batch["inputs"][1][:, 0] // 2, batch["row"])
        assert torch.equal(batch["target"], batch["row"] % 5)


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        loader = Loader(tensors(), batch_size=8, seed=seed)
        loader.set_epoch(epoch)
        return rows(loader)

    torch.manual_seed(0)
    first = order(1, 2)
    torch.manual_seed(9)
    assert order(1, 2) == first != order(1, 3) and order(2, 2) != first


def test_resumes_anywhere():
    loader = Loader(tensors(), batch_size=8)
    whole = [batch["row"].tolist() for batch in loader]
    assert [batch["row"].tolist() for batch in loader.iterate(3)] == whole[3:]
    assert list(loader.iterate(7)) == []


def test_ranks_share_each_batch():
    one = [set(batch["row"].tolist()) for batch in Loader(tensors(), batch_size=10)]
    two = [
        [batch["row"].tolist() for batch in Loader(tensors(), batch_size=10, rank=rank, world=2)] for rank in range(2)
    ]
    assert [set(a) | set(b) for a, b in zip(*two, strict=True)] == one
    assert all(len(a) - len(b) in (0, 1) for a, b in zip(*two, strict=True))
    lone = Loader(tensors(21), batch_size=10, world=2)  # the last batch has one row: too few for two
    assert len(lone) == 2
    assert len(Loader(tensors(21), batch_size=10, world=2, shuffle=False)) == 3


def test_transform_changes_a_batch():
    double = Loader(tensors(), batch_size=8, transform=lambda batch: {**batch, "target": batch["target"] * 2})
    assert all((batch["target"] % 2 == 0).all() for batch in double)


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 53

    def __getitem__(self, place):
        return torch.full((3,), float(place)), place % 5


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_what_memory_gives(workers):
    held = Loader(tensors(), batch_size=8, seed=3)
    streamed = StreamingLoader(Items(), batch_size=8, seed=3, workers=workers)
    for loader in (held, streamed):
        loader.set_epoch(2)
    assert len(streamed) == len(held)
    pairs = list(zip(held.iterate(2), streamed.iterate(2), strict=True))
    assert len(pairs) == 5
    for a, b in pairs:
        assert torch.equal(a["row"], b["row"]) and torch.equal(a["target"], b["target"])
        assert torch.equal(b["inputs"][0][:, 0], b["row"].float())


def test_what_fits():
    assert fits(1000) and not fits(1 << 60)


def test_too_small_a_batch_for_the_ranks():
    with pytest.raises(ValueError, match="2 ranks"):
        Loader(tensors(), batch_size=1, world=2)
