"""A table file (CSV, TSV, Parquet, JSON lines, gzipped or not) to a frame whose columns have their types."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.dialect import Dialect, decode, has_header, sniff, split_by_blanks, unpack
from trainwell.data.rows import counted
from trainwell.data.values import flat, name_columns, typed
from trainwell.errors import InputError

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".dat", ".parquet", ".pq", ".jsonl", ".ndjson", ".json", ".npz")
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")


@dataclass
class Table:
    """A frame with what its file says besides: notes for the user, class names, arrays that fit no frame."""

    frame: pl.DataFrame
    notes: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)  # column -> names of its integer codes
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table, as in a.csv, a.parquet or a.csv.gz."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES)


def read_table(path: Path, raw: bytes) -> Table:
    """The table in a file's bytes.

    Raises InputError for an empty file, a header without rows, ragged rows, or text that is not UTF-8.
    """
    name = path.name.lower().removesuffix(".gz")
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; expected a table with one row an example")
    if name.endswith(SPREADSHEETS) or raw[:4] in (b"\xd0\xcf\x11\xe0",):
        raise InputError(f"{path}: a spreadsheet; save it as CSV (or Parquet) and give that file")
    raw = unpack(raw, str(path))
    if raw[:4] == b"PAR1":
        return _parquet(path, raw)
    if name.endswith((".parquet", ".pq")):
        raise InputError(f"{path}: named Parquet but does not begin with PAR1: the file is damaged or renamed")
    if name.endswith(".npz"):
        return _arrays(path, raw)
    if raw[:2] == b"PK":
        raise InputError(f"{path}: a zip archive; unpack it and give the file or folder inside")
    if name.endswith((".jsonl", ".ndjson", ".json")) or raw.lstrip()[:1] == b"{":
        return _json(path, raw)
    return _text(path, decode(raw, str(path)))


def _text(path: Path, text: str) -> Table:
    """A table of separated text."""
    notes: list[str] = []
    if "\n" not in text:
        text = text.replace("\r", "\n")  # line ends of old Macintosh files
    text = split_by_blanks(_without_comments(text.lstrip("\r\n"), notes))
    dialect = sniff(text, path.name.lower())
    rows = _head(text, dialect)
    if not rows:
        raise InputError(f"{path}: no rows; expected a table with one row an example")
    header = has_header(rows)
    frame = _frame(path, text, dialect, header)
    if header and frame.height == 1:
        raise InputError(f"{path}: only a header ({', '.join(rows[0][:6])}), no rows; expected one row an example")
    if frame.width > 1:
        blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        frame = frame.filter(~blank)
    if not frame.height:
        raise InputError(f"{path}: every cell is empty; expected a table with one row an example")
    if header:
        names = [str(cell or "").strip().strip(dialect.quote) for cell in frame.row(0)]
        frame = _once(frame.slice(1), frame.row(0), notes)
        if not names[-1] and frame.to_series(frame.width - 1).null_count() == frame.height:
            names, frame = names[:-1], frame[:, :-1]  # a separator at the end of every line
        frame.columns = name_columns(names, notes)
    else:
        frame.columns = [f"column_{place}" for place in range(1, frame.width + 1)]
        notes.append(f"{path.name} has no header: its columns are called column_1 to column_{frame.width}")
    if not frame.height:
        raise InputError(f"{path}: only a header, no rows; expected one row an example")
    return Table(typed(frame, notes), notes)


def _without_comments(text: str, notes: list[str]) -> str:
    """The text after leading lines that begin with a hash sign and a blank."""
    count = 0
    while text.startswith(("# ", "#\n", "#\r")):
        count, text = count + 1, text.partition("\n")[2]
    if count:
        notes.append(f"{count} comment lines at the top were skipped")
    return text


def _head(text: str, dialect: Dialect) -> list[list[str]]:
    """The first 200 rows that are not blank."""
    rows: list[list[str]] = []
    for row in dialect.rows(text[:400_000]):
        if row:
            rows.append(row)
        if len(rows) == 200:
            break
    return rows


def _once(frame: pl.DataFrame, header: tuple[Any, ...], notes: list[str]) -> pl.DataFrame:
    """The rows that are not the header again, as in files that were put one behind the other."""
    named = [pl.col(column) == cell for column, cell in zip(frame.columns, header, strict=True) if cell]
    again = frame.select(pl.all_horizontal(named).fill_null(False)).to_series() if named else pl.Series([False])
    if len(named) < 2 or not again.any() or again.all():
        return frame
    first = int(again.arg_true()[0]) + 1
    notes.append(f"the header stands {counted(int(again.sum()), 'time')} more, first as row {first}; left out")
    return frame.filter(~again)


def _frame(path: Path, text: str, dialect: Dialect, header: bool) -> pl.DataFrame:
    """All rows as text, the header among them."""
    # polars takes a text that begins like a zlib stream for one.
    if dialect.spaced or text.startswith(("x^", "x\x01")):
        return _slow_frame(path, text, dialect, header)
    try:
        frame = pl.read_csv(
            text.encode(),
            has_header=False,
            infer_schema=False,
            separator=dialect.separator,
            quote_char=dialect.quote,
        )
    except pl.exceptions.PolarsError:
        return _slow_frame(path, text, dialect, header)
    # Short rows are padded in silence: look closer where the last column has gaps.
    if frame.width > 1 and frame.to_series(frame.width - 1).null_count():
        return _slow_frame(path, text, dialect, header)
    return frame


def _slow_frame(path: Path, text: str, dialect: Dialect, header: bool) -> pl.DataFrame:
    """Rows by the standard library's reader, which tells the cells of each row; raises InputError for ragged rows."""
    reader = dialect.rows(text)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; check the quotes there") from error
    counts = Counter(len(row) for row in rows)
    width = counts.most_common(1)[0][0]
    if header and len(rows) > 1 and len(rows[0]) == width - 1 and len(counts) == 2 and counts[width - 1] == 1:
        rows[0] = ["row", *rows[0]]  # R writes row names without a name for them
        counts = Counter([width])
    if header and len(rows[0]) == width + 1 and not rows[0][-1].strip():
        rows[0] = rows[0][:-1]
        counts = Counter(len(row) for row in rows)
    if len(counts) > 1:
        wrong = [place for place, row in enumerate(rows) if len(row) != width]
        first = wrong[0]
        more = f" (and {counted(len(wrong) - 1, 'row')} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"{path}, line {lines[first]}: {len(rows[first])} cells where {width} are expected{more}: "
            f"{dialect.separator.join(rows[first])[:80]!r}; mend the rows, or quote cells that hold a "
            f"{dialect.separator!r}"
        )
    columns = list(zip(*rows, strict=True))
    return pl.DataFrame({f"c{place}": list(column) for place, column in enumerate(columns)}).with_columns(
        pl.all().replace("", None)
    )


