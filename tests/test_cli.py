"""The command line as a user types it: what it prints, what it leaves, and what it says of bad input."""

import csv
import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainwell import cli, runs
from trainwell.recipe import VERSION

QUICK = ["--set", "train.epochs=2"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["trainwell", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
        raise SystemExit(0)
    return int(end.value.code or 0)


def table(path: Path, rows: int = 60, **columns: list) -> Path:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2))
    cells = {"a": x[:, 0].round(3).tolist(), "b": x[:, 1].round(3).tolist()}
    cells |= {"label": ["yes" if value > 0 else "no" for value in x.sum(1)]} | columns
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run, made once by the command line."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command(patch, "fit", str(table(folder / "table.csv")), "--out", str(folder / "run"), *QUICK) == 0
    return folder / "run"


def test_fit_leaves_a_whole_run(fitted: Path) -> None:
    names = {path.relative_to(fitted).as_posix() for path in fitted.rglob("*") if path.is_file()}
    wanted = {
        "run.json", "recipe.yaml", "schema.json", "transform.json", "metrics.jsonl", "summary.json", "evaluation.json",
        "baselines.json", "environment.json", "plan.json", "report.html", "checkpoints/best.safetensors",
    }  # fmt: skip
    assert wanted <= names
    assert json.loads((fitted / "run.json").read_text())["state"] == "finished"
    assert any(name.startswith("source/") for name in names)
    assert not any(name.startswith(".") or name.endswith((".pkl", ".pt")) for name in names)


def test_predict_answers_every_row_in_order(fitted, tmp_path, monkeypatch, capsys) -> None:
    rows = table(tmp_path / "new.csv", rows=20)
    assert command(monkeypatch, "predict", fitted, rows) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert set(lines[0].split(",")) == {"prediction", "probability_no", "probability_yes"}
    assert command(monkeypatch, "predict", fitted, rows, "--out", "answers.csv") == 0
    assert Path("answers.csv").read_text().splitlines() == lines
    assert command(monkeypatch, "predict", fitted, rows, "--out", "answers.xls") == 2
    assert not Path("answers.xls").exists()


def test_evaluate_report_runs(fitted, tmp_path, monkeypatch, capsys) -> None:
    assert command(monkeypatch, "evaluate", fitted, table(tmp_path / "new.csv")) == 0
    assert "accuracy" in capsys.readouterr().out
    assert command(monkeypatch, "report", fitted) == 0
    assert "report.html" in capsys.readouterr().out
    assert command(monkeypatch, "runs", "list", fitted.parent) == 0
    assert "finished" in capsys.readouterr().out
    assert command(monkeypatch, "runs", "show", fitted) == 0
    assert "held-out" in capsys.readouterr().out
    assert command(monkeypatch, "runs", "compare", fitted, fitted) == 0


@pytest.mark.parametrize(
    "words", [["models"], ["tasks"], ["sources"], ["runs"], ["plan", "iris"], ["plan", "iris", "--yaml"]]
)
def test_lists(words, monkeypatch, capsys) -> None:
    assert command(monkeypatch, *words) == 0
    assert capsys.readouterr().out.strip()


def test_a_plan_in_yaml_is_a_recipe(monkeypatch, capsys) -> None:
    assert command(monkeypatch, "plan", "iris", "--yaml") == 0
    Path("iris.yaml").write_text(capsys.readouterr().out)
    assert command(monkeypatch, "fit", "iris", "--recipe", "iris.yaml", *QUICK) == 0


def test_an_interrupted_run_resumes(tmp_path, monkeypatch, capsys) -> None:
    source = table(tmp_path / "table.csv", rows=200)
    from trainwell.train.events import Events

    emit, seen = Events.emit, []

    def interrupted(self, name, *arguments):  # Ctrl-C after the fifth step
        seen.append(name)
        if seen.count("step") == 5 and name == "step":
            os.kill(os.getpid(), signal.SIGINT)
        return emit(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Events, "emit", interrupted)
        assert command(patch, "fit", source, "--out", "run", "--set", "train.epochs=4") == 130
    assert "--resume" in capsys.readouterr().err
    assert json.loads(Path("run/run.json").read_text())["state"] == "interrupted"
    assert command(monkeypatch, "fit", "--resume", "run") == 0
    assert json.loads(Path("run/run.json").read_text())["state"] == "finished"


