"""A source to its schema: what each column is, which column is the answer, and which task the answer asks for."""

from typing import Any, get_args

import numpy as np
import polars as pl

from trainwell.data.kinds import describe
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Column, Kind, Schema
from trainwell.data.values import as_numbers, as_text
from trainwell.errors import InputError, suggest

TARGET_NAMES = ("target", "label", "labels", "class", "y", "outcome", "response", "output", "result")
FEWEST = 10  # rows below which nothing can be held out


def infer(
    source: Source,
    *,
    target: str | list[str] | None = None,
    types: dict[str, Any] | None = None,
    group: str | None = None,
    time: str | None = None,
    ignore: tuple[str, ...] | list[str] = (),
) -> Schema:
    """The schema of a source.

    `target` names the answer (several, separated by commas, for several answers; an empty list for none); `types`
    overrules kinds by column, of which "ignored" leaves it out; `group` and `time` name the columns to split by;
    `ignore` names columns to leave out. Rows without an answer are counted in the target's `missing` and not in `rows`:
    pass the source through `drop_unlabelled` before splitting.
    Raises InputError for unknown names, too few or equal rows, and answers that cannot be learnt.
    """
    ignore = [*ignore, *(name for name, kind in (types or {}).items() if kind == "ignored")]
    types = {name: kind for name, kind in (types or {}).items() if kind != "ignored"}
    _check_names(source, types, group, time, ignore)
    if source.rows < FEWEST:
        raise InputError(
            f"{source.origin}: {counted(source.rows, 'row')}; at least {FEWEST} are needed to learn and to test"
        )
    kinds = {**source.hints.get("kinds", {}), **types}
    columns = [_column(source, name, kinds.get(name), name in types) for name in source.columns]
    by_name = {column.name: column for column in columns}
    names, reason = _targets(source, columns, target, {*ignore, group, time} - {None})
    for name in ignore:
        by_name[name].role, by_name[name].reason = "ignored", "told by the user"
    for name, why in source.hints.get("ignored", {}).items():
        if name not in types and by_name[name].role == "input":
            by_name[name].role, by_name[name].reason = "ignored", why
    if group:
        by_name[group].role, by_name[group].reason = "group", "rows of one value stay on one side of the split"
    if time and by_name[time].role == "ignored":
        by_name[time].role = "input"
    schema = Schema(columns, source.rows, "")
    for name in names:
        by_name[name].role = "target"
        by_name[name].reason = reason
    _check_rows(source, schema)
    _decide_task(source, schema, names, types)
    return schema


def drop_unlabelled(source: Source, schema: Schema) -> Source:
    """The rows that have an answer; how many were dropped is added to the notes."""
    keep = _labelled(source, [column.name for column in schema.targets])
    if keep.all():
        return source
    kept = source.take(np.flatnonzero(keep))
    names = ", ".join(repr(column.name) for column in schema.targets)
    kept.notes.append(f"{counted(int((~keep).sum()), 'row')} without a value of the target {names} dropped")
    return kept


def _labelled(source: Source, names: list[str]) -> np.ndarray:
    keep = np.ones(source.rows, dtype=bool)
    for name in names:
        if name in source.frame.columns:
            series = source.frame[name]
            keep &= ~series.is_null().to_numpy()
            if series.dtype.is_float():
                keep &= series.is_finite().fill_null(False).to_numpy()
    return keep


def _check_names(source: Source, types: dict[str, Any], group: str | None, time: str | None, ignore: Any) -> None:
    given: dict[str, list[Any]] = {"types": list(types), "group": [group], "time": [time], "ignore": list(ignore)}
    for option, names in given.items():
        for name in names:
            if name is not None and name not in source.columns:
                raise InputError(
                    f"{source.origin}: {option} names the column {name!r}, which is not there; "
                    f"{suggest(name, source.columns)}"
                )
    for name, kind in types.items():
        if kind not in get_args(Kind):
            known = (*get_args(Kind), "ignored")
            raise InputError(f"types: {name}={kind} is no kind of column; {suggest(kind, known)}")


