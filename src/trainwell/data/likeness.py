"""Pictures named by what they show to their schema, for telling apart what was never seen in training."""

from pathlib import Path

import numpy as np
import polars as pl

from trainwell.data.folder import PARTS
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Schema
from trainwell.data.values import as_text
from trainwell.errors import InputError

FEWEST = 6  # classes of two pictures or more: some to learn, some to choose by, some to judge by


def as_likeness(source: Source, target: str | None = None) -> tuple[Source, Schema]:
    """The source, its names told by the innermost folder, and its schema: pictures in, names out.

    Raises InputError without pictures or names, or with fewer than six names of two pictures.
    """
    images = [name for name, kind in source.hints.get("kinds", {}).items() if kind == "image"]
    column = target or str(source.hints.get("target") or "")
    if not images or column not in source.frame.columns:
        what = f"no column {column!r}" if images and column else "no names of classes" if images else "no pictures"
        raise InputError(
            f"{source.origin}: {what}; likeness is learned from pictures in a folder for each person or thing, or "
            "from a table with a column of pictures and a target"
        )
    names = names_of(source, column)
    source = source.take(np.flatnonzero(names.is_not_null().to_numpy()))
    source.frame = source.frame.with_columns(names.drop_nulls().alias(column))
    counts = source.frame[column].value_counts()
    several = counts.filter(pl.col("count") > 1)
    if several.height < FEWEST:
        raise InputError(
            f"{source.origin}: {counted(several.height, 'class').replace('classs', 'classes')} of two pictures or more;"
            f" at least {FEWEST} are needed, as some are kept to judge by"
        )
    labels = sorted(counts[column].to_list())
    facts = {"smallest": int(counts["count"].min()), "largest": int(counts["count"].max())}  # type: ignore[arg-type]
    columns = []
    for name in source.columns:
        if name == images[0]:
            columns.append(Column(name, "image", reason="pictures", unique=source.rows))
        elif name == column:
            why = "the names of what is shown"
            columns.append(Column(name, "category", "target", why, labels, unique=len(labels), facts=facts))
        else:
            columns.append(Column(name, "text", "ignored", "not asked for by likeness"))
    return source, Schema(columns, source.rows, "likeness", labels)


def names_of(source: Source, column: str) -> pl.Series:
    """What each row shows: the target's cell or, of files in folders within folders, the way to the innermost."""
    cells = as_text(source.frame[column])
    image = next((name for name, kind in source.hints.get("kinds", {}).items() if kind == "image"), None)
    root = Path(source.origin).absolute()
    from_folders = column == "label" and column == source.hints.get("target") and root.is_dir()
    if image is None or not from_folders or source.frame[image].dtype != pl.String:
        return cells
    names = []
    for path, label in zip(source.frame[image], cells, strict=True):
        try:
            ways = Path(path).relative_to(root).parts[:-1]
        except (ValueError, TypeError):
            return cells
        ways = ways[1:] if ways and ways[0].lower() in PARTS else ways
        names.append("/".join(ways) if label is not None and ways else label)
    return pl.Series(column, names, dtype=pl.String)
