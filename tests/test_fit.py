"""tw.fit and tw.load on data as people hold it: arrays, frames, files, their own networks."""

import importlib
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_diabetes, load_iris
from torch import nn

import trainwell as tw
from trainwell.errors import InputError
from trainwell.prepare import prepare
from trainwell.runs import RunFolder

QUICK = ["train.epochs=3"]


def small(rows: int = 150, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    frame = pl.DataFrame({"size": random.normal(size=rows), "kind": random.choice(["a", "b", "c"], rows)})
    return frame.with_columns(price=frame["size"] * 3 + (frame["kind"] == "a").cast(pl.Float64) * 5 + 20)


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("regression") / "run"
    return tw.fit(small(), "price", out=folder, changes=["train.epochs=20"], quiet=True)


def test_a_frame_is_learned_in_its_own_unit(regression: tw.Run) -> None:
    assert regression.metrics["r2"] > 0.8
    fresh = small(40, seed=1)
    assert np.corrcoef(regression.predict(fresh), fresh["price"])[0, 1] > 0.9
    assert regression.predict(fresh).shape == (40,)
    with pytest.raises(InputError, match="no probabilities"):
        regression.predict_proba(fresh)


def test_loaded_equals_fitted(regression: tw.Run) -> None:
    fresh = small(40, seed=1)
    again = tw.load(regression.path)
    assert np.array_equal(again.predict(fresh), regression.predict(fresh))
    assert again.metrics == regression.metrics


def test_rows_answer_alike_alone_in_any_order_and_with_gaps(regression: tw.Run) -> None:
    fresh = small(20, seed=1)
    whole = regression.predict(fresh)
    assert np.allclose([regression.predict(fresh[i])[0] for i in range(20)], whole, rtol=1e-5)
    assert np.allclose(regression.predict(fresh.reverse())[::-1], whole, rtol=1e-5)
    assert np.allclose(regression.predict(fresh.select("kind", "size")), whole)
    odd = fresh.with_columns(kind=pl.lit("never seen"), size=None)
    assert np.isfinite(regression.predict(odd)).all()
    with pytest.raises(InputError, match="'kind'"):
        regression.predict(fresh.drop("kind"))


def test_arrays_pandas_and_torch_are_one(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True)
    forms = [(x, y), (torch.tensor(x), torch.tensor(y)), pandas.DataFrame(x).assign(target=y)]
    runs = [tw.fit(form, out=tmp_path / str(i), changes=QUICK, quiet=True) for i, form in enumerate(forms)]
    for run, rows in zip(runs, (x[:5], torch.tensor(x[:5]), pandas.DataFrame(x[:5])), strict=True):
        assert run.classes == [0, 1, 2]
        assert run.predict(rows).dtype.kind == "i"
        assert run.predict_proba(rows).shape == (5, 3)
        assert np.allclose(run.predict_proba(rows).sum(1), 1, atol=1e-5)
    assert runs[0].metrics == runs[1].metrics


def test_labels_keep_their_type(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 3))
    for number, y in enumerate((x[:, 0] > 0, np.where(x[:, 0] > 0, "yes", "no"), (x[:, 0] > 0) * 1.0)):
        run = tw.fit((x, y), out=tmp_path / str(number), changes=QUICK, quiet=True, details=False)
        assert set(run.predict(x).tolist()) <= set(y.tolist())
        assert type(run.predict(x).tolist()[0]) is type(y.tolist()[0])


def test_several_labels_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "left": x[:, 0] > 0, "up": x[:, 1] > 0})
    run = tw.fit(frame, "left,up", out=tmp_path / "run", changes=["train.epochs=20"], quiet=True)
    assert run.predict(frame).shape == (200, 2)
    assert run.metrics["accuracy"] > 0.8
    assert run.report.exists()


class Two(nn.Module):
    """A network as a user writes it."""

    def __init__(self, inputs: int = 4, outputs: int = 3, ending: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs), ending or nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.parametrize("ending", [None, nn.Softmax(1)])
def test_your_own_network_as_it_is(tmp_path: Path, ending: nn.Module | None) -> None:
    run = tw.fit(
        load_iris(return_X_y=True),
        model=Two(ending=ending),
        out=tmp_path / "run",
        changes=["optimizer.lr=0.01"],
        quiet=True,
    )
    assert run.metrics["accuracy"] > 0.8
    assert (run.recipe.task.get("scores") == "probabilities") == (ending is not None)
    with pytest.raises(InputError, match="pass it"):
        tw.load(run.path)
    again = tw.load(run.path, model=Two(ending=ending))
    assert np.array_equal(again.predict(load_iris().data), run.predict(load_iris().data))
    assert any("Two" in path.read_text() for path in (run.path / "source").glob("*.py"))


def test_one_sigmoid_answers_two_classes(tmp_path: Path) -> None:
    x, y = load_iris(return_X_y=True)
    run = tw.fit(
        (x, y > 0),
        model=Two(outputs=1, ending=nn.Sigmoid()),
        out=tmp_path / "run",
        changes=["train.epochs=30"],
        quiet=True,
    )
    assert run.metrics["accuracy"] > 0.9


