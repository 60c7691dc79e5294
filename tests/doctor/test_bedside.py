"""The doctor beside `fit`, `check` and `doctor` on the command line: modes, the changed recipe, bad input."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import trainwell as tw
from trainwell.cli import main
from trainwell.doctor.afresh import proposals
from trainwell.doctor.bedside import prescribed
from trainwell.errors import InputError
from trainwell.recipe import Recipe

SMALL = {"quiet": True, "details": False, "model": "mlp", "time": None}


def spirals(rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that a small network can tell apart."""
    generator = np.random.default_rng(0)
    y = np.arange(rows) % 3
    x = generator.normal(size=(rows, 6))
    x[:, :3] += 2.5 * np.eye(3)[y]
    return x, y


def fitted(path, doctor, **options):
    x, y = spirals()
    changes = options.pop("changes", [])
    return tw.fit((x, y), out=path, doctor=doctor, changes=["train.epochs=20", *changes], **SMALL, **options)


TOO_HIGH = ["optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.lr=5", "schedule.name=constant"]


def test_healthy_fit_is_left_alone(tmp_path):
    watched, plain = fitted(tmp_path / "watched", "treat"), fitted(tmp_path / "plain", None)
    for one, other in zip(watched.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
        assert one.equal(other)
    assert [each for each in watched.findings if each["severity"] != "note"] == []
    assert len(json.loads((tmp_path / "watched/checks.json").read_text())["run"]) > 20
    assert not (tmp_path / "plain/checks.json").exists()
    assert (tmp_path / "watched/recipe.yaml").read_text() == (tmp_path / "plain/recipe.yaml").read_text()


def test_treatment_is_in_history_and_recipe(tmp_path, capsys):
    ill = fitted(tmp_path / "ill", "watch", changes=TOO_HIGH)
    assert "learning-rate-too-high" in [each["name"] for each in ill.findings]
    x, y = spirals()
    changes = ["train.epochs=20", *TOO_HIGH]
    run = tw.fit((x, y), out=tmp_path / "run", changes=changes, **{**SMALL, "quiet": False})
    told = capsys.readouterr().err
    assert "doctor, step" in told and "learning rate times" in told
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert history and "optimizer.lr" in history[0]["recipe"] and history[0]["finding"] == "learning-rate-too-high"
    recipe = Recipe.load(tmp_path / "run/recipe.yaml")
    assert recipe.optimizer["lr"] < 1 and run.recipe.optimizer["lr"] == recipe.optimizer["lr"]
    again = tw.fit((x, y), out=tmp_path / "again", recipe=recipe, doctor="watch", quiet=True, details=False)
    assert "learning-rate-too-high" not in [each["name"] for each in again.findings]


def test_ask_proposes_and_changes_nothing(tmp_path, capsys):
    asked = fitted(tmp_path / "asked", "ask", changes=TOO_HIGH)
    plain = fitted(tmp_path / "plain", None, changes=TOO_HIGH)
    for one, other in zip(asked.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
        assert one.equal(other) or (one.isnan() == other.isnan()).all()
    assert json.loads((tmp_path / "asked/history.json").read_text()) == []
    assert any("learning rate times" in each["remedy"] for each in asked.findings)


def test_prescription_scales_the_rate_and_sets_the_rest():
    recipe = Recipe(optimizer={"name": "adamw", "lr": 0.02}, train={"epochs": 3})
    changed = {"optimizer.lr": [0.04, 0.004], "train.clip": [None, 1.5]}
    made = prescribed(recipe, [{"recipe": changed}, {"change": "layers initialized again"}])
    assert made.optimizer["lr"] == pytest.approx(0.002) and made.train["clip"] == 1.5
    assert recipe.train == {"epochs": 3}


def test_prescription_scales_what_a_player_has_of_its_own():
    recipe = Recipe(optimizer={"name": "adam", "lr": 0.02, "discriminator": {"lr": 0.04, "eps": 1e-6}})
    made = prescribed(recipe, [{"recipe": {"optimizer.lr": [0.02, 0.002]}}])
    assert made.optimizer == {"name": "adam", "lr": 0.002, "discriminator": {"lr": 0.004, "eps": 1e-6}}
    assert recipe.optimizer["discriminator"]["lr"] == 0.04


def test_unknown_mode_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="did you mean 'treat'"):
        tw.fit("no-such-thing", doctor="treet")


@pytest.fixture
def command(monkeypatch, capsys):
    """Words of a command line to (exit code, what was printed, what was said on stderr)."""

    def run(*words: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["trainwell", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code or 0, stdout=said.out, stderr=said.err)

    return run


def test_check_says_what_ails_a_source(tmp_path, command):
    x, y = spirals(300)
    lines = [
        ",".join(f"{value:.4f}" for value in row) + f",{kind},{kind + 0.001:.3f}"
        for row, kind in zip(x, y, strict=True)
    ]
    (tmp_path / "rows.csv").write_text("a,b,c,d,e,f,label,told\n" + "\n".join(lines))
    found = command("check", str(tmp_path / "rows.csv"), "--target", "label")
    assert found.returncode == 0 and "could not run" in found.stdout, found.stderr
    assert "data leakage" in found.stdout.split("Watched")[0]
    assert command("check").returncode == 2
    missing = command("check", str(tmp_path / "none.csv"))
    assert missing.returncode == 2 and "none.csv" in missing.stderr and "Traceback" not in missing.stderr


def test_doctor_reads_runs_and_logs(tmp_path, command):
    run = fitted(tmp_path / "run", "watch", changes=TOO_HIGH)
    told = command("doctor", str(run.path))
    assert told.returncode == 0 and "learning rate too high" in told.stdout, told.stderr
    (tmp_path / "run/checks.json").unlink()
    assert "could not run" in command("doctor", str(run.path)).stdout
    (tmp_path / "log.csv").write_text("step,loss\n" + "\n".join(f"{i},{2.3 if i < 30 else 'nan'}" for i in range(40)))
    assert "non-finite values in loss since step 30" in command("doctor", str(tmp_path / "log.csv")).stdout
    for name, text in (("empty.csv", ""), ("other.csv", "a,b\n1,2\n"), ("torn.jsonl", "{oops\n{}\n")):
        (tmp_path / name).write_text(text)
        refused = command("doctor", str(tmp_path / name))
        assert refused.returncode == 2 and name in refused.stderr and "Traceback" not in refused.stderr
    assert command("doctor", str(tmp_path / "none")).returncode == 2


def test_resumed_run_keeps_what_was_found_before(tmp_path):
    run = fitted(tmp_path / "run", "watch", changes=TOO_HIGH)
    before = run.findings
    again = tw.fit(resume=run.path, source=spirals(), doctor="watch", quiet=True, details=False)
    assert [each["name"] for each in again.findings][: len(before)] == [each["name"] for each in before]


DEEP = ["model.widths=[24,24,24,24,24,24,24,24,24,24]", "model.activation=sigmoid", "train.epochs=40"]


def test_another_network_is_begun_afresh_and_told(tmp_path, capsys):
    x, y = spirals()
    ill = tw.fit((x, y), out=tmp_path / "ill", changes=DEEP, doctor="watch", **{**SMALL, "details": True})
    run = tw.fit((x, y), out=tmp_path / "run", changes=DEEP, **{**SMALL, "quiet": False, "details": True})
    assert "fit starts afresh with model.activation=relu" in capsys.readouterr().err
    recipe = Recipe.load(tmp_path / "run/recipe.yaml")
    assert recipe.model["activation"] == run.recipe.model["activation"] == "relu"
    assert len(recipe.model["widths"]) == 10 and type(run.model.hidden[0][-1]).__name__ != "Sigmoid"
    (entry,) = [each for each in run.folder.read_json("history.json") if each.get("afresh")]
    assert entry["recipe"]["model.activation"] == ["sigmoid", "relu"]
    given_up = run.findings[0]
    assert given_up["cured"] is True and "activation=relu" in given_up["statistic"]["twin"]
    assert "changed by the doctor" in (tmp_path / "run/report.html").read_text()
    assert "fit starts afresh" in (tmp_path / "run/report.html").read_text()
    assert run.metrics["accuracy"] > ill.metrics["accuracy"] + 0.3 and ill.findings[0]["name"] == given_up["name"]
    lines = run.folder.read_lines("metrics.jsonl")
    assert [each["step"] for each in lines] == sorted(each["step"] for each in lines)
    assert tw.load(tmp_path / "run").predict(x[:5]).shape == (5,)


def test_asked_it_only_proposes_another_network(tmp_path):
    x, y = spirals()
    run = tw.fit((x, y), out=tmp_path / "run", changes=DEEP, doctor="ask", **SMALL)
    assert "activation=relu" in run.findings[0]["remedy"] and run.recipe.model["activation"] == "sigmoid"


def test_proposals_change_only_what_a_model_takes():
    def kind(*, activation: str = "tanh", residual: bool = False, width: int = 3):
        return None

    assert proposals("vanishing-gradient", {}, kind) == [
        {"activation": "relu"},
        {"activation": "relu", "residual": True},
    ]
    assert proposals("vanishing-gradient", {"activation": "relu"}, kind) == [{"residual": True}]
    assert proposals("dying-relu", {"activation": "relu", "residual": True}, kind) == [{"activation": "gelu"}]
    assert proposals("data-leakage", {}, kind) == [] == proposals("vanishing-gradient", {}, lambda *, width=3: None)
