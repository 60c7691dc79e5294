"""A source to rows that are learned whole, to be rebuilt or drawn anew: its schema, with a label or none."""

from typing import Any

import numpy as np

from trainwell.data.infer import infer
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.data.values import as_numbers
from trainwell.errors import InputError

FEW = 100  # rows below which a network copies rather than learns
READ = ("number", "category", "time")  # kinds of column that a row of a table is made of
DECIMALS = 6  # at most, that drawn numbers are rounded to


def as_whole(
    source: Source,
    task: str,
    target: str | None = None,
    *,
    types: dict[str, Any] | None = None,
    group: str | None = None,
    order: str | None = None,
    schema: Schema | None = None,
) -> tuple[Source, Schema]:
    """The schema of rows to rebuild or to draw: pictures with their label if they have one, or a table's columns.

    A label of one class is left out and said, as are fewer rows than a hundred. Raises InputError for text, sound and
    series, which these networks do not read.
    """
    schema = schema or _inferred(source, target, types, group, order)
    pictures = [column for column in schema.inputs if column.kind == "image"]
    if pictures:
        _pictures_alone(source, schema, pictures[0])
    else:
        _every_column(source, schema, task)
    schema.task = task
    noun = "picture" if pictures else "row"
    if schema.rows < FEW:
        advice = "give more, or change them while learning, as with --set 'augment=[{name: shift, pixels: 2}]'"
        source.notes.append(
            f"{counted(schema.rows, noun)}: of fewer than {FEW} a network keeps copies rather than what they have in "
            f"common; {advice if pictures else 'give more rows'}"
        )
    return source, schema


def _inferred(
    source: Source, target: str | None, types: dict[str, Any] | None, group: str | None, order: str | None
) -> Schema:
    """The schema with the answer that the source has; one that cannot be told apart is no hindrance here."""
    try:
        return infer(source, target=target, types=types, group=group, time=order)
    except InputError:
        if target is not None and target not in source.columns:
            raise
        return infer(source, target=[], types=types, group=group, time=order)


def _pictures_alone(source: Source, schema: Schema, picture: Column) -> None:
    """A picture and its label are kept, all other columns are left out."""
    targets = schema.targets
    if len(targets) != 1 or schema.task != "classify":
        for column in targets:
            column.role, column.reason = "ignored", f"{column.reason}; no class to draw pictures of"
        schema.classes = []
    hinted = source.hints.get("target")
    if not schema.targets and hinted in source.frame.columns and source.frame[hinted].n_unique() == 1:
        only = source.frame[hinted][0]
        labels = source.hints.get("labels", [])
        name = labels[only] if isinstance(only, int) and 0 <= only < len(labels) else only
        source.notes.append(f"one class only ({name}): its pictures are learned without a class")
    for column in schema.columns:
        if column.role == "input" and column is not picture:
            column.role, column.reason = "ignored", "only pictures and their label are learned"


def _every_column(source: Source, schema: Schema, task: str) -> None:
    """The answer is a column like any other; numbers keep as many decimals as they have."""
    for column in schema.targets:
        column.role, column.reason = "input", "a row is learned whole"
    schema.classes = []
    read = [column for column in schema.inputs if column.kind in READ and column.name in source.frame.columns]
    if not read:
        kinds = ", ".join(sorted({column.kind for column in schema.inputs})) or "none"
        raise InputError(
            f"{source.origin}: the task {task!r} learns pictures, or tables of numbers and categories; the columns "
            f"are {kinds}. Text is continued by --task language, series by --task forecast"
        )
    for column in read:
        if column.kind == "number":
            values = as_numbers(source.frame[column.name])
            values = values[~np.isnan(values)]
            fits = (places for places in range(DECIMALS) if np.array_equal(values.round(places), values))
            column.facts["decimals"] = next(fits, DECIMALS)
