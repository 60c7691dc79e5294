"""A tagger and sentences to entities, their F1 with intervals, a look-up beside it, and sentences as they were read."""

import time
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import polars as pl

from trainwell.data import Source, as_tags
from trainwell.explain.evaluation import wilson
from trainwell.tasks.spans import Span, counts, scores, spans

SHOWN, RESAMPLES, LONGEST = 8, 500, 5  # sentences of each kind; of the bootstrap; words of an entity that is looked up
LONG = 3  # of the longest sentences


def said(run: Any, encoded: dict[str, Any], sentences: list[list[str]]) -> list[list[str]]:
    """The tag of each word; words beyond what the network reads are in no entity."""
    numbers = run.answers_to(encoded)["tag"]
    target = encoded["target"]
    known = [int((target[slice(row, row + 1)] != 0).sum()) for row in range(len(target))]
    found, at = [], 0
    for words, length in zip(sentences, known, strict=True):
        tags = [run.transform.tags[each] for each in numbers[at : at + length]]
        found.append(tags + ["O"] * (len(words) - length))
        at += length
    return found


class Tagging:
    """Sentences to the tags of their words: what a page, a table and a terminal say of it."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame:
        """One row a sentence: its tags, its words, and the entities that the tags make."""
        sentences = run.transform.sentences(source)
        tags = said(run, run.transform.encode(source, with_target=False), sentences)
        named = [
            "; ".join(f"{span.kind}: {' '.join(words[span.start : span.end])}" for span in spans(line))
            for words, line in zip(sentences, tags, strict=True)
        ]
        columns = {"prediction": [" ".join(line) for line in tags], "tokens": [" ".join(words) for words in sentences]}
        return pl.DataFrame(columns | ({"entities": named} if run.task.spanned else {}))

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]:
        """F1 of spans with its interval over sentences, by kind, what was taken for what, and the sentences."""
        if "tagged" not in source.hints:
            source = as_tags(source, run.transform.marks)[0]
        rows = np.arange(source.rows) if rows is None else rows
        part = source.take(rows)
        sentences = run.transform.sentences(part)
        truth = [line.split() for line in part.frame[run.transform.marks].to_list()]
        answer = said(run, run.transform.encode(source, rows), sentences)
        result = judged(truth, answer, run.task.spanned)
        cases = _cases(rows, sentences, truth, answer) if run.task.spanned else {}
        return {**result, "texts": cases, "sentence": self.sentence(result, run)}

    def sentence(self, result: dict[str, Any], run: Any) -> str:
        """The result in words."""
        right = result["metrics"]["accuracy"]["value"]
        where = f"on {result['rows']:,} held-out sentences"
        if not run.task.spanned:
            return f"Gives {100 * right:.1f} % of the words their tag {where}."
        metrics = result["metrics"]
        f1, precision, recall = (metrics[name] for name in ("span_f1", "precision", "recall"))
        return (
            f"Finds entities with an F1 of {100 * f1['value']:.1f} % [{100 * f1['low']:.1f}, {100 * f1['high']:.1f}]: "
            f"{100 * recall['value']:.1f} % of them are found, {100 * precision['value']:.1f} % of those it names are "
            f"right in both ends and kind, {where}."
        )

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
        """What naming the entities gives that training sentences had, as they were mostly named there."""
        marks = run.transform.marks

        def halves(part: Source) -> tuple[list[list[str]], list[list[str]]]:
            return run.transform.sentences(part), [line.split() for line in part.frame[marks].to_list()]

        began = time.perf_counter()
        learned, (words, truth) = halves(source.take(known)), halves(source.take(rows))
        if run.task.spanned:
            name, kind, answer = "looking up training's names", "lookup", looked_up(*learned, words)
        else:
            name, kind, answer = "each word's commonest tag", "lookup", _commonest(*learned, words)
        result = judged(truth, answer, run.task.spanned, resamples=1)
        metrics = {key: each["value"] for key, each in result["metrics"].items()}
        return [{"name": name, "kind": kind, "seconds": time.perf_counter() - began, "metrics": metrics}]


def judged(
    truth: list[list[str]], answer: list[list[str]], spanned: bool, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Metrics of tags against the truth, sentence by sentence."""
    right = sum(a == b for one, two in zip(truth, answer, strict=True) for a, b in zip(one, two, strict=True))
    metrics: dict[str, Any] = {"accuracy": wilson(right, sum(map(len, truth)))}
    result: dict[str, Any] = {"part": "test", "rows": len(truth), "goal": "accuracy", "metrics": metrics}
    if not spanned:
        return result
    there, found = [spans(line) for line in truth], [spans(line) for line in answer]
    each = np.array([counts(one, two) for one, two in zip(there, found, strict=True)])
    random = np.random.default_rng(0)
    draws = [scores(*each[random.integers(0, len(each), len(each))].sum(0)) for _ in range(resamples)]
    whole = scores(*each.sum(0))
    result["metrics"] = {}
    for name, value in whole.items():
        low, high = np.percentile([draw[name] for draw in draws], [2.5, 97.5]).tolist()
        result["metrics"]["span_f1" if name == "f1" else name] = {"value": value, "low": low, "high": high}
    result["metrics"] |= metrics
    kinds = sorted({span.kind for line in [*there, *found] for span in line})
    result["by_class"] = [_of_kind(kind, there, found) for kind in kinds]
    return {**result, "goal": "span_f1", "confusion": _confusion(truth, answer, kinds)}


