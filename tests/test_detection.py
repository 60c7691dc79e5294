"""Detection end to end: a folder with boxes to a run, its page, its answers in files and drawn into pictures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import marked
import trainwell as tw
from trainwell.errors import InputError
from trainwell.predict import check_ending, draw_frame, prediction_frame, write_frame
from trainwell.prepare import prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return marked.voc(tmp_path_factory.mktemp("marked") / "things", marked.scenes(40))


@pytest.fixture(scope="module")
def run(data):
    changes = [
        "transform.size=96",
        "train.epochs=25",
        "train.batch_size=4",
        "train.evaluations=3",
        "train.ema=0.9",
        "task.threshold=0.2",
        'model.backbone={"name": "resnet", "depth": 18, "width": 8}',
        "model.width=24",
    ]
    return tw.fit(str(data), changes=changes, out=data.parent / "run", quiet=True)


def test_fit_learns_boxes_by_itself(run):
    assert run.schema.task == "detect" and run.recipe.model["name"] == "fcos"
    assert run.classes == ["disc", "square"]
    assert run.metrics["map50"] > 0.7 > json.loads((run.path / "baselines.json").read_text())[0]["metrics"]["map50"]


def test_the_page_shows_boxes_and_what_was_trained_on(run):
    page = run.report.read_text()
    assert "Mean average precision at overlap 0.5 of" in page
    assert page.count("data:image/jpeg;base64") == 8 and page.count("augmented training picture") == 16
    assert "right of the answers" in page and "No simple answer was measured" not in page


def test_answers_lie_in_the_pixels_of_their_own_pictures(run, data, tmp_path):
    Image.open(data / "JPEGImages" / "scene000.png").resize((192, 144)).save(tmp_path / "double.png")
    Image.open(data / "JPEGImages" / "scene000.png").save(tmp_path / "single.png")
    (tmp_path / "torn.png").write_bytes(b"x")
    double, single, torn = tw.load(run.path).predict(str(tmp_path))
    assert torn is None and single
    assert [box["label"] for box in double][:1] == [single[0]["label"]]
    for side in ("left", "top", "right", "bottom"):
        assert double[0][side] == pytest.approx(2 * single[0][side], abs=6)
    assert all(box["score"] >= 0.2 for box in single)


def test_answers_go_to_files_and_into_pictures(run, data, tmp_path):
    frame = prediction_frame(run, str(data / "JPEGImages"))
    assert frame.height == 40
    for name in ("answers.json", "answers.csv", "answers.jsonl", "answers.parquet"):
        check_ending(tmp_path / name)
        write_frame(frame, tmp_path / name)
    saved = json.loads((tmp_path / "answers.json").read_text())
    assert {"label", "score", "left", "top", "right", "bottom"} == set(next(r["boxes"] for r in saved if r["boxes"])[0])
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[0] == "image,label,score,left,top,right,bottom"
    assert len(lines) - 1 == sum(max(1, len(row["boxes"])) for row in saved)
    assert draw_frame(run, frame, tmp_path / "drawn") == 40
    assert Image.open(tmp_path / "drawn" / "scene000.png").size == (96, 72)


def test_evaluate_judges_marked_pictures_and_refuses_others(run, data, tmp_path):
    found = run.evaluate(str(data))
    assert found["rows"] == 40 and found["metrics"]["map50"]["low"] <= found["metrics"]["map50"]["value"]
    with pytest.raises(InputError, match="no boxes found to judge by"):
        run.evaluate(str(data / "JPEGImages"))
    made = {
        name: (picture, [("cube", *box[1:]) for box in boxes]) for name, (picture, boxes) in marked.scenes(10).items()
    }
    with pytest.raises(InputError, match="a box of the class 'cube', which was not there in training"):
        run.evaluate(str(marked.voc(tmp_path / "cubes", made)))


def test_the_command_line_refuses_pictures_of_other_runs_and_says_what_is_wrong_once(data, tmp_path):
    root = marked.yolo(tmp_path / "yolo", marked.scenes(10))
    next((root / "labels" / "train").glob("*.txt")).write_text("5 .5 .5 .1 .1")
    command = [sys.executable, "-m", "trainwell", "plan", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "class 5" in done.stderr


def test_bccd_is_recognised_as_it_lies(shared_data):
    data, schema, plan = prepare(str(shared_data / "bccd"))
    assert schema.task == "detect" and schema.classes == ["Platelets", "RBC", "WBC"]
    assert {part: int((data.parts == part).sum()) for part in ("train", "val", "test")} == {
        "train": 205,
        "val": 87,
        "test": 72,
    }
    assert any("2 boxes of no area left out" in note and "BloodImage_00338" in note for note in data.notes)
    assert plan.recipe.model["name"] == "fcos" and plan.recipe.transform["size"] == 288
    assert Path(data.frame["image"][0]).name.startswith("BloodImage_")
