"""tw.fit on series and text: what is written, loaded, predicted, resumed and refused."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trainwell as tw
from trainwell.errors import InputError
from trainwell.explain.language import continued
from trainwell.predict import flat, prediction_frame
from trainwell.prepare import prepare
from trainwell.sample import sampled


def wave(steps: int = 600) -> pl.DataFrame:
    random, at = np.random.default_rng(0), np.arange(steps)
    stamps = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(steps)]
    load = np.sin(at * 2 * np.pi / 24) * 10 + 50 + random.normal(size=steps)
    return pl.DataFrame({"time": stamps, "load": load, "heat": -load * 2 + random.normal(size=steps)})


QUICK = ["train.epochs=3", "task.horizon=12"]


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("forecast") / "run"
    return tw.fit(wave(), changes=[*QUICK, "train.epochs=20"], out=folder, quiet=True)


def test_a_series_is_seen_and_forecast(forecast: tw.Run) -> None:
    assert forecast.schema.task == "forecast" and forecast.metrics["mse"] < 0.2
    evaluation = json.loads((forecast.path / "evaluation.json").read_text())
    assert "steps" in evaluation["sentence"] and len(evaluation["forecasts"]) == 6
    assert 0.5 < evaluation["intervals"]["coverage"] < 0.95
    page = forecast.report.read_text()
    assert page.count('class="band"') >= 6 and "Seasonal naive" in page and "80" in page
    baselines = json.loads((forecast.path / "baselines.json").read_text())
    assert {each["kind"] for each in baselines} == {"seasonal", "constant", "linear"}
    assert forecast.report.exists()


def test_a_forecast_loads_and_goes_on_after_the_end(forecast: tw.Run) -> None:
    again = tw.load(forecast.path)
    assert np.array_equal(again.predict(wave()), forecast.predict(wave()))
    frame = prediction_frame(again, wave())
    ends = ["load_0.1", "heat_0.1", "load_0.9", "heat_0.9"]
    assert frame.columns == ["time", "load", "heat", *ends] and frame.height == 12
    assert (frame["load_0.1"] < frame["load_0.9"]).all()
    assert frame["time"][0] == wave()["time"][-1] + timedelta(hours=1)
    assert flat(frame)["time"][0] == "2024-01-26 00:00:00"
    days = frame.with_columns(time=pl.datetime_range(datetime(2024, 1, 1), datetime(2024, 1, 12), "1d"))
    assert str(flat(days)["time"][0]) == "2024-01-01" and flat(frame.drop("time")).columns == frame.columns[1:]
    truth = wave(612)["load"][600:].to_numpy()
    assert np.abs(frame["load"].to_numpy() - truth).mean() < 4
    assert again.evaluate(wave())["metrics"]["mse"]["value"] < 0.3


def test_a_named_forecaster_forecasts_and_looks_back_as_far_as_a_short_series_bears() -> None:
    for steps, expected in ((150, False), (5000, True)):
        data, schema, plan = prepare(wave(steps), "load", model="nlinear")
        assert schema.task == "forecast" and data.hints["series"]["covariates"] == ["heat"]
        assert ("lookback" not in plan.recipe.model) is expected
    assert prepare(wave(150), "load", task="regress")[1].task == "regress"


@pytest.mark.parametrize(
    "model",
    [
        "nlinear",
        "linear_blend",
        "patch_blend",
        "tide",
        "dlinear",
        "cyclenet",
        "patchtst",
        "itransformer",
        "recurrent_forecaster",
    ],
)
def test_every_forecaster_by_name(tmp_path: Path, model: str) -> None:
    changes = [*QUICK, "model.lookback=48", "train.epochs=1"]
    run = tw.fit(wave(300), model=model, changes=changes, out=tmp_path / "run", quiet=True, details=False)
    assert run.predict(wave(300)).shape == (12, 2)
    assert np.array_equal(tw.load(run.path).predict(wave(300)), run.predict(wave(300)))


def test_what_is_measured_beside_helps(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    heat = random.normal(size=700)
    load = np.roll(heat, 3) + 0.1 * random.normal(size=700)  # the load is the heat of three hours before
    stamps = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(700)]
    frame = pl.DataFrame({"time": stamps, "load": load, "heat": heat, "flat": np.ones(700)})
    changes = ["task.horizon=3", "task.quantiles=[]", "model.lookback=12", "model.width=32", "model.dropout=0.0",
               "train.epochs=12", "optimizer.lr=0.005"]  # fmt: skip
    run = tw.fit(frame, "load", task="forecast", model="tide", changes=changes, out=tmp_path / "run", quiet=True)
    assert [column.name for column in run.schema.inputs] == ["time", "heat", "flat"]
    assert run.transform.covariates == ["heat"]  # what never changes tells nothing
    assert run.metrics["mse"] < 0.3  # without the heat, 1 is the best there is
    again = tw.load(run.path)
    assert np.array_equal(again.predict(frame), run.predict(frame)) and again.predict(frame).shape == (3, 1)
    with pytest.raises(InputError, match="'heat' is missing"):
        again.predict(frame.drop("heat"))


def test_a_forecast_resumed_is_one_uninterrupted(tmp_path: Path) -> None:
    changes = [*QUICK, "train.epochs=2"]
    run = tw.fit(wave(300), changes=changes, out=tmp_path / "run", quiet=True, details=False)
    again = tw.fit(wave(300), resume=run.path, quiet=True, details=False)
    assert np.array_equal(again.predict(wave(300)), run.predict(wave(300)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"changes": ["task.horizon=5000"]}, "longer than the data"),
        ({"changes": ["task.horizon=0"]}, "expected 1 step or more"),
        ({"changes": ["model.lookback=550"]}, "hold no window"),
        ({"model": "mlp"}, "'lookback'"),
        ({"target": "time"}, "holds no numbers"),
    ],
)
def test_forecasts_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tw.fit(wave(), task="forecast", quiet=True, details=False, **options)


def reviews(rows: int = 200) -> pl.DataFrame:
    random = np.random.default_rng(0)
    words = {"good": ["fine", "lovely", "great"], "bad": ["dull", "awful", "poor"]}
    labels = random.choice(["good", "bad"], rows)
    texts = [
        " ".join([*random.choice(words[label], 2), *random.choice(["the", "a", "film", "it", "was", "this"], 9)])
        for label in labels
    ]
    return pl.DataFrame({"review": texts, "label": labels})


def folder_of(frame: pl.DataFrame, path: Path) -> Path:
    for place, (text, label) in enumerate(frame.iter_rows()):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{place}.txt").write_text(text)
    return path


def test_texts_in_class_folders_are_told_apart(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    source = folder_of(reviews(), tmp_path / "reviews")
    run = tw.fit(source, out=tmp_path / "run", quiet=True)
    assert run.recipe.model["name"] == "nbsvm" and run.metrics["accuracy"] > 0.9
    again = tw.load(run.path)
    texts = pl.DataFrame({"text": ["a lovely film, it was great", "this was awful"]})
    assert again.predict(texts).tolist() == run.predict(texts).tolist() == ["good", "bad"]
    assert np.allclose(again.predict_proba(texts)[:1], again.predict_proba(texts[:1]), atol=1e-6)
    baselines = json.loads((run.path / "baselines.json").read_text())
    assert [each["kind"] for each in baselines] == ["constant", "linear"]


@pytest.mark.parametrize("model", ["fasttext", "nbsvm", "recurrent_classifier", "bert", "wide_deep"])
def test_every_text_classifier_by_name(tmp_path: Path, model: str) -> None:
    changes = ["train.epochs=1", "transform.tokenizer=characters"]
    changes += [] if model in ("fasttext", "nbsvm") else ["model.width=24"]
    changes += ["model.heads=2", "model.depth=1"] if model in ("bert", "wide_deep") else []
    frame = reviews(60)
    run = tw.fit(frame, "label", model=model, types={"review": "text"}, changes=changes, out=tmp_path / "run",
                 quiet=True, details=False)  # fmt: skip
    assert np.allclose(tw.load(run.path).predict_proba(frame), run.predict_proba(frame), atol=1e-6)


def test_empty_texts_are_counted_and_answered(tmp_path: Path) -> None:
    frame = reviews(60).with_columns(review=pl.when(pl.int_range(60) < 3).then(pl.lit("")).otherwise("review"))
    changes = ["train.epochs=1", "transform.tokenizer=characters"]
    run = tw.fit(frame, "label", types={"review": "text"}, changes=changes, out=tmp_path / "run", quiet=True)
    notes = json.loads((run.path / "summary.json").read_text())["notes"]
    assert any("3 texts" in note and "empty" in note for note in notes)
    assert len(run.predict(frame)) == 60


PLAY = "".join(f"SPEAKER {i % 7}:\nWhat say you to line {i} of this, and who will answer?\n\n" for i in range(300))
SMALL = ["model.width=32", "model.depth=1", "model.context=32", "train.epochs=1"]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("play")
    (folder / "play.txt").write_text(PLAY)
    return tw.fit(folder, changes=[*SMALL, "train.epochs=8"], out=folder.parent / "writer", quiet=True)


def test_text_without_labels_is_learned_as_a_language(writer: tw.Run) -> None:
    assert writer.schema.task == "language" and writer.recipe.model["name"] == "gpt"
    baselines = json.loads((writer.path / "baselines.json").read_text())
    assert [each["kind"] for each in baselines] == ["frequency", "n-gram"]
    assert writer.metrics["nats"] < baselines[0]["metrics"]["nats"]
    evaluation = json.loads((writer.path / "evaluation.json").read_text())
    assert len(evaluation["samples"]) == 3 and "character" in evaluation["sentence"]
    looks, page = evaluation["attention"], writer.report.read_text()
    assert all(not any(row[place + 1 :]) and sum(row) > 0.98 for place, row in enumerate(looks["weights"]))
    assert looks["read"] == looks["written"] and "The beginning of a held-out text: each row is a token" in page
    told = [json.loads(line)["goal"] for line in (writer.path / "samples.jsonl").read_text().splitlines()]
    assert told[0] == "training loss" and told[-1] == "nats"  # before the first evaluation too


def test_the_page_says_how_to_go_on_with_what_there_is(writer: tw.Run, forecast: tw.Run) -> None:
    folder = writer.path.parent / "play0"
    page = writer.report.read_text()
    said = page.partition("run.write(&#34;")[2].partition("&#34;")[0]
    assert said and f"--prompt {said}<" in page and writer.write(said, length=3).startswith(said)
    assert f"trainwell fit {folder} --recipe" in page
    with pytest.raises(InputError, match="does not write on"):
        forecast.write("a")


def test_the_command_line_says_how_to_draw_tokens(writer: tw.Run) -> None:
    stopped = "".join(sampled(writer.path, {"prompt": "SPEAKER", "length": 300, "stop": ["\n"], "temperature": 0}))
    whole = "".join(sampled(writer.path, {"prompt": "SPEAKER", "length": 300, "temperature": 0}))
    assert stopped == whole[: whole.index("\n") + 1]
    sure = "".join(sampled(writer.path, {"prompt": "SPEAKER", "length": 40, "min_p": 1.0}))
    assert sure == whole[: len(sure)]
    heavy = {"prompt": "SPEAKER", "length": 40, "temperature": 0, "repetition_penalty": 1e9}
    written = "".join(sampled(writer.path, heavy))
    assert len(set(written)) > len(set(whole[: len(written)]))  # what stands there already is shunned
    for wishes, message in (({"min_p": 2.0}, "min_p"), ({"stop": [""]}, "stop string"), ({"n": 3}, "--n")):
        with pytest.raises(InputError, match=message):
            list(sampled(writer.path, wishes))


def test_a_language_model_loads_and_writes_the_same(writer: tw.Run) -> None:
    again = tw.load(writer.path)
    texts = ["".join(continued(run.model, run.transform, "SPEAKER", length=80, seed=3)) for run in (writer, again)]
    assert texts[0] == texts[1] and len(texts[0]) == 80
    likeliest = [
        "".join(continued(again.model, again.transform, "SPEA", length=9, heat=0, seed=seed)) for seed in (0, 1)
    ]
    assert likeliest[0] == likeliest[1]
    frame = prediction_frame(again, writer.recipe.source)
    assert frame.columns == ["nats", "tokens"] and frame["tokens"].unique().to_list() == [32]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"prompt": ""}, "empty"), ({"prompt": "žluť"}, "not in the vocabulary"), ({"length": 0}, "1 token or more")],
)
def test_prompts_that_cannot_be(writer: tw.Run, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(continued(writer.model, writer.transform, **options))


def test_what_does_not_write_says_so(forecast: tw.Run) -> None:
    with pytest.raises(InputError, match="does not write"):
        list(continued(forecast.model, forecast.transform, "a"))


@pytest.mark.parametrize("model", ["gpt", "gpt2", "recurrent_language_model"])
def test_every_language_model_by_name(tmp_path: Path, model: str) -> None:
    (tmp_path / "play.txt").write_text(PLAY[:6000])
    changes = ["model.width=24", "model.depth=1", "train.epochs=0.5"]
    changes += ["model.context=32"] if model != "recurrent_language_model" else []
    changes += ["model.heads=2"] if model != "recurrent_language_model" else []
    run = tw.fit(tmp_path / "play.txt", model=model, changes=changes, out=tmp_path / "run", quiet=True, details=False)
    again = tw.load(run.path)
    assert "".join(continued(again.model, again.transform, "SPE", length=20)) == "".join(
        continued(run.model, run.transform, "SPE", length=20)
    )
