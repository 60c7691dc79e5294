"""An interrupted training goes on bit for bit as if it had never stopped, and its files say what is wrong with them."""

import errno
import os
import signal

import pytest
import safetensors.torch
import torch
from torch import nn
from toy import Events, Squares, TinyLoader, net, rows, state_of, train, weights

from trainwell.errors import InputError
from trainwell.runs import RunFolder
from trainwell.train.checkpoint import load_state, load_weights, save_state, save_weights
from trainwell.train.log import Checkpoints
from trainwell.train.schedule import Cosine, Plateau

SETUPS = {
    "adamw, dropout, average": {"lr": 0.02, "ema": 0.9, "weight_decay": 0.1, "schedule": Cosine},
    "muon, plateau": {"lr": 0.02, "name": "muon", "schedule": lambda: Plateau(patience=0, factor=0.5)},
    "lamb, average": {"lr": 0.02, "name": "lamb", "ema": 0.99},
    "momentum": {"lr": 0.02, "name": "momentum"},
    "rmsprop": {"lr": 0.02, "name": "rmsprop"},
    "adagrad, plateau": {"lr": 0.2, "name": "adagrad", "schedule": lambda: Plateau(patience=0, factor=0.5)},
}


def begin(setup):
    arguments = {**SETUPS[setup]}
    if "schedule" in arguments:
        arguments["schedule"] = arguments["schedule"]()
    return state_of(net(dropout=0.3, normalize=True), **arguments)


def data():
    x, y = rows(60)
    return TinyLoader(x[:45], y[:45], 8), TinyLoader(x[45:], y[45:], 16)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create("toy", tmp_path / "run")


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("at", [3, 6, 8, 12])  # inside an epoch of 6 batches, and at the end of one
def test_resumed_equals_uninterrupted(folder, setup, at):
    loader, held_out = data()
    torch.manual_seed(1)
    whole = train(begin(setup), loader, held_out, epochs=4, clip=1.0)

    def stop(state, losses):
        if state.step == at:
            state.interrupted = True  # what Ctrl-C sets

    torch.manual_seed(1)
    first = begin(setup)
    with pytest.raises(KeyboardInterrupt):
        train(first, *data(), Events().on("step", stop), epochs=4, clip=1.0)
    save_state(folder, first)

    torch.manual_seed(99)
    second = begin(setup)
    nn.init.ones_(second.model.head.weight)
    load_state(folder, second)
    assert second.step == at
    train(second, *data(), epochs=4, clip=1.0)
    assert torch.equal(weights(second.model), weights(whole.model))
    for name in ("step", "passed", "best", "best_step", "since_best", "epoch", "metrics", "stopped"):
        assert getattr(second, name) == getattr(whole, name), name
    for player, optimizer in second.optimizers.items():
        for now, before in zip(optimizer.param_groups, whole.optimizers[player].param_groups, strict=True):
            assert now["lr"] == before["lr"] and now["initial_lr"] == before["initial_lr"]
    assert vars(second.schedule) == vars(whole.schedule)


@pytest.mark.parametrize("name", ["adamw", "momentum", "adagrad", "muon"])
def test_a_network_with_channels_last_resumes_too(folder, name):
    x = torch.randn(32, 3, 5, 5, generator=torch.Generator().manual_seed(0))

    def make():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6, 1))
        return state_of(network.to(memory_format=torch.channels_last), name=name, lr=0.01)

    loader = TinyLoader(x, x.mean((1, 2, 3)), 8)
    whole = train(make(), loader, epochs=3)
    first = make()
    with pytest.raises(KeyboardInterrupt):
        train(
            first,
            loader,
            None,
            Events().on("step", lambda state, _: vars(state).update(interrupted=state.step == 5)),
            epochs=3,
        )
    save_state(folder, first)
    second = make()
    load_state(folder, second)
    train(second, loader, epochs=3)
    assert torch.equal(weights(second.model), weights(whole.model))


def test_an_interrupt_raised_by_a_listener_resumes_too(folder):
    torch.manual_seed(1)
    whole = train(begin("adamw, dropout, average"), *data(), epochs=3)

    def stop(state, losses):
        if state.step == 9:
            raise KeyboardInterrupt

    torch.manual_seed(1)
    first = begin("adamw, dropout, average")
    with pytest.raises(KeyboardInterrupt):
        train(first, *data(), Events().on("step", stop), epochs=3)
    save_state(folder, first)
    second = begin("adamw, dropout, average")
    load_state(folder, second)
    train(second, *data(), epochs=3)
    assert torch.equal(weights(second.model), weights(whole.model))


def test_a_state_saved_at_its_last_evaluation_does_not_go_on(folder):
    def keep(state, metrics):
        if state.passed == state.steps:
            save_state(folder, state)

    whole = train(begin("momentum"), *data(), Events().on("evaluate", keep), epochs=2)
    again = begin("momentum")
    load_state(folder, again)
    train(again, *data(), epochs=2)
    assert again.step == whole.step == 12
    assert torch.equal(weights(again.model), weights(whole.model))


