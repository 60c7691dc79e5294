"""SQuAD's JSON to questions on passages, and those to tokens: where answers stand, what is counted and refused."""

import json

import polars as pl
import pytest

from trainwell.data import as_answers, looks_like_answers, read
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
    assert asked.frame["start"].to_list() == [53, 69, -1]  # the nearest Black is the second
    moved, lost, none = asked.notes[-3:]
    assert "2 answers not where the data says" in moved and "row 1: 'Black' at 50" in moved
    assert "1 answer nowhere in the passage, left out" in lost and "row 3: 'Volga' at 3" in lost
    assert "1 question of 3 without an answer" in none and asked.hints["asked"]["unanswered"] == 1


def test_questions_without_an_answer_are_kept(write):
    content = json.loads(squad(("a?", "2850 km", 69), ("b?", "the Black Forest", 20), ("c?", "", 0)))
    asked = content["data"][0]["paragraphs"][0]["qas"]
    asked[1] |= {"is_impossible": True, "plausible_answers": asked[1].pop("answers")}
    asked[2]["answers"] = []
    found, _ = as_answers(read(write("a/dev-v2.0.json", json.dumps(content))))
    assert found.frame.select("answer", "start", "others").rows() == [
        ("2850 km", 69, "2850 km"),
        ("", -1, ""),
        ("", -1, ""),
    ]
    assert found.hints["asked"]["unanswered"] == 2
    table = pl.DataFrame({"context": [PASSAGE] * 2, "question": ["a?", "b?"], "answer": ["2850 km", None]})
    assert as_answers(read(table))[0].frame["start"].to_list() == [69, -1]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_tables_of_the_hub_are_read(tmp_path, ending):
    answers = [
        {"text": ["2850 km", "2850", "2850 km"], "answer_start": [69, 69, 69]},
        {"text": [], "answer_start": []},
        {"text": ["Danube"], "answer_start": [4]},
    ]
    frame = pl.DataFrame({"context": [PASSAGE] * 3, "question": ["a?", "b?", "c?"], "answers": answers})
    path = tmp_path / f"squad.{ending}"
    frame.write_parquet(path) if ending == "parquet" else frame.write_ndjson(path)
    source = read(path)
    assert looks_like_answers(source)
    asked, schema = as_answers(source)
    assert asked.frame["answer"].to_list() == ["2850 km", "", "Danube"] and asked.frame["start"].to_list() == [
        69,
        -1,
        4,
    ]
    assert asked.frame["others"].to_list() == ["2850 km\x1f2850", "", "Danube"]
    assert asked.hints["asked"]["unanswered"] == 1 and schema.task == "answer"


def test_questions_that_say_nothing_are_left_out_and_counted():
    columns = {"context": [PASSAGE, " ", PASSAGE], "question": ["a?", "b?", ""], "answer": ["2850 km", "", "Danube"]}
    asked, _ = as_answers(read(pl.DataFrame(columns)))
    assert asked.rows == 1 and any("2 questions left out" in note and "row 2" in note for note in asked.notes)


def test_a_file_of_questions_alone_is_read_to_predict_and_refused_to_learn_from(write):
    content = json.loads(squad(("a?", "2850 km", 69), ("b?", "Danube", 4)))
    for asked in content["data"][0]["paragraphs"][0]["qas"]:
        del asked["answers"]
    source = read(write("a/test.json", json.dumps(content)))
    assert source.frame["question"].to_list() == ["a?", "b?"] and "answer" not in source.frame.columns
    with pytest.raises(InputError, match="no column 'answer'"):
        as_answers(source)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [{"text": "2850 km", "answer_start": 69}]
    with pytest.raises(InputError, match=r"data\[0\].paragraphs\[0\].qas\[1\] .*lacks 'answers'"):
        read(write("b/test.json", json.dumps(content)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [{"paragraphs": [{"qas": [{"question": "q"}]}]}]}', r"data\[0\].paragraphs\[0\].qas\[0\]"),
        ('{"data": [{"paragraphs": 3', "no JSON"),
        (squad(("a?", "Volga", 0)), "no answer stands in its passage"),
        (squad(("a?", "", 0)), "no answer stands in its passage"),
        (
            squad(("a?", "2850 km", 69)).replace('"id"', '"is_impossible": "false", "id"'),
            r"is_impossible.*'false'.*true",
        ),
        ('{"data": [], "paragraphs": []}', "no question"),
    ],
)
def test_files_that_cannot_be_are_named(write, content, message):
    with pytest.raises(InputError, match=message):
        as_answers(read(write("a/squad.json", content)))


def test_a_table_without_its_columns_is_refused():
    frame = pl.DataFrame({"context": ["a b"], "question": ["c"]})
    with pytest.raises(InputError, match="no column 'answer'"):
        as_answers(read(frame))
