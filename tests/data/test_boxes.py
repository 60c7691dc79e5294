"""Boxes in four formats read alike; what is wrong with them named, counted and said once; moved with their pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import marked
from trainwell.data import read
from trainwell.data.augment import Crop, Flip, Rotation, Shift
from trainwell.data.augment_boxes import moved_boxes
from trainwell.data.box_transform import BoxTransform
from trainwell.data.boxes import as_boxes
from trainwell.errors import InputError

MADE = marked.scenes(12)


def found(source):
    """Names of files to their boxes."""
    rows = source.frame.select("image", "boxes").to_dicts()
    return {Path(row["image"]).name: [tuple(box.values()) for box in row["boxes"]] for row in rows}


@pytest.mark.parametrize("write", [marked.voc, marked.coco, marked.yolo, marked.table])
def test_every_format_gives_the_same_boxes(tmp_path, write):
    source = read(write(tmp_path / "data", MADE))
    assert source.hints["labels"] == ["disc", "square"]
    read_back = found(source)
    assert set(read_back) == set(MADE)
    for name, (_, boxes) in MADE.items():
        assert [box[0] for box in read_back[name]] == [box[0] for box in boxes]
        np.testing.assert_allclose([b[1:] for b in read_back[name]], [b[1:] for b in boxes], atol=1e-3)
    schema = as_boxes(source)[1]
    assert schema.task == "detect" and schema.targets[0].facts["boxes"] == sum(len(b) for _, b in MADE.values())


def test_a_table_file_alone_is_read_too(tmp_path):
    root = marked.table(tmp_path / "data", MADE)
    assert found(read(root / "boxes.csv")).keys() == MADE.keys()


def test_parts_are_kept(tmp_path):
    parts = {name: "test" if place < 3 else "val" if place < 5 else "train" for place, name in enumerate(MADE)}
    source = read(marked.voc(tmp_path / "voc", MADE, parts))
    names = [Path(each).name for each in source.frame["image"]]
    assert dict(zip(names, source.parts.tolist(), strict=True)) == parts
    for write in (marked.coco, marked.yolo):
        root = tmp_path / write.__name__
        write(root, dict(list(MADE.items())[:8]), "train")
        write(root, dict(list(MADE.items())[8:]), "val")
        assert sorted(read(root).parts.tolist()) == ["train"] * 8 + ["val"] * 4


def test_pictures_in_no_part_are_left_out_and_counted(tmp_path):
    parts = dict.fromkeys(list(MADE)[:10], "train")
    source = read(marked.voc(tmp_path / "voc", MADE, parts))
    assert source.rows == 10 and any("2 pictures in none of the parts" in note for note in source.notes)


def test_wrong_boxes_are_counted_and_the_first_of_each_kind_named(tmp_path):
    made = dict(MADE)
    picture = marked.scene(99)[0]
    made["scene900.png"] = (
        picture,
        [
            ("disc", 10.0, 10.0, 10.0, 10.0),
            ("disc", 30.0, 20.0, 12.0, 40.0),
            ("disc", 200.0, 10.0, 220.0, 40.0),
            ("square", 80.0, 60.0, 120.0, 90.0),
            ("", 1.0, 1.0, 20.0, 20.0),
            ("square", 5.0, 5.0, 40.0, 40.0),
        ],
    )
    source = read(marked.voc(tmp_path / "voc", made))
    notes = "\n".join(source.notes)
    for said in (
        "2 boxes of no area left out, as Annotations/scene900.xml (disc at 10, 10, 10, 10)",
        "1 box wholly outside the picture left out, as Annotations/scene900.xml (disc at 200, 10, 220, 40)",
        "1 box reaching beyond the picture cut at its edge, as Annotations/scene900.xml (square at 80, 60, 120, 90)",
        "1 box without four numbers or a class left out, as Annotations/scene900.xml (no class at 1, 1, 20, 20)",
    ):
        assert said in notes
    assert found(source)["scene900.png"] == [("square", 80, 60, 96, 72), ("square", 5, 5, 40, 40)]


def test_missing_and_torn_pictures_and_files_are_named(tmp_path):
    root = marked.voc(tmp_path / "voc", MADE)
    (root / "JPEGImages" / "scene000.png").unlink()
    (root / "JPEGImages" / "scene001.png").write_bytes(b"no picture")
    (root / "Annotations" / "scene002.xml").write_text("<annotation><filename>scene002.png")
    source = read(root)
    notes = "\n".join(source.notes)
    assert source.rows == 9
    assert (
        "1 picture that the annotations name missing: left out, as scene000.png (named in Annotations/scene000.xml)"
        in notes
    )
    assert "1 picture that could not be read: left out, as scene001.png: no picture" in notes
    assert "1 annotation file could not be read and left out, as Annotations/scene002.xml" in notes


def test_no_picture_at_all_is_refused(tmp_path):
    root = marked.voc(tmp_path / "voc", MADE)
    for path in (root / "JPEGImages").iterdir():
        path.unlink()
    Image.new("RGB", (8, 8)).save(root / "JPEGImages" / "other.png")
    with pytest.raises(InputError, match=r"marks no box in a picture that is there.*12 pictures"):
        read(root)


def test_unknown_classes_are_refused_with_their_number(tmp_path):
    root = marked.yolo(tmp_path / "yolo", MADE)
    path = next((root / "labels" / "train").glob("*.txt"))
    path.write_text("7 0.5 0.5 0.2 0.2\n9 0.5 0.5 0.2 0.2")
    with pytest.raises(
        InputError, match=r"2 boxes of a class that is not known, as labels/train/.*line 1: class 7.*0 disc"
    ):
        read(root)
    root = marked.coco(tmp_path / "coco", MADE)
    path = root / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text().replace('"category_id": 7', '"category_id": 3', 1))
    with pytest.raises(InputError, match=r"1 annotation of a class that is not known, as category_id 3; .* 7 disc"):
        read(root)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match="not valid JSON"):
        read(root)


def test_a_yolo_line_of_other_numbers_is_named(tmp_path):
    root = marked.yolo(tmp_path / "yolo", MADE)
    path = sorted((root / "labels" / "train").glob("*.txt"))[3]
    path.write_text("0 0.5 0.5 0.2 0.2\n0 0.5 0.5")
    with pytest.raises(InputError, match=r"scene003\.txt, line 2: '0 0.5 0.5'; expected five numbers"):
        read(root)


def test_few_pictures_are_refused(tmp_path):
    source = read(marked.voc(tmp_path / "voc", marked.scenes(4)))
    with pytest.raises(InputError, match="4 pictures with boxes; at least 10"):
        as_boxes(source)


def test_captions_beside_pictures_are_no_boxes(tmp_path):
    for name, (picture, _) in MADE.items():
        picture.save(tmp_path / name)
        (tmp_path / name).with_suffix(".txt").write_text("two discs and a square")
    assert "boxes" not in read(tmp_path).frame.columns


def transformed(tmp_path, size=64):
    data, schema = as_boxes(read(marked.voc(tmp_path / "voc", MADE)))
    return data, schema, BoxTransform.fit(data, schema, np.arange(data.rows), size=size)


def test_the_transform_keeps_shapes_and_brings_answers_back(tmp_path):
    tall = (Image.new("RGB", (40, 120)), [("disc", 8.0, 30.0, 32.0, 90.0)])
    data, schema = as_boxes(read(marked.voc(tmp_path / "tall", {**MADE, "tall.png": tall})))
    transform = BoxTransform.fit(data, schema, np.arange(data.rows), size=64)
    encoded = transform.encode(data)
    x, target = encoded["inputs"][0], encoded["target"]
    assert x.dtype == torch.uint8 and x.shape[0] == 13 and x.shape[3] == 64 and x.shape[2] % 32 == 0
    for row, boxes in enumerate(data.frame["boxes"].to_list()):
        assert (target[row, :, 0] >= 0).sum() == len(boxes)
        assert (target[row, len(boxes) :, 0] == -1).all()
    answers = np.concatenate([target[..., :1], np.ones_like(target[..., :1]), target[..., 1:]], -1)
    back = transform.in_pictures(data, np.arange(data.rows), answers)
    for found_boxes, boxes in zip(back, data.frame["boxes"].to_list(), strict=True):
        for one, other in zip(found_boxes, boxes, strict=True):
            assert one["label"] == other["label"]
            for side in ("left", "top", "right", "bottom"):
                assert one[side] == pytest.approx(other[side], abs=0.6)
    again = BoxTransform.restore(*transform.save())
    assert torch.equal(again.encode(data)["inputs"][0], x)


def test_things_lie_inside_the_boxes_that_are_encoded(tmp_path):
    """The colour of each kind of thing is found in the middle of its box, and only in boxes."""
    data, _, transform = transformed(tmp_path, size=96)
    encoded = transform.encode(data)
    for x, target in zip(encoded["inputs"][0], encoded["target"], strict=True):
        for label, *sides in target[target[:, 0] >= 0].tolist():
            across, down = round((sides[0] + sides[2]) / 2), round((sides[1] + sides[3]) / 2)
            assert x[:, down, across].argmax() == (0 if label == 0 else 2)


@pytest.mark.parametrize(
    "change", [Shift(pixels=6, fill="zero"), Flip(probability=1.0), Rotation(degrees=8.0), Crop(least=0.5)]
)
def test_boxes_move_with_their_pictures(change):
    """A bright block's box after the change is the box around what is bright after the change."""
    torch.manual_seed(1)
    x = torch.zeros(40, 1, 48, 64)
    target = torch.full((40, 2, 5), -1.0)
    for row in range(40):
        left, top = 14 + row % 20, 12 + row % 13
        x[row, :, top : top + 14, left : left + 18] = 1.0
        target[row, 0] = torch.tensor([1.0, left, top, left + 18, top + 14])
    after = change({"inputs": (x,), "target": target})
    moved, checked = after["inputs"][0], 0
    assert (after["target"][:, 1, 0] == -1).all()
    for picture, boxes in zip(moved, after["target"], strict=True):
        bright = (picture[0] > 0.5).nonzero()
        if boxes[0, 0] < 0:
            continue
        edges = torch.tensor([*bright.amin(0).flip(0), *(bright.amax(0) + 1).flip(0)], dtype=torch.float32)
        assert (boxes[0, 1:] - edges).abs().max() <= (2.6 if isinstance(change, Rotation) else 1.6)
        checked += 1
    assert checked > 30


def test_boxes_that_left_the_picture_are_no_longer_learned():
    target = torch.tensor([[[0.0, 0, 0, 10, 10], [1.0, 30, 20, 60, 40]]])
    matrix = torch.tensor([[[1.0, 0, 0.5], [0, 1.0, 0]]])  # everything moves to the left by a quarter of the width
    moved = moved_boxes(target, matrix, 48, 64)
    assert moved[0, 0, 0] == -1
    assert moved[0, 1].tolist() == pytest.approx([1, 14, 20, 44, 40], abs=1e-4)
