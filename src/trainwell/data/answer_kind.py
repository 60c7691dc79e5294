"""A source whose user says what its answer is to its schema: numbers, or classes in their order."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.infer import infer
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.data.values import as_numbers
from trainwell.errors import InputError

MOST_RANKS = 100  # classes from which on an order is better told as a number
TASKS = {"number": "regress", "category": "classify"}


def infer_as(kind: str, task: str, source: Source, **told: Any) -> Schema:
    """The schema of a source whose targets are read as this kind, number or category, whatever they look like.

    task: the work that asks for it, as its user named it; told: as for `infer`. Raises InputError for a source without
    a target, and for a text to be read as a number.
    """
    schema = infer(source, **told)
    names = [column.name for column in schema.targets]
    if not names:
        raise InputError(f"{source.origin}: --task {task} needs a column to answer; name it with --target")
    if kind == "number":
        for name in names:
            _check_number(source, name, task)
    if task == "ordinal" and len(names) > 1:
        raise InputError(f"{source.origin}: --task ordinal answers one target, found {', '.join(names)}; name one")
    if schema.task == TASKS[kind]:
        return schema
    types = {**(told.get("types") or {}), **dict.fromkeys(names, kind)}
    schema = infer(source, **{**told, "types": types})
    if schema.task != TASKS[kind]:
        raise InputError(f"{source.origin}: --task {task} answers one target, found {', '.join(names)}; name one")
    for column in schema.targets:
        column.reason += f"; read as a {kind}, as --task {task} asks"
    return schema


def _check_number(source: Source, name: str, task: str) -> None:
    column = source.frame[name]
    if column.dtype != pl.String:
        return
    lost = np.isnan(as_numbers(column)) & ~column.is_null().to_numpy()
    if lost.any():
        row = int(np.argmax(lost))
        raise InputError(
            f"{source.origin}: --task {task} answers numbers, but the target {name!r} holds text ({column[row]!r} in "
            f"row {row + 1}): name a column of numbers with --target, or use --task classify, or ordinal for classes "
            "in an order"
        )


def in_order(schema: Schema, order: Any, origin: str) -> Schema:
    """The schema with its classes from the lowest to the highest: as told, or by size where all are numbers.

    Raises InputError for an order that does not name each class once, for text without one, and for too many classes.
    """
    name, classes = schema.targets[0].name, schema.classes
    if len(classes) > MOST_RANKS:
        raise InputError(
            f"{origin}: the target {name!r} has {len(classes):,} different values, more than the {MOST_RANKS} that "
            "--task ordinal ranks; as a number it is answered by --task quantile, gaussian or mixture"
        )
    example = "'task.order=[" + ", ".join(f'"{each}"' for each in classes) + "]'"
    if order is None:
        sizes = as_numbers(pl.Series(classes, dtype=pl.String)) if schema.class_type != "bool" else np.zeros(1)
        if np.isnan(sizes).any():
            raise InputError(
                f"{origin}: the target {name!r} has the classes {_listed(classes)}, whose order is not told; name them "
                f"from the lowest to the highest, as in --set {example}"
            )
        ranked = classes if schema.class_type == "bool" else [classes[i] for i in np.argsort(sizes, kind="stable")]
        return replace(schema, classes=ranked)
    if not isinstance(order, list):
        raise InputError(f"task.order: found {order!r}, expected a list of the classes, as in --set {example}")
    ranked = [str(each) for each in order]
    twice = sorted({each for each in ranked if ranked.count(each) > 1})
    strange = [each for each in ranked if each not in classes]
    lost = [each for each in classes if each not in ranked]
    for found, what in ((twice, "names twice"), (strange, "names what is no class:"), (lost, "leaves out")):
        if found:
            raise InputError(
                f"task.order: {what} {_listed(found)}; the target {name!r} of {origin} has the classes "
                f"{_listed(classes)}: name each once, from the lowest to the highest, as in --set {example}"
            )
    return replace(schema, classes=ranked)


def _listed(names: list[str]) -> str:
    return ", ".join(repr(each) for each in names[:12]) + (", ..." if len(names) > 12 else "")
