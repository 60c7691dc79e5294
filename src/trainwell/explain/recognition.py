"""A recognizer and sounds to what it hears: character and word error rates with intervals, and cases."""

from typing import Any

import numpy as np
import polars as pl
import torch

from trainwell.data import Source
from trainwell.tasks.recognize import distance

AT_ONCE, SHOWN, RESAMPLES, LONG = 64, 8, 200, 3


def heard(run: Any, source: Source, rows: np.ndarray | None = None) -> tuple[np.ndarray, list[str]]:
    """The rows that could be read and the text that is heard in each."""
    encoded = run.transform.encode(source, rows, with_target=False)
    device = next(run.model.parameters()).device
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(encoded["row"]), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            batch = {"inputs": tuple(each[part].to(device) for each in encoded["inputs"])}
            texts += [run.transform.target.decode(row) for row in run.task.read(run.model, batch)]
    return encoded["row"].numpy(), texts


def rate(wrong: np.ndarray, count: np.ndarray) -> dict[str, float]:
    """Errors over what there is, with its 95 % bootstrap interval over rows."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(wrong), (RESAMPLES, len(wrong)))
    low, high = np.percentile(wrong[drawn].sum(1) / np.maximum(1, count[drawn].sum(1)), [2.5, 97.5])
    return {"value": float(wrong.sum() / max(1, count.sum())), "low": float(low), "high": float(high)}


class Recognition:
    """Sounds to texts: what a page, a table and a terminal say of it."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame:
        """One row a sound: what is heard, nothing where it could not be read, and its file."""
        rows, texts = heard(run, source)
        answers: list[str | None] = [None] * source.rows
        for row, text in zip(rows.tolist(), texts, strict=True):
            answers[row] = text
        found = pl.DataFrame({"prediction": pl.Series(answers, dtype=pl.String)})
        files = source.frame[run.transform.column]
        return found.with_columns(files.alias("file")) if files.dtype == pl.String else found

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Error rates by character and by word on rows with known text, and the best, worst and longest of them."""
        rows, texts = heard(run, source, rows)
        truth = source.frame[run.transform.target.columns[0]][rows].cast(pl.String).to_list()
        pairs = list(zip(texts, truth, strict=True))
        wrong = np.array([distance(list(text), list(right)) for text, right in pairs])
        long = np.array([len(right) for right in truth])
        wrong_words = np.array([distance(text.split(), right.split()) for text, right in pairs])
        words = np.array([len(right.split()) for right in truth])
        metrics = {"character_error": rate(wrong, long), "word_error": rate(wrong_words, words)}
        order = np.argsort(-(wrong / np.maximum(1, long)), kind="stable").tolist()
        longest = np.argsort(-long, kind="stable").tolist()[:LONG]
        worst = [place for place in order if wrong[place]][:SHOWN]
        cases = {"worst": worst, "best": order[::-1][:SHOWN], "longest": longest}
        shown = {
            key: [
                {
                    "row": int(rows[place]),
                    "score": float(wrong[place] / max(1, long[place])),
                    "lines": [("truth", truth[place]), ("heard", texts[place])],
                }
                for place in places
            ]
            for key, places in cases.items()
        }
        each = {name: f"{100 * found['value']:.1f} %" for name, found in metrics.items()}
        low, high = (100 * metrics["character_error"][end] for end in ("low", "high"))
        return {
            "rows": len(rows),
            "goal": "character_error",
            "metrics": metrics,
            "sentence": f"Of all characters said in {len(rows):,} held-out sounds, {each['character_error']} are wrong "
            f"[{low:.1f}, {high:.1f}], and {each['word_error']} of the words, by {run.task.beams} beams.",
            "texts": {"score": "errors a character", **shown},
        }

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
        """What the commonest text of the training rows, answered always, gives."""
        said = source.frame[run.transform.target.columns[0]]
        common = said[known].alias("said").value_counts(sort=True)["said"][0]
        truth = said[rows].to_list()
        wrong = sum(distance(list(common), list(right)) for right in truth)
        words = sum(distance(common.split(), right.split()) for right in truth)
        metrics = {
            "character_error": wrong / max(1, sum(map(len, truth))),
            "word_error": words / max(1, sum(len(right.split()) for right in truth)),
        }
        return [{"name": "commonest text", "kind": "constant", "seconds": 0.0, "metrics": metrics}]
