"""Files, folders and values as people have them, read as what they mean."""

import gzip
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from trainwell.data import SOURCES, Source, read
from trainwell.data.table import read_table

ROWS = [("a", 1, 2.5), ("b", 2, 3.5), ("a", 3, 4.5), ("c", 4, 5.5)]


def text(separator: str = ",", header: str | None = "kind,count,size") -> str:
    lines = [separator.join(map(str, row)) for row in ROWS]
    return "\n".join(([header.replace(",", separator)] if header else []) + lines) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("packed", [False, True])
def test_separators_and_gzip(write, separator, packed):
    raw = text(separator).encode()
    frame = read(write("a.csv.gz" if packed else "a.csv", gzip.compress(raw) if packed else raw)).frame
    assert frame.columns == ["kind", "count", "size"] and frame.rows() == ROWS
    assert frame.dtypes == [pl.String, pl.Int64, pl.Float64]


def test_byte_order_marks_and_line_ends(write):
    for name, raw in {
        "bom.csv": b"\xef\xbb\xbf" + text().encode(),
        "wide.csv": text().encode("utf-16"),
        "crlf.csv": text().replace("\n", "\r\n").encode(),
        "unended.csv": text().rstrip("\n").encode(),
        "blank.csv": text().replace("\n", "\n\n").encode(),
    }.items():
        frame = read(write(name, raw)).frame
        assert frame.columns == ["kind", "count", "size"] and frame.rows() == ROWS, name


def test_without_header(write):
    source = read(write("a.csv", text(header=None)))
    assert source.frame.columns == ["column_1", "column_2", "column_3"] and source.frame.rows() == ROWS
    assert "no header" in source.notes[0]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("text,label\ngreat film,pos\nbad film,neg\nfine,pos\npoor,neg\nso so,neg\n", ["text", "label"]),
        ("red,yes\nblue,no\nred,no\ngreen,yes\nred,yes\nblue,no\n", ["column_1", "column_2"]),
        ("id,2001,2002\n1,3,4\n2,5,6\n3,6,7\n", ["id", "2001", "2002"]),
        ("?,1.5,x\n2,2.5,y\n3,?,x\n", ["column_1", "column_2", "column_3"]),
        (",a,b\n0,3,4\n1,5,6\n2,6,7\n", ["column_1", "a", "b"]),
        ("first name,last name\nAnn,Lee\nBob,Ray\nCid,May\n", ["first name", "last name"]),
        ("2020-01-01,3\n2020-01-02,4\n", ["column_1", "column_2"]),
        ("a b c\n", ["column_1"]),
    ],
)
def test_header_by_evidence(write, content, names):
    if content == "a b c\n":
        content += "d e f\nd e f\na b c\n"
    assert read(write("a.csv", content)).frame.columns == names


def test_every_way_of_writing_missing(write):
    cells = ["1", "?", "NA", "NaN", "null", "", "N/A", "NULL", "nan", "2"]
    content = "a,b\n" + "".join(f"{cell},x\n" for cell in cells)
    frame = read(write("a.csv", content)).frame
    assert frame["a"].to_list() == [1, *[None] * 8, 2] and frame["a"].dtype == pl.Int64


def test_quotes(write):
    double = 'a,b\n"x, y",1\n"say ""so""",2\n"two\nlines",3\n'
    assert read(write("a.csv", double)).frame["a"].to_list() == ["x, y", 'say "so"', "two\nlines"]
    single = "1.5,'-1'\n2.5,'1'\n3.5,'-1'\n"
    assert read(write("b.csv", single)).frame["column_2"].to_list() == [-1, 1, -1]
    commas = "a,b\n'x, y',1\n'z',2\n"
    assert read(write("c.csv", commas)).frame["a"].to_list() == ["x, y", "z"]
    apostrophe = "a,b\n'tis,1\nit's,2\n"
    assert read(write("d.csv", apostrophe)).frame["a"].to_list() == ["'tis", "it's"]


def test_numbers_as_people_write_them(write):
    content = 'a;b;c;d\n1,5;1.234,5;10%;"$1,200"\n2,25;2.000,0;12.5%;"$3"\n'
    frame = read(write("a.csv", content)).frame
    assert frame["a"].to_list() == [1.5, 2.25]
    assert frame["b"].to_list() == [1234.5, 2000.0]
    assert frame["c"].to_list() == [10.0, 12.5]
    assert frame["d"].to_list() == [1200, 3]


def test_a_few_cells_that_are_no_number(write):
    cells = [str(place * 1.5) for place in range(60)]
    cells[7], cells[30] = "12a", "unknown"
    source = read(write("a.csv", "x,y\n" + "".join(f"{cell},q\n" for cell in cells)))
    assert source.frame["x"].dtype == pl.Float64 and source.frame["x"].null_count() == 2
    assert any("'12a' in row 8" in note for note in source.notes)
    codes = ["1", "2", "3", "4+"] * 20
    assert read(write("b.csv", "x,y\n" + "".join(f"{cell},q\n" for cell in codes))).frame["x"].dtype == pl.String


