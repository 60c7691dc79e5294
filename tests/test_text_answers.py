"""tw.fit on texts whose answers are texts: what is written, loaded, predicted, judged and refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trainwell as tw
from trainwell.data import read
from trainwell.errors import InputError
from trainwell.explain.translation import Translation
from trainwell.predict import prediction_frame
from trainwell.sample import sampled

pytest.importorskip("tokenizers")

SMALL = ["model.width=32", "model.depth=1", "transform.tokenizer=words", "task.beams=2"]
GERMAN = ["eins", "zwei", "drei", "vier", "sechs"]
ENGLISH = ["one", "two", "three", "four", "six"]


def numbers(rows: int, seed: int) -> pl.DataFrame:
    drawn = np.random.default_rng(seed).integers(0, len(GERMAN), (rows, 4)).tolist()
    pairs = [(" ".join(ENGLISH[i] for i in row), " ".join(GERMAN[i] for i in row)) for row in drawn]
    return pl.DataFrame(pairs, schema=["en", "de"], orient="row")


@pytest.fixture(scope="module")
def translation(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    changes = [*SMALL, "model.hidden=64", "model.dropout=0.0", "train.epochs=10", "train.evaluations=2"]
    return tw.fit(numbers(300, 0), changes=changes, out=tmp_path_factory.mktemp("translation") / "run", quiet=True)


def test_pairs_are_learned_as_a_translation(translation: tw.Run) -> None:
    pytest.importorskip("sacrebleu")
    assert translation.schema.task == "translate" and translation.recipe.model["name"] == "transformer"
    assert translation.metrics["bleu"] > 30 and translation.metrics["chrf"] > 60
    evaluation = json.loads((translation.path / "evaluation.json").read_text())
    assert evaluation["goal"] == "bleu" and "en into de" in evaluation["sentence"]
    worst, best = evaluation["texts"]["worst"], evaluation["texts"]["best"]
    assert len(evaluation["texts"]["longest"]) == 3
    assert worst[0]["score"] <= best[0]["score"] and best[0]["lines"][1][1] == best[0]["lines"][2][1]
    baselines = json.loads((translation.path / "baselines.json").read_text())
    assert [each["kind"] for each in baselines] == ["copy", "nearest"]
    assert baselines[0]["metrics"]["bleu"] < translation.metrics["bleu"]
    page = translation.report.read_text()
    assert all(text in page for _, text in best[0]["lines"])


def test_answers_of_hardly_a_word_are_scored() -> None:
    pytest.importorskip("sacrebleu")
    for answers in (["", "", "a b c d", ""], ["", "", "", ""]):
        found = Translation().scores(answers, ["a b c d"] * 4)
        assert 0 <= found["bleu"]["low"] <= found["bleu"]["value"] <= found["bleu"]["high"] <= 100


def test_a_translation_loads_and_answers_in_order(translation: tw.Run) -> None:
    again = tw.load(translation.path)
    texts = pl.DataFrame({"text": ["one two", "", "six", "three six four two"]})
    answers = translation.predict(texts).tolist()
    assert again.predict(texts).tolist() == answers and answers[1] == ""
    assert set(answers[3].split()) & {"drei", "sechs", "vier", "zwei"}
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


def sentences(rows: int, seed: int) -> str:
    random, lines = np.random.default_rng(seed), []
    for _ in range(rows):
        name = random.choice(["Anna", "Boris", "Clara", "Dmitri"])
        town = random.choice(["Paris", "Rome", "Oslo"])
        text = [(name, "B-person"), *([("Karenin", "I-person")] if random.random() < 0.5 else [])]
        text += [(random.choice(["left", "saw"]), "O"), (town, "B-place"), (".", "O")]
        lines.append("\n".join(f"{word}\t{tag}" for word, tag in text))
    return "\n\n".join(lines) + "\n\n"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("tagger")
    for part, rows in (("train", 150), ("test", 30)):
        (folder / f"{part}.conll").write_text(sentences(rows, rows))
    changes = ["model.width=32", "train.epochs=6", "transform.vocabulary=300"]
    return tw.fit(folder, changes=changes, out=folder.parent / "tagged", quiet=True)


def test_tagged_sentences_are_learned(tagger: tw.Run) -> None:
    assert tagger.schema.task == "tag" and tagger.metrics["span_f1"] > 0.9
    evaluation = json.loads((tagger.path / "evaluation.json").read_text())
    assert evaluation["confusion"]["labels"] == ["none", "person", "place"] and evaluation["rows"] == 30
    assert {each["class"] for each in evaluation["by_class"]} == {"person", "place"}
    assert json.loads((tagger.path / "baselines.json").read_text())[0]["metrics"]["span_f1"] > 0.5
    page = tagger.report.read_text()
    assert "<mark" in page and "Finds entities" in page


def test_a_tagger_loads_and_names_what_it_finds(tagger: tw.Run) -> None:
    again = tw.load(tagger.path)
    texts = pl.DataFrame({"text": ["Anna Karenin left Paris .", "", "Boris saw Oslo ."]})
    assert again.predict(texts).tolist() == tagger.predict(texts).tolist()
    frame = prediction_frame(again, texts)
    assert frame["prediction"][0] == "B-person I-person O B-place O" and frame["prediction"][1] == ""
    assert frame["entities"].to_list() == ["person: Anna Karenin; place: Paris", "", "person: Boris; place: Oslo"]
    assert again.evaluate(tagger.recipe.source)["rows"] == 180


def test_words_alone_are_tagged_without_spans(tmp_path: Path) -> None:
    parts = [["the", "a", "no", "some"], ["cat", "dog", "cow", "hen"], ["eats", "sleeps", "runs", "sits"]]
    texts = [f"{one} {two} {three}" for one in parts[0] for two in parts[1] for three in parts[2]]
    frame = pl.DataFrame({"words": texts, "kinds": ["D N V"] * len(texts)})
    run = tw.fit(
        frame, "kinds", task="tag", changes=["train.epochs=15", "model.width=16"], out=tmp_path / "run", quiet=True
    )
    assert list(run.metrics) == ["accuracy"] and run.metrics["accuracy"] > 0.9


def questions(rows: int, facts: int = 3) -> dict:
    """Passages of some facts and a question on one of them."""
    random, articles = np.random.default_rng(rows), []
    for number in range(rows):
        names = random.permutation(["anna", "boris", "clara", "dmitri", "eva", "fyodor"])[:facts]
        towns = random.permutation(["paris", "rome", "oslo", "wien", "riga", "bern"])[:facts]
        context = " ".join(f"{name} lives in {town} ." for name, town in zip(names, towns, strict=True))
        place = int(random.integers(facts))
        answer = {"text": str(towns[place]), "answer_start": context.index(str(towns[place]))}
        asked = {"question": f"where lives {names[place]} ?", "answers": [answer], "id": str(number)}
        articles.append({"title": str(number), "paragraphs": [{"context": context, "qas": [asked]}]})
    return {"version": "1.1", "data": articles}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    path = tmp_path_factory.mktemp("reader") / "squad.json"
    path.write_text(json.dumps(questions(120)))
    changes = ["transform.tokenizer=words", "model.width=32", "model.depth=1", "model.heads=2", "model.dropout=0.0",
               "train.epochs=6"]  # fmt: skip
    return tw.fit(path, changes=changes, out=path.parent / "run", quiet=True)


def test_questions_are_answered_from_passages(reader: tw.Run) -> None:
    assert reader.schema.task == "answer" and reader.metrics["answer_f1"] > 0.15
    evaluation = json.loads((reader.path / "evaluation.json").read_text())
    assert evaluation["metrics"]["exact_match"]["value"] <= evaluation["metrics"]["answer_f1"]["value"] + 1e-9
    assert json.loads((reader.path / "baselines.json").read_text())[0]["kind"] == "sentence"
    assert "Answers with an F1" in reader.report.read_text()


def test_a_reader_loads_and_answers_in_order(reader: tw.Run) -> None:
    again = tw.load(reader.path)
    frame = prediction_frame(again, reader.recipe.source)
    assert frame.columns == ["prediction", "start", "sure", "id", "question"] and frame.height == 120
    assert frame["prediction"].to_list() == reader.predict(reader.recipe.source).tolist()
    rows = pl.DataFrame({"context": ["anna lives in rome ."], "question": ["where lives anna ?"]})
    answer = prediction_frame(again, rows)
    start, text = answer["start"][0], answer["prediction"][0]
    assert text and rows["context"][0][start : start + len(text)] == text
    assert again.evaluate(reader.recipe.source)["rows"] == 120


@pytest.fixture(scope="module")
def doubter(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    """Long passages in windows; a third of the questions is on somebody who is not in the passage."""
    path, content, random = (
        tmp_path_factory.mktemp("doubter") / "dev-v2.0.json",
        questions(150, facts=1),
        np.random.default_rng(0),
    )
    for article in content["data"]:
        paragraph = article["paragraphs"][0]
        asked = paragraph["qas"][0]
        if random.random() < 1 / 3:
            asked |= {"question": "where lives nobody ?", "answers": [], "is_impossible": True}
        else:
            asked["is_impossible"] = False
        before = " ".join(["a quiet day ."] * int(random.integers(0, 8)))
        paragraph["context"] = f"{before} {paragraph['context']}"
        for answer in asked["answers"]:
            answer["answer_start"] += len(before) + 1
    path.write_text(json.dumps(content))
    changes = ["transform.tokenizer=words", "transform.length=32", "model.width=32", "model.depth=1", "model.heads=2",
               "model.dropout=0.0", "train.epochs=12", "optimizer.lr=0.01"]  # fmt: skip
    return tw.fit(path, changes=changes, out=path.parent / "run", quiet=True)


def test_questions_without_an_answer_are_answered_so(doubter: tw.Run) -> None:
    assert doubter.metrics["no_answer_right"] > 0.7 and doubter.metrics["has_answer_f1"] > 0.5
    assert {"has_answer_f1", "has_answer_exact"} <= set(doubter.metrics)
    assert 0 <= doubter.task.threshold < 1 and tw.load(doubter.path).task.threshold == doubter.task.threshold
    frame = prediction_frame(tw.load(doubter.path), doubter.recipe.source)
    said = frame["prediction"].to_numpy()
    assert frame.height == 150 and (frame["start"].to_numpy()[said == ""] == -1).all()
    assert 0.15 < (said == "").mean() < 0.7 and said.tolist() == doubter.predict(doubter.recipe.source).tolist()
    source = read(doubter.recipe.source).frame
    for context, start, text in zip(source["context"], frame["start"], said, strict=True):
        assert not text or context[start : start + len(text)] == text
    summary = json.loads((doubter.path / "summary.json").read_text())
    assert any("windows that share 10 tokens" in note for note in summary["notes"])
    assert any("“no answer” is said where" in note for note in summary["notes"])
    kinds = [entry["kind"] for entry in json.loads((doubter.path / "baselines.json").read_text())]
    page = doubter.report.read_text()
    assert kinds == ["sentence", "none"] and "always saying “no answer”" in page


def test_one_question_is_answered_as_among_all(doubter: tw.Run) -> None:
    source = read(doubter.recipe.source)
    frame = prediction_frame(doubter, source)
    alone = prediction_frame(doubter, source.take(np.array([7, 3])))
    assert alone["prediction"].to_list() == [frame["prediction"][7], frame["prediction"][3]]
    assert doubter.answers(source)["sure"].shape == (150,)


def test_what_was_written_as_it_learned_is_kept(translation: tw.Run) -> None:
    lines = [json.loads(line) for line in (translation.path / "samples.jsonl").read_text().splitlines()]
    assert len(lines) >= 2 and lines[-1]["last"] and all("→" in line["text"] for line in lines)
    assert lines[0]["value"] > lines[-1]["value"] and "As it learned" in translation.report.read_text()


def test_a_prompt_is_translated(translation: tw.Run) -> None:
    answer = translation.predict(pl.DataFrame({"en": ["one two three four"]}))[0]
    assert list(sampled(translation.path, {"prompt": "one two three four"})) == [answer]
    for wishes, message in (({}, "--prompt"), ({"prompt": "one", "top_k": 3}, "--top-k")):
        with pytest.raises(InputError, match=message):
            list(sampled(translation.path, wishes))


def test_the_page_shows_how_texts_are_read(translation: tw.Run) -> None:
    evaluation = json.loads((translation.path / "evaluation.json").read_text())
    looks, reading = evaluation["attention"], evaluation["reading"]
    assert len(looks["weights"]) == len(looks["written"]) and looks["written"][-1] == "■"
    assert all(abs(sum(row) - 1) < 0.02 and len(row) == len(looks["read"]) for row in looks["weights"])
    assert reading["a_word"] == 1.0 and set(reading["pieces"]) <= {"", *ENGLISH}
    page = translation.report.read_text()
    assert "Where it looked" in page and "What the tokenizer does" in page
