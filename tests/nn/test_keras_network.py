"""A Keras model as a plain module: it trains when told to, saves by place, copies whole, and is fitted as it is."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trainwell as tw
from trainwell.errors import InputError
from trainwell.nn.keras_network import KerasNetwork, is_keras

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="keras is not installed; `pip install keras` runs these")
if keras.backend.backend() != "torch":
    pytest.skip("keras is on another backend than torch", allow_module_level=True)
layers = keras.layers


def table_model() -> Any:
    hidden = [layers.Dense(16, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    return keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(3)])


def picture_model() -> Any:
    return keras.Sequential([layers.Conv2D(8, 3), layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")])


def flowers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(150) % 3
    return random.normal(size=(150, 4)).astype(np.float32) + y[:, None], y


def test_dropout_and_batch_statistics_follow_train_and_eval() -> None:
    network = KerasNetwork(table_model(), (4,))
    x = torch.randn(8, 4)
    network.eval()
    assert torch.equal(network(x), network(x))
    before = [each.clone() for each in network.weights]
    network.train()
    assert not torch.equal(network(x), network(x))
    assert any(not torch.equal(one, two) for one, two in zip(before, network.weights, strict=True))


def test_weights_go_from_one_to_another_made_alike() -> None:
    one, two = KerasNetwork(table_model(), (4,)), KerasNetwork(table_model(), (4,))
    x = torch.randn(8, 4)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.eval()(x), two.eval()(x))


def test_a_copy_has_weights_of_its_own() -> None:
    one = KerasNetwork(table_model(), (4,)).eval()
    two = copy.deepcopy(one)
    x = torch.randn(8, 4)
    assert torch.equal(one(x), two(x))
    with torch.no_grad():
        for each in two.weights:
            each.add_(1)
    assert not torch.equal(one(x), two(x))


def test_a_table_is_learned_and_loaded_with_a_model_made_anew(tmp_path: Path) -> None:
    mine = table_model()
    run = tw.fit(
        flowers(),
        model=mine,
        changes=["train.epochs=15", "train.ema=0.9", "optimizer.lr=0.01"],
        out=tmp_path / "run",
        quiet=True,
    )
    assert run.metrics["accuracy"] > 0.5
    assert is_keras(mine)
    x, _ = flowers()
    again = tw.load(run.path, model=table_model())
    assert np.allclose(again.predict_proba(x), run.predict_proba(x))
    assert "own" in run.report.read_text(encoding="utf-8")


def test_pictures_stand_as_keras_has_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (random.integers(0, 100, (60, 12, 10, 3)) + 100 * y[:, None, None, None]).astype(np.uint8)
    run = tw.fit((x, y), model=picture_model(), changes=["train.epochs=4"], out=tmp_path / "run", quiet=True)
    assert run.recipe.task["scores"] == "probabilities"
    again = tw.load(run.path, model=picture_model())
    assert np.allclose(again.predict_proba(x), run.predict_proba(x), atol=1e-6)


def test_what_is_no_network_is_told() -> None:
    with pytest.raises(InputError, match="expected a name"):
        tw.fit(flowers(), model=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the class Linear, not an instance"):
        tw.fit(flowers(), model=torch.nn.Linear)  # type: ignore[arg-type]