def test_codes_stay_text(write):
    content = "zip,huge,flag\n01234,12345678901234567890123,true\n98765,22345678901234567890123,False\n"
    frame = read(write("a.csv", content)).frame
    assert frame["zip"].to_list() == ["01234", "98765"]
    assert frame["huge"].dtype == pl.String and frame["flag"].to_list() == [True, False]
    assert read(write("b.csv", "a,b\n9007199254740993,1\n2,2\n")).frame["a"].to_list() == [9007199254740993, 2]


@pytest.mark.parametrize(
    "cells",
    [
        ["2020-03-04", "2021-12-31"],
        ["2020-03-04 00:00:00", "2021-12-31 00:00:00"],
        ["2020-03-04T00:00:00Z", "2021-12-31T00:00:00Z"],
        ["04.03.2020", "31.12.2021"],
        ["04/03/2020", "31/12/2021"],
        ["03/04/2020", "12/31/2021"],
        ["4 Mar 2020", "31 Dec 2021"],
        ["Mar 4, 2020", "Dec 31, 2021"],
    ],
)
def test_dates(write, cells):
    frame = read(write("a.csv", "when;x\n" + "".join(f"{cell};1\n" for cell in cells))).frame
    assert [str(cell.date()) for cell in frame["when"]] == ["2020-03-04", "2021-12-31"]


def test_blanks_between_cells_and_before_quotes(write):
    spaced = 'name, note, x\n"a", "one, two", 1\n"b", three, 2\n'
    assert read(write("a.csv", spaced)).frame.rows() == [("a", "one, two", 1), ("b", "three", 2)]
    for name in ("a.txt", "a.data"):
        frame = read(write(name, "  1.0  2.5   x\n4.5 5 y\n\n6 7.5 x\n")).frame
        assert frame.rows() == [(1.0, 2.5, "x"), (4.5, 5.0, "y"), (6.0, 7.5, "x")]


def test_pictures_without_classes(write, tmp_path, picture):
    for place in range(3):
        write(f"one/all/{place}.png", picture(seed=place))
        for kind in ("images", "masks"):
            write(f"street/train/{kind}/{place}.png", picture(seed=place))
    source = read(tmp_path / "one")
    assert source.frame.columns == ["image"] and "no classes" in source.notes[0] and "target" not in source.hints
    street = read(tmp_path / "street")  # pictures with masks are no classes but pairs
    assert street.frame.columns == ["image", "mask"] and set(street.parts) == {"train"}


def test_other_line_ends_and_long_cells(write):
    assert read(write("mac.csv", "a,b\r1,2\r3,4\r")).frame.rows() == [(1, 2), (3, 4)]
    separators = "a,b\nx\u2028y,1\nz\x0cw,2\n"
    assert read(write("odd.csv", separators)).frame["a"].to_list() == ["x\u2028y", "z\x0cw"]
    long = "a,b\n" + "w " * 100_000 + ",1\nshort,\n"
    assert read(write("long.csv", long)).frame["b"].to_list() == [1, None]


def test_months_and_ambiguous_days(write):
    assert str(read(write("a.csv", "m,x\n1749-01,1\n1749-02,2\n")).frame["m"][1].date()) == "1749-02-01"
    source = read(write("b.csv", "d,x\n03/04/2020,1\n05/06/2020,2\n"))
    assert source.frame["d"][0].month == 4 and "day/month/year" in source.notes[-1]


def test_names_that_clash_and_trailing_separators(write):
    source = read(write("a.csv", "a,b,a,\n1,2,3,\n4,5,6,\n"))
    assert source.frame.columns == ["a", "b", "a_2"] and source.frame.rows() == [(1, 2, 3), (4, 5, 6)]
    assert "two columns are called 'a'" in source.notes[0]
    assert read(write("b.csv", "a,a_2,a\n1,2,3\n")).frame.columns == ["a", "a_2", "a_3"]
    named = read(write("c.csv", "x,y\nr1,1,2\nr2,3,4\n")).frame
    assert named.columns == ["row", "x", "y"]


def test_json_lines_and_parquet(write, tmp_path):
    rows = [{"a": 1, "b": "x", "c": {"d": 2.5}}, {"a": None, "b": "y", "c": {"d": 3.5}}]
    lines = "\n".join(json.dumps(row) for row in rows)
    for name, content in {"a.jsonl": lines, "a.json": json.dumps(rows)}.items():
        assert read(write(name, content)).frame.to_dict(as_series=False) == {
            "a": [1, None],
            "b": ["x", "y"],
            "c.d": [2.5, 3.5],
        }
    frame = pl.DataFrame({"a": [1, 2], "b": pl.Series(["x", "y"], dtype=pl.Categorical)})
    frame.write_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").frame.rows() == [(1, "x"), (2, "y")]


