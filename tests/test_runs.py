"""A run folder is written whole or not at all, and says what is missing, damaged or not allowed."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainwell.errors import InputError
from trainwell.runs import VERSION, RunFolder, compare, list_runs


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(here):
    return RunFolder.create("digits")


def names(path):
    return sorted(each.name for each in Path(path).iterdir())


def test_runs_are_numbered(here):
    assert [RunFolder.create("digits").path.name for _ in range(3)] == ["digits-1", "digits-2", "digits-3"]
    (here / "runs/digits-7").mkdir()
    assert RunFolder.create("digits").path == Path("runs/digits-8")
    assert RunFolder.create("my file (2).csv").path.name == "my-file-2-.csv-1"
    assert RunFolder.create("../..").path.parent == Path("runs")
    assert RunFolder.create("digits", "elsewhere/deep").path == Path("elsewhere/deep")
    facts = RunFolder.open("elsewhere/deep").facts()
    assert (facts["version"], facts["name"], facts["state"]) == (VERSION, "deep", "training")


def test_two_processes_take_two_names(here, monkeypatch):
    RunFolder.create("digits")
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))  # the other's folder came after the look
    assert RunFolder.create("digits").path.name == "digits-2"


def test_a_folder_in_use_is_not_taken(here):
    (here / "full").mkdir()
    (here / "full/thing").touch()
    (here / "file").touch()
    for name in ("full", "file"):
        with pytest.raises(InputError, match="exists already"):
            RunFolder.create("digits", name)
    with pytest.raises(InputError, match="file"):
        RunFolder.create("digits", "file/below")
    (here / "empty").mkdir()
    RunFolder.create("digits", "empty")
    assert names("full") == ["thing"]


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_json_and_lines_come_back(tmp_path_factory, value):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_json("a.json", value)
    assert folder.read_json("a.json") == value
    for _ in range(2):
        folder.append("lines.jsonl", value)
    assert folder.read_lines("lines.jsonl") == [value, value]


def test_numbers_of_numpy_and_torch_and_no_numbers(folder):
    value = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": torch.tensor([1.5]),
        "d": Path("x"),
        "e": (1, 2),
        "f": np.nan,
    }
    folder.write_json("a.json", {**value, "g": [np.inf, np.float64("nan")]})
    text = (folder.path / "a.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    expected = {"a": 0.5, "b": [0, 1], "c": [1.5], "d": "x", "e": [1, 2], "f": None, "g": [None, None]}
    assert json.loads(text) == expected
    folder.append("lines.jsonl", {"loss": float("nan"), "rate": np.float32(0.5)})
    (line,) = folder.read_lines("lines.jsonl")
    assert line["loss"] != line["loss"] and line["rate"] == 0.5  # what broke stays visible


def test_a_failing_write_leaves_the_old_file(folder, monkeypatch):
    folder.write_text("report.html", "old")
    before = names(folder.path)

    def fail(self, content):
        Path.write_text(self, "ha", encoding="utf-8")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(InputError, match=r"report\.html: cannot write: the disk is full"):
        folder.write_text("report.html", "new")
    with pytest.raises(InputError, match="disk is full"):
        folder.write_json("new.json", {})
    assert (folder.path / "report.html").read_text() == "old" and names(folder.path) == before


def test_any_end_of_the_block_leaves_the_old_file(folder):
    folder.write_text("report.html", "old")
    before = names(folder.path)
    for kind in (KeyboardInterrupt, ValueError):
        with pytest.raises(kind), folder.replacing("report.html") as temporary:
            temporary.write_text("half")
            raise kind
    assert (folder.path / "report.html").read_text() == "old" and names(folder.path) == before


def test_a_failing_rename_leaves_the_old_file(folder, monkeypatch):
    folder.write_text("report.html", "old")
    before = names(folder.path)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="no permission"):
        folder.write_text("report.html", "new")
    assert (folder.path / "report.html").read_text() == "old" and names(folder.path) == before


def test_files_get_the_rights_that_the_user_chose(folder):
    usual = os.umask(0o027)
    try:
        path = folder.write_text("private.txt", "x")
    finally:
        os.umask(usual)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "cannot write"),
    ],
)
def test_a_run_that_cannot_be_made_leaves_nothing(here, monkeypatch, number, message):
    def refuse(self, *arguments, **more):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    for out in (None, "there"):
        with pytest.raises(InputError, match=message):
            RunFolder.create("digits", out)
    assert not (here / "there").exists() and names(here / "runs") == []
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=message):
        RunFolder.create("digits", "elsewhere")


def test_lines_cannot_be_written(folder, monkeypatch):
    def refuse(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match="disk is full"):
        folder.append("metrics.jsonl", {"step": 1})


def test_a_torn_last_line_is_left_out_and_cut_off(folder):
    folder.append("metrics.jsonl", {"step": 1})
    path = folder.path / "metrics.jsonl"
    with open(path, "ab") as file:
        file.write('{"step": 2, "name": "caf\xe9'.encode()[:-1])  # torn inside a character
    assert folder.read_lines("metrics.jsonl") == [{"step": 1}]
    folder.append("metrics.jsonl", {"step": 3})  # a resumed training writes on
    assert folder.read_lines("metrics.jsonl") == [{"step": 1}, {"step": 3}]


def test_lines_that_split_nowhere_else(folder):
    value = {"text": "one\u2028two\x85three\x0bfour\r\nfive"}
    folder.append("lines.jsonl", value)
    assert folder.read_lines("lines.jsonl") == [value]
    assert folder.read_lines("absent.jsonl") == []
    (folder.path / "empty.jsonl").touch()
    assert folder.read_lines("empty.jsonl") == []


def test_a_damaged_line_in_the_middle_is_named(folder):
    (folder.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe{"st\n{"step": 3}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl: line 2 is damaged"):
        folder.read_lines("metrics.jsonl")


def test_missing_and_damaged_files_are_named(folder):
    with pytest.raises(InputError, match=r"schema\.json: missing"):
        folder.read_json("schema.json")
    with pytest.raises(InputError, match=r"recipe\.yaml: missing"):
        folder.read_yaml("recipe.yaml")
    (folder.path / "schema.json").write_bytes(b"{\xff")
    with pytest.raises(InputError, match=r"schema\.json: damaged"):
        folder.read_json("schema.json")
    (folder.path / "recipe.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"recipe\.yaml: damaged"):
        folder.read_yaml("recipe.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run folder"),
        ("", "damaged"),
        ("[1]", "damaged"),
        ("{}", "version None"),
        ('{"version": 99}', "update trainwell"),
        ('{"version": "x"}', "version x"),
    ],
)
def test_open_refuses_what_it_cannot_read(here, content, message):
    (here / "run").mkdir()
    if content is not None:
        (here / "run/run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        RunFolder.open("run")


def test_open_refuses_what_is_not_there(here):
    (here / "file").touch()
    for path in ("absent", "file"):
        with pytest.raises(InputError, match="no such run folder"):
            RunFolder.open(path)


def make(name, metrics, **recipe):
    folder = RunFolder.create(name)
    folder.write_text("recipe.yaml", json.dumps({"model": {"name": "mlp", "width": 8}, "seed": 0, **recipe}))
    folder.write_json("summary.json", {"source": name, "task": "classify", "model": "mlp", "seconds_training": 1.5})
    folder.write_json("evaluation.json", {"metrics": {key: {"value": value} for key, value in metrics.items()}})
    return folder


def test_listing(here):
    assert list_runs() == []
    first = make("digits", {"accuracy": 0.9})
    first.set_state("finished")
    second = RunFolder.create("wine")  # still training: it has no summary
    (here / "runs/notes.txt").touch()
    os.utime(first.path / "run.json", (1, 1))
    rows = list_runs()
    assert [row["name"] for row in rows] == ["digits-1", "wine-1"]
    assert rows[0]["metrics"] == {"accuracy": 0.9} and rows[0]["state"] == "finished" and rows[0]["model"] == "mlp"
    assert rows[1]["state"] == "training" and "metrics" not in rows[1] and second.path.is_dir()


@pytest.mark.parametrize("name", ["run.json", "summary.json", "evaluation.json"])
@pytest.mark.parametrize("content", ["{", "[]", "3", '{"metrics": {"accuracy": 1}}'])
def test_a_damaged_run_is_listed_as_such(here, name, content):
    make("digits", {"accuracy": 0.9})
    Path("runs/digits-1", name).write_text(content)
    make("wine", {"accuracy": 0.8})
    rows = list_runs()
    assert len(rows) == 2 and rows[1]["metrics"] == {"accuracy": 0.8}
    if name == "evaluation.json" or not content.startswith('{"'):
        assert "damaged" in rows[0]["state"] and name in rows[0]["state"]


def test_comparing(here):
    make("a", {"accuracy": 0.9, "log_loss": 0.3})
    make("b", {"accuracy": 0.8, "log_loss": 0.3}, model={"name": "mlp", "width": 16}, augment=[{"name": "flip"}])
    found = compare(["runs/a-1", "runs/b-1"])
    assert found == {
        "recipe.model.width": [8, 16],
        "recipe.augment": [None, [{"name": "flip"}]],
        "metrics.accuracy": [0.9, 0.8],
    }
    assert compare(["runs/a-1", "runs/a-1"]) == {}
    Path("runs/b-1/evaluation.json").write_text("[]")
    with pytest.raises(InputError, match=r"evaluation\.json"):
        compare(["runs/a-1", "runs/b-1"])


def test_state_and_removal(folder, here, monkeypatch):
    folder.set_state("interrupted")
    facts = RunFolder.open(folder.path).facts()
    assert facts["state"] == "interrupted" and facts["changed"] >= facts["created"]
    (here / "precious").mkdir()
    with pytest.raises(InputError, match="not a run folder"):
        RunFolder(here / "precious").remove()
    assert (here / "precious").is_dir()
    folder.remove()
    assert not folder.path.exists()
