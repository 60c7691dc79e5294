"""Pictures with masks: the layouts that folders have, what classes masks hold, and every way they can be wrong."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trainwell.data import EncodedRows, as_segments, read, split
from trainwell.data.mask import MaskEncoder
from trainwell.data.mask_transform import MaskTransform
from trainwell.errors import InputError

SIZE = (20, 12)  # width, height


def codes(seed, classes=3):
    return np.random.default_rng(seed).integers(0, classes, SIZE[::-1]).astype(np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def pairs(folder, count=12, images="images", masks="masks", ending="", make=codes):
    for place in range(count):
        save(folder / images / f"{place:02}.jpg", np.full((*SIZE[::-1], 3), 40 * (place % 5), dtype=np.uint8))
        save(folder / masks / f"{place:02}{ending}.png", make(place))


def fitted(folder):
    source, schema = as_segments(read(folder))
    return source, schema, MaskTransform.fit(source, schema, np.arange(source.rows))


@pytest.mark.parametrize(
    "make",
    [
        lambda at: pairs(at),
        lambda at: pairs(at, images="JPEGImages", masks="SegmentationClass"),
        lambda at: pairs(at, ending="_mask"),
        lambda at: [pairs(at / part, 6) for part in ("train", "test")],
        lambda at: [pairs(at, 6, part, f"{part}annot") for part in ("train", "test")],
        lambda at: [pairs(at, 6, f"images/{part}", f"masks/{part}") for part in ("train", "test")],
    ],
)
def test_layouts_of_folders_are_recognized(tmp_path, make):
    make(tmp_path)
    source, schema, transform = fitted(tmp_path)
    assert source.rows == 12 and schema.task == "segment" and schema.classes == ["class 0", "class 1", "class 2"]
    found = transform.encode(source)
    assert found["target"].shape == (12, 12, 20)
    assert np.array_equal(found["target"][3].numpy(), codes(3))
    if source.parts is not None:
        parts = split(source, schema)
        assert (source.parts[parts.test] == "test").all() and len(parts.test) == 6


def test_the_real_street_scenes_keep_their_parts(shared):
    source, schema = as_segments(read(shared / "camvid"))
    parts = split(source, schema)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (367, 101, 233)
    assert len(schema.classes) == 11 and schema.classes[0] == "sky" and "unlabelled" not in schema.classes
    transform = MaskTransform.fit(source, schema, parts.train[:20])
    assert transform.supplies == {"channels": 3, "height": 180, "width": 240, "classes": 11}
    found = transform.encode(source, parts.test[:2])
    whole = np.asarray(Image.open(source.frame["mask"][int(parts.test[1])]))
    assert np.array_equal(found["target"][1].numpy(), np.where(whole == 11, 255, whole)[1::2, 1::2])


def test_names_and_ignored_classes(tmp_path):
    pairs(tmp_path, make=lambda seed: codes(seed, 4))
    (tmp_path / "classes.txt").write_text("ground\nVoid\ntree\nsky\nnever\n")
    source, schema, transform = fitted(tmp_path)
    assert schema.classes == ["ground", "tree", "sky", "never"]
    assert any("Void" in note for note in source.notes)
    wanted = np.array([0, 255, 1, 2])[codes(5, 4)]
    assert np.array_equal(transform.encode(source)["target"][5].numpy(), wanted)
    answered = transform.own_size(source, transform.encode(source)["target"].numpy() % 255)
    assert set(np.unique(answered[5])) <= {0, 2, 3}
    _, schema = as_segments(read(tmp_path), types={"sky": "ignored"})
    assert schema.classes == ["ground", "tree", "never"]
    with pytest.raises(InputError, match=r"no class 'skyy'.*sky"):
        as_segments(read(tmp_path), types={"skyy": "ignored"})


def test_classes_as_colours(tmp_path):
    shades = np.array([[255, 0, 0], [0, 128, 255], [0, 0, 0]], dtype=np.uint8)
    pairs(tmp_path, make=lambda seed: shades[codes(seed)])
    _, schema, transform = fitted(tmp_path)
    assert schema.classes == ["class #000000", "class #0080ff", "class #ff0000"]
    source = read(tmp_path)
    target = transform.encode(source)["target"]
    assert np.array_equal(target[1].numpy(), np.array([2, 1, 0])[codes(1)])
    assert np.array_equal(transform.own_size(source, target.numpy())[1], shades[codes(1)])
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\ncar,255,0,0\nsky,0,128,255\nvoid,0,0,0\n")
    assert as_segments(read(tmp_path))[1].classes == ["sky", "car"]


def test_other_kinds_of_masks(tmp_path):
    pairs(tmp_path / "binary", make=lambda seed: (codes(seed, 2) * 255).astype(np.uint8))
    assert fitted(tmp_path / "binary")[1].classes == ["background", "foreground"]
    pairs(tmp_path / "bits", make=lambda seed: codes(seed, 2).astype(bool))
    assert fitted(tmp_path / "bits")[1].classes == ["class 0", "class 1"]
    pairs(tmp_path / "wide", make=lambda seed: codes(seed).astype(np.uint16) * 1000)
    assert fitted(tmp_path / "wide")[1].classes == ["class 0", "class 1000", "class 2000"]
    pairs(tmp_path / "edge", make=lambda seed: np.where(codes(seed) == 2, 255, codes(seed)).astype(np.uint8))
    assert fitted(tmp_path / "edge")[1].classes == ["class 0", "class 1"]  # 255 among others is the mark of no class


def test_what_is_wrong_is_counted_and_named_once(tmp_path):
    pairs(tmp_path, 16)
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    save(tmp_path / "masks" / "01.png", codes(1)[:5])
    (tmp_path / "masks" / "02.png").write_bytes(b"")
    (tmp_path / "masks" / "03.png").write_bytes((tmp_path / "masks" / "04.png").read_bytes()[:40])
    (tmp_path / "masks" / "05.png").unlink()
    (tmp_path / "images" / "06.jpg").unlink()
    strange = codes(7)
    strange[0, :3] = 17
    save(tmp_path / "masks" / "07.png", strange)
    source, schema, transform = fitted(tmp_path)
    assert source.rows == schema.rows == 14
    assert any("1 picture without a mask left out, the first is 05.jpg" in note for note in source.notes)
    assert any("1 mask without a picture" in note for note in source.notes)
    found = transform.encode(source)
    assert len(found["row"]) == 11
    told = "; ".join(transform.notes)
    assert "3 pictures left out" in told and "01.png: the mask is 20 x 5, its picture 20 x 12" in told
    assert "02.png: empty mask file" in told and "03.png: damaged mask" in told
    assert "1 mask with pixels of no known class (07.png: 17 in 3 pixels)" in told
    kept = found["row"].tolist().index(source.frame["mask"].str.contains("07.png").arg_true()[0])
    assert (found["target"][kept][0, :3] == 255).all()
    before = len(transform.notes)
    transform.encode(source)
    assert len(transform.notes) == before


def test_masks_that_cannot_teach_are_refused(tmp_path):
    pairs(tmp_path / "few", 4)
    with pytest.raises(InputError, match="4 pictures with a mask; at least 10"):
        fitted(tmp_path / "few")
    pairs(tmp_path / "one", make=lambda seed: codes(seed, 1))
    with pytest.raises(InputError, match=r"one class \(class 0\) in 12 masks"):
        fitted(tmp_path / "one")
    random = np.random.default_rng(0)
    pairs(tmp_path / "lossy", make=lambda seed: random.integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8))
    with pytest.raises(InputError, match="JPEG have blurred values"):
        fitted(tmp_path / "lossy")
    pairs(tmp_path / "other", make=lambda seed: codes(seed) + 100)
    (tmp_path / "other" / "classes.txt").write_text("a\nb\nc\n")
    source, _, transform = fitted(tmp_path / "other")
    with pytest.raises(InputError, match="check the list of classes"):
        transform.encode(source)
    for place in range(12):
        (tmp_path / "other" / "masks" / f"{place:02}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 12 masks could be read .*empty mask file"):
        as_segments(read(tmp_path / "other"))
    with pytest.raises(InputError, match="no column 'label'"):
        as_segments(read(tmp_path / "one"), "label")


def test_a_picture_turned_by_its_camera_takes_its_mask_along(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for place in range(10):
        shade = np.zeros((12, 20, 3), dtype=np.uint8)
        shade[:, :10] = 255
        save(tmp_path / "images" / f"{place}.jpg", shade, exif=exif)
        lying = (shade[..., 0] > 127).astype(np.uint8)
        save(tmp_path / "masks" / f"{place}.png", lying if place % 2 else np.rot90(lying, -1))
    source, _, transform = fitted(tmp_path)
    found = transform.encode(source)
    assert found["target"].shape == (10, 20, 12)
    assert all(np.array_equal(each, found["inputs"][0][0, 0] > 127) for each in found["target"])


def test_a_table_of_pictures_and_masks(tmp_path):
    pairs(tmp_path / "all")
    rows = {"file": [f"images/{at:02}.jpg" for at in range(12)], "truth": [f"masks/{at:02}.png" for at in range(12)]}
    (tmp_path / "all" / "list.csv").write_text(pl.DataFrame(rows).write_csv())
    _, schema = as_segments(read(tmp_path / "all" / "list.csv"), "truth")
    assert [column.name for column in schema.inputs] == ["file"] and len(schema.classes) == 3


def test_saved_equals_restored(tmp_path):
    pairs(tmp_path)
    source, _, transform = fitted(tmp_path)
    again = MaskTransform.restore(*transform.save())
    before, after = transform.encode(source), again.encode(source)
    assert np.array_equal(before["target"], after["target"]) and np.array_equal(before["inputs"][0], after["inputs"][0])
    encoder = MaskEncoder("mask", "image", 6, 10, "index", [0, 1, 2])
    assert encoder.undo(np.arange(3, dtype=np.int64).reshape(1, 3), (6, 2)).tolist() == [[0, 0, 1, 1, 2, 2]] * 2


def test_rows_read_ahead_are_those_encoded_at_once(tmp_path):
    pairs(tmp_path, 14)
    (tmp_path / "masks" / "03.png").write_bytes(b"")
    source, _, transform = fitted(tmp_path)
    ahead = EncodedRows(transform, source, np.arange(2, 10))
    found, notes = ahead.batch([1, 5, 0])
    wanted = transform.encode(source, np.array([7, 2]))
    assert len(ahead) == 8 and found["row"].tolist() == [7, 2] and "03.png" in notes[0]
    assert np.array_equal(found["target"], wanted["target"])