def test_numpy_archive(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((12, 3)), y=np.arange(12))
    assert read(tmp_path / "a.npz").frame.columns == ["X_1", "X_2", "X_3", "y"]


def test_class_folders(write, tmp_path, picture):
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            for place in range(3):
                write(f"pets/{part}/{label}/deep/{place}.png", picture())
    write("pets/train/cat/.hidden.png", b"")
    write("pets/train/cat/list.pdf", b"x")
    source = read(tmp_path / "pets")
    assert source.frame["label"].value_counts(sort=True)["count"].to_list() == [6, 6]
    assert source.parts is not None and (source.parts == "train").sum() == 6
    assert source.hints["target"] == "label" and source.hints["labels"] == ["cat", "dog"]
    assert source.hints["kinds"] == {"image": "image"}
    assert "1 file of another kind than image left out" in source.notes[0]
    assert source.take(np.array([7, 0])).parts.tolist() == ["test", "train"]


def test_folders_of_text_and_sound(write, tmp_path):
    for label in ("neg", "pos"):
        for place in range(3):
            write(f"texts/{label}/{place}.txt", f"{label} {place}")
            write(f"sounds/{label}/{place}.wav", b"RIFF")
    write("texts/pos/latin.txt", "caf\xe9".encode("latin-1"))
    texts = read(tmp_path / "texts")
    assert texts.frame["text"][0] == "neg 0" and texts.frame.columns == ["text", "label"]
    assert "latin.txt is not UTF-8 at byte 3" in texts.notes[0] and "café" in texts.frame["text"].to_list()
    assert read(tmp_path / "sounds").frame.columns == ["audio", "label"]


def test_tables_by_part(write, tmp_path):
    write("set/train.csv", "a,b\n1,x\n2,y\n")
    write("set/test.csv", "b,a,c\nz,3.5,1\n")
    source = read(tmp_path / "set")
    assert source.frame.rows() == [(1.0, "x"), (2.0, "y"), (3.5, "z")]
    assert source.parts.tolist() == ["train", "train", "test"] and "c are not" in source.notes[-1]
    one = read(write("other.csv", "a,b\n1,x\n2,y\n"), test=write("more.csv", "a,b\nhm,z\n"))
    assert one.frame["a"].to_list() == ["1", "2", "hm"] and one.parts.tolist() == ["train", "train", "test"]


def test_pictures_named_in_a_table(write, picture):
    write("set/img/a.png", picture())
    path = write("set/list.csv", "file,label\nimg/a.png,x\nimg/b.png,y\n")
    source = read(path)
    assert source.hints["kinds"] == {"file": "image"} and source.frame["file"].null_count() == 1
    assert source.frame["file"][0].endswith("img/a.png") and "1 file missing" in source.notes[0]


def test_a_table_of_labels_beside_pictures_and_one_beside_class_folders(write, tmp_path, picture):
    write("set/pictures/a.png", picture())
    write("set/labels.csv", "file,label\na.png,x\na.png,y\n")
    source = read(tmp_path / "set")
    assert source.hints["kinds"] == {"file": "image"} and source.frame["file"][0].endswith("pictures/a.png")
    for label in ("cat", "dog"):
        write(f"pets/{label}/a.png", picture())
    write("pets/about.csv", "class,weight\ncat,3\ndog,9\n")
    assert read(tmp_path / "pets").frame.columns == ["image", "label"]


def test_a_test_table_without_answers(write, tmp_path):
    write("set/train.csv", "a,price\n1,2.5\n2,3.5\n")
    write("set/test.csv", "a\n1\n2\n")
    source = read(tmp_path / "set")
    assert source.rows == 2 and "test.csv has no column 'price' and was left out" in source.notes[-1]


def test_picture_layout_in_parquet(tmp_path, picture):
    cells = [{"bytes": picture(seed=place), "path": f"{place}.png"} for place in range(4)]
    frame = pl.DataFrame({"image": cells, "label": [0, 1, 1, 0]})
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    frame.write_parquet(tmp_path / "a.parquet", metadata={"huggingface": json.dumps({"info": {"features": features}})})
    source = read(tmp_path / "a.parquet")
    assert source.frame["label"].to_list() == ["cat", "dog", "dog", "cat"]
    assert source.hints == {"target": "label", "labels": ["cat", "dog"], "kinds": {"image": "image"}}


