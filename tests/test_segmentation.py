"""Segmentation from a folder to a page and to masks, as its user meets it."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import trainwell as tw
from trainwell.cli import app
from trainwell.data import read
from trainwell.errors import InputError
from trainwell.explain.segments import segment_cases
from trainwell.predict import mask_frame
from trainwell.prepare import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Red and blue squares on grey noise, where the red one is the class, of 40 x 32 pixels."""
    at = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    for place in range(30):
        pixels = random.integers(60, 90, (32, 40, 3)).astype(np.uint8)
        mask = np.zeros((32, 40), dtype=np.uint8)
        for colour, value in (((200, 40, 40), 7), ((40, 60, 210), 0)):
            down, across = random.integers(0, 16), random.integers(0, 24)
            pixels[down : down + 14, across : across + 14] = colour
            mask[down : down + 14, across : across + 14] = value
        for kind, array in (("images", pixels), ("masks", mask)):
            (at / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(at / kind / f"p{place:02}.png")
    return at


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    changes = ["train.epochs=12", "model.backbone.width=8", "train.precision=float32"]
    return tw.fit(folder, out=tmp_path_factory.mktemp("run") / "run", changes=changes, quiet=True)


def test_it_learns_and_says_so(run):
    assert run.schema.task == "segment" and run.classes == ["class 0", "class 7"]
    assert run.metrics["miou"] > 0.75 and run.metrics["pixel_accuracy"] > 0.85
    page = run.report.read_text(encoding="utf-8")
    assert "Mean overlap (IoU) of" in page and 'id="masks"' in page and "linear model" in page
    assert page.count("data:image/png;base64") > 16 and "Most taken for" in page
    saved = json.loads((run.path / "evaluation.json").read_text())
    assert len(saved["by_class_overlap"]) == 2 and saved["goal"] == "miou"
    assert saved["metrics"]["miou"]["low"] < saved["metrics"]["miou"]["value"] < saved["metrics"]["miou"]["high"]
    reasons = json.loads((run.path / "plan.json").read_text())["reasons"]
    assert any("mask moved along" in each["why"] for each in reasons)


def test_masks_are_of_the_pictures_own_size_and_numbers(run, folder, tmp_path):
    masks = run.predict(folder / "images")
    assert masks.shape == (30, 32, 40) and set(np.unique(masks)) == {0, 7}
    truth = np.stack([np.asarray(Image.open(path)) for path in sorted((folder / "masks").iterdir())])
    assert (masks == truth).mean() > 0.85
    for place in range(3):
        Image.open(folder / "images" / f"p{place:02}.png").resize((61 + place, 50)).save(tmp_path / f"{place}.png")
    (tmp_path / "3.png").write_bytes(b"not a picture")
    odd = tw.load(run.path).predict(tmp_path)
    assert [None if each is None else each.shape for each in odd] == [(50, 61), (50, 62), (50, 63), None]


def test_the_command_line_writes_masks(run, folder, tmp_path):
    done = CliRunner().invoke(app, ["predict", str(run.path), str(folder), "--out", str(tmp_path / "masks")])
    assert done.exit_code == 0, done.output
    written = sorted((tmp_path / "masks").iterdir())
    assert len(written) == 30 and np.array_equal(np.asarray(Image.open(written[4])), run.predict(folder)[4])
    shown = CliRunner().invoke(app, ["predict", str(run.path), str(folder)]).stdout
    assert re.search(r"picture,share_class 0,share_class 7\np00,0\.\d+,0\.\d+\n", shown)
    frame = mask_frame(run, folder)
    assert frame["share_class 0"][4] + frame["share_class 7"][4] == pytest.approx(1, abs=1e-5)
    told = CliRunner().invoke(app, ["evaluate", str(run.path), str(folder)]).stdout
    assert "miou" in told and "30 rows" in told


def test_a_network_named_becomes_the_backbone(folder):
    _, _, plan = prepare(folder, model="vgg")
    assert plan.recipe.model["name"] == "unet" and plan.recipe.model["backbone"]["name"] == "vgg"


def test_what_cannot_be_judged_is_told(run, folder):
    with pytest.raises(InputError, match="no column 'mask'"):
        run.evaluate(folder / "images")
    with pytest.raises(InputError, match="masks of one class"):
        prepare(folder, types={"class 7": "ignored"})


def test_mistakes_are_drawn_where_they_are(run, folder):
    """What is wrong is in colour, what is right or of no class is grey."""
    source = read(folder)
    encoded = run.transform.encode(source, np.arange(6))
    target, answer = encoded["target"].numpy().copy(), encoded["target"].numpy().copy()
    answer[:, 4:9, 4:9] = 1 - answer[:, 4:9, 4:9]
    target[:, 20:] = 255
    cases = segment_cases(run.transform, source, np.arange(6), {"mask": answer}, target)["cases"]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(cases[0]["mistakes"]))).convert("RGB")).astype(int)
    coloured = np.ptp(drawn, axis=2) > 12
    assert coloured[4:9, 4:9].all() and coloured.sum() == 25
