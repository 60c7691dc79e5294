"""tw.fit for pictures and tables that are rebuilt or drawn: what is chosen, left, loaded, drawn, shown and refused."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import trainwell as tw
from trainwell import cli
from trainwell.build import optimizers_of
from trainwell.errors import InputError
from trainwell.prepare import announce, prepare
from trainwell.sample import sample_to_file

ROWS = 240
QUICK = ["train.epochs=2", "train.precision=float32"]


def digits(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return (found.images[:rows] * 15).astype(np.uint8), found.target[:rows].astype(str)


def shells(rows: int = 600) -> pl.DataFrame:
    random = np.random.default_rng(0)
    size = random.normal(5, 1, rows).round(2)
    sex = np.where(size + random.normal(0, 0.3, rows) > 5, "M", "F")
    rings = np.round(2 * size + random.normal(0, 0.5, rows)).astype(int)
    weight = [None if i % 9 == 0 else float(each) for i, each in enumerate((size * 3).round(1))]
    return pl.DataFrame({"sex": sex, "size": size, "weight": weight, "rings": rings})


def fit(source, folder: Path, task: str, *changes: str, **more) -> tw.Run:
    return tw.fit(source, task=task, changes=[*QUICK, *changes], out=folder / "run", quiet=True, **more)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tw.Run]:
    found = {}
    for task, change in (("gan", "maps=8"), ("diffusion", "maps=8"), ("reconstruct", "maps=8")):
        folder = tmp_path_factory.mktemp(task)
        found[task] = fit(digits(), folder, task, f"model.{change}", "train.batch_size=32")
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    changes = ("train.epochs=80", "train.batch_size=64", "model.width=64")
    return fit(shells(), tmp_path_factory.mktemp("table"), "diffusion", *changes)


@pytest.mark.parametrize("task", ["gan", "diffusion", "reconstruct"])
def test_a_run_is_whole_and_shows_what_it_makes(runs: dict[str, tw.Run], task: str) -> None:
    run = runs[task]
    film = [json.loads(line) for line in (run.path / "film.jsonl").read_text().splitlines()]
    steps = [frame["step"] for frame in film]
    assert len(film) >= 4 and steps == sorted(steps) and film[0]["picture"] != film[-1]["picture"]
    shown = json.loads((run.path / "generated.json").read_text())
    assert {"samples", "nearest"} <= set(shown)
    assert ("map" in shown) == (task == "reconstruct") and ("way" in shown) == (task == "diffusion")
    words = "nats" if task == "reconstruct" else "trees"
    assert task == "reconstruct" or run.metrics["told_apart"] > 0.9, "noise is told from digits"
    assert run.metrics and words in run.folder.read_json("evaluation.json")["sentence"]
    found = run.folder.path / "findings.jsonl"
    assert not found.exists() or "not-normalized" not in found.read_text(), "the task scales its bytes itself"
    checks = run.folder.read_json("checks.json")
    assert "the check failed" not in str(checks["skipped"])
    assert ("cross-sample-leak" in checks["run"]) == (task != "gan"), "diffusion is told a time beside the rows"
    page = run.report.read_text()
    assert 'id="made"' in page and film[-1]["picture"] in page and "could not be read" not in page
    assert "run.sample(64" in page and "--out draws.png" in page
    assert ("trainwell predict" in page) == (task == "reconstruct"), "the page says only what the run can do"
    assert ("both players" in page) == (task == "gan") and ("Rebuilt from their code" in page) == ("rebuilt" in shown)


@pytest.mark.parametrize("task", ["gan", "diffusion", "reconstruct"])
def test_a_run_loads_and_draws_the_same_again(runs: dict[str, tw.Run], task: str) -> None:
    run, options = runs[task], {"steps": 3} if task == "diffusion" else {}
    again = tw.load(run.path)
    first, more = run.sample(4, seed=3, **options), again.sample(6, seed=3, **options)
    assert first.dtype == np.uint8 and first.shape == (4, 1, 8, 8)
    assert np.abs(first.astype(int) - more[:4].astype(int)).max() <= 1
    assert not np.array_equal(first, run.sample(4, seed=4, **options))


def test_a_class_is_drawn_by_its_name(runs: dict[str, tw.Run]) -> None:
    run = runs["gan"]
    seven = run.sample(3, label="7", seed=1)
    assert not np.array_equal(seven, run.sample(3, label="3", seed=1))
    turns = run.sample(10, seed=1)
    assert np.array_equal(turns[7], run.sample(10, label=7, seed=1)[7])


def test_rows_are_rebuilt_and_judged(runs: dict[str, tw.Run]) -> None:
    run = runs["reconstruct"]
    x, _ = digits()
    assert run.predict(x).shape == (ROWS, 1, 8, 8)
    found = run.evaluate(x)["metrics"]
    assert found["loss"]["low"] < found["loss"]["value"] < found["loss"]["high"]
    rates = run.folder.read_json("baselines.json")
    assert [each["kind"] for each in rates] == ["constant", "linear"] and found["rmse"]["value"] > 0


def test_a_player_may_have_a_rate_of_its_own() -> None:
    _, _, plan = prepare(digits(60), task="gan", changes=["optimizer.discriminator={lr: 0.0008, eps: 1.0e-6}"])
    players = {"generator": nn.Linear(2, 2), "discriminator": nn.Linear(2, 1)}
    made = optimizers_of(plan.recipe.optimizer, players)
    rates = {player: each.param_groups[0]["lr"] for player, each in made.items()}
    assert rates == {"generator": plan.recipe.optimizer["lr"], "discriminator": 0.0008}
    assert made["discriminator"].param_groups[0]["eps"] == 1e-6 != made["generator"].param_groups[0]["eps"]
    for wrong, told in (
        ({"lr": 0.1, "generator": 0.2}, "optimizer.generator: found 0.2"),
        ({"lr": 0.1, "generater": {"lr": 0.2}}, "unknown argument 'generater'"),
        ({"lr": 0.1, "generator": {"rate": 0.2}}, "unknown argument 'rate'"),
        ({"lr": 0.1, "generator": {"lr": "fast"}}, "optimizer.lr: found 'fast'"),
    ):
        with pytest.raises(InputError, match=told):
            optimizers_of(wrong, players)


@pytest.mark.parametrize(
    ("task", "model"),
    [("reconstruct", "autoencoder"), ("reconstruct", "vae"), ("reconstruct", "conv_autoencoder"), ("gan", "gan"),
     ("diffusion", "dit")],
)  # fmt: skip
def test_every_network_for_pictures_by_name(tmp_path: Path, task: str, model: str) -> None:
    changes = [*QUICK, "train.epochs=1"]
    run = tw.fit(digits(120), model=model, changes=changes, out=tmp_path / "run", quiet=True, details=False)
    assert run.recipe.task["name"] == task
    assert tw.load(run.path).recipe.model["name"] == model


def test_a_table_is_drawn_as_it_was(table: tw.Run, tmp_path: Path) -> None:
    frame = table.sample(200, seed=0)
    real = shells()
    assert frame.columns == real.columns and frame.schema == real.schema
    assert set(frame["sex"].drop_nulls()) == {"M", "F"} and frame["weight"].null_count() > 0
    assert frame["rings"].min() >= real["rings"].min() and frame["size"].max() <= real["size"].max()
    assert (frame["size"].round(2) == frame["size"]).all()
    both = frame.drop_nulls().with_columns(m=(pl.col("sex") == "M").cast(pl.Int8)).select(pl.corr("m", "size"))
    assert both.item() > 0.5, "a column that follows from another has to follow in drawn rows too"
    out = sample_to_file(table, tmp_path / "rows.csv", 25)
    assert pl.read_csv(out).shape == (25, 4)
    metrics = table.metrics
    apart = {each["kind"]: each["metrics"]["told_apart"] for each in table.folder.read_json("baselines.json")}
    assert metrics["told_apart"] < apart["independent"] and 0 <= metrics["copies"] <= 1
    page = table.report.read_text()
    assert "Column by column" in page and "nearest known" in page and "rings" in page


def test_a_table_says_what_each_row_costs(tmp_path: Path) -> None:
    run = fit(shells(), tmp_path, "reconstruct", "train.epochs=30")
    frame = shells(40)
    odd = frame.with_columns(size=pl.when(pl.int_range(pl.len()) == 7).then(9.9).otherwise(pl.col("size")))
    cost = run.answers(odd)["loss"]
    assert cost.argmax() == 7, "the row that cannot be is the dearest"


def test_files_of_what_is_drawn(runs: dict[str, tw.Run], tmp_path: Path) -> None:
    with Image.open(sample_to_file(runs["gan"], tmp_path / "a.png", 20)) as sheet:
        assert sheet.width > 8 * 10 and sheet.height > 8 * 2
    with Image.open(sample_to_file(runs["diffusion"], tmp_path / "steps.gif", 4, steps=5)) as film:
        assert film.n_frames == 6
    with Image.open(sample_to_file(runs["reconstruct"], tmp_path / "way.gif", 2, interpolate=True)) as film:
        assert film.n_frames > 10
    x, _ = digits(16)
    with Image.open(sample_to_file(runs["reconstruct"], tmp_path / "pairs.png", 16, source=x)) as sheet:
        assert sheet.height > sheet.width / 2, "two rows of pictures above two of rebuilt ones"


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["trainwell", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
        raise SystemExit(0)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("task", "words", "said"),
    [
        ("gan", ["--class", "cat"], "this class was not trained"),
        ("gan", ["--guidance", "2"], "only diffusion"),
        ("gan", ["--prompt", "once"], "--prompt"),
        ("gan", ["--out", "a.gif"], "only diffusion draws in steps"),
        ("gan", ["--reconstruct", "digits"], "only an autoencoder"),
        ("diffusion", ["--steps", "0"], "at least one step"),
        ("diffusion", ["--n", "0"], "expected 1 or more"),
        ("diffusion", ["--out", "a.csv"], "expected .png, .gif"),
        ("diffusion", ["--interpolate"], "only a vae or a gan"),
        ("reconstruct", ["--class", "7"], "without classes"),
    ],
)
def test_wishes_that_cannot_be(runs, task, words, said, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "sample", runs[task].path, *words) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told and not list(tmp_path.iterdir())


def test_guidance_without_classes(table: tw.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trained without classes"):
        table.sample(3, guidance=2.0)
    with pytest.raises(InputError, match="trained without classes"):
        table.sample(3, label="M")
    with pytest.raises(InputError, match=r"ends in '\.png'"):
        sample_to_file(table, tmp_path / "rows.png")


def pictures(folder: Path, count: int, size: tuple[int, int] = (8, 8), *, names: tuple[str, ...] = ("only",)) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / names[number % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        sides = size if number % 3 else (size[0] + 4, size[1] + 2)
        pixels = random.integers(0, 256, (*sides, 1 if size == (8, 8) else 3), dtype=np.uint8)
        Image.fromarray(pixels.squeeze()).save(place / f"{number}.png")
    return folder


def test_one_class_and_few_pictures_of_unequal_size_are_said(tmp_path: Path) -> None:
    data, schema, plan = prepare(pictures(tmp_path / "p", 30), task="gan")
    told = announce(data, schema, plan)
    assert "they have no classes" in told and "of fewer than 100" in told and "augment=" in told
    assert not schema.classes and "to draw new ones with" in told
    x, _ = digits(40)
    data, schema, plan = prepare((x, np.array(["cat"] * 40)), task="diffusion")
    assert "one class only (cat)" in announce(data, schema, plan) and not schema.targets
    run = fit(pictures(tmp_path / "q", 30), tmp_path, "diffusion", "model.maps=8", details=False)
    assert run.model.classes == 0
    assert any("are brought to" in note for note in [*run.transform.notes])
    assert run.sample(2, steps=2).shape[1:] == run.task.shape
    with pytest.raises(InputError, match="without classes"):
        run.sample(1, guidance=3.0)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"task": "diffusion", "changes": ["model.stages=[1, 2, 4, 8]"]}, "to less than 2"),
        ({"task": "gan", "model": "conv_vae"}, "no network for the task 'gan'"),
        ({"task": "classify", "model": "dcgan"}, "is trained by the task 'gan'"),
        ({"model": "diffusion_mlp"}, "choose diffusion_unet or dit"),
        ({"task": "gan", "changes": ["task.game=chess"]}, "no game 'chess'"),
        ({"task": "gan", "target": "nothing"}, "nothing"),
    ],
)
def test_fits_that_cannot_be(wish: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        tw.fit(digits(60), out=tmp_path / "run", quiet=True, **wish)
    assert not (tmp_path / "run").exists()


def test_kinds_of_data_that_are_not_drawn() -> None:
    frame = pl.DataFrame({"text": [f"once upon a time there were {i} little pigs in a wood" for i in range(40)]})
    with pytest.raises(InputError, match="Text is continued by --task language"):
        prepare(frame, task="gan")
    with pytest.raises(InputError, match="reads pictures and this is a table"):
        prepare(shells(), model="dcgan")


def test_pictures_without_labels_are_rebuilt() -> None:
    _, schema, plan = prepare(digits()[0])
    assert schema.task == "reconstruct" and plan.recipe.model["name"] == "conv_vae"


def test_the_doctor_looks_at_what_a_gan_draws(tmp_path: Path) -> None:
    run = fit(digits(), tmp_path, "gan", "train.epochs=6", "train.evaluations=6")
    checks = json.loads((run.path / "checks.json").read_text())
    assert "mode-collapse" in checks["run"] and "mode-collapse" not in [each["ailment"] for each in run.findings]
