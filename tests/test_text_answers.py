"""tw.fit on texts whose answers are texts: what is written, loaded, predicted, judged and refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trainwell as tw
from trainwell.errors import InputError
from trainwell.predict import prediction_frame

pytest.importorskip("tokenizers")

SMALL = ["model.width=32", "model.depth=1", "transform.tokenizer=words", "task.beams=2"]
GERMAN = ["null", "eins", "zwei", "drei", "vier", "sechs", "sieben", "acht"]
ENGLISH = ["zero", "one", "two", "three", "four", "six", "seven", "eight"]


def numbers(rows: int, seed: int) -> pl.DataFrame:
    drawn = np.random.default_rng(seed).integers(0, len(GERMAN), (rows, 4)).tolist()
    pairs = [(" ".join(ENGLISH[i] for i in row), " ".join(GERMAN[i] for i in row)) for row in drawn]
    return pl.DataFrame(pairs, schema=["en", "de"], orient="row")


@pytest.fixture(scope="module")
def translation(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    changes = [*SMALL, "model.hidden=64", "model.dropout=0.0", "train.epochs=15", "train.evaluations=2"]
    return tw.fit(numbers(300, 0), changes=changes, out=tmp_path_factory.mktemp("translation") / "run", quiet=True)


def test_pairs_are_learned_as_a_translation(translation: tw.Run) -> None:
    pytest.importorskip("sacrebleu")
    assert translation.schema.task == "translate" and translation.recipe.model["name"] == "transformer"
    assert translation.metrics["bleu"] > 40 and translation.metrics["chrf"] > 70
    evaluation = json.loads((translation.path / "evaluation.json").read_text())
    assert evaluation["goal"] == "bleu" and "en into de" in evaluation["sentence"]
    worst, best = evaluation["texts"]["worst"], evaluation["texts"]["best"]
    assert worst[0]["score"] <= best[0]["score"] and best[0]["lines"][1][1] == best[0]["lines"][2][1]
    baselines = json.loads((translation.path / "baselines.json").read_text())
    assert [each["kind"] for each in baselines] == ["copy", "nearest"]
    assert all(each["metrics"]["bleu"] < translation.metrics["bleu"] for each in baselines)
    page = translation.report.read_text()
    assert all(text in page for _, text in best[0]["lines"])


def test_a_translation_loads_and_answers_in_order(translation: tw.Run) -> None:
    again = tw.load(translation.path)
    texts = pl.DataFrame({"text": ["one two", "", "seven", "eight six four two"]})
    answers = translation.predict(texts).tolist()
    assert again.predict(texts).tolist() == answers and answers[1] == ""
    assert set(answers[3].split()) & {"acht", "sechs", "vier", "zwei"}
    frame = prediction_frame(again, texts)
    assert frame.columns == ["prediction", "en"] and frame["en"].to_list() == texts["text"].to_list()
    found = again.evaluate(numbers(20, 5))
    assert found["rows"] == 20 and found["metrics"]["nats"]["value"] < 2


@pytest.mark.parametrize("model", ["seq2seq", "t5"])
def test_every_translator_by_name(tmp_path: Path, model: str) -> None:
    changes = [
        *SMALL,
        "train.epochs=1",
        *(["model.heads=2", "model.head_width=16", "model.hidden=32"] if model == "t5" else []),
    ]
    data = numbers(60, 1)
    run = tw.fit(data, model=model, changes=changes, out=tmp_path / "run", quiet=True, details=False)
    assert tw.load(run.path).predict(data).tolist() == run.predict(data).tolist()


def test_summaries_are_judged_by_rouge(tmp_path: Path) -> None:
    data = numbers(60, 1).rename({"en": "document", "de": "summary"})
    run = tw.fit(
        data, "summary", task="summarize", changes=[*SMALL, "train.epochs=1"], out=tmp_path / "run", quiet=True
    )
    assert {"rouge1", "rouge2", "rougeL", "nats"} <= set(run.metrics)
    assert "ROUGE" in json.loads((run.path / "evaluation.json").read_text())["sentence"]


def test_a_translation_without_a_target_column_is_refused(tmp_path: Path) -> None:
    data = numbers(60, 1).rename({"en": "one", "de": "two"})
    with pytest.raises(InputError, match="--target"):
        tw.fit(data, task="translate", out=tmp_path / "run", quiet=True)