def test_ctrl_c_waits_for_the_end_of_its_batch():
    before = signal.getsignal(signal.SIGINT)
    steps = []

    class Pressed(Squares):
        def loss(self, model, batch, player):
            if len(steps) == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().loss(model, batch, player)

    state = state_of(net(), Pressed())
    with pytest.raises(KeyboardInterrupt):
        train(state, *data(), Events().on("step", lambda *_: steps.append(1)), epochs=2)
    assert (state.step, state.batch, len(steps)) == (5, 5, 5)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_at_once():
    class Pressed(Squares):
        def loss(self, model, batch, player):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("went on")

    with pytest.raises(KeyboardInterrupt):
        train(state_of(net(), Pressed()), *data(), epochs=2)


def test_a_loader_whose_workers_died_of_ctrl_c_counts_as_ctrl_c():
    class Dying(TinyLoader):
        def iterate(self, start):
            yield next(super().iterate(start))
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("DataLoader worker exited unexpectedly")

    x, y = rows()
    state = state_of(net())
    with pytest.raises(KeyboardInterrupt):
        train(state, Dying(x, y, 8), epochs=1)
    assert state.step == 1


def test_checkpoints_of_a_training_are_written_and_read(folder):
    events = Events()
    paths = []
    events.on("checkpoint", lambda state, path: paths.append(path))
    Checkpoints(folder, events, seconds=0.0)
    state = train(begin("adamw, dropout, average"), *data(), events, epochs=2)
    assert len(paths) == 5 and all(path.is_file() for path in paths)  # evaluations, epochs and the end
    modes = {path.stat().st_mode for path in (folder.path / "checkpoints").iterdir()}
    assert modes == {(folder.path / "run.json").stat().st_mode}
    again = begin("adamw, dropout, average")
    again.model.load_state_dict(load_weights(folder))
    assert torch.equal(weights(again.model), weights(state.model))
    assert all(path.suffix == ".safetensors" for path in (folder.path / "checkpoints").iterdir())


@pytest.mark.parametrize("how", ["interrupted", "stopped", "broken"])
def test_an_end_between_batches_is_saved_and_an_error_is_not(folder, how):
    def end(state, losses):
        if state.step == 4:
            state.interrupted = how == "interrupted"
            if how == "broken":
                raise ZeroDivisionError

    events = Events().on("step", end)
    Checkpoints(folder, events)
    state = begin("momentum")
    if how == "stopped":
        train(state, *data(), events, epochs=1)
    else:
        with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
            train(state, *data(), events, epochs=1)
    if how == "broken":
        assert not (folder.path / "checkpoints").exists()
        return
    again = begin("momentum")
    load_state(folder, again)
    assert again.step == (6 if how == "stopped" else 4)
    train(again, *data(), epochs=1)
    assert again.step == 6


def test_tied_weights_and_the_average(folder):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))[:, :1]

    def make():
        torch.manual_seed(0)
        return state_of(Tied(), ema=0.5, lr=0.05)

    x = torch.randn(32, 4)
    state = train(make(), TinyLoader(x, x.sum(1), 8), TinyLoader(x, x.sum(1), 32), epochs=3)
    save_weights(folder, state.model.state_dict())
    save_state(folder, state)
    again = make()
    load_state(folder, again)
    assert again.model.second.weight is again.model.first.weight
    assert torch.equal(again.model.first.weight, state.model.first.weight)


def test_a_compiled_model_is_saved_under_its_own_names(folder):
    model = net()
    state = state_of(torch.compile(model, backend="eager"), lr=0.02)
    events = Events()
    Checkpoints(folder, events, seconds=0.0)
    train(state, *data(), events, epochs=1)
    assert set(load_weights(folder)) == set(model.state_dict())
    plain = state_of(net(), lr=0.02)
    load_state(folder, plain)  # resumed without compiling
    assert torch.equal(weights(plain.model), weights(model))


def damage(folder, what):
    path = folder.path / "checkpoints/last.safetensors"
    if what == "missing":
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif what == "noise":
        path.write_bytes(b"\x00" * 100)
    elif what == "plain weights":
        safetensors.torch.save_file({"a": torch.ones(1)}, path)
    elif what == "later":
        safetensors.torch.save_file({"a": torch.ones(1)}, path, metadata={"version": "9", "training": "{}"})


@pytest.mark.parametrize("what", ["missing", "cut", "noise", "plain weights", "later"])
def test_a_damaged_checkpoint_is_named(folder, what):
    save_state(folder, train(begin("momentum"), *data(), epochs=1))
    damage(folder, what)
    with pytest.raises(InputError, match=r"last\.safetensors"):
        load_state(folder, begin("momentum"))


def test_a_checkpoint_of_another_network_is_refused(folder):
    save_state(folder, train(begin("momentum"), *data(), epochs=1))
    with pytest.raises(InputError, match="does not fit"):
        load_state(folder, state_of(nn.Linear(3, 1).double(), name="momentum"))


def test_a_full_disk_leaves_the_old_checkpoint(folder, monkeypatch):
    state = train(begin("momentum"), *data(), epochs=1)
    path = save_state(folder, state)
    before = path.read_bytes()

    def full(*arguments, **more):
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("trainwell.train.checkpoint.save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save_state(folder, state)
    monkeypatch.setattr(
        "trainwell.train.checkpoint.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, ""))
    )
    with pytest.raises(InputError, match="disk is full"):
        save_state(folder, state)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["last.safetensors"]
