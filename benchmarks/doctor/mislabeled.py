"""Real tasks, easy and hard, with labels as they are and with a share of them wrong, to what the check of labels says.

Made by `python -m benchmarks.doctor.mislabeled`. Each column of a table is asked for in turn, so that most tasks are
hard and none is mislabeled on purpose; whatever is found in those above a note is a false alarm.
"""

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from benchmarks.doctor.setups import DATA
from benchmarks.doctor.soiled_tables import HEADS, Rows, houses, number, rows_of

from trainwell.audit.labels import told, wrong_labels
from trainwell.audit.view import View
from trainwell.data import infer, read

ROWS, KINDS = 1_200, 12
# What the thresholds were set on, beside scikit-learn's sets, six of MNIST's digits, languages and modules of Python.
SEEN = {
    "german-credit": {"status", "history", "amount", "savings", "employed", "sex", "property", "housing", "telephone"}
}


def tables() -> Iterator[tuple[str, pl.DataFrame]]:
    """Each column of five tables as the answer: a text's levels as they are, a number's thirds."""
    colic = [line.split(",") for line in (DATA / "horse-colic" / "horse-colic.csv").read_text().split()]
    bases: dict[str, Rows] = {
        name: rows_of(name, ROWS) if name != "german-credit" else rows_of(name, 1000) for name in HEADS
    }
    bases |= {"houses": houses(ROWS)}
    bases["horse-colic"] = [
        {f"c{place}": number("" if cell == "?" else cell) for place, cell in enumerate(row)} for row in colic
    ]
    for name, rows in bases.items():
        frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
        for column in frame.columns:
            labels = _classes(frame[column])
            if labels is not None and column not in SEEN.get(name, ()):
                yield f"{name}, {column}", frame.drop(column).with_columns(y=labels).filter(pl.col("y").is_not_null())


def _classes(series: pl.Series) -> pl.Series | None:
    """Up to twelve levels, or the thirds of a number; nothing where most rows have one class or there are too many."""
    if series.n_unique() > KINDS and series.dtype.is_numeric():
        series = series.qcut([1 / 3, 2 / 3], labels=["low", "middle", "high"], allow_duplicates=True).cast(pl.String)
    labels = series.cast(pl.String).replace("", None)
    counts = labels.drop_nulls().value_counts()["count"]
    return labels if 2 <= len(counts) <= KINDS and counts.max() < 0.9 * counts.sum() else None


