"""SQuAD's JSON to questions on passages, one a row, with where each answer stands."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.dialect import decode, unpack
from trainwell.data.pairs import part_named
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.errors import InputError, suggest

NEEDED = ("context", "question", "answer")
LISTED = ("answers.text", "answers.answer_start")  # as tables of the Hugging Face hub hold them, lists a row
ORDER = {"train": 0, "val": 1, "test": 2, None: 3}
SHOWN = 60  # characters of a text in a message
MOVED = "not where the data says, taken from the nearest such place"
LOST = "nowhere in the passage, left out with the question"
EMPTY = "left out, as the passage or the question is empty"


def is_squad(path: Path) -> bool:
    """Whether a file is JSON whose beginning speaks of paragraphs, as SQuAD's does."""
    if not path.name.lower().removesuffix(".gz").endswith(".json"):
        return False
    with path.open("rb") as file:
        head = file.read(1000)
    return head.lstrip()[:1] == b"{" and b'"data"' in head and (b'"paragraphs"' in head or b'"context"' in head)


def read_answers(folder: Path, files: list[Path]) -> Source | None:
    """The files of a folder, or one file, in SQuAD's JSON as rows of a question each; None where they are not.

    Raises InputError for a file that is no JSON or lacks a key, with the place.
    """
    squads = [path for path in files if is_squad(path)]
    squads.sort(key=lambda path: (ORDER[part_named(path.name)], path.name))
    if not squads or len(squads) < sum(path.suffix.lower() not in (".txt", ".md") for path in files):
        return None
    rows: list[dict[str, Any]] = []
    parts: list[str] = []
    total = hashlib.sha256()
    for path in squads:
        raw = path.read_bytes()
        total.update(raw)
        found = list(_questions(path, decode(unpack(raw, str(path)), str(path))))
        rows += found
        parts += [part_named(path.name) or ""] * len(found)
    if not rows:
        raise InputError(f"{folder}: no question inside; expected data, paragraphs and qas as SQuAD has them")
    given = np.array(parts) if "train" in parts and "" not in parts and len(set(parts)) > 1 else None
    kinds = {"context": "text", "question": "text", "answer": "text", "title": "category"}
    notes = [f"{counted(len(rows), 'question')} on {counted(len({row['context'] for row in rows}), 'passage')}"]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return Source(
        folder.stem, frame, {}, str(folder), given, notes, total.hexdigest(), {"kinds": kinds, "answers": True}
    )


