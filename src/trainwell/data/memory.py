"""NumPy arrays, pandas and polars frames, torch tensors and data sets to a source."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.rows import Source, digest
from trainwell.data.values import as_column, flat, name_columns, typed
from trainwell.errors import InputError

LIMIT = 8 << 30  # bytes of a torch data set that are gathered in memory


def read_memory(data: Any) -> Source:
    """A source from values in memory; raises InputError for lengths that differ or what it cannot read."""
    notes: list[str] = []
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        return _finish(typed(_plain(data, notes), notes), {}, notes, {})
    if isinstance(data, pl.Series):
        return _finish(typed(data.to_frame(), notes), {}, notes, {})
    if _from(data, "pandas"):
        frame = _pandas(data, notes)
        return _finish(typed(frame, notes), {}, notes, {})
    if isinstance(data, Mapping):
        if not data:
            raise InputError("the dict of arrays is empty; expected one array a column")
        if {"data", "target", "feature_names"} <= set(data):  # as scikit-learn's loaders give
            names = [str(name) for name in data["feature_names"]]
            data = dict(zip(names, _array(data["data"]).T, strict=True)) | {"target": _array(data["target"])}
        return _columns({str(name): _array(value) for name, value in data.items()}, notes, {})
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and _from(data, "torch", "utils.data"):
        return _columns(*_gathered(data, notes))
    if isinstance(data, (tuple, list)) and len(data) == 2 and (len(_array(data[0])) == len(_array(data[1]))):
        inputs, target = data
        return _pair(inputs, target, notes)
    if isinstance(data, tuple):
        raise InputError(
            f"a tuple of lengths {[len(_array(part)) for part in data]}: expected (X, y) with one y for each row of X"
        )
    array = _array(data)
    return _columns(_spread(array, "column", notes), notes, {})


def _from(data: Any, package: str, part: str = "") -> bool:
    """Whether the object, or a class that it comes from, is of this package."""
    return any(
        kind.__module__.split(".")[0] == package and part in kind.__module__
        for kind in type(data).__mro__
        if kind.__module__
    )


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if _from(value, "torch"):
        return value.detach().cpu().numpy()
    if hasattr(value, "toarray"):  # a sparse matrix of SciPy
        return value.toarray()
    if isinstance(value, (pl.Series, pl.DataFrame)) or _from(value, "pandas"):
        return value.to_numpy()
    try:
        return np.asarray(value)
    except ValueError:  # rows of unequal length
        return np.array([*value, None], dtype=object)[:-1]


def _pair(inputs: Any, target: Any, notes: list[str]) -> Source:
    """(X, y) to columns and a target; X may be a frame, a matrix, texts, or pictures."""
    y = _array(target)
    name = getattr(target, "name", None)
    if isinstance(inputs, pl.DataFrame) or (_from(inputs, "pandas") and hasattr(inputs, "columns")):
        frame = _plain(inputs, notes) if isinstance(inputs, pl.DataFrame) else _pandas(inputs, notes)
        columns: dict[str, Any] = {series.name: series for series in typed(frame, notes).iter_columns()}
    else:
        columns = _spread(_array(inputs), "column", notes)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    name = name if isinstance(name, str) and name not in columns else "target"
    while name in columns:
        name += "_"
    names = [name] if y.ndim == 1 else [f"{name}_{place}" for place in range(1, y.shape[1] + 1)]
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        wrong = int((~np.isfinite(y)).sum())
        row = int(np.argwhere(~np.isfinite(y))[0][0])
        raise InputError(
            f"the target holds {wrong} values that are NaN or infinite (first in row {row}): remove these rows"
        )
    for place, column in enumerate(names):
        columns[column] = y if y.ndim == 1 else y[:, place]
    return _columns(columns, notes, {"target": ",".join(names) if len(names) > 1 else name}, names)


def _spread(array: np.ndarray, stem: str, notes: list[str]) -> dict[str, Any]:
    """An array to named columns: a matrix by column, pictures and series whole."""
    if array.ndim == 0:
        raise InputError(
            f"a single value ({str(array)[:40]}): expected a path, a frame or arrays of one row an example"
        )
    if array.ndim == 1:
        return {"text" if array.dtype.kind in "UO" else f"{stem}_1": array}
    if array.ndim == 2:
        return {f"{stem}_{place}": array[:, place - 1] for place in range(1, array.shape[1] + 1)}
    return {"image" if _is_picture(array) else "series": array}


def _is_picture(array: np.ndarray) -> bool:
    """Four axes, or three of bytes or of shares between 0 and 1 with both sides longer than three."""
    if array.ndim == 4:
        return True
    if array.ndim != 3 or min(array.shape[1:]) < 4 or max(array.shape[1:]) > 4 * min(array.shape[1:]):
        return False
    return array.dtype == np.uint8 or (array.size > 0 and bool(np.nanmin(array) >= 0 and np.nanmax(array) <= 255))


def channels_last(array: np.ndarray) -> np.ndarray:
    """Pictures as (rows, height, width[, channels]); channels first, as torch has them, are moved."""
    if array.ndim == 4 and array.shape[1] in (1, 3, 4) and array.shape[3] not in (1, 3, 4):
        array = np.moveaxis(array, 1, 3)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    return array


def _columns(columns: dict[str, Any], notes: list[str], hints: dict[str, Any], fixed: Collection[str] = ()) -> Source:
    """Named columns to a frame, and to arrays where they have more axes; text in `fixed` ones stays text."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns of different lengths: {lengths}; expected one value a row in each")
    cells, arrays = [], {}
    for name, values in columns.items():
        if isinstance(values, pl.Series):
            cells.append(values.alias(name))
        elif values.ndim == 1:
            cells.append(as_column(name, values, notes))
        elif values.ndim == 2:
            spread = _spread(values, name, notes)
            cells += [as_column(part, column, notes) for part, column in spread.items()]
            if name in ("y", "target", "label", "labels"):
                hints = {"target": ",".join(spread), **hints}
        elif _is_picture(values):
            arrays[name] = channels_last(values)
            hints.setdefault("kinds", {})[name] = "image"
        else:
            arrays[name] = values
            hints.setdefault("kinds", {})[name] = "series"
    frame = pl.DataFrame(cells)
    kept = frame.select(name for name in fixed if name in frame.columns)
    return _finish(typed(frame, notes).with_columns(kept.iter_columns()), arrays, notes, hints)


