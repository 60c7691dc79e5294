"""A network that answers from passages to its answers, exact match and F1 with intervals, and the questions."""

import re
import string
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from trainwell.data import Source, as_answers
from trainwell.data.rows import counted
from trainwell.explain.bootstrap import wilson
from trainwell.tasks.answer import ALWAYS, best_threshold, share_of_none

SHOWN, RESAMPLES, AROUND = 8, 500, 160  # questions of each kind; of the bootstrap; characters shown around an answer
LONG = 3  # of the questions on the longest passages


def normalized(text: str) -> str:
    """An answer in lower case without punctuation and articles, one blank between words, as SQuAD compares it.

    Rajpurkar et al. 2016, arXiv:1606.05250.
    """
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def exact(answer: str, truths: list[str]) -> bool:
    """Whether the answer is one of the truths."""
    return any(normalized(answer) == normalized(truth) for truth in truths)


def f1(answer: str, truths: list[str]) -> float:
    """The best F1 of the words that the answer and a truth share."""
    given = normalized(answer).split()
    best = 0.0
    for truth in truths:
        wanted = normalized(truth).split()
        shared = sum((Counter(given) & Counter(wanted)).values())
        value = 2 * shared / (len(given) + len(wanted)) if given and wanted else float(given == wanted)
        best = max(best, value)
    return best


class Said(NamedTuple):
    """What was answered: the text, "" for no answer, the character where it begins, and how likely it is."""

    text: str
    start: int
    sure: float


def said(run: Any, source: Source) -> list[Said]:
    """Of each question the answer, the likeliest over all windows of its passage."""
    return spoken(run, source, run.answers_to(run.transform.encode(source, with_target=False)), run.task.threshold)


def spoken(run: Any, source: Source, found: dict[str, np.ndarray], threshold: float) -> list[Said]:
    """The task's answers in tokens as text; none where it is likelier than the answer by more than the threshold."""
    answers = []
    contexts = source.frame["context"].cast(pl.String).fill_null("").to_list()
    none = share_of_none(found)
    for row, asked in enumerate(run.transform.asked(source)):
        if none[row] > threshold or not len(asked.tokens):
            answers.append(Said("", -1, float(found["none"][row])))
            continue
        first, last = (min(int(found[name][row]), len(asked.tokens) - 1) for name in ("first", "last"))
        start, end = whole_words(contexts[row], int(asked.characters[first, 0]), int(asked.characters[last, 1]))
        text = contexts[row][start:end]
        answers.append(Said(text.strip(), start + len(text) - len(text.lstrip()), float(found["sure"][row])))
    return answers


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The ends of a stretch moved outwards to those of its words and numbers, which tokens may lie within.

    Only letters that have a large and a small form move them, as other scripts may write words without blanks.
    """
    while 0 < start < end and _joined(text[start - 1], text[start]):
        start -= 1
    while start < end < len(text) and _joined(text[end - 1], text[end]):
        end += 1
    return start, end


def _joined(one: str, other: str) -> bool:
    """Whether two neighbouring characters are of one word or of one number."""
    return (one + other).isdigit() or all(each.isupper() or each.islower() for each in (one, other))


def settled(run: Any, source: Source) -> float:
    """The threshold of "no answer" that is best for the F1 of these questions, which the training did not learn."""
    found = run.answers_to(run.transform.encode(source, with_target=False))
    answers = spoken(run, source, found, ALWAYS)
    score = np.array([f1(said.text, right) for said, right in zip(answers, _truths(source), strict=True)])
    return best_threshold(share_of_none(found), score, (source.frame["answer"] == "").to_numpy())


class Answering:
    """Questions to stretches of their passages: what a page, a table and a terminal say of it."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame:
        """One row a question: the answer, "" for none, where it begins, how sure it is, and what was asked."""
        answers = said(run, source)
        found = pl.DataFrame(answers, schema=["prediction", "start", "sure"], orient="row")
        known = [name for name in ("id", "question") if name in source.frame.columns]
        return found.hstack(source.frame.select(known))

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Exact match and F1 with 95 % intervals, and the questions it did worst and best on."""
        source = source if "asked" in source.hints else as_answers(source)[0]
        rows = np.arange(source.rows) if rows is None else rows
        part = source.take(rows)
        answers = said(run, part)
        result = judged([each.text for each in answers], part)
        metrics = result["metrics"]
        f1_, match = metrics["answer_f1"], metrics["exact_match"]
        result["sentence"] = (
            f"Answers with an F1 of {100 * f1_['value']:.1f} % [{100 * f1_['low']:.1f}, {100 * f1_['high']:.1f}] by "
            f"the words it shares with the truth, {100 * match['value']:.1f} % of the answers exactly, on "
            f"{counted(result['rows'], 'held-out question')}."
        )
        if "no_answer_right" in metrics:
            empty = int((part.frame["answer"] == "").sum())
            result["sentence"] += (
                f" Of the {empty:,} without an answer it says so for {100 * metrics['no_answer_right']['value']:.1f} %."
            )
        return result | {"texts": _cases(rows, part, answers)}

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
        """What the passage's sentence gives that shares most words with the question; and never answering."""
        part = source.take(rows)
        began = time.perf_counter()
        pairs = zip(part.frame["context"].to_list(), part.frame["question"].to_list(), strict=True)
        simple = {"the most similar sentence": ("sentence", [_likest(*pair) for pair in pairs])}
        if "no_answer_right" in judged([""] * part.rows, part)["metrics"]:
            simple["always saying “no answer”"] = ("none", [""] * part.rows)
        found = []
        for name, (kind, answers) in simple.items():
            metrics = {key: each["value"] for key, each in judged(answers, part)["metrics"].items()}
            seconds = time.perf_counter() - began
            found.append({"name": name, "kind": kind, "seconds": seconds, "metrics": metrics})
        return found


