"""Every bad input that belongs to data: one message that says where, what was found and what to do."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainwell.data import TRANSFORMS, Transform, drop_unlabelled, infer, read, restored, split
from trainwell.errors import InputError


def table(rows: int = 40, **more) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame({"size": rng.normal(size=rows), "age": rng.normal(size=rows), **more})


def fails(call, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"
    assert "\n" not in message
    return message


def test_missing_path_names_the_nearest(write):
    path = write("houses.csv", "a,b\n1,2\n")
    fails(lambda: read(path.parent / "house.csv"), "house.csv", "no such file", "did you mean 'houses.csv'")
    fails(lambda: read("digit"), "did you mean 'digits'")
    fails(lambda: read(path.parent / "nowhere" / "a.csv"), "does not exist either")


def test_empty_file(write):
    fails(lambda: read(write("a.csv", "")), "a.csv", "empty")
    fails(lambda: read(write("b.csv", "\n \n")), "b.csv", "empty")
    fails(lambda: read(write("c.txt", "")), "c.txt", "empty")


def test_header_only(write):
    fails(lambda: read(write("a.csv", "size,age,price\n")), "a.csv", "only a header", "size, age, price")


def test_folder_without_pictures(write, tmp_path):
    fails(lambda: read(tmp_path), "empty")
    path = write("stuff/a/notes.xyz", "x")
    fails(lambda: read(path.parents[1]), "stuff", "no pictures", ".xyz")


def test_pictures_that_cannot_be_read_are_named_and_the_rest_goes_on(write, tmp_path, picture):
    for label in ("cat", "dog"):
        for place in range(12):
            write(f"pets/{label}/{place}.png", picture(seed=place + 100 * (label == "dog")))
    write("pets/cat/cut.jpg", picture(40, 40, kind="jpeg")[:700])
    write("pets/cat/renamed.png", "this is a text")
    write("pets/dog/empty.png", b"")
    source = read(tmp_path / "pets")
    schema = infer(source)
    parts = split(source, schema)
    transform = Transform.fit(source, schema, parts.train, layout="image")
    encoded = transform.encode(source)
    assert source.rows == 27 and len(encoded["row"]) == len(encoded["target"]) == len(encoded["inputs"][0]) == 24
    note = next(note for note in transform.notes if "could not be read" in note)
    assert note.startswith("3 pictures could not be read and left out")
    for name in ("cut.jpg", "renamed.png", "empty.png"):
        assert name in note
    bad = set(range(27)) - set(encoded["row"].tolist())
    assert {Path(source.frame["image"][row]).name for row in bad} == {"cut.jpg", "renamed.png", "empty.png"}


def test_no_picture_can_be_read(write, tmp_path):
    for place in range(20):
        write(f"pets/{place % 2}/{place}.png", "text")
    source = read(tmp_path / "pets")
    schema = infer(source)
    fails(lambda: Transform.fit(source, schema, np.arange(20), layout="image"), "none of 20 pictures could be read")


def test_enormous_picture_is_refused_by_its_header(write, tmp_path, picture):
    import struct
    import zlib

    for place in range(12):
        write(f"pets/{place % 2}/{place}.png", picture(seed=place))
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    pixels = b"IDAT" + zlib.compress(b"\0" * 1000)
    bomb += struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels))
    write("pets/0/bomb.png", bomb)
    source = read(tmp_path / "pets")
    transform = Transform.fit(source, infer(source), np.arange(source.rows), layout="image")
    assert len(transform.encode(source)["row"]) == 12
    assert "bomb.png: 40,000 x 40,000, more than 500,000,000 pixels" in " ".join(transform.notes)
    low = Transform.fit(source, infer(source), np.arange(source.rows), layout="image", most_pixels=10**10)
    low.encode(source)
    assert "bomb.png: damaged" in " ".join(low.notes)


def test_ragged_rows(write):
    path = write("a.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n9,10,11\n")
    fails(lambda: read(path), "a.csv, line 3", "2 cells where 3 are expected", "'4,5'")
    path = write("b.csv", "a,b,c\n1,2,3\n4,5,6,7\n6,7,8\n9,10,11,12\n1,2,3\n")
    fails(lambda: read(path), "line 3", "4 cells where 3 are expected", "1 row more")


def test_wrong_target_name():
    fails(lambda: infer(read(table(price=range(40))), target="prise"), "'prise'", "did you mean 'price'")
    fails(lambda: infer(read(table()), target="age,sise"), "'sise'", "'size'")


def test_target_with_one_value():
    fails(lambda: infer(read(table(label=["yes"] * 40)), target="label"), "'label'", "one value only", "'yes'")
    fails(lambda: infer(read(table(price=[3.5] * 40)), target="price"), "one value only", "3.5")


def test_rows_without_target_are_dropped_and_counted():
    source = read(table(label=["a", "b", None, "a"] * 10))
    schema = infer(source, target="label")
    assert schema["label"].missing == 10 and schema.rows == 30
    kept = drop_unlabelled(source, schema)
    assert kept.rows == 30 and "10 rows without a value of the target 'label' dropped" in kept.notes[-1]
    infinite = read(table(price=[1.5, np.inf, np.nan, 2.5] * 10))
    assert drop_unlabelled(infinite, infer(infinite, target="price")).rows == 20
    fails(lambda: infer(read(table(label=[None] * 38 + ["a", "b"])), target="label"), "only 2 rows with a value")
    fails(lambda: infer(read(table(label=pl.Series([None] * 40, dtype=pl.String))), target="label"), "missing in all")


def test_text_that_is_not_utf8(write):
    text = "name,price\nMüller,3\nWeiß – Söhne,4\n"
    message = fails(lambda: read(write("a.csv", text.encode("windows-1252"))), "a.csv, line 2", "byte 12", "0xfc")
    assert "windows-1252" in message and "iconv" in message and "Müller" in message
    fails(lambda: read(write("a.xlsx.csv", b"PK\x03\x04rest")), "zip")
    fails(lambda: read(write("b.csv", b"a,b\n\x00\x01\xff\xfe\n")), "zero bytes")


def test_all_rows_are_duplicates():
    frame = pl.DataFrame({"a": [1.5] * 30, "b": ["x"] * 30, "label": ["u"] * 30})
    fails(lambda: infer(read(frame), target="label"), "all 30 rows are equal")
    fails(lambda: infer(read(frame.with_columns(label=pl.Series(["u", "v"] * 15)))), "no column is left", "constant")


def test_three_rows():
    fails(lambda: infer(read(table(3))), "3 rows", "at least 10")


def test_ten_thousand_classes_for_twenty_thousand_rows():
    labels = [f"class_{place // 2}" for place in range(20_000)]
    message = fails(lambda: infer(read(table(20_000, label=labels)), target="label"), "10,000 classes for 20,000 rows")
    assert "2.0 rows a class" in message


def test_nan_and_infinities_in_arrays():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    y[7] = np.nan
    fails(lambda: read((x, y)), "target", "NaN or infinite", "row 7")
    x[3, 1], x[4, 1], x[5, 1] = np.nan, np.inf, -np.inf
    source = read((x, rng.normal(size=50)))
    schema = infer(source)
    assert schema["column_2"].missing == 3 and "2 infinite values" in schema["column_2"].reason
    encoded = Transform.fit(source, schema, np.arange(50)).encode(source)
    assert encoded["inputs"][0].isfinite().all() and encoded["inputs"][0].shape == (50, 4)  # one says "is missing"


@pytest.mark.parametrize(
    ("labels", "classes", "kind"),
    [
        (["no", "yes"] * 20, ["no", "yes"], "str"),
        ([True, False] * 20, ["False", "True"], "bool"),
        ([0.0, 1.0, 2.0, 1.0] * 10, ["0", "1", "2"], "float"),
        ([10, 2] * 20, ["2", "10"], "int"),
        ([0, 1, 2, 3] * 10, ["0", "1", "2", "3"], "int"),
    ],
)
def test_labels_of_any_type(labels, classes, kind):
    source = read(table(label=labels))
    schema = infer(source)
    assert (schema.task, schema.classes, schema.class_type) == ("classify", classes, kind)
    target = Transform.fit(source, schema, np.arange(40)).encode(source)["target"]
    assert [classes[code] for code in target.tolist()] == [
        str(label) if kind != "float" else str(int(label)) for label in labels
    ]


def test_no_permission(write, monkeypatch):
    path = write("a.csv", "a,b\n1,2\n")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    fails(lambda: read(path), "a.csv", "no permission")
    monkeypatch.setattr(Path, "iterdir", refuse)
    fails(lambda: read(path.parent), "no permission")


def test_damaged_archives(write):
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    fails(lambda: read(write("a.csv.gz", packed[: len(packed) // 2])), "a.csv.gz", "damaged")
    fails(lambda: read(write("a.parquet", b"PAR1 but no more")), "a.parquet", "damaged")
    fails(lambda: read(write("b.parquet", b"a,b\n1,2\n")), "b.parquet", "PAR1")
    fails(lambda: read(write("c.jsonl", '{"a": 1}\n{"a": \n')), "c.jsonl, line 2", "not JSON")
    fails(lambda: read(write("d.jsonl", "[1, 2]")), "d.jsonl, row 1", "object")


def test_one_picture_is_no_source(write, picture):
    fails(lambda: read(write("a.png", picture())), "one file alone", "folder")


def test_things_that_are_no_source():
    fails(lambda: read(None), "no source")
    fails(lambda: read(5), "single value")
    fails(lambda: read((np.zeros((5, 2)), np.zeros(4))), "[5, 4]")
    fails(lambda: read({"a": np.zeros(3), "b": np.zeros(4)}), "different lengths")
    fails(lambda: read(np.zeros((0, 3))), "no rows")


def test_unknown_options_suggest():
    source = read(table(label=["a", "b"] * 20))
    fails(lambda: infer(source, types={"sise": "number"}), "'sise'", "'size'")
    fails(lambda: infer(source, types={"size": "numbr"}), "'number'")
    fails(lambda: infer(source, group="pacient"), "'pacient'")
    schema = infer(source)
    fails(lambda: split(source, schema, method="randm"), "'random'")
    fails(lambda: split(source, schema, test=0.9, val=0.2), "leave rows to train")
    fails(lambda: split(source, schema, val=0.0), "folds")
    fails(lambda: split(source, schema, method="group"), "name the column")
    rows = np.arange(40)
    fails(lambda: Transform.fit(source, schema, rows, layout="colums"), "'columns'")
    fails(lambda: Transform.fit(source, schema, rows, numbers="robst"), "'robust'")
    fails(lambda: Transform.fit(source, schema, rows, target="lgo"), "'log'")
    fails(lambda: Transform.fit(source, schema, rows, layout="image"), "reads pictures", "number")


def test_prediction_without_a_column_names_it():
    source = read(table(label=["a", "b"] * 20))
    transform = Transform.fit(source, infer(source), np.arange(40))
    fails(lambda: transform.encode(read(pl.DataFrame({"sizes": [1.0], "age": [2.0]})), with_target=False), "'size'")
    rows = pl.DataFrame({"size": ["big"], "age": [2.0]})
    fails(lambda: transform.encode(read(rows), with_target=False), "'size'", "numbers", "'big'")
    strange = read(table(label=["a", "c"] * 20))
    fails(lambda: transform.encode(strange), "'c' in row 2", "not there in training")
    fails(lambda: transform.encode(read(table())), "target column 'label' is missing")


@pytest.mark.parametrize("layout", TRANSFORMS)
def test_a_transform_of_a_later_version(layout):
    fails(lambda: restored({"layout": layout, "version": 99}, {}), "later trainwell")


def test_a_header_that_stands_again_among_the_rows(write):
    rows = [f"{place},{place / 4}" for place in range(12)]
    source = read(write("joined.csv", "\n".join(["size,price", *rows[:6], "size,price", *rows[6:]])))
    assert source.rows == 12 and source.frame["size"].dtype.is_integer()
    assert any("header stands 1 time more" in note and "row 7" in note for note in source.notes)
    once = read(write("once.csv", "\n".join(["size,price", *rows])))
    assert once.rows == 12 and not once.notes
