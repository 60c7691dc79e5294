"""Regress from scaled outputs to numbers in their unit: logs, limits, members; its metrics against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from test_classify import Fixed, batch

from trainwell.errors import InputError
from trainwell.tasks import Regress
from trainwell.tasks.task import Gathered, Task, divide

OUTPUT = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
TARGET = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))


def task(**more):
    arguments = {
        "center": [5.0, 1.0],
        "scale": [2.0, 0.5],
        "log": [False, True],
        "low": [-9.0, -9.0],
        "high": [9.0, 9.0],
    }
    return Regress(**{**arguments, **more})


def test_numbers_come_back_in_their_unit():
    found = task().predict(Fixed(OUTPUT), batch(TARGET))["number"]
    expected = torch.stack([OUTPUT[:, 0] * 2 + 5, torch.expm1(OUTPUT[:, 1] * 0.5 + 1)], 1)
    torch.testing.assert_close(found, expected.double(), rtol=1e-6, atol=1e-6)
    large = task(center=[1.7e9, 0.0], scale=[1.0, 1.0], log=[False, False])
    assert large.unscale(torch.tensor([[0.25, 0.0]]))[0, 0].item() == 1.7e9 + 0.25


def test_answers_stay_within_what_training_saw():
    limits = {"low": [-1.0, -1.0], "high": [1.0, 0.5]}
    wide = Fixed(OUTPUT * 100)
    tight = task(**limits).predict(wide, batch(TARGET))["number"]
    assert tight[:, 0].min() == 3 and tight[:, 0].max() == 7
    loose = task(**limits, margin=0.1).predict(wide, batch(TARGET))["number"]
    assert loose[:, 0].min().item() == pytest.approx(2.6) and loose[:, 0].max().item() == pytest.approx(7.4)
    free = {"low": [-torch.inf] * 2, "high": [torch.inf] * 2}
    assert task(**free).predict(Fixed(OUTPUT), batch(TARGET))["number"].isfinite().all()


def test_loss_in_scaled_units():
    loss = task().loss(Fixed(OUTPUT), batch(TARGET), "model")
    assert divide(loss).item() == pytest.approx(torch.nn.functional.mse_loss(OUTPUT, TARGET).item(), rel=1e-6)
    huber = task(loss="huber", delta=0.3).loss(Fixed(OUTPUT), batch(TARGET), "model")
    assert divide(huber).item() == pytest.approx(
        torch.nn.functional.huber_loss(OUTPUT, TARGET, delta=0.3).item(), rel=1e-5
    )
    weight = torch.arange(10.0)
    weighted = task().loss(Fixed(OUTPUT), batch(TARGET, weight=weight), "model")
    expected = ((OUTPUT - TARGET).square().mean(1) * weight).sum() / weight.sum()
    assert divide(weighted).item() == pytest.approx(expected.item(), rel=1e-6)
    one = {"center": [0.0], "scale": [1.0], "log": [False], "low": [-9.0], "high": [9.0]}
    flat = Regress(**one).loss(Fixed(OUTPUT[:, 0]), batch(TARGET[:, 0]), "model")  # a network without the last axis
    assert divide(flat).item() == pytest.approx((OUTPUT[:, 0] - TARGET[:, 0]).square().mean().item(), rel=1e-6)
    assert task().loss(Fixed(OUTPUT.double()), batch(TARGET.double()), "model").total.dtype == torch.float64


def test_members():
    members = torch.randn(10, 4, 2, generator=torch.Generator().manual_seed(2))
    loss = divide(task().loss(Fixed(members), batch(TARGET), "model")).item()
    assert loss == pytest.approx((members - TARGET[:, None]).square().mean().item(), rel=1e-6)
    found = task().predict(Fixed(members), batch(TARGET))["number"]
    torch.testing.assert_close(found, task().unscale(members.mean(1)), rtol=1e-6, atol=1e-6)
    fold = torch.arange(10) % 2
    held_out = task(folds=2).predict(Fixed(members), batch(TARGET, held_out_fold=fold))["number"]
    torch.testing.assert_close(held_out[0], task().unscale(members[:1, [0, 2]].mean(1))[0], rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="folds"):
        task(folds=2).predict(Fixed(OUTPUT), batch(TARGET, held_out_fold=fold))


def test_metrics_equal_scikit_learn():
    regress = task()
    found = regress.metrics()
    for part in torch.arange(10).split(4):
        found.update(regress.predict(Fixed(OUTPUT[part]), batch(TARGET[part])), {"target": TARGET[part]})
    values = found.compute()
    number, truth = regress.unscale(OUTPUT).numpy(), regress.unscale(TARGET).numpy()
    assert values["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(truth, number), rel=1e-6)
    assert values["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(truth, number), rel=1e-6)
    assert values["r2"] == pytest.approx(sklearn_metrics.r2_score(truth, number), rel=1e-5)
    assert regress.goal == ("rmse", "min")


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="mse"):
        task(loss="cross_entropy")
    with pytest.raises(InputError, match="1 numbers"):  # else one output would be compared with both targets
        task().loss(Fixed(OUTPUT[:, :1]), batch(TARGET), "model")


def test_defaults_of_a_task():
    assert Task.players == ("model",)
    with pytest.raises(TypeError, match="defines no loss"):
        Task().loss(Fixed(OUTPUT), batch(TARGET), "model")
    given = batch(TARGET)
    (same,) = Task().batches(Fixed(OUTPUT), given)
    assert same is given
    assert torch.equal(Task().predict(Fixed(OUTPUT), batch(TARGET))["output"], OUTPUT)
    nothing = Task().metrics()
    nothing.update({"output": OUTPUT}, {"inputs": ()})  # no target and nothing to keep
    assert nothing.compute() == {}
    empty = Gathered({"mean": lambda prediction, target: np.mean(target)})
    assert empty.compute() == {}
    empty.update({"output": OUTPUT.bfloat16()}, {"target": TARGET})
    assert empty.compute()["mean"] == pytest.approx(TARGET.mean().item(), rel=1e-5)