def _of_kind(kind: str, there: list[list[Span]], found: list[list[Span]]) -> dict[str, Any]:
    """Precision, recall and F1 of the spans of one kind."""
    both = [[[span for span in line if span.kind == kind] for line in lines] for lines in (there, found)]
    total = np.sum([counts(one, two) for one, two in zip(*both, strict=True)], axis=0)
    return {"class": kind, **scores(*total), "rows": int(total[2])}


def _confusion(truth: list[list[str]], answer: list[list[str]], kinds: list[str]) -> dict[str, Any]:
    """How many words of each kind were given which, by words that are in an entity or were taken for one."""
    labels = ["none", *kinds]
    place = {kind: number for number, kind in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=int)
    for one, two in zip(truth, answer, strict=True):
        for a, b in zip(one, two, strict=True):
            table[place.get(a[2:], 0), place.get(b[2:], 0)] += 1
    return {"labels": labels, "counts": table.tolist(), "noun": "word"}


def _cases(
    rows: np.ndarray, sentences: list[list[str]], truth: list[list[str]], answer: list[list[str]]
) -> dict[str, Any]:
    """The sentences with the most mistakes, those with the most entities that are all right, and the longest."""
    each = [counts(spans(one), spans(two)) for one, two in zip(truth, answer, strict=True)]
    wrong = [answered + there - 2 * right for right, answered, there in each]
    order = np.argsort(-np.array(wrong), kind="stable").tolist()
    best = sorted((place for place, count in enumerate(wrong) if not count), key=lambda place: -each[place][0])

    def shown(places: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "row": int(rows[place]),
                "score": scores(*each[place])["f1"],
                "lines": [
                    ("truth", marked(sentences[place], truth[place])),
                    ("answer", marked(sentences[place], answer[place])),
                ],
            }
            for place in places[:SHOWN]
        ]

    worst = [place for place in order if wrong[place]]
    long = sorted(range(len(rows)), key=lambda place: -len(sentences[place]))[:LONG]
    cases = {"worst": worst, "best": [place for place in best if each[place][0]], "longest": long}
    return {"score": "F1", **{key: shown(places) for key, places in cases.items()}}


def marked(words: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """A sentence in pieces, those of entities with their kind."""
    found: list[tuple[str, str]] = []
    at = 0
    for span in spans(tags):
        found += [(" ".join(words[at : span.start]) + " ", "")] if span.start > at else []
        found += [(" ".join(words[span.start : span.end]), span.kind), (" ", "")]
        at = span.end
    return [*found, (" ".join(words[at:]), "")]


def looked_up(sentences: list[list[str]], tags: list[list[str]], asked: list[list[str]]) -> list[list[str]]:
    """Tags by the names that training sentences had: the longest first, where most of its mentions were that kind."""
    seen: Counter[tuple[str, ...]] = Counter()
    named: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for words, line in zip(sentences, tags, strict=True):
        lower = [word.lower() for word in words]
        for length in range(1, LONGEST + 1):
            seen.update(tuple(lower[at : at + length]) for at in range(len(lower) - length + 1))
        for span in spans(line):
            named[tuple(lower[span.start : span.end])][span.kind] += 1
    known = {key: kinds.most_common(1)[0] for key, kinds in named.items()}
    known = {
        key: (kind, count) for key, (kind, count) in known.items() if len(key) <= LONGEST and 2 * count > seen[key]
    }
    found = []
    for words in asked:
        lower, at = [word.lower() for word in words], 0
        answer = ["O"] * len(words)
        while at < len(words):
            length = next(
                (n for n in range(LONGEST, 0, -1) if tuple(lower[at : at + n]) in known and at + n <= len(words)), 0
            )
            if length:
                kind = known[tuple(lower[at : at + length])][0]
                answer[at : at + length] = [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
            at += length or 1
        found.append(answer)
    return found


def _commonest(sentences: list[list[str]], tags: list[list[str]], asked: list[list[str]]) -> list[list[str]]:
    """Each word's commonest tag in training, and the commonest of all for words that were not there."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    whole: Counter[str] = Counter()
    for words, line in zip(sentences, tags, strict=True):
        whole.update(line)
        for word, tag in zip(words, line, strict=True):
            table[word.lower()][tag] += 1
    usual = whole.most_common(1)[0][0]
    return [[table[w.lower()].most_common(1)[0][0] if w.lower() in table else usual for w in words] for words in asked]