def _column(source: Source, name: str, kind: Kind | None, told: bool) -> Column:
    """One column or array of the source, described."""
    if name in source.frame.columns:
        column = describe(name, source.frame[name], kind)
        if kind is not None and not told:
            column.reason = {"image": "picture files", "audio": "sound files"}.get(kind, "texts")
        return column
    array = source.arrays[name]
    shape = list(array.shape[1:])
    column = Column(name, kind or "series", reason=f"an array of {' x '.join(map(str, shape))} values a row")
    column.facts["shape"] = shape
    if array.dtype.kind == "f":
        missing = int((~np.isfinite(array)).sum())
        if missing:
            column.facts["not finite"] = missing
            column.reason += f"; {missing} values are NaN or infinite and count as missing"
    return column


def _targets(
    source: Source, columns: list[Column], target: str | list[str] | None, taken: set[Any]
) -> tuple[list[str], str]:
    """The names of the target columns and why they were chosen."""
    names = source.frame.columns
    if target is not None and not len(target):
        return [], ""
    if target:
        wanted = [target] if isinstance(target, str) and target in names else target
        wanted = [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
        for name in wanted:
            if name not in names:
                found = suggest(name, names)
                raise InputError(f"{source.origin}: no column {name!r} to be the target; {found}")
        return wanted, "told by the user"
    hinted = source.hints.get("target")
    if hinted:
        return ([hinted] if hinted in names else hinted.split(",")), "the layout of the data says so"
    free = [column for column in columns if column.name in names and column.name not in taken]
    for wanted in TARGET_NAMES:
        for column in free:
            if column.name.lower() == wanted:
                return [column.name], f"its name is {column.name!r}"
    usable = [column for column in free if column.role == "input" and column.kind in ("number", "category")]
    if len(source.columns) == 1 or not usable:
        return [], ""
    last = usable[-1]
    if last is free[-1]:
        return [last.name], "it is the last column; --target names another"
    return [last.name], "it is the last column that can be an answer; --target names another"


def _check_rows(source: Source, schema: Schema) -> None:
    """Raises InputError where no row differs from another."""
    names = [column.name for column in schema.inputs if column.name in source.frame.columns]
    if any(column.name in source.arrays for column in schema.inputs):
        if all(bool((source.arrays[name] == source.arrays[name][:1]).all()) for name in source.arrays):
            raise InputError(f"{source.origin}: all {source.rows:,} rows are equal; there is nothing to tell apart")
        return
    inputs = source.frame.select(names)
    if names and (inputs.head(100).n_unique() > 1 or inputs.n_unique() > 1):
        return
    everything = source.frame.select(source.frame.columns)
    if everything.width and everything.n_unique() == 1:
        raise InputError(f"{source.origin}: all {source.rows:,} rows are equal; there is nothing to tell apart")
    if not names:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in schema.columns if column.role == "ignored")
        raise InputError(f"{source.origin}: no column is left to learn from ({reasons or 'only the target'})")


def _decide_task(source: Source, schema: Schema, names: list[str], types: dict[str, Kind]) -> None:
    if not names:
        kinds = {column.kind for column in schema.inputs}
        schema.task = "language" if "text" in kinds else "reconstruct"
        return
    keep = _labelled(source, names)
    if not keep.any():
        raise InputError(f"{source.origin}: the target {names[0]!r} is missing in all {source.rows:,} rows")
    schema.rows = int(keep.sum())
    if schema.rows < FEWEST:
        raise InputError(
            f"{source.origin}: only {counted(schema.rows, 'row')} with a value of the target {names[0]!r}; "
            f"at least {FEWEST} are needed"
        )
    frame = source.frame.filter(pl.Series(keep))
    if len(names) > 1:
        _several(source, schema, frame, names, types)
        return
    name = names[0]
    series, column = frame[name], schema[names[0]]
    unique = series.n_unique()
    if unique == 1:
        raise InputError(
            f"{source.origin}: the target {name!r} has one value only ({str(series[0])[:40]!r}); "
            f"there is nothing to learn: name another column with --target ({', '.join(schema_names(schema)[:8])})"
        )
    pictures = any(part.kind in ("image", "audio", "text") for part in schema.inputs)
    if _is_class(series, unique, types.get(name), pictures, source):
        _classes(source, schema, series, column)
    else:
        schema.task, column.kind = "regress", "number"
        column.categories = []
        _number_facts(source, column, series)


def schema_names(schema: Schema) -> list[str]:
    """The names of the columns that are not the target."""
    return [column.name for column in schema.columns if column.role != "target"]


