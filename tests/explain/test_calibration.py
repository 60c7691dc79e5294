"""Temperature scaling: what it finds, when it keeps its hands off, and a run that keeps what was found."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.data import split
from trainwell.examine import examine, settle
from trainwell.explain.calibration import before_tempering, best_temperature, tempered
from trainwell.prepare import prepare
from trainwell.report import write_report
from trainwell.tasks import Classify


def drawn(temperature, rows=4000, seed=0):
    """Probabilities that are too sure by this temperature, and classes drawn from the true ones."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, 4)) * 2
    true = tempered(np.exp(logits), 1.0)
    target = (true.cumsum(1) < random.random((rows, 1))).sum(1)
    return tempered(true, 1 / temperature), target


@pytest.mark.parametrize("temperature", [0.5, 2.0, 3.5])
def test_the_temperature_is_found_again(temperature):
    probability, target = drawn(temperature)
    assert best_temperature(probability, target) == pytest.approx(temperature, rel=0.06)


def test_what_is_calibrated_or_few_stays_as_it_is():
    assert best_temperature(*drawn(1.0)) == 1.0
    probability, target = drawn(3.0)
    assert best_temperature(probability[:40], target[:40]) == 1.0
    probability[0] = np.nan
    assert best_temperature(probability, target) == 1.0


def test_tempering_is_that_of_the_logits_and_can_be_undone():
    probability, target = drawn(1.5, rows=50)
    logits = torch.from_numpy(np.log(probability))
    np.testing.assert_allclose(tempered(probability, 2.0), (logits / 2).softmax(1).numpy(), rtol=1e-9)
    np.testing.assert_allclose(tempered(tempered(probability, 2.0), 0.5), probability, rtol=1e-9)
    found = before_tempering(tempered(probability, 2.0), target, 2.0)
    np.testing.assert_allclose(found["confidence_before"], probability.max(1), rtol=1e-9)
    batch = {"inputs": (logits.float(),)}
    answer = Classify(4, temperature=2.0).predict(nn.Identity(), batch)["probability"]
    np.testing.assert_allclose(answer.numpy(), tempered(probability, 2.0), rtol=1e-4)


def test_a_run_that_is_too_sure_is_cooled_and_stays_so(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(900, 6))
    label = (x[:, 0] + x[:, 1] + random.normal(size=900) > 0).astype(int)
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(6)}).with_columns(label=pl.Series(label))
    run = tw.fit(
        frame, "label", model="mlp", out=tmp_path / "run", changes=["train.epochs=10"], quiet=True, doctor=None
    )
    last = [each for each in run.model.modules() if isinstance(each, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(5)
        last.bias.mul_(5)
    data, schema, plan = prepare(frame, "label", model="mlp")
    parts = split(data, schema, seed=plan.recipe.seed, **plan.recipe.split)
    sure = run.predict_proba(frame).max(1).mean()
    settle(run, data, parts)
    assert run.task.temperature > 2 and run.predict_proba(frame).max(1).mean() < sure - 0.05
    assert tw.load(run.path).task.temperature == run.task.temperature
    examine(run, data, parts)
    write_report(run.path)
    saved = json.loads((run.path / "evaluation.json").read_text())
    assert saved["temperature"]["value"] == run.task.temperature
    assert saved["temperature"]["log_loss_before"] > saved["metrics"]["log_loss"]["value"]
    assert saved["temperature"]["ece_before"] > saved["calibration"]["ece"]
    assert "A temperature of" in run.report.read_text(encoding="utf-8")
