"""The loop keeps its contract: sums over counts, turns, limits, the best weights, and who may stop a step."""

import math
import time

import pytest
import torch
from torch import nn
from toy import Events, Squares, TinyLoader, net, rows, state_of, train, weights

from trainwell.errors import InputError
from trainwell.tasks.task import Loss, Task
from trainwell.train import evaluate
from trainwell.train.loop import backward, pieces


def by_hand(model: nn.Module, loader: TinyLoader, epochs: int, lr: float) -> torch.Tensor:
    """The training as anyone would write it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for batch in loader.iterate(0):
            (model(*batch["inputs"])[:, 0] - batch["target"]).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return weights(model)


def test_equals_a_loop_written_by_hand():
    loader = TinyLoader(*rows(), 8)
    model = net()
    train(state_of(model, lr=0.01), loader, epochs=3)
    torch.testing.assert_close(weights(model), by_hand(net(), loader, 3, 0.01), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("number", [2, 4, 7, 100])
def test_pieces_equal_the_whole_batch(number):
    ends = []
    for accumulate in (1, number):  # batches of 14 and a last one of 8: uneven pieces
        model = net()
        train(state_of(model, lr=0.01), TinyLoader(*rows(), 14), epochs=2, accumulate=accumulate, clip=0.5)
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=1e-12)


def test_pieces_cut_rows_and_nothing_else():
    batch = {
        "inputs": (torch.arange(10),),
        "target": torch.arange(10),
        "names": list("abcdefghij"),
        "scale": torch.ones(3),
    }
    parts = list(pieces(batch, 4))
    assert [len(part["target"]) for part in parts] == [2, 3, 2, 3]
    assert torch.cat([part["inputs"][0] for part in parts]).tolist() == list(range(10))
    assert "".join("".join(part["names"]) for part in parts) == "abcdefghij"
    assert all(part["scale"] is batch["scale"] for part in parts)
    assert len(list(pieces({"inputs": (torch.ones(2),)}, 5))) == 2


def test_a_batch_of_eight_equals_eight_of_one():
    x, y = rows(8)
    gradients = []
    for accumulate in (1, 8):
        model = net()
        loss = backward(state_of(model), {"inputs": (x,), "target": y}, "model", accumulate)
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters()]))
        assert loss.count == 8
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-14)
    state = state_of(net())
    whole = state.task.predict(state.model, {"inputs": (x,)})["output"]
    single = torch.cat([state.task.predict(state.model, {"inputs": (x[i : i + 1],)})["output"] for i in range(8)])
    torch.testing.assert_close(whole, single, rtol=1e-12, atol=1e-14)


def test_counts_as_tensors_and_nothing_to_learn_from():
    class Weighted(Squares):
        def loss(self, model, batch, player):
            each = (model(*batch["inputs"])[:, 0] - batch["target"]).square() * batch["weight"]
            return Loss(each.sum(), batch["weight"].sum())

    x, y = rows(8)
    weight = torch.tensor([0, 0, 1, 2, 0, 3, 1, 1], dtype=torch.float64)
    for accumulate in (1, 4):
        model = net()
        backward(state_of(model, Weighted()), {"inputs": (x,), "target": y, "weight": weight}, "model", accumulate)
        plain = net()
        each = (plain(x)[:, 0] - y).square() * weight
        (each.sum() / weight.sum()).backward()
        torch.testing.assert_close(model.head.weight.grad, plain.head.weight.grad, rtol=1e-12, atol=1e-14)
        model = net()
        backward(state_of(model, Weighted()), {"inputs": (x,), "target": y, "weight": weight * 0}, "model", accumulate)
        assert model.head.weight.grad.abs().max() == 0


def test_a_loss_that_nothing_moves_is_named():
    class Cut(Squares):
        def loss(self, model, batch, player):
            return Loss(model(*batch["inputs"]).detach().sum(), 1)

    with pytest.raises(InputError, match="no parameter that learns"):
        train(state_of(net(), Cut()), TinyLoader(*rows(), 8), epochs=1)
    frozen = net().requires_grad_(False)
    with pytest.raises(InputError, match="frozen"):
        state_of(frozen)


def test_no_batches_are_refused_and_no_held_out_rows_are_none():
    x, y = rows(8)
    with pytest.raises(InputError, match="no batch"):
        train(state_of(net()), TinyLoader(x[:0], y[:0], 8), epochs=1)
    state = train(state_of(net()), TinyLoader(x, y, 8), TinyLoader(x[:0], y[:0], 8), epochs=1)
    assert state.best is None and state.step == 1


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 4), (1, 7), (2.3, 17), (3, 21)])
def test_epochs_are_kept(epochs, steps):
    seen = []
    events = Events().on("epoch", lambda state: seen.append(state.epoch))
    state = train(state_of(net()), TinyLoader(*rows(), 8), events=events, epochs=epochs)
    assert state.step == state.steps == steps
    assert seen == list(range(1, math.floor(epochs) + 1))
    assert "epochs were done" in state.stopped


@pytest.mark.parametrize(
    ("epochs", "evaluations", "expected"), [(4, 40, [7, 14, 21, 28]), (4, 2, [14, 28]), (0.5, 9, [4])]
)
def test_evaluations_come_when_they_are_due(epochs, evaluations, expected):
    seen = []
    events = Events().on("evaluate", lambda state, metrics: seen.append(state.step))
    data = TinyLoader(*rows(), 8)
    train(state_of(net()), data, data, events, epochs=epochs, evaluations=evaluations)
    assert seen == expected


def test_several_batches_of_one_keep_the_epochs():
    class Thrice(Squares):
        def batches(self, model, batch):
            yield from (batch, batch, batch)

    seen = []
    events = Events().on("evaluate", lambda state, metrics: seen.append(state.step))
    data = TinyLoader(*rows(), 10)
    state = train(state_of(net(), Thrice()), data, data, events, epochs=2)
    assert (state.step, state.passed, state.epoch) == (30, 10, 2)
    assert seen == [15, 30]


def test_early_stopping_restores_the_best_weights():
    x, y = rows(200)
    kept = {}

    def remember(state, metrics):
        kept[state.step] = (metrics["mse"], weights(state.model))

    events = Events().on("evaluate", remember)
    state = state_of(net(), lr=0.3)  # too high a rate: the goal goes up and down
    train(
        state,
        TinyLoader(x[:50], y[:50], 10),
        TinyLoader(x[50:], y[50:], 200),
        events,
        epochs=50,
        evaluations=50,
        patience=4,
    )
    step, (best, saved) = min(kept.items(), key=lambda item: item[1][0])
    assert (state.best_step, state.best) == (step, best)
    assert "no better mse for 4 evaluations" in state.stopped and state.step < 250
    assert state.step == step + 4 * 5
    assert torch.equal(weights(state.model), saved)
    assert evaluate(state, TinyLoader(x[50:], y[50:], 150))["mse"] == pytest.approx(best, rel=1e-12)
    assert not state.model.training


def test_a_goal_that_is_no_number_is_never_best():
    class Broken(Squares):
        def metrics(self):
            values = iter([float("nan")])
            metrics = super().metrics()
            metrics.functions = {"mse": lambda prediction, target: next(values)}
            return metrics

    data = TinyLoader(*rows(), 25)
    state = train(state_of(net(), Broken()), data, data, epochs=20, patience=3)
    assert state.best is None and state.best_weights is None
    assert state.step == 6 and "no better" in state.stopped


def test_a_task_that_defines_its_loss_alone_is_judged_by_it():
    class Least(Task):
        def loss(self, model, batch, player):
            each = (model(*batch["inputs"])[:, 0] - batch["target"]).square()
            return Loss(each.sum(), len(each))

    x, y = rows()
    state = train(state_of(net(), Least()), TinyLoader(x, y, 8), TinyLoader(x, y, 8), epochs=2)
    with torch.no_grad():
        expected = (state.model(x)[:, 0] - y).square().mean().item()
    assert state.best == pytest.approx(expected, rel=1e-9)


def test_a_goal_without_a_metric_is_named():
    class Lost(Squares):
        goal = ("accuracy", "max")

    data = TinyLoader(*rows(), 25)
    with pytest.raises(InputError, match="accuracy"):
        train(state_of(net(), Lost()), data, data, epochs=1)


def test_seconds_are_kept_with_the_evaluation():
    class Slow(Squares):
        def metrics(self):
            time.sleep(0.1)
            return super().metrics()

    factors = []
    data = TinyLoader(*rows(400), 4)
    state = state_of(net(), Slow(), schedule=lambda progress: factors.append(progress) or 1.0)
    began = time.perf_counter()
    train(state, data, data, epochs=1e6, evaluations=10**9, seconds=1.0)
    assert 0.8 < time.perf_counter() - began < 1.4
    assert "1 seconds were over" in state.stopped
    assert factors == sorted(factors) and factors[0] == 0 and factors[-1] > 0.9  # the clock drives the schedule


def test_a_listener_may_refuse_a_step():
    events = Events().on("gradient", lambda state, player, loss: state.step % 2 == 0)
    model = net()
    state = train(state_of(model, lr=0.1), TinyLoader(*rows(8), 4), events=events, epochs=5)
    assert (state.step, state.skipped) == (10, 5)
    stubborn = net()
    train(
        state_of(stubborn, lr=0.1), TinyLoader(*rows(8), 4), events=Events().on("gradient", lambda *_: False), epochs=5
    )
    assert torch.equal(weights(stubborn), weights(net()))
    assert not torch.equal(weights(model), weights(net()))
    with pytest.raises(KeyError):
        Events().on("stepp", print)


def test_listeners_see_gradients_and_all_hear_even_if_one_refuses():
    heard = []

    def look(state, player, loss):
        heard.append((player, state.model.head.weight.grad.abs().sum().item() > 0, loss.total.requires_grad))

    events = Events().on("gradient", lambda *_: False).on("gradient", look)
    train(state_of(net()), TinyLoader(*rows(4), 4), events=events, epochs=1)
    assert heard == [("model", True, False)]


def test_logs_do_not_hold_the_graph():
    kept = []
    events = Events().on("step", lambda state, losses: kept.append(losses["model"]))
    for accumulate in (1, 3):
        train(state_of(net()), TinyLoader(*rows(), 8), events=events, epochs=1, accumulate=accumulate)
    assert all(not loss.total.requires_grad and not loss.logs["largest"].requires_grad for loss in kept)


def test_clip_bounds_the_step():
    model, before = net(), weights(net())
    train(state_of(model, name="sgd", lr=1.0), TinyLoader(*rows(8), 8), epochs=1, clip=0.01)
    assert (weights(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_frozen_stays_frozen():
    model = net()
    model.body.requires_grad_(False)
    before = weights(model.body)
    train(state_of(model, lr=0.1), TinyLoader(*rows(8), 8), epochs=2)
    assert torch.equal(weights(model.body), before)
    assert not any(each.requires_grad for each in model.body.parameters())
    assert not torch.equal(weights(model.head), weights(net().head))


def test_a_compiled_or_wrapped_evaluation_leaves_the_mode_as_it_was():
    state = state_of(net(dropout=0.5))
    state.model.train()
    first = evaluate(state, TinyLoader(*rows(), 8))
    assert state.model.training and first == evaluate(state, TinyLoader(*rows(), 8))


def test_a_finished_training_does_not_go_on():
    data = TinyLoader(*rows(), 8)
    state = train(state_of(net()), data, epochs=2)
    end = weights(state.model)
    state.stopped = ""
    train(state, data, epochs=2)
    assert state.step == 14 and torch.equal(weights(state.model), end)
