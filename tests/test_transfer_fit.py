"""Fine-tuning from a run or a file, as its user asks for it, and the same network when it is opened again."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import trainwell as tw
from trainwell.cli import app
from trainwell.errors import InputError
from trainwell.prepare import prepare

QUICK = ["train.epochs=3", "train.precision=float32"]


def stripes(folder, classes, count=12, seed=0):
    """Class folders of 12 x 12 pictures with stripes, each class in its own direction and colour."""
    random = np.random.default_rng(seed)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 90, (12, 12, 3)).astype(np.uint8)
            lines = pixels if place % 2 else pixels.transpose(1, 0, 2)
            lines[:: 2 + place // 2, :, place % 3] += 150
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A run on four classes of pictures."""
    at = tmp_path_factory.mktemp("before")
    changes = ["train.epochs=8", "train.precision=float32", "model.depth=8", "model.width=8"]
    return tw.fit(stripes(at / "four", "abcd"), model="resnet", out=at / "run", changes=changes, quiet=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return stripes(tmp_path_factory.mktemp("others") / "two", ["left", "right"], seed=5)


@pytest.mark.parametrize("changes", [[], ["transfer={weights: W, lora: 2}"], ["transfer.freeze=2", "transfer.thaw=0"]])
def test_a_run_starts_from_another(before, others, tmp_path, changes):
    changes = [each.replace("W", str(before.path)) for each in changes]
    run = tw.fit(others, weights=before.path, out=tmp_path / "run", changes=[*QUICK, *changes], quiet=True)
    assert run.classes == ["left", "right"] and run.recipe.model == before.recipe.model
    assert run.transform.mean == before.transform.mean  # its weights know no other scaling
    assert np.array_equal(tw.load(run.path).predict_proba(others), run.predict_proba(others))
    old, new = (load_file(each.path / "checkpoints" / "best.safetensors") for each in (before, run))
    stem = "1.stem.0.0.weight"
    assert np.array_equal(old[stem], new[stem]) == bool(changes)
    if any("lora" in each for each in changes):
        assert any("lora" in name for name in new)
    reasons = json.loads((run.path / "plan.json").read_text())["reasons"]
    assert any(each["key"] == "transfer" and "weights are at hand" in each["why"] for each in reasons)


def test_the_recipe_alone_gives_the_same_run(before, others, tmp_path):
    whole = tw.fit(others, weights=before.path, out=tmp_path / "whole", changes=QUICK, quiet=True)
    recipe = whole.recipe.to_dict()
    assert recipe["transfer"]["thaw"] > 0
    again = tw.fit(recipe=whole.path / "recipe.yaml", out=tmp_path / "again", quiet=True)
    assert np.array_equal(again.predict_proba(others), whole.predict_proba(others))


def test_the_command_line_reaches_it(before, others, tmp_path):
    shown = CliRunner().invoke(app, ["plan", str(others), "--weights", str(before.path)])
    assert shown.exit_code == 0 and "head first" in shown.stdout, shown.output
    yaml = CliRunner().invoke(app, ["plan", str(others), "--weights", str(before.path), "--yaml"]).stdout
    assert "weights:" in yaml and "decay: 0.8" in yaml


def test_published_weights_choose_network_and_scaling(shared_data, others):
    weights = shared_data / "cifar10-resnet-weights" / "resnet20.safetensors"
    _, _, plan = prepare(others, weights=weights)
    assert plan.recipe.model == {"name": "resnet", "depth": 20}
    assert plan.recipe.transform["mean"] == [0.485, 0.456, 0.406]
    assert plan.recipe.transfer["freeze"] == -1
    with pytest.raises(InputError, match="those of resnet depth 20"):
        prepare(others, weights=weights, model="vgg")


def test_a_table_takes_the_scaling_of_its_run_along(tmp_path):
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"a": random.normal(size=60), "b": random.normal(size=60)})
    frame = frame.with_columns(y=frame["a"] * 2 - frame["b"])
    changes = ["train.epochs=2", "model.widths=[8]"]
    first = tw.fit(frame, "y", model="mlp", out=tmp_path / "one", changes=changes, quiet=True)
    shifted = frame.with_columns(a=pl.col("a") * 3 + 1)
    second = tw.fit(shifted, "y", weights=first.path, out=tmp_path / "two", changes=["train.epochs=2"], quiet=True)
    assert vars(second.transform.numbers).keys() == vars(first.transform.numbers).keys()
    one, two = (each.transform.numbers.encode(shifted) for each in (first, second))
    assert np.array_equal(one, two)
    with pytest.raises(InputError, match="'a'"):
        renamed = shifted.rename({"a": "other"})
        tw.fit(renamed, "y", weights=first.path, out=tmp_path / "three", changes=["train.epochs=2"], quiet=True)


def test_what_does_not_fit_is_told(before, others, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        prepare(others, weights=tmp_path / "gone")
    with pytest.raises(InputError, match="leave --model out"):
        prepare(others, weights=before.path, model="vgg")
    with pytest.raises(InputError, match="names no weights"):
        tw.fit(others, out=tmp_path / "none", changes=["transfer.freeze=1"], quiet=True)
    with pytest.raises(InputError, match="laid out as 'image'"):
        frame = pl.DataFrame({"a": np.arange(40.0), "y": np.arange(40.0) ** 2})
        changes = [f"transfer.weights={before.path}"]
        tw.fit(frame, "y", model="mlp", out=tmp_path / "odd", changes=changes, quiet=True)