def test_text_files(write):
    assert read(write("names.txt", "ann\nbob\ncid\n")).frame["text"].to_list() == ["ann", "bob", "cid"]
    play = "KING:\nTo be, or not.\n\nQUEEN:\nWhy?\n"
    assert read(write("play.txt", play)).frame["text"].to_list() == ["KING:\nTo be, or not.", "QUEEN:\nWhy?"]
    assert read(write("table.txt", "a\tb\n1\t2\n3\t4\n")).frame.rows() == [(1, 2), (3, 4)]


def test_arrays():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    source = read((x, y))
    assert source.frame.columns == ["column_1", "column_2", "target"] and source.hints["target"] == "target"
    pictures = read((np.zeros((6, 3, 8, 9), dtype=np.uint8), y))
    assert pictures.arrays["image"].shape == (6, 8, 9, 3) and pictures.rows == 6
    assert read((np.zeros((6, 8, 8)), y)).hints["kinds"] == {"image": "image"}
    assert read((np.random.default_rng(0).normal(size=(6, 50, 2)), y)).hints["kinds"] == {"series": "series"}
    many = read((x, np.zeros((6, 2))))
    assert many.hints["target"] == "target_1,target_2"
    mixed = read((np.array([[1, "a"], [2.5, None]] * 3, dtype=object), y)).frame
    assert mixed.dtypes[:2] == [pl.Float64, pl.String] and mixed["column_2"].null_count() == 3
    assert read((["some text", "more"] * 3, y)).frame.columns == ["text", "target"]
    assert read({"size": np.ones(6), "image": np.zeros((6, 4, 4), np.uint8)}).columns == ["size", "image"]


def test_torch():
    x, y = torch.randn(12, 3), torch.arange(12) % 2
    assert read((x, y)).frame.shape == (12, 4)
    dataset = read(torch.utils.data.TensorDataset(torch.zeros(12, 1, 8, 8), y))
    assert dataset.arrays["image"].shape == (12, 8, 8) and dataset.hints["target"] == "target"

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, place):
            return x[place], int(y[place])

    assert read(Items()).frame["target"].to_list() == y.tolist()


def test_a_target_does_not_overwrite_a_column_of_its_name():
    source = read((pl.DataFrame({"target": [1.5, 2.5], "b": [3, 4]}), np.array([0, 1])))
    assert source.frame.columns == ["target", "b", "target_"] and source.hints["target"] == "target_"


def test_text_labels_stay_text():
    source = read((np.zeros((4, 2)) + np.arange(4)[:, None], np.array(["0", "1", "0", "1"])))
    assert source.frame["target"].dtype == pl.String


def test_what_scikit_learn_loads():
    datasets = pytest.importorskip("sklearn.datasets")
    source = read(datasets.load_iris())
    assert source.frame.shape == (150, 5) and source.frame.columns[-1] == "target"


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "size": [1.5, None, 2.5],
            "kind": ["a", None, "b"],
            "count": pandas.array([1, None, 3], dtype="Int64"),
            "level": pandas.Categorical(["x", "y", None]),
            "when": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]),
            "flag": [True, False, True],
        }
    )
    found = read(frame).frame
    assert found.columns == list(frame.columns)
    assert found["count"].to_list() == [1, None, 3] and found["level"].to_list() == ["x", "y", None]
    assert found["size"].to_list() == [1.5, None, 2.5]
    assert found["kind"].null_count() == 1 and found["when"].null_count() == 1 and found["flag"].dtype == pl.Boolean
    assert read((frame[["size", "kind"]], frame["flag"])).hints["target"] == "flag"


def test_frames_pass_and_limit_spreads():
    source = read(pl.DataFrame({"a": range(100), "b": ["x", "y"] * 50}))
    assert isinstance(source, Source) and read(source) is source
    assert read(source, limit=5).frame["a"].to_list() == [0, 25, 50, 74, 99]
    again = read(pl.DataFrame({"a": range(100), "b": ["x", "y"] * 50}))
    other = read(pl.DataFrame({"a": range(100), "b": ["x", "z"] * 50}))
    assert source.digest == again.digest != other.digest


@pytest.mark.parametrize("name", SOURCES)
def test_named_sets(name):
    source = read(name)
    assert source.name == name and source.rows > 100 and len(source.digest) == 64
    assert name == "stdlib-text" or source.hints["target"] in source.columns
    if name == "digits":
        assert source.arrays["image"].dtype == np.uint8 and source.arrays["image"].max() == 255


def test_reading_needs_no_torch():
    code = "import sys, trainwell.data as d; d.read({'a': [1, 2]}); assert not {'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ten_thousand_rows_read_in_a_blink():
    file = io.StringIO()
    rng = np.random.default_rng(0)
    np.savetxt(file, rng.normal(size=(10_000, 20)), delimiter=",")
    start = time.perf_counter()
    table = read_table(Path("a.csv"), file.getvalue().encode())
    assert table.frame.shape == (10_000, 20) and time.perf_counter() - start < 5