def _is_class(series: pl.Series, unique: int, told: Kind | None, pictures: bool, source: Source) -> bool:
    """Whether a target names classes: text, truth values, or few whole numbers that count from 0 or 1."""
    if told is not None:
        return told == "category"
    if series.dtype in (pl.String, pl.Boolean):
        return True
    if not series.dtype.is_numeric():
        raise InputError(
            f"{source.origin}: the target {series.name!r} holds {series.dtype}, which is neither a class nor a number"
        )
    values = as_numbers(series)
    if not (values == np.floor(values)).all():
        return unique == 2
    low, high = values.min(), values.max()
    if unique == 2:
        return True
    if low not in (0.0, 1.0) or high - low + 1 != unique:
        return False
    counts = np.unique(values, return_counts=True)[1]
    balanced = counts.min() * 3 >= counts.mean()
    return bool(pictures or unique <= 20 or (balanced and len(values) >= 3 * unique))


def _classes(source: Source, schema: Schema, series: pl.Series, column: Column) -> None:
    """Task, classes and their type, from a target of classes."""
    counts = as_text(series).alias("level").value_counts()
    found, rows = counts["level"].to_list(), len(series)
    if len(found) > 20 and rows < 3 * len(found):
        kind = "text" if series.dtype == pl.String else "number"
        raise InputError(
            f"{source.origin}: the target {series.name!r} has {len(found):,} classes for {rows:,} rows, "
            f"{rows / len(found):.1f} rows a class: too few to learn and test each. It looks like free {kind} or an "
            f"identifier: name another target, or if it is an amount say --types {series.name}=number"
        )
    labels = [str(label) for label in source.hints.get("labels", [])]
    if series.dtype == pl.String:
        schema.class_type, order = "str", sorted(found)
    else:
        boolean, whole = series.dtype == pl.Boolean, series.dtype.is_integer()
        schema.class_type = "bool" if boolean else "int" if whole else "float"
        order = sorted(found) if boolean else sorted(found, key=float)
    schema.classes = labels if labels and set(found) <= set(labels) else order
    schema.task, column.kind = "classify", "category"
    column.categories = counts.sort(["count", "level"], descending=[True, False])["level"].to_list()
    column.unique, column.missing = len(found), source.rows - rows
    column.facts = {"largest": int(counts["count"].max()), "smallest": int(counts["count"].min())}  # type: ignore
    if len(found) <= 1000:
        column.facts["counts"] = dict(zip(counts["level"].to_list(), counts["count"].to_list(), strict=True))
    column.reason += f"; {len(found)} classes"


def _number_facts(source: Source, column: Column, series: pl.Series) -> None:
    figures = describe(column.name, series, "number")
    column.facts, column.unique = figures.facts, figures.unique
    column.missing = source.rows - len(series)


def _several(source: Source, schema: Schema, frame: pl.DataFrame, names: list[str], types: dict[str, Kind]) -> None:
    """Several targets: all of two values are labels that may hold together; all numbers are several amounts."""
    uniques = {name: frame[name].n_unique() for name in names}
    flat = [name for name, unique in uniques.items() if unique == 1]
    if flat:
        raise InputError(f"{source.origin}: the target {flat[0]!r} has one value only; leave it out of the targets")
    numeric = [name for name in names if frame[name].dtype.is_numeric()]
    told = {types.get(name) for name in names}
    if all(unique == 2 for unique in uniques.values()) and "number" not in told:
        schema.task, schema.classes, schema.class_type = "classify", list(names), "bool"
        for name in names:
            column = schema[name]
            column.kind = "category"
            levels = as_text(frame[name]).unique().to_list()
            column.categories = sorted(levels, key=float) if name in numeric else sorted(levels)
            column.reason += "; one of several labels that may hold together"
            column.missing = source.rows - frame.height
    elif len(numeric) == len(names):
        schema.task = "regress"
        for name in names:
            schema[name].kind, schema[name].categories = "number", []
            _number_facts(source, schema[name], frame[name])
    else:
        odd = next(name for name in names if name not in numeric)
        raise InputError(
            f"{source.origin}: several targets must all have two values, or all be numbers; {odd!r} has "
            f"{uniques[odd]} values of text: give one target"
        )
