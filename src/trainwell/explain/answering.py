"""A network that answers from passages to its answers, exact match and F1 with intervals, and the questions."""

import re
import string
import time
from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from trainwell.data import Source, as_answers
from trainwell.explain.evaluation import wilson

SHOWN, RESAMPLES, AROUND = 8, 500, 160  # questions of each kind; of the bootstrap; characters shown around an answer


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


def said(run: Any, source: Source) -> list[tuple[str, int, float]]:
    """Of each question the answer, the character of the passage where it begins, and how sure it is."""
    found = run.answers_to(run.transform.encode(source, with_target=False))
    answers = []
    contexts = source.frame["context"].cast(pl.String).fill_null("").to_list()
    for row, (_, _, stands) in enumerate(run.transform.places(source)):
        first, last = (min(int(found[name][row]), len(stands) - 1) for name in ("first", "last"))
        start, end = int(stands[first, 0]), int(stands[last, 1])
        text = contexts[row][max(0, start) : max(0, end)]
        start += len(text) - len(text.lstrip())
        answers.append((text.strip(), start, float(found["sure"][row])))
    return answers


class Answering:
    """Questions to stretches of their passages: what a page, a table and a terminal say of it."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame:
        """One row a question: the answer, where it begins, how sure it is, and what was asked."""
        answers = said(run, source)
        columns = list(zip(*answers, strict=True)) if answers else [(), (), ()]
        names = ("prediction", "start", "sure")
        found = {name: list(column) for name, column in zip(names, columns, strict=True)}
        return pl.DataFrame(found | {"question": source.frame["question"].to_list()})

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Exact match and F1 with 95 % intervals, and the questions it did worst and best on."""
        source = source if "asked" in source.hints else as_answers(source)[0]
        rows = np.arange(source.rows) if rows is None else rows
        part = source.take(rows)
        answers = said(run, part)
        result = judged([text for text, _, _ in answers], part)
        metrics = result["metrics"]
        f1_, match = metrics["answer_f1"], metrics["exact_match"]
        result["sentence"] = (
            f"Answers with an F1 of {100 * f1_['value']:.1f} [{100 * f1_['low']:.1f}, {100 * f1_['high']:.1f}] by the "
            f"words it shares with the truth, {100 * match['value']:.1f} % of the answers exactly, on "
            f"{result['rows']:,} held-out questions."
        )
        return result | {"texts": _cases(rows, part, answers)}

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
        """What the passage's sentence gives that shares most words with the question."""
        part = source.take(rows)
        began = time.perf_counter()
        pairs = zip(part.frame["context"].to_list(), part.frame["question"].to_list(), strict=True)
        answers = [_likest(context, question) for context, question in pairs]
        metrics = {key: each["value"] for key, each in judged(answers, part)["metrics"].items()}
        name = "the sentence most like the question"
        return [{"name": name, "kind": "sentence", "seconds": time.perf_counter() - began, "metrics": metrics}]


def judged(answers: list[str], part: Source) -> dict[str, Any]:
    """Metrics of answers against all that are taken for right."""
    truths = [text.split("\x1f") for text in part.frame["others"].to_list()]
    each = np.array([f1(answer, right) for answer, right in zip(answers, truths, strict=True)])
    right = sum(exact(answer, truth) for answer, truth in zip(answers, truths, strict=True))
    random = np.random.default_rng(0)
    low, high = np.percentile(each[random.integers(0, len(each), (RESAMPLES, len(each)))].mean(1), [2.5, 97.5])
    metrics = {
        "answer_f1": {"value": float(each.mean()), "low": float(low), "high": float(high)},
        "exact_match": wilson(right, len(each)),
    }
    return {"part": "test", "rows": len(each), "goal": "answer_f1", "metrics": metrics}


def _likest(context: str, question: str) -> str:
    """The sentence of a passage that has most of a question's words."""
    asked = set(normalized(question).split())
    sentences = re.split(r"(?<=[.!?])\s+", context)
    return max(sentences, key=lambda sentence: len(asked & set(normalized(sentence).split())))


def _cases(rows: np.ndarray, part: Source, answers: list[tuple[str, int, float]]) -> dict[str, Any]:
    """The surest wrong answers and the surest right ones, each in what stands around it."""
    truths = [text.split("\x1f") for text in part.frame["others"].to_list()]
    score = np.array([f1(text, right) for (text, _, _), right in zip(answers, truths, strict=True)])
    order = np.argsort([-sure for _, _, sure in answers], kind="stable")

    def shown(places: np.ndarray) -> list[dict[str, Any]]:
        cards = []
        for place in places[:SHOWN].tolist():
            context, (text, start, _) = part.frame["context"][place], answers[place]
            before, after = context[max(0, start - AROUND) : start], context[start + len(text) :][:AROUND]
            lines = [
                ("question", part.frame["question"][place]),
                ("passage", [(before, ""), (text, "answer"), (after, "")]),
                ("truth", truths[place][0]),
            ]
            cards.append({"row": int(rows[place]), "score": float(score[place]), "lines": lines})
        return cards

    return {"score": "F1", "worst": shown(order[score[order] == 0]), "best": shown(order[score[order] == 1])}