def _finish(frame: pl.DataFrame, arrays: dict[str, np.ndarray], notes: list[str], hints: dict[str, Any]) -> Source:
    source = Source("data", frame, arrays, "memory", None, notes, digest(frame, arrays), hints)
    if not source.rows:
        raise InputError("no rows; expected one row an example")
    return source


def _plain(frame: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """A polars frame without dictionary, decimal, nested and object columns."""
    odd = [series for series in frame.iter_columns() if series.dtype == pl.Object]
    frame = frame.with_columns([as_column(series.name, series.to_list(), notes) for series in odd])
    return flat(frame, notes)


def _pandas(data: Any, notes: list[str]) -> pl.DataFrame:
    """A pandas frame or series by NumPy, so that neither pandas nor pyarrow is imported here."""
    data = data if hasattr(data, "columns") else data.to_frame()
    names = name_columns([str(name) for name in data.columns], notes)
    columns = []
    for place, name in enumerate(names):
        column = data.iloc[:, place]
        missing = np.asarray(column.isna())
        values = column.to_numpy()
        nullable = not isinstance(column.dtype, np.dtype)
        if values.dtype.kind == "O" or (missing.any() and (nullable or values.dtype.kind not in "fM")):
            cells = np.array(column.astype(object).to_numpy(), dtype=object)
            cells[missing] = None
            values = cells
        columns.append(as_column(name, values, notes))
    return pl.DataFrame(columns)


def _gathered(data: Any, notes: list[str]) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """The items of a torch data set, stacked; the last part of each is the target."""
    items, size = [], 0
    for place in range(len(data)):
        item = data[place]
        item = tuple(item.values()) if isinstance(item, Mapping) else item
        item = tuple(_item(part) for part in (item if isinstance(item, (tuple, list)) else (item,)))
        size += sum(part.nbytes for part in item)
        if size > LIMIT:
            raise InputError(f"the data set holds more than {LIMIT >> 30} GB: give a DataLoader of your own instead")
        items.append(item)
    if not items:
        raise InputError("the data set is empty; expected items of (input, target)")
    shapes = [{part.shape for part in parts} for parts in zip(*items, strict=True)]
    for place, found in enumerate(shapes):
        if len(found) > 1:
            raise InputError(f"part {place} of the data set's items has several shapes ({sorted(found)[:3]}): resize")
    stacked = [np.stack(parts) for parts in zip(*items, strict=True)]
    columns: dict[str, Any] = {}
    for place, array in enumerate(stacked[:-1] if len(stacked) > 1 else stacked):
        columns.update(_spread(array, "column" if len(stacked) <= 2 else f"input{place + 1}", notes))
    if len(stacked) == 1:
        return columns, notes, {}
    columns["target"] = stacked[-1]
    return columns, notes, {"target": "target"}


def _item(part: Any) -> np.ndarray:
    return _array(part)