def _questions(path: Path, text: str) -> Iterator[dict[str, Any]]:
    """The questions of a file; one without an answer has an empty one at -1, those to predict for have none at all."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error}); expected SQuAD's") from None
    at, told = "data", '"answers"' in text
    try:
        for i, article in enumerate(content["data"]):
            for j, paragraph in enumerate(article["paragraphs"]):
                for k, asked in enumerate(paragraph["qas"]):
                    at = f"data[{i}].paragraphs[{j}].qas[{k}]"
                    row = {"context": paragraph["context"], "question": asked["question"], "id": asked.get("id")}
                    title = {"title": str(article.get("title", i))}
                    yield {**row, **(_answer(asked, f"{path}: {at}") if told else {}), **title}
    except (KeyError, TypeError) as error:
        key = error.args[0] if isinstance(error, KeyError) else "a table of keys"
        raise InputError(f"{path}: {at} or what follows it lacks {key!r}, which SQuAD's JSON has there") from None


def _answer(asked: dict[str, Any], where: str) -> dict[str, Any]:
    """The answer of a question, where it begins, and all that are taken for right."""
    impossible = asked.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise InputError(f"{where}.is_impossible: found {impossible!r}, expected true or false")
    answers = [] if impossible else asked["answers"]
    for place, each in enumerate(answers):
        for key, kind, what in (("text", str, "a text"), ("answer_start", int, "a whole number")):
            if not isinstance(each[key], kind):
                raise InputError(f"{where}.answers[{place}].{key}: found {each[key]!r}, expected {what}")
    first: dict[str, Any] = answers[0] if answers else {"text": "", "answer_start": -1}
    others = "\x1f".join(dict.fromkeys(each["text"] for each in answers))
    return {"answer": first["text"], "start": int(first["answer_start"]), "others": others}


def as_answers(source: Source, target: str | None = None) -> tuple[Source, Schema]:
    """The source as passage, question, answer and its first character, and its schema.

    An answer that does not stand where it is said to is looked for nearby; those that stand nowhere are left out, empty
    ones say that there is none, and all are counted. Raises InputError where a column is missing, or no answer stands
    in its passage.
    """
    source = _first_of_all(source)
    names = source.frame.columns
    lacking = [name for name in NEEDED if name not in names]
    if lacking or target not in (None, "answer", "answers"):
        wanted = lacking[0] if lacking else str(target)
        raise InputError(
            f"{source.origin}: no column {wanted!r}; expected {', '.join(NEEDED)}; {suggest(wanted, names)}"
        )
    frame = source.frame.with_columns(pl.col(*NEEDED).cast(pl.String).fill_null(""))
    if "start" not in names:
        frame = frame.with_columns(pl.lit(-1).alias("start"))
    frame = frame.with_columns(pl.col("start").fill_null(-1))
    if "others" not in names:
        frame = frame.with_columns(pl.col("answer").alias("others"))
    kept, starts, notes = _kept(frame, "start" in names)
    unanswered = sum(start < 0 for start in starts)
    if unanswered == len(kept):
        raise InputError(f"{source.origin}: no answer stands in its passage; expected a stretch of the context")
    if unanswered:
        notes.append(
            f"{counted(unanswered, 'question')} of {len(kept):,} without an answer: learned as such, so that “no "
            "answer” may be said"
        )
    notes = [*source.notes, *notes]
    chosen = np.array(kept)
    columns = [*NEEDED, "others", *(["title"] if "title" in names else [])]
    frame = frame[chosen].select(columns).with_columns(pl.Series("start", starts, dtype=pl.Int64))
    passages = frame["context"].n_unique()
    facts: dict[str, Any] = {"questions": len(kept), "passages": passages, "unanswered": unanswered}
    facts["grouped"] = "title" if "title" in names else "context"
    parts = None if source.parts is None else source.parts[chosen]
    made = replace(source, frame=frame, arrays={}, parts=parts, notes=notes, hints={**source.hints, "asked": facts})
    shown = [
        Column("context", "text", "input", f"{passages:,} passages", unique=passages),
        Column("question", "text", "input", "what is asked"),
        Column("answer", "text", "target", "a stretch of the passage"),
        Column("start", "number", "ignored", "where the answer begins, in characters"),
        Column("others", "text", "ignored", "all answers that are taken for right"),
    ]
    if "title" in names:
        shown.append(Column("title", "category", "group", "questions on one article stay on one side"))
    return made, Schema(shown, len(kept), "answer")


def _first_of_all(source: Source) -> Source:
    """A table with lists of answers as one with the first answer, where it begins, and all that are right."""
    if not set(LISTED) <= set(source.frame.columns) or "answer" in source.frame.columns:
        return source
    texts, starts = (pl.col(name) for name in LISTED)
    right = texts.list.unique(maintain_order=True).list.join("\x1f").alias("others")
    found = [texts.list.first().alias("answer"), starts.list.first().alias("start"), right.fill_null("")]
    return replace(source, frame=source.frame.with_columns(found).drop(LISTED))


def _kept(frame: pl.DataFrame, told: bool) -> tuple[list[int], list[int], list[str]]:
    """The rows to learn from, where each one's answer begins, -1 for none, and what is to say of the others.

    told: whether the data itself says where answers begin.
    """
    kept, starts = [], []
    moved, lost, empty = [], [], []
    for row, (context, question, answer, start) in enumerate(frame.select(*NEEDED, "start").iter_rows()):
        if not context.strip() or not question.strip():
            empty.append(row)
            continue
        stands = bool(answer) and start >= 0 and context[start : start + len(answer)] == answer
        place = start if stands else _nearest(context, answer, start)
        if answer and place < 0:
            lost.append(row)
            continue
        if answer and place != start and told:
            moved.append(row)
        kept.append(row)
        starts.append(place)
    notes = []
    for found, what, noun in ((moved, MOVED, "answer"), (lost, LOST, "answer"), (empty, EMPTY, "question")):
        if found:
            row = found[0]
            first = f"first in row {row + 1}: {frame[noun][row][:SHOWN]!r}"
            first += f" at {frame['start'][row]}" if noun == "answer" else ""
            notes.append(f"{counted(len(found), noun)} {what} ({first})")
    return kept, starts, notes


def _nearest(context: str, answer: str, start: int) -> int:
    """Where the answer stands in the passage, nearest to the place that was said; -1 for nowhere."""
    if not answer:
        return -1
    places, at = [], context.find(answer)
    while at >= 0:
        places.append(at)
        at = context.find(answer, at + 1)
    return min(places, key=lambda place: abs(place - start), default=-1)


def looks_like_answers(source: Source) -> bool:
    """Whether a source is questions whose answers stand in a passage."""
    return "answers" in source.hints or {"context", "question", *LISTED} <= set(source.frame.columns)
