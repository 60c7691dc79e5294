"""Distributions and orders from `fit` on tables, pictures and texts: intervals that hold, runs that come back."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes
from typer.testing import CliRunner

import trainwell as tw
from trainwell.cli import app
from trainwell.errors import InputError
from trainwell.estimator import TrainwellClassifier, TrainwellRegressor
from trainwell.predict import prediction_frame
from trainwell.recipe import Recipe

SMALL = ["model.members=8", "model.width=32", "model.bins=8", "optimizer.lr=0.01", "train.evaluations=4"]
KINDS = ("gaussian", "quantile", "mixture")


def growing(rows: int, seed: int = 0) -> pl.DataFrame:
    """A price that is the less sure the larger the size is."""
    random = np.random.default_rng(seed)
    size = random.uniform(0, 1, rows)
    price = 100 + 20 * size + (1 + 9 * size) * random.normal(size=rows)
    return pl.DataFrame({"size": size, "kind": random.choice(["a", "b"], rows), "price": price})


@pytest.fixture(scope="module", params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    out = tmp_path_factory.mktemp(request.param) / "run"
    return tw.fit(
        growing(600), "price", task=request.param, out=out, quiet=True, changes=[*SMALL, "train.epochs=25"]
    )  # fmt: skip


def test_intervals_hold_new_rows_and_widen_where_it_is_unsure(run: tw.Run) -> None:
    fresh = growing(1000, seed=1)
    found, truth = run.quantiles(fresh.drop("price")), fresh["price"].to_numpy()
    low, high = found[0.05][:, 0], found[0.95][:, 0]
    assert 0.84 <= ((low <= truth) & (truth <= high)).mean() <= 0.96
    sure, unsure = (fresh["size"] < 0.2).to_numpy(), (fresh["size"] > 0.8).to_numpy()
    assert (high - low)[unsure].mean() > 2 * (high - low)[sure].mean()
    assert np.corrcoef(run.predict(fresh), 100 + 20 * fresh["size"].to_numpy())[0, 1] > 0.9


def test_a_column_for_each_quantile(run: tw.Run) -> None:
    frame = prediction_frame(run, growing(5, seed=2).drop("price"))
    shares = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    assert frame.columns == ["prediction", *(f"prediction_{share}" for share in shares)]
    assert (frame.select(frame.columns[1:]).to_numpy().T[1:] >= frame.select(frame.columns[1:]).to_numpy().T[:-1]).all()


def test_a_run_comes_back_and_its_recipe_makes_it_again(run: tw.Run, tmp_path: Path) -> None:
    fresh = growing(20, seed=3)
    again = tw.load(run.path)
    assert np.array_equal(again.predict(fresh), run.predict(fresh)) and again.metrics == run.metrics
    assert np.array_equal(again.answers(fresh)["quantiles"], run.answers(fresh)["quantiles"])
    assert again.task.ranks == run.task.ranks == (again.transform.target.ranks or None)
    recipe = Recipe.load(run.path / "recipe.yaml")
    assert recipe.task["name"] == run.recipe.task["name"]
    other = tw.fit(growing(600), "price", recipe=recipe, out=tmp_path / "run", quiet=True, details=False)
    assert np.array_equal(other.predict(fresh), run.predict(fresh))
    judged = run.evaluate(growing(50, seed=4))
    assert {"crps", "pinball", "rmse"} <= set(judged["metrics"]) and judged["central"][-1]["level"] == 0.9


def test_the_page_tells_of_the_intervals(run: tw.Run) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "is left out" not in page and '<section id="intervals"' in page
    assert "90 % intervals hold the truth for" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "continuous ranked probability score" in page and "spread of all training rows" in page
    evaluation = run.folder.read_json("evaluation.json")
    assert {each["kind"] for each in run.folder.read_json("baselines.json")} == {"constant", "linear", "trees"}
    assert evaluation["goal"] == "crps" and len(evaluation["columns"]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_diabetes(kind: str, tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    learned, held = order[:300], order[300:]
    changes = [*SMALL, "split.test=0", "train.epochs=20", "optimizer.lr=0.003", "model.dropout=0.3"]
    run = tw.fit((x[learned], y[learned]), task=kind, out=tmp_path / "r", changes=changes, quiet=True, details=False)
    found = run.quantiles(x[held])
    inside = (found[0.1][:, 0] <= y[held]) & (y[held] <= found[0.9][:, 0])
    assert 0.68 <= inside.mean() <= 0.92  # 80 % of 142 rows is within .10 of it 99 times of 100, were all else right
    assert (found[0.9] - found[0.1]).mean() < 0.9 * (np.quantile(y, 0.9) - np.quantile(y, 0.1))


def test_several_targets_each_with_its_own_quantiles(tmp_path: Path) -> None:
    frame = growing(200).with_columns(cost=pl.col("size") * 3)
    changes = [*SMALL, "train.epochs=2"]
    for kind in KINDS:
        run = tw.fit(frame, "price,cost", task=kind, out=tmp_path / kind, changes=changes, quiet=True, details=False)
        found = prediction_frame(run, frame[:4])
        assert found.width == 16 and {"price", "price_0.05", "cost_0.95"} <= set(found.columns)


def test_ranks_from_numbers_and_from_words(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size = random.normal(size=400)
    rank = np.clip(np.round(size + 0.3 * random.normal(size=400)) + 2, 0, 4).astype(int)
    words = np.array(["E", "D", "C", "B", "A"])[rank]
    changes = [*SMALL, "train.epochs=15"]
    numbers = tw.fit(
        pl.DataFrame({"x": size, "y": rank}), "y", task="ordinal", out=tmp_path / "n", changes=changes, quiet=True
    )
    assert numbers.classes == [0, 1, 2, 3, 4] and numbers.metrics["rank_mae"] < 0.5
    assert numbers.metrics["weighted_kappa"] > 0.7
    page = numbers.report.read_text(encoding="utf-8")
    assert "ranks on average" in page and "is left out" not in page and "quadratic weighted kappa" in page
    told = [*changes, "task.order=[E, D, C, B, A]", "task.link=cumulative"]
    named = tw.fit(
        pl.DataFrame({"x": size, "y": words}), "y", task="ordinal", out=tmp_path / "w", changes=told, quiet=True
    )
    assert named.classes == ["E", "D", "C", "B", "A"] and tw.load(named.path).classes == named.classes
    assert named.metrics["rank_mae"] < 0.5
    probability = named.predict_proba(pl.DataFrame({"x": [-3.0, 3.0]}))
    assert probability.shape == (2, 5) and probability[0].argmax() < probability[1].argmax()
    assert set(named.predict(pl.DataFrame({"x": size[:20]}))) <= set(words)


@pytest.mark.parametrize("kind", ["gaussian", "quantile", "ordinal", "regress"])
def test_pictures_and_texts(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    bright = random.integers(0, 4, 80)
    pictures = (bright[:, None, None, None] * 60 + random.integers(0, 40, (80, 1, 12, 12))).astype(np.uint8)
    texts = pl.DataFrame(
        {"text": [f"{'very ' * each}good film number {i}" for i, each in enumerate(bright)], "stars": bright}
    )
    for name, source in (("pictures", (pictures, bright)), ("texts", texts)):
        run = tw.fit(source, task=kind, out=tmp_path / name, changes=["train.epochs=1"], quiet=True, details=False)
        asked = pictures[:3] if name == "pictures" else texts[:3].drop("stars")
        assert len(run.predict(asked)) == 3
        if kind == "ordinal":
            assert run.predict_proba(asked).shape == (3, 4)
        elif kind != "regress":
            assert (np.diff(list(run.quantiles(asked).values()), axis=0) >= 0).all()


def test_estimators_take_them_too() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 2))
    regressor = TrainwellRegressor(changes=["task.name=quantile", *SMALL, "train.epochs=3"]).fit(x, x[:, 0])
    assert regressor.predict(x[:4]).shape == (4,) and regressor.quantiles(x[:4])[0.5].shape == (4,)
    grades = np.array(["10", "9", "8"])[np.digitize(x[:, 0], [-0.5, 0.5])]
    classifier = TrainwellClassifier(changes=["task.name=ordinal", *SMALL, "train.epochs=3"]).fit(x, grades)
    assert classifier.predict_proba(x[:4]).shape == (4, 3)


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        ("quantile", "task.quantiles=[0.1, 1.5]", "1.5 is no share between 0 and 1"),
        ("quantile", "task.quantiles=[0.9, 0.1]", "do not rise"),
        ("gaussian", "task.quantiles=0.9", "expected tuple"),
        ("mixture", "task.parts=0", "mixture of 0 parts"),
        ("mixture", "task.parts=many", "expected int"),
        ("ordinal", "task.link=probit", "corn"),
    ],
)
def test_bad_wishes_are_told_before_any_training(task: str, change: str, words: str, tmp_path: Path) -> None:
    frame = growing(60).with_columns(price=(pl.col("price") / 10).round())
    with pytest.raises(InputError, match=words):
        tw.fit(frame, "price", task=task, changes=[change], out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_plain_run_says_where_intervals_are_to_be_had(tmp_path: Path) -> None:
    run = tw.fit(
        growing(60), "price", out=tmp_path / "r", changes=[*SMALL, "train.epochs=1"], quiet=True, details=False
    )
    with pytest.raises(InputError, match="--task quantile"):
        run.quantiles(growing(3).drop("price"))


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    growing(80).write_csv("housing.csv")
    sets = [part for change in [*SMALL, "train.epochs=1"] for part in ("--set", change)]
    done = CliRunner().invoke(
        app, ["fit", "housing.csv", "--target", "price", "--task", "quantile", "--out", "run", *sets]
    )
    assert done.exit_code == 0 and "90 % intervals hold the truth for" in done.output.replace("\N{NO-BREAK SPACE}", " ")
    done = CliRunner().invoke(app, ["predict", "run", "housing.csv"])
    assert done.output.splitlines()[0].startswith("prediction,prediction_0.05,prediction_0.1")
    listed = CliRunner().invoke(app, ["tasks"]).output
    assert all(task in listed for task in (*KINDS, "ordinal"))


def test_abalone(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "abalone" / "abalone.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    changes = [*SMALL, "train.epochs=4"]
    run = tw.fit(path, task="quantile", out=tmp_path / "run", changes=changes, quiet=True)
    held = {each["level"]: each["coverage"]["value"] for each in run.folder.read_json("evaluation.json")["central"]}
    assert abs(held[0.8] - 0.8) < 0.06 and abs(held[0.9] - 0.9) < 0.05  # rings are whole: intervals hold a little more