def pictures(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            shade = random.integers(0, 128, (8, 8), dtype=np.uint8) + (120 if label == "dog" else 0)
            Image.fromarray(shade.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


def test_spoiled_pictures_are_counted_and_the_rest_goes_on(tmp_path, monkeypatch, capsys) -> None:
    folder = pictures(tmp_path / "photos")
    (folder / "cat" / "torn.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:40])
    (folder / "dog" / "renamed.png").write_text("not a picture")
    assert command(monkeypatch, "fit", folder, "--out", "run", *QUICK) == 0
    notes = " ".join(json.loads(Path("run/summary.json").read_text())["notes"])
    assert "torn.png" in notes and "renamed.png" in notes


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Name -> words of the command and what its message has to hold."""
    write = lambda name, content: (folder / name).write_bytes(content)  # noqa: E731
    write("empty.csv", b"")
    write("header.csv", b"a,b,label\n")
    (folder / "nothing").mkdir()
    (folder / "nothing" / "readme.bin").write_bytes(b"x")
    write("ragged.csv", b"a,b,label\n" + b"1,2,yes\n" * 5 + b"1,2,3,4,no\n" + b"2,1,no\n" * 5)
    write("latin.csv", b"a,label\n" + "1,café\n2,thé\n".encode("latin-1") * 10)
    write("three.csv", b"a,label\n1,x\n2,y\n3,x\n")
    write("same.csv", b"a,b,label\n" + b"1,2,yes\n" * 50)
    write("one.csv", b"a,label\n" + b"".join(b"%d,yes\n" % (n * 7 % 20) for n in range(50)))
    write("many.csv", b"a,label\n" + b"".join(b"%d.5,c%d\n" % (n, n % 10_000) for n in range(20_000)))
    table(folder / "good.csv")
    write("later.yaml", f"version: {VERSION + 1}\n".encode())
    write("key.yaml", b"modle: {name: mlp}\n")
    good = str(folder / "good.csv")
    return {
        "missing path": (["fit", str(folder / "nowhere.csv")], "nowhere.csv"),
        "empty file": (["fit", str(folder / "empty.csv")], "empty"),
        "header only": (["fit", str(folder / "header.csv")], "header.csv"),
        "no pictures": (["fit", str(folder / "nothing")], "nothing"),
        "ragged rows": (["fit", str(folder / "ragged.csv")], "ragged.csv"),
        "not UTF-8": (["fit", str(folder / "latin.csv")], "UTF-8"),
        "three rows": (["fit", str(folder / "three.csv")], "3 rows"),
        "all the same": (["fit", str(folder / "same.csv")], "same.csv"),
        "one value": (["fit", str(folder / "one.csv")], "yes"),
        "many classes": (["fit", str(folder / "many.csv"), "--target", "label"], "10,000"),
        "wrong target": (["fit", good, "--target", "lable"], "'label'"),
        "unknown model": (["fit", good, "--model", "tabn"], "'tabm'"),
        "unknown task": (["fit", good, "--task", "clasify"], "'classify'"),
        "unknown recipe key": (["fit", good, "--recipe", str(folder / "key.yaml")], "'model'"),
        "unknown setting": (["fit", good, "--set", "train.epoch=3"], "'epochs'"),
        "ill-typed setting": (["fit", good, "--set", "train.epochs=many"], "train.epochs"),
        "no epochs": (["fit", good, "--set", "train.epochs=0"], "epochs"),
        "later recipe": (["fit", good, "--recipe", str(folder / "later.yaml")], "update"),
        "missing recipe": (["fit", good, "--recipe", str(folder / "none.yaml")], "none.yaml"),
        "unknown type": (["fit", good, "--types", "a=categry"], "category"),
        "type of no column": (["fit", good, "--types", "c=category"], "'c'"),
        "picture model on a table": (["fit", good, "--model", "resnet"], "channels"),
        "bad time": (["fit", good, "--time", "soon"], "soon"),
        "unknown device": (["fit", good, "--device", "gpu9"], "gpu9"),
        "no run": (["predict", str(folder / "nothing"), good], "run.json"),
        "no source": (["fit"], "SOURCE"),
    }  # fmt: skip


def test_bad_input_gives_one_message_and_leaves_nothing(tmp_path, monkeypatch, capsys) -> None:
    cases = bad_inputs(tmp_path)
    wrong = []
    for name, (words, part) in cases.items():
        code = command(monkeypatch, *words)
        said = capsys.readouterr().err
        if code != 2 or part not in said or "Traceback" in said or Path("runs").exists():
            wrong.append(f"{name}: exit {code}, runs/ {Path('runs').exists()}: {said[-300:]}")
            shutil.rmtree("runs", ignore_errors=True)
    assert not wrong, "\n\n".join(wrong)


def damage(run: Path, name: str, how: str) -> None:
    path = run / name
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("how", ["missing", "damaged"])
@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "recipe.yaml",
        "schema.json",
        "transform.json",
        "transform.safetensors",
        "checkpoints/best.safetensors",
    ],
)
def test_a_spoiled_run_is_named(fitted, tmp_path, monkeypatch, capsys, name, how) -> None:
    run = tmp_path / "copy"
    shutil.copytree(fitted, run)
    damage(run, name, how)
    assert command(monkeypatch, "predict", run, table(tmp_path / "new.csv")) == 2
    said = capsys.readouterr().err
    assert Path(name).name in said and "Traceback" not in said


def test_a_full_disk_is_said(tmp_path, monkeypatch, capsys) -> None:
    def full(*arguments, **rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    source = table(tmp_path / "table.csv")
    monkeypatch.setattr(runs.os, "replace", full)
    assert command(monkeypatch, "fit", source, *QUICK) == 2
    assert "full" in capsys.readouterr().err


def test_no_permission_is_said(tmp_path, monkeypatch, capsys) -> None:
    def refused(self, *arguments, **rest):
        raise PermissionError(13, "Permission denied", str(self))

    source = table(tmp_path / "table.csv")
    monkeypatch.setattr(Path, "mkdir", refused)
    assert command(monkeypatch, "fit", source, *QUICK) == 2
    assert "permission" in capsys.readouterr().err
