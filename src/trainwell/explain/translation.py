"""A translation model and texts to what it writes, BLEU or ROUGE with intervals, simple answers and cases."""

import time
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from trainwell.data import Source, as_pairs
from trainwell.data.sentences import ragged
from trainwell.data.tokens import within
from trainwell.explain.language import measure_language
from trainwell.explain.reading import looks
from trainwell.explain.rouge import rouge
from trainwell.models.beam import beam_search

ROWS, AT_ONCE, MOST, SHOWN = 1_000, 32, 30_000, 8  # texts judged, written at once, looked up; cases of each kind
RESAMPLES, WORDS, LONG = 200, 9, 3  # of the bootstrap; of the answer whose attention is drawn; of the longest texts


def written(model: nn.Module, task: Any, transform: Any, texts: list[str]) -> list[str]:
    """What the model writes for each text, by beam search; nothing for an empty one."""
    device = next(model.parameters()).device
    tokens = transform.tokens(texts)
    order = sorted((place for place, text in enumerate(texts) if text.strip()), key=lambda place: len(tokens[place]))
    answers = [""] * len(texts)
    for first in range(0, len(order), AT_ONCE):
        places = order[first : first + AT_ONCE]
        rows = ragged([tokens[place] for place in places]).to(device)
        longest = min(2 * rows.lengths.max().item() + 10, transform.length)
        found = beam_search(
            model,
            rows[:],
            mask=within(rows.lengths),
            length=longest,
            beams=task.beams,
            ends=[transform.end],
            exponent=task.length_penalty,
            start=transform.start,
        )
        for place, each in zip(places, found, strict=True):
            answers[place] = transform.decode(each.tokens.tolist())
    return answers


def aligned(source: Source, transform: Any) -> Source:
    """The source as pairs; as it is if it was read so already."""
    return source if "aligned" in source.hints else as_pairs(source, transform.written)[0]


class Translation:
    """Texts that are read to texts that are written: what a page, a table and a terminal say of it."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame:
        """One row a text: what was read and what is written for it."""
        texts = run.transform.texts(source)
        answers = written(run.model, run.task, run.transform, texts)
        name = run.transform.read if run.transform.read != "prediction" else "read"
        return pl.DataFrame({"prediction": answers, name: texts})

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Metrics with 95 % intervals on pairs, and the best, worst and longest; at most 1,000 are written."""
        source = aligned(source, run.transform)
        rows = np.arange(source.rows) if rows is None else rows
        encoded = run.transform.encode(source, rows)
        result = measure_language(run.answers_to(encoded))
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).round().astype(int))]
        part = source.take(chosen)
        read, truth = run.transform.texts(part), part.frame[run.transform.written].to_list()
        began = time.perf_counter()
        answers = written(run.model, run.task, run.transform, read)
        seconds = time.perf_counter() - began
        scores = self.scores(answers, truth)
        goal = next(iter(scores), "nats")
        result["metrics"] = scores | result["metrics"]
        result |= {"goal": goal, "rows": len(chosen), "seconds_writing": round(seconds, 1)}
        result["sentence"] = self.sentence(result, run)
        each = self.each(answers, truth)
        order = np.argsort(each, kind="stable").tolist()
        middle = min(order[::-1], key=lambda place: abs(len(answers[place].split()) - WORDS))  # a good one with room
        result["attention"] = looks(run.model, run.transform, read[middle], answers[middle])
        long = sorted(order, key=lambda place: -len(read[place]))[:LONG]
        cases = {"worst": order[:SHOWN], "best": order[::-1][:SHOWN], "longest": long}
        result["texts"] = {
            "score": "chrF" if "bleu" in scores else "ROUGE-L",
            **{
                key: [
                    {
                        "row": int(chosen[i]),
                        "score": each[i],
                        "lines": [("read", read[i]), ("truth", truth[i]), ("answer", answers[i])],
                    }
                    for i in places
                ]
                for key, places in cases.items()
            },
        }
        return result

    def scores(self, answers: list[str], truth: list[str]) -> dict[str, dict[str, float]]:
        """BLEU and chrF with bootstrap intervals; nothing where sacrebleu is not installed."""
        try:
            from sacrebleu.metrics import BLEU, CHRF
        except ImportError:
            return {}
        found = {}
        for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
            try:
                score = metric.corpus_score(answers, [truth], n_bootstrap=RESAMPLES if len(truth) > 1 else 1)
            except TypeError:  # sacrebleu cannot average resamples of which some hold no word at all
                score = metric.corpus_score(answers, [truth])
            middle, half = getattr(score, "_mean", score.score), getattr(score, "_ci", 0.0)
            found[name] = {"value": score.score, "low": max(0.0, middle - half), "high": min(100.0, middle + half)}
        return found

    def each(self, answers: list[str], truth: list[str]) -> list[float]:
        """How near each answer is to its truth, by chrF; by the overlap of words where sacrebleu is not installed."""
        try:
            from sacrebleu.metrics import CHRF
        except ImportError:
            return [100 * rouge(answer, [right])["rougeL"] for answer, right in zip(answers, truth, strict=True)]
        metric = CHRF()
        return [metric.sentence_score(answer, [right]).score for answer, right in zip(answers, truth, strict=True)]

    def sentence(self, result: dict[str, Any], run: Any) -> str:
        """The result in words."""
        way = f"{run.transform.read} into {run.transform.written}"
        if "bleu" not in result["metrics"]:
            return (
                f"Translates {way} with {result['metrics']['nats']['value']:.3f} nats a token on {result['rows']:,} "
                "held-out pairs; BLEU needs sacrebleu: pip install -c constraints.txt -e .[text]."
            )
        bleu, chrf = result["metrics"]["bleu"], result["metrics"]["chrf"]
        return (
            f"Translates {way} with a BLEU of {bleu['value']:.1f} [{bleu['low']:.1f}, {bleu['high']:.1f}] and a chrF "
            f"of {chrf['value']:.1f} on {result['rows']:,} held-out pairs, by {run.task.beams} beams."
        )

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
        """What the simplest translators give: the source as it is, and what stood beside the nearest known text."""
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).round().astype(int))]
        part, learned = source.take(chosen), source.take(known[:MOST])
        read, truth = run.transform.texts(part), part.frame[run.transform.written].to_list()
        began = time.perf_counter()
        nearest = _nearest(run.transform.texts(learned), read)
        beside = [learned.frame[run.transform.written][place] for place in nearest.tolist()]
        seconds = time.perf_counter() - began
        copied = ("the text itself", "copy", self.copied(read), 0.0)
        found = []
        for name, kind, answers, spent in (copied, ("the nearest training text's", "nearest", beside, seconds)):
            metrics = {key: each["value"] for key, each in self.scores(answers, truth).items()}
            found.append({"name": name, "kind": kind, "seconds": spent, "metrics": metrics})
        return found

    def copied(self, read: list[str]) -> list[str]:
        """The answer of who does nothing."""
        return read


