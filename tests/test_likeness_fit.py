"""Likeness end to end: folders of things, some kept unseen, to a run that tells them apart, its page, its answers."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import trainwell as tw
from trainwell.errors import InputError
from trainwell.plan import profile, propose
from trainwell.prepare import prepare


def write(root, things=24, each=10):
    """Grey pictures of a pattern for each thing, shifted, in folders within two folders."""
    for thing in range(things):
        random = np.random.default_rng(thing)
        pattern = np.kron(random.random((4, 4)) < 0.5, np.ones((4, 4)))
        folder = root / f"group{thing % 2}" / f"thing{thing:02d}"
        folder.mkdir(parents=True)
        for number in range(each):
            sheet = np.full((24, 24), 40.0)
            down, across = random.integers(0, 9, 2)
            sheet[down : down + 16, across : across + 16] += 160 * pattern
            noisy = (sheet + random.normal(0, 10, sheet.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("likeness") / "things")


@pytest.fixture(scope="module")
def run(data):
    changes = [
        'model.backbone={"name": "resnet", "depth": 8, "width": 8}', "model.width=16", "train.epochs=25",
        "train.evaluations=4", "train.batch_size=16", "optimizer.lr=0.01", "train.ema=0.9", "augment=[]",
    ]  # fmt: skip
    return tw.fit(str(data), task="likeness", changes=changes, out=data.parent / "run", quiet=True)


def test_classes_are_the_innermost_folders_and_on_one_side_each(data):
    source, schema, plan = prepare(str(data), task="likeness")
    assert len(schema.classes) == 24 and schema.classes[0] == "group0/thing00" and schema.task == "likeness"
    assert plan.recipe.split["group"] == "label" and plan.recipe.model["name"] == "embedder"
    parts = tw.fit.__globals__["split"](source, schema, **plan.recipe.split)
    sides = [set(source.frame["label"][rows].to_list()) for rows in (parts.train, parts.val, parts.test)]
    assert all(sides) and sum(map(len, sides)) == 24


def test_things_never_seen_are_told_apart(run):
    metrics = run.metrics
    assert metrics["equal_error_rate"] < 0.25 and metrics["nearest_right"] > 0.8
    pixels = run.folder.read_json("baselines.json")[0]["metrics"]
    assert metrics["equal_error_rate"] < pixels["equal_error_rate"]


def test_the_page_shows_the_curve_and_neighbours(run):
    page = run.report.read_text()
    assert "errors of either kind" in page and "Left a held-out picture" in page
    assert page.count("data:image/jpeg;base64") >= 4 and "of the positives" in page


def test_answers_are_directions_and_nearest_pictures(run, data, tmp_path):
    found = tw.load(run.path).predict(str(data))
    assert found.shape == (240, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    out = tmp_path / "near.csv"
    command = [sys.executable, "-m", "trainwell", "predict", str(run.path), str(data), "--out", str(out)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    right = [row["image"].rsplit("/", 1)[0] == row["nearest"].rsplit("/", 1)[0] for row in rows]
    assert len(rows) == 240 and np.mean(right) > 0.6
    assert list(rows[0])[:4] == ["image", "nearest", "likeness", "embedding_1"]


def test_things_of_another_folder_are_judged_too(run, tmp_path):
    found = run.evaluate(str(write(tmp_path / "others", things=6, each=4)))
    assert found["rows"] == 24 and found["pairs"]["classes"] == 6


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    few = write(tmp_path / "few", things=4)
    with pytest.raises(InputError, match="4 classes of two pictures or more; at least 6"):
        prepare(str(few), task="likeness")
    with pytest.raises(InputError, match="no pictures; likeness is learned from pictures in a folder"):
        prepare("iris", task="likeness")


def test_many_classes_of_few_pictures_are_told_of_it(tmp_path):
    source, schema, plan = prepare(str(write(tmp_path / "many", things=8)))
    assert schema.task == "classify" and not any("--task likeness" in each.why for each in plan.reasons)
    import torch

    seen = profile(source, schema, torch.device("cpu"))
    seen.classes, seen.rows = 80, 1600
    assert any("--task likeness" in each.why for each in propose(seen).reasons)