def _parquet(path: Path, raw: bytes) -> Table:
    """A Parquet table; a struct of bytes and path is a picture, and class names may stand in its metadata."""
    try:
        frame = pl.read_parquet(io.BytesIO(raw))
        metadata = pl.read_parquet_metadata(io.BytesIO(raw))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: a damaged Parquet file ({str(error)[:120]}): copy it again") from error
    table = Table(frame, labels=_label_names(metadata.get("huggingface")))
    if not frame.height:
        raise InputError(f"{path}: a table without rows; expected one row an example")
    table.frame = flat(frame, table.notes)
    return table


def _label_names(metadata: str | None) -> dict[str, list[str]]:
    """Class names by column as Hugging Face's data sets keep them in a Parquet file."""
    try:
        features = json.loads(metadata or "{}").get("info", {}).get("features", {})
    except json.JSONDecodeError:
        return {}
    return {
        name: [str(label) for label in feature["names"]]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _json(path: Path, raw: bytes) -> Table:
    """JSON lines, or one JSON list of objects."""
    text = decode(raw, str(path)).strip()
    rows: list[Any] = []
    if text.startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error.msg}): {line[:60]!r}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: expected an object with one value a column, found {str(row)[:60]}")
    if not rows:
        raise InputError(f"{path}: no rows; expected one JSON object a line")
    notes: list[str] = []
    frame = flat(pl.from_dicts(rows, infer_schema_length=None, strict=False), notes)
    return Table(typed(frame, notes), notes)


def _arrays(path: Path, raw: bytes) -> Table:
    """The arrays of a NumPy archive, by name; pickled ones are refused."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a NumPy archive of plain arrays ({error})") from error
    return Table(pl.DataFrame(), arrays=arrays)