def pictures() -> Iterator[tuple[str, pl.DataFrame]]:
    """Two of CIFAR-10's classes at a time, and all; four of MNIST's digits."""
    for name, groups in (
        ("cifar10", [*list(itertools.combinations(range(10), 2))[::3], tuple(range(10))]),
        ("mnist", [(0, 3, 4, 7), (1, 4, 7, 9), (3, 5, 8, 9)]),
    ):
        frame = pl.read_parquet(DATA / name / "train.parquet").head(6000)
        for group in groups:
            parts = [frame.filter(pl.col("label") == label).head(500 // len(group)) for label in group]
            rows = pl.concat(parts)
            yield (
                f"{name}, {'/'.join(map(str, group))}",
                pl.DataFrame({"x": rows["image"].struct.field("bytes"), "y": rows["label"].cast(pl.String)}),
            )


def sounds() -> Iterator[tuple[str, pl.DataFrame]]:
    """Four spoken digits, and who spoke them."""
    files = sorted((DATA / "fsdd" / "recordings").glob("*.wav"))
    for group in ("1469", "0257", "3689", "0123456789"):
        some = random.Random(1).sample([file for file in files if file.name[0] in group], 400)
        for what, place in (("digit", 0), ("speaker", 1)):
            names = [file.stem.split("_")[place] for file in some]
            yield f"sounds, {what} of {group}", pl.DataFrame({"x": [str(file) for file in some], "y": names})


def texts() -> Iterator[tuple[str, pl.DataFrame]]:
    """Reviews, whole and cut, who speaks in Shakespeare, which half of the alphabet a name begins with."""
    found = [
        (kind, file.read_text(encoding="latin-1"))
        for kind in ("neg", "pos")
        for file in sorted((DATA / "review-polarity" / kind).glob("*.txt"))
    ]
    for rows, words in ((400, 400), (1200, 400), (1200, 100), (1200, 30)):
        some = random.Random(2).sample(found, rows)
        cut = [" ".join(text.split()[:words]) for _, text in some]
        yield f"reviews, {rows} of {words} words", pl.DataFrame({"x": cut, "y": [kind for kind, _ in some]})
    speeches: dict[str, list[str]] = {}
    for speech in (DATA / "tinyshakespeare" / "input.txt").read_text().split("\n\n"):
        name, _, text = speech.partition(":\n")
        speeches.setdefault(name, []).append(text)
    often = sorted(speeches, key=lambda name: -len(speeches[name]))[4:16]
    for group in zip(often[::3], often[1::3], often[2::3], strict=True):
        lines = [(name, text) for name in group for text in speeches[name][:150] if len(text) > 30]
        yield (
            f"speeches of {', '.join(group)}",
            pl.DataFrame({"x": [text for _, text in lines], "y": [name for name, _ in lines]}),
        )


def at_random(share: float) -> Callable[[list[str], random.Random], list[str]]:
    def soil(labels: list[str], chance: random.Random) -> list[str]:
        names = sorted(set(labels))
        return [chance.choice([n for n in names if n != each]) if chance.random() < share else each for each in labels]

    return soil


def one_way(share: float) -> Callable[[list[str], random.Random], list[str]]:
    def soil(labels: list[str], chance: random.Random) -> list[str]:
        (one, _), (other, _) = chance.sample(Counter(labels).most_common(4), 2)
        return [other if each == one and chance.random() < share else each for each in labels]

    return soil


SOILS = {
    "as it is": at_random(0.0), "1 in 10": at_random(0.1), "2 in 10": at_random(0.2), "3 in 10": at_random(0.3),
    "1 in 4 of a class": one_way(0.25), "2 in 5 of a class": one_way(0.4),
}  # fmt: skip


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--only", default="", help="a word of a task's name")
    reader.add_argument("--rows", type=int, default=0, help="so many rows of each task, drawn by chance")
    reader.add_argument("--clean", action="store_true", help="labels as they are alone")
    asked = reader.parse_args()
    soils = {"as it is": SOILS["as it is"]} if asked.clean else SOILS
    counts: dict[tuple[str, str, str], list[int]] = {}
    for part, tasks in (("tables", tables), ("pictures", pictures), ("sounds", sounds), ("texts", texts)):
        for name, frame in tasks():
            if asked.only not in name or frame.height < asked.rows:
                continue
            frame = frame.sample(asked.rows, seed=1) if asked.rows else frame
            level = ""
            for what, soil in soils.items():
                labels = soil([f"is {label}" for label in frame["y"]], random.Random(name))
                source = read(frame.with_columns(y=pl.Series(labels)))
                view = View(source, infer(source, target="y", types={"x": "audio"} if part == "sounds" else {}))
                if not level:
                    answers = told(view)
                    missed = float(answers[1].wrong.mean()) if answers is not None else np.nan
                    level = "easy" if missed < 0.1 else "middling" if missed < 0.25 else "hard"
                    print(f"{part}, {name}: {len(labels)} rows, {missed:.1%} missed", flush=True)
                if np.isnan(missed):
                    break
                found = [each for each in wrong_labels(view) if each.severity != "note"]
                tally = counts.setdefault((part, level, what), [0, 0])
                tally[0] += bool(found)
                tally[1] += 1
                if found and what == "as it is":
                    print(f"    false alarm: {found[0].evidence}")
    print("| task | its misses, labels as they are | " + " | ".join(soils) + " |\n|" + "---|" * (2 + len(soils)))
    for part, level in dict.fromkeys((part, level) for part, level, _ in counts):
        cells = [" of ".join(map(str, counts[part, level, what])) for what in soils]
        print(f"| {part} | {level} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
