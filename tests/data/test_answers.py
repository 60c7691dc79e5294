"""SQuAD's JSON to questions on passages, and those to tokens: where answers stand, what is counted and refused."""

import json

import numpy as np
import polars as pl
import pytest

from trainwell.data import as_answers, looks_like_answers, read
from trainwell.data.passages import AnswerTransform
from trainwell.errors import InputError

PASSAGE = "The Danube rises in the Black Forest. It ends in the Black Sea after 2850 km."


def squad(*asked: tuple[str, str, int], context: str = PASSAGE) -> str:
    qas = [
        {"id": str(i), "question": q, "answers": [{"text": a, "answer_start": s}]} for i, (q, a, s) in enumerate(asked)
    ]
    return json.dumps(
        {"version": "1.1", "data": [{"title": "Danube", "paragraphs": [{"context": context, "qas": qas}]}]}
    )


def test_questions_are_read_with_where_answers_stand(write):
    path = write("set/squad.json", squad(("Where does it rise?", "the Black Forest", 20), ("How long?", "2850 km", 69)))
    source = read(path)
    assert looks_like_answers(source) and read(path.parent).rows == 2
    asked, schema = as_answers(source)
    assert schema.task == "answer" and [column.name for column in schema.inputs] == ["context", "question"]
    assert next(column.name for column in schema.columns if column.role == "group") == "title"
    assert asked.notes == source.notes and asked.frame["start"].to_list() == [20, 69]


def test_offsets_that_do_not_match_are_counted(write):
    questions = (("a?", "Black", 50), ("b?", "2850 km", 0), ("c?", "Volga", 3), ("d?", "", 0))
    asked, _ = as_answers(read(write("a/squad.json", squad(*questions))))
    assert asked.frame["start"].to_list() == [53, 69]  # the nearest Black is the second
    moved, lost = asked.notes[-2:]
    assert "2 answers did not stand where it was said to" in moved and "row 1: 'Black' at 50" in moved
    assert "2 answers left out" in lost and "row 3: 'Volga' at 3" in lost


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [{"paragraphs": [{"qas": [{"question": "q"}]}]}]}', r"data\[0\].paragraphs\[0\].qas\[0\]"),
        ('{"data": [{"paragraphs": 3', "no JSON"),
        (squad(("a?", "Volga", 0)), "no answer stands in its passage"),
        ('{"data": [], "paragraphs": []}', "no question"),
    ],
)
def test_files_that_cannot_be_are_named(write, content, message):
    with pytest.raises(InputError, match=message):
        as_answers(read(write("a/squad.json", content)))


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe", "unigram"])
def test_the_target_tokens_give_the_answer_back(write, tokenizer):
    if tokenizer in ("bpe", "unigram"):
        pytest.importorskip("tokenizers")
    context = PASSAGE.replace("Black", "Grün")
    path = write(
        "a/squad.json", squad(("Where?", "the Grün Forest", 20), ("How long?", "2850 km", 67), context=context)
    )
    source, schema = as_answers(read(path))
    transform = AnswerTransform.fit(source, schema, np.arange(2), tokenizer=tokenizer, vocabulary=300)
    batch = transform.encode(source)
    for row, answer in enumerate(("the Grün Forest", "2850 km")):
        _, tokens, stands = transform.places(source)[row]
        first, last = batch["target"][row].tolist()
        assert context[stands[first, 0] : stands[last, 1]].strip() == answer
        inputs, mask, segments = (each[row : row + 1][0] for each in batch["inputs"])
        assert inputs[: len(tokens)].tolist() == tokens.tolist() and int(mask.sum()) == len(tokens)
        assert int(segments.argmax()) == int(batch["inside"][row : row + 1][0].argmax())
    state, arrays = transform.save()
    assert (AnswerTransform.restore(state, arrays).encode(source)["target"] == batch["target"]).all()


def test_answers_that_are_cut_are_counted(write):
    path = write("a/squad.json", squad(("Where?", "The Danube", 0), ("How long?", "2850 km", 69)))
    source, schema = as_answers(read(path))
    transform = AnswerTransform.fit(source, schema, np.arange(2), tokenizer="characters", length=50)
    assert transform.encode(source)["target"].tolist()[1] == [-1, -1]
    assert any("1 answer of 2 beyond the 50 tokens" in note for note in transform.notes)


def test_a_table_without_its_columns_is_refused():
    frame = pl.DataFrame({"context": ["a b"], "question": ["c"]})
    with pytest.raises(InputError, match="no column 'answer'"):
        as_answers(read(frame))
