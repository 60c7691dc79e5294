"""Answers and truths to the numbers that SQuAD 2 counts, with questions that have no answer."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from trainwell.data import as_answers, read
from trainwell.explain.answering import Answering, judged, said, settled, whole_words

PASSAGE = "The Danube rises in the Black Forest."
# answer, all that are right, exact match and F1, by hand as SQuAD 2 counts them
CASES = [
    ("the Danube", "The Danube\x1fa river", 1, 1),
    ("Black Forest", "in the Black Forest", 0, 4 / 5),
    ("", "The Danube", 0, 0),
    ("", "", 1, 1),
    ("rises", "", 0, 0),
    ("", "the\x1f-", 1, 1),  # nothing but an article and a sign
]


def test_both_kinds_of_questions_are_counted():
    frame = pl.DataFrame({"others": [case[1] for case in CASES]})
    part = SimpleNamespace(frame=frame, rows=len(CASES))
    found = {key: each["value"] for key, each in judged([case[0] for case in CASES], part)["metrics"].items()}
    match, f1 = ([case[place] for case in CASES] for place in (2, 3))
    assert found["exact_match"] == pytest.approx(np.mean(match)) and found["answer_f1"] == pytest.approx(np.mean(f1))
    assert found["has_answer_f1"] == pytest.approx(np.mean(f1[:3]))
    assert found["has_answer_exact"] == pytest.approx(np.mean(match[:3]))
    assert found["no_answer_right"] == pytest.approx(np.mean(match[3:]))


def test_without_such_questions_there_are_two_numbers():
    part = SimpleNamespace(frame=pl.DataFrame({"others": ["Danube", "Forest"]}), rows=2)
    assert list(judged(["Danube", ""], part)["metrics"]) == ["answer_f1", "exact_match"]


class Reader:
    """A run whose network gave these answers; tokens are words."""

    def __init__(self, found, threshold):
        self.found, self.task = (
            {key: np.array(each) for key, each in found.items()},
            SimpleNamespace(threshold=threshold),
        )
        self.transform = SimpleNamespace(encode=lambda *rest, **options: None, asked=self.asked)

    def answers_to(self, encoded):
        return self.found

    def asked(self, source):
        words = [(0, 3), (4, 10), (11, 16), (17, 19), (20, 23), (24, 29), (30, 36)]
        one = SimpleNamespace(tokens=np.arange(7), characters=np.array(words))
        return [one if context else SimpleNamespace(tokens=[]) for context in source.frame["context"]]


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [
        ("on the River Bonn, Germany", "Bon", "Bonn"),
        ("a three-fifths majority", "ths maj", "fifths majority"),
        ("in 1984s or 12kg", "198", "1984"),
        ("costs 12kg", "12", "12"),
        ("多瑙河发源于黑森林", "黑森", "黑森"),
        ("all of it", "all of it", "all of it"),
    ],
)
def test_answers_end_with_their_words(text, part, whole):
    start, end = whole_words(text, text.index(part), text.index(part) + len(part))
    assert text[start:end] == whole


def test_no_answer_is_said_beyond_the_threshold():
    found = {"first": [1, 5, 0], "last": [1, 6, 0], "sure": [0.6, 0.2, 0.0], "none": [0.3, 0.3, 0.1]}
    source = read(pl.DataFrame({"context": [PASSAGE, PASSAGE, ""], "question": ["What?", "Where?", "Who?"]}))
    assert [each.text for each in said(Reader(found, 0.5), source)] == ["Danube", "", ""]
    answers = said(Reader(found, 1.0), source)
    assert [each.text for each in answers] == ["Danube", "Black Forest", ""]
    assert [each.start for each in answers] == [4, 24, -1] and answers[1].sure == pytest.approx(0.2)
    frame = Answering().frame(Reader(found, 0.5), source)
    assert frame["prediction"].to_list() == ["Danube", "", ""] and frame.columns[-1] == "question"


def test_the_threshold_is_settled_by_the_text():
    rows = [("What?", "Danube"), ("Where?", "Black Forest"), ("Who?", "")]
    frame = pl.DataFrame([(PASSAGE, *row) for row in rows], schema=["context", "question", "answer"], orient="row")
    found = {"first": [1, 5, 0], "last": [1, 6, 0], "sure": [0.6, 0.2, 0.1], "none": [0.3, 0.6, 0.9]}
    source = as_answers(read(frame))[0]
    threshold = settled(Reader(found, 0.5), source)
    assert 0.75 < threshold < 0.9  # between what the second and what the third give
    assert judged([each.text for each in said(Reader(found, threshold), source)], source)["metrics"]["exact_match"][
        "value"
    ] == 1  # fmt: skip