def judged(answers: list[str], part: Source) -> dict[str, Any]:
    """Metrics of answers against all that are taken for right; "" is the truth of a question without an answer.

    Where there are such questions, also of both kinds apart. Rajpurkar et al. 2018, arXiv:1806.03822.
    """
    truths = _truths(part)
    each = np.array([f1(answer, right) for answer, right in zip(answers, truths, strict=True)])
    right = np.array([exact(answer, truth) for answer, truth in zip(answers, truths, strict=True)])
    empty = np.array([truth == [""] for truth in truths])
    metrics = {"answer_f1": _interval(each), "exact_match": wilson(int(right.sum()), len(each))}
    if empty.any() and not empty.all():
        metrics["has_answer_f1"] = _interval(each[~empty])
        metrics["has_answer_exact"] = wilson(int(right[~empty].sum()), int((~empty).sum()))
    if empty.any():
        metrics["no_answer_right"] = wilson(int(right[empty].sum()), int(empty.sum()))
    return {"part": "test", "rows": len(each), "goal": "answer_f1", "metrics": metrics}


def _interval(each: np.ndarray) -> dict[str, float]:
    """The mean of a score over questions and its 95 % interval, by drawing the questions anew."""
    random = np.random.default_rng(0)
    low, high = np.percentile(each[random.integers(0, len(each), (RESAMPLES, len(each)))].mean(1), [2.5, 97.5])
    return {"value": float(each.mean()), "low": float(low), "high": float(high)}


def _truths(part: Source) -> list[list[str]]:
    """All answers of each question that are taken for right, without those that are articles and signs alone."""
    texts = [text.split("\x1f") for text in part.frame["others"].to_list()]
    return [[each for each in right if normalized(each)] or [""] for right in texts]


def _likest(context: str, question: str) -> str:
    """The sentence of a passage that has most of a question's words."""
    asked = set(normalized(question).split())
    sentences = re.split(r"(?<=[.!?])\s+", context)
    return max(sentences, key=lambda sentence: len(asked & set(normalized(sentence).split())))


def _around(context: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and after a stretch of a passage, cut between words."""
    before, after = context[max(0, start - AROUND) : start], context[end : end + AROUND]
    if len(before) < start:
        before = "… " + before[before.find(" ") + 1 :]
    if end + len(after) < len(context):
        after = after[: after.rfind(" ") + 1] + "…"
    return before, after


def _cases(rows: np.ndarray, part: Source, answers: list[Said]) -> dict[str, Any]:
    """The surest wrong answers, the surest right ones and those on the longest passages, in what stands around."""
    truths = _truths(part)
    score = np.array([f1(each.text, right) for each, right in zip(answers, truths, strict=True)])
    order = np.argsort([-each.sure for each in answers], kind="stable")

    def shown(places: np.ndarray) -> list[dict[str, Any]]:
        cards = []
        for place in places[:SHOWN].tolist():
            context, (text, start, _) = part.frame["context"][place], answers[place]
            start = max(0, start)
            before, after = _around(context, start, start + len(text))
            passage = [(before, ""), (text, "answer"), (after, "")] if text else [(after, ""), ("", "no answer")]
            truth = truths[place][0] or "no answer"
            lines = [("question", part.frame["question"][place]), ("passage", passage), ("truth", truth)]
            cards.append({"row": int(rows[place]), "score": float(score[place]), "lines": lines})
        return cards

    long = np.argsort(-part.frame["context"].str.len_chars().to_numpy(), kind="stable")[:LONG]
    cases = {"worst": order[score[order] == 0], "best": order[score[order] == 1], "longest": long}
    return {"score": "F1", **{key: shown(places) for key, places in cases.items()}}