class Summary(Translation):
    """Texts to summaries: judged by ROUGE, beside each text's first sentence."""

    def scores(self, answers: list[str], truth: list[str]) -> dict[str, dict[str, float]]:
        """ROUGE-1, -2 and -L, means over texts in percent, with bootstrap intervals."""
        each = [rouge(answer, [right]) for answer, right in zip(answers, truth, strict=True)]
        random = np.random.default_rng(0)
        draws = random.integers(0, len(each), (RESAMPLES, len(each)))
        found = {}
        for name in ("rougeL", "rouge1", "rouge2"):
            values = 100 * np.array([one[name] for one in each])
            low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
            found[name] = {"value": float(values.mean()), "low": float(low), "high": float(high)}
        return found

    def each(self, answers: list[str], truth: list[str]) -> list[float]:
        """ROUGE-L of each answer, in percent."""
        return [100 * rouge(answer, [right])["rougeL"] for answer, right in zip(answers, truth, strict=True)]

    def sentence(self, result: dict[str, Any], run: Any) -> str:
        """The result in words."""
        figures = ", ".join(
            f"{name[5:]} {result['metrics'][name]['value']:.1f}" for name in ("rouge1", "rouge2", "rougeL")
        )
        return f"Summarizes with a ROUGE of {figures} on {result['rows']:,} held-out texts, by {run.task.beams} beams."

    def copied(self, read: list[str]) -> list[str]:
        """The first sentence of each text."""
        return [text.split(". ")[0] for text in read]


def _nearest(known: list[str], asked: list[str]) -> np.ndarray:
    """The place of the known text whose words are most like each asked one's, by the cosine of their weights."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    try:
        weights = vectorizer.fit_transform(known)
    except ValueError:  # no text has a word
        return np.zeros(len(asked), dtype=np.int64)
    wanted = vectorizer.transform(asked)
    parts = [(wanted[first : first + 200] @ weights.T).toarray().argmax(1) for first in range(0, len(asked), 200)]
    return np.concatenate(parts)