def test_a_network_that_does_not_fit_is_told(tmp_path: Path) -> None:
    data = load_iris(return_X_y=True)
    for model, part in ((Two(outputs=5), "3 outputs"), (Two(inputs=7), "shape"), (Two(outputs=1), "3 outputs")):
        with pytest.raises(InputError, match=part):
            tw.fit(data, model=model, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    answers = [
        tw.fit((x, y), seed=seed, out=tmp_path / str(i), changes=QUICK, quiet=True, details=False).predict(x[:9])
        for i, seed in enumerate((3, 3, 4))
    ]
    assert np.array_equal(answers[0], answers[1]) and not np.array_equal(answers[0], answers[2])


def test_time_is_kept(tmp_path: Path) -> None:
    began = time.perf_counter()
    run = tw.fit("digits", time="2s", out=tmp_path / "run", changes=["train.epochs=1000"], quiet=True, details=False)
    summary = run.folder.read_json("summary.json")
    assert summary["seconds_training"] < 4 and time.perf_counter() - began < 60
    assert "2 seconds" in summary["stopped"]


def test_no_row_is_in_two_parts_and_equal_rows_stay_together(tmp_path: Path) -> None:
    frame = pl.concat([small(100), small(100)])  # each row twice
    run = tw.fit(frame, "price", out=tmp_path / "run", changes=QUICK, quiet=True, details=False)
    rows = run.folder.read_json("summary.json")["rows"]
    assert sum(rows.values()) == 200 and rows["test"] % 2 == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_without_a_value_are_dropped_and_counted(tmp_path: Path, bad: float) -> None:
    x, y = load_diabetes(return_X_y=True)
    y = y.copy()
    y[:7] = bad
    try:
        run = tw.fit((x, y), out=tmp_path / "run", changes=QUICK, quiet=True, details=False)
    except InputError as error:
        assert "target" in str(error) or "y" in str(error)
    else:
        assert any("7" in note for note in run.folder.read_json("summary.json")["notes"])


def test_ctrl_c_while_it_is_examined_leaves_a_run_that_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*arguments: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    small().write_csv(tmp_path / "small.csv")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("trainwell.fit"), "examine", pressed)
        with pytest.raises(KeyboardInterrupt, match="run"):
            tw.fit(tmp_path / "small.csv", "price", out=out, changes=QUICK, quiet=True)
    assert RunFolder.open(out).facts()["state"] == "interrupted"
    steps = (out / "metrics.jsonl").read_text(encoding="utf-8")
    again = tw.fit(resume=out, quiet=True)
    assert RunFolder.open(out).facts()["state"] == "finished"
    assert again.metrics and steps in (out / "metrics.jsonl").read_text(encoding="utf-8")
    reasons = RunFolder.open(out).read_json("plan.json")["reasons"]
    assert reasons[-1]["why"] == "set by the user" and len(reasons) > 4


def test_the_failure_of_a_training_is_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("trainwell.learn.train", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        tw.fit(small(), "price", out=tmp_path / "run", changes=QUICK, quiet=True)
    facts = RunFolder.open(tmp_path / "run").facts()
    assert facts["state"] == "failed" and facts["why"] == "RuntimeError: no memory"
    with pytest.raises(InputError, match=r"not finished \(failed\)"):
        tw.load(tmp_path / "run")


def test_given_parts_and_groups_hold_when_a_recipe_is_fitted_again(tmp_path: Path) -> None:
    frame = small(90).with_columns(shop=pl.Series([f"s{i % 9}" for i in range(90)]))
    frame.write_csv(tmp_path / "a.csv")
    frame.head(30).write_csv(tmp_path / "held.csv")
    _, schema, plan = prepare(tmp_path / "a.csv", "price", test=tmp_path / "held.csv", group="shop")
    data, again, _ = prepare(None, recipe=plan.recipe)
    assert data.parts is not None and (data.parts == "test").sum() == 30
    assert [(c.name, c.role) for c in again.columns] == [(c.name, c.role) for c in schema.columns]


def test_augmented_pictures_are_kept_for_the_page(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures, labels = random.integers(0, 256, (48, 12, 12), dtype=np.uint8), np.arange(48) % 2
    run = tw.fit((pictures, labels), out=tmp_path / "run", changes=["train.epochs=1"], quiet=True)
    kept = run.folder.read_json("augmented.json")
    assert len(kept["pictures"]) == 16 and set(kept["labels"]) == {"0", "1"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption>0</figcaption>") == kept["labels"].count("0") > 0


def test_pictures_beyond_the_memory_are_read_ahead_and_learned_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / "data" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 200, (12, 12), dtype=np.uint8) // (1 + 3 * (number % 2))
        Image.fromarray(pixels).save(folder / f"{number}.png")
    changes = ["train.epochs=2", "train.workers=1", "train.batch_size=16"]
    held = tw.fit(tmp_path / "data", out=tmp_path / "held", changes=changes, quiet=True)
    monkeypatch.setattr(importlib.import_module("trainwell.build"), "fits", lambda size, device="cpu": False)
    monkeypatch.setattr(importlib.import_module("trainwell.load"), "BLOCK", 1_000)
    ahead = tw.fit(tmp_path / "data", out=tmp_path / "ahead", changes=changes, quiet=True)
    assert ahead.metrics == held.metrics
    np.testing.assert_array_equal(held.predict_proba(tmp_path / "data"), ahead.predict_proba(tmp_path / "data"))
    (tmp_path / "data" / "dark" / "0.png").write_bytes(b"not a picture")
    torn = tw.fit(tmp_path / "data", out=tmp_path / "torn", changes=changes, quiet=True, details=False)
    notes = " ".join(torn.folder.read_json("summary.json")["notes"])
    assert "more than memory holds" in notes and "0.png" in notes
    assert np.isnan(torn.predict_proba(tmp_path / "data")).any(1).sum() == 1
