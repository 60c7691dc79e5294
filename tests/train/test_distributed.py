"""Two processes learn as one: a plain task, pieces, a GAN, and one clock and one judge for both ranks."""

import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from toy import Squares, TinyLoader, net, rows, state_of, train

from trainwell.tasks.task import Loss
from trainwell.train.distributed import plain_names, plain_weights, start, sum_over_ranks, unwrap, wrap

HERE = Path(__file__).parent


class Masked(Squares):
    """Rows below zero count for nothing: the ranks' counts differ."""

    def loss(self, model, batch, player):
        mask = (batch["inputs"][0][:, 0] > 0).double()
        each = (model(*batch["inputs"])[:, 0] - batch["target"]).square()
        return Loss((each * mask).sum(), mask.sum())


def plain(rank: int, world: int) -> dict:
    """A task whose counts differ by rank, in one piece and in several."""
    found = {}
    for accumulate in (1, 3):
        model = net(normalize=False)
        state = state_of(wrap(model, Masked()), Masked(), lr=0.02)
        loader = TinyLoader(*rows(), 14, rank, world)
        train(state, loader, TinyLoader(*rows(), 50), epochs=3, accumulate=accumulate, clip=0.5)
        assert set(plain_names(state.model).values()) == set(model.state_dict())
        found[f"plain {accumulate}"] = torch.cat([each.flatten() for each in plain_weights(state.model).values()])
        assert unwrap(state.model) is model
    return found


def gan(rank: int, world: int) -> dict:
    """Two players, each wrapped on its own, with the noise that belongs to each row."""
    from test_gan import Adversaries, Gan

    torch.manual_seed(0)
    model = Adversaries(16).double()
    noise = torch.randn(40, 16, dtype=torch.float64)

    class Fixed(Gan):
        def batches(self, model, batch):
            yield {**batch, "noise": noise[batch["row"]]}

    data = torch.randn(40, 2, dtype=torch.float64)
    state = state_of(wrap(model, Fixed()), Fixed(), lr=0.01)
    train(state, TinyLoader(data, data[:, 0], 10, rank, world), epochs=5)
    return {"gan": torch.cat([each.flatten() for each in plain_weights(state.model).values()])}


def clock(rank: int, world: int) -> dict:
    """Ranks stop together, although their clocks and their metrics differ."""

    class Uneven(Squares):
        def metrics(self):
            metrics = super().metrics()
            compute = metrics.compute
            metrics.compute = lambda: {"mse": compute()["mse"] + rank}
            return metrics

    model = net()
    state = state_of(wrap(model, Uneven()), Uneven(), lr=0.02)
    state.seconds = 0.4 * rank  # the second rank's clock is ahead
    loader = TinyLoader(*rows(), 10, rank, world)
    train(state, loader, TinyLoader(*rows(), 50), epochs=10**6, evaluations=10**6, seconds=0.7)
    return {"steps": torch.tensor(float(state.step)), "best": torch.tensor(state.best)}


def work(rank: int, world: int, out: str) -> None:
    """One rank: every case, its results to a file."""
    sys.path.insert(0, str(HERE))
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
    assert start("gloo") == (rank, world)
    assert float(sum_over_ranks(rank + 1)) == world * (world + 1) / 2
    torch.save({**plain(rank, world), **gan(rank, world), **clock(rank, world)}, f"{out}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The results of two ranks, by rank."""
    out = tmp_path_factory.mktemp("ranks")
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "TORCHELASTIC_USE_AGENT_STORE": "False"}
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    multiprocessing.spawn(work, (2, str(out)), nprocs=2)
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_equal_one(two):
    alone = {**plain(0, 1), **gan(0, 1)}
    for name, expected in alone.items():
        for rank in range(2):
            torch.testing.assert_close(two[rank][name], expected, rtol=1e-10, atol=1e-10, msg=f"{name}, rank {rank}")
    before = torch.cat([each.flatten() for each in net().state_dict().values()])
    assert (alone["plain 1"] - before).abs().max() > 0.01  # it did learn


def test_ranks_stop_and_judge_together(two):
    assert two[0]["steps"] == two[1]["steps"] > 5
    assert two[0]["best"] == two[1]["best"]


def test_without_torchrun_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert start() == (0, 1)
    model = net()
    assert wrap(model, Squares()) is model and unwrap(model) is model
    assert sum_over_ranks(7) == 7
    assert plain_names(model) == {name: name for name in model.state_dict()}


def test_names_lose_their_wrappers_and_nothing_else():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)  # the user's own name
            self.inner = torch.compile(nn.Sequential(nn.Linear(2, 2)), backend="eager")

    names = plain_names(torch.compile(Outer(), backend="eager"))
    assert sorted(names.values()) == ["inner.0.bias", "inner.0.weight", "module.bias", "module.weight"]
    assert "_orig_mod.inner._orig_mod.0.weight" in names
