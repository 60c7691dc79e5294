"""A log's file to rows of named cells: CSV, JSON lines, JSON, TensorBoard events, or what was printed."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainwell.data.dialect import decode, sniff
from trainwell.doctor.log_names import meaning
from trainwell.errors import InputError

NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf|NaN|Inf)"
# A name of at most three words, or one in quotes, and a number behind it; as "loss: 0.5", "'loss': 0.5", "loss=0.5".
PAIR = re.compile(rf"([A-Za-z_][\w/.-]*(?: [A-Za-z_][\w/.-]*){{0,2}})['\"]?\s*[:=]?\s*['\"]?({NUMBER})(?![\w.])(%?)")
EPOCH = re.compile(r"\bepoch\s*[:=#\[(]*\s*(\d+)", re.IGNORECASE)
COLOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """The rows of a log; raises InputError for what is none, with the place."""
    if path.is_dir() or "tfevents" in path.name:
        return list(_tensorboard(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the log: {error.strerror}") from None
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; expected a log with a training loss")
    if b"\0" in raw[:1000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            f"{path}: no text, and so no log; give a CSV, JSON lines, a TensorBoard folder or printed lines"
        )
    text = decode(raw, str(path))
    start = text.lstrip()[:1]
    if start == "[" and text.lstrip()[1:2] in '{"[]':
        return _json_list(path, text)
    if start == "{" and not text.lstrip().startswith("{'"):
        return list(_json_lines(path, text))
    return _table(path, text) or _printed(text)


def _table(path: Path, text: str) -> list[Row]:
    """Rows below a header that names a loss; none where there is no such header."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return []
    dialect = sniff("\n".join(lines[:1000]), path.name)
    cells = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=dialect.separator)]
    header = cells[0]
    if len(header) < 2 or not any(meaning(name) == "loss" for name in header):
        return []
    if len(cells) < 2:
        raise InputError(f"{path}: a header without rows; expected one row a step or epoch below it")
    comma = dialect.separator != ","
    return [
        {name: _with_point(cell) if comma else cell for name, cell in zip(header, row, strict=False)}
        for row in cells[1:]
    ]


def _with_point(cell: str) -> str:
    """A number with a comma for its decimal point as one with a point."""
    return cell.replace(",", ".") if re.fullmatch(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?", cell) else cell


def _printed(text: str) -> list[Row]:
    """What a loop printed: a row for each line with a number that is known, with the epoch that was named last."""
    rows: list[Row] = []
    epoch: str | None = None
    for line in COLOR.sub("", text).split("\n"):
        line = line.rstrip("\r").split("\r")[-1]  # what a bar of progress left on its line
        named = EPOCH.search(line)
        epoch = named.group(1) if named else epoch
        row: Row = {}
        for name, number, percent in PAIR.findall(line):
            words = name.split()
            # What stands before a name is a remark, as in "INFO train loss: 0.5"; a best one so far is no new one.
            tails = [" ".join(words[start:]) for start in range(len(words))]
            known = next((tail for tail in tails if meaning(tail)), None)
            if known is not None and not {"best", "lowest", "min"} & {word.lower() for word in words}:
                row.setdefault(known, f"{number}{percent}")
        if any(meaning(name) for name in row):
            rows.append({**({"epoch": epoch} if epoch is not None else {}), **row})
    return rows


def _json_list(path: Path, text: str) -> list[Row]:
    try:
        return [row for row in json.loads(text) if isinstance(row, dict)]
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    try:
        whole = json.loads(text)
    except ValueError:
        pass
    else:
        whole = whole.get("history", whole) if isinstance(whole.get("history"), dict) else whole
        columns = {name: cells for name, cells in whole.items() if isinstance(cells, list) and meaning(name)}
        if columns:  # of a Keras History
            longest = max(map(len, columns.values()))
            yield from (
                {name: cells[row] for name, cells in columns.items() if row < len(cells)} for row in range(longest)
            )
        else:
            yield from whole.get("log_history", [whole])  # a Hugging Face trainer_state.json
        return
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                if number < len(lines):  # the last one may have been cut off as the training ended
                    raise InputError(f"{path}: line {number} is no JSON: {line[:60]!r}") from None
            else:
                if isinstance(row, dict):
                    yield row


def _tensorboard(path: Path) -> Iterator[Row]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise InputError(f"{path}: reading TensorBoard logs needs its package: pip install tensorboard") from None
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0})
    reader.Reload()
    table: dict[int, Row] = {}
    for tag in reader.Tags()["scalars"]:
        for event in reader.Scalars(tag):
            table.setdefault(event.step, {"step": event.step})[tag] = event.value
    yield from (table[step] for step in sorted(table))
