"""A training's log, written by any library, to the findings that its columns can show and a list of the others."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

from trainwell.doctor.epoch_rules import RULES as OF_EPOCHS
from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.log_names import FIRST, LOSS, is_share, meaning, plain
from trainwell.doctor.log_rows import Row, rows_of
from trainwell.doctor.rounds import RULES, judge
from trainwell.doctor.series import Record
from trainwell.errors import InputError
from trainwell.runs import RunFolder


def read_log(path: str | Path) -> Record:
    """A CSV file, JSON lines, a JSON list, a TensorBoard event file or folder, or a run's probes.json to a record.

    Raises InputError where the file cannot be read or holds no column that is known.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a CSV, JSON-lines, TensorBoard or printed log, or a run folder")
    if path.is_dir() and (path / "probes.json").exists():
        path = path / "probes.json"
    if path.name == "probes.json":
        try:
            return Record.from_dict(json.loads(path.read_text(encoding="utf-8"))["episodes"][-1])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"{path}: damaged: {error}; fit again") from None
    return _recorded(path, rows_of(path))


def _recorded(path: Path, rows: list[Row]) -> Record:
    """Rows to a record; raises InputError where they hold no loss, or one value of it."""
    columns: dict[str, list[tuple[int, float]]] = {}
    for place, row in enumerate(rows):
        held = "val_" if row.get("event") == "evaluate" else ""  # a line of this package's metrics.jsonl
        for name, cell in row.items():
            value = _number(cell)
            if value is not None:
                columns.setdefault(f"{held}{name}", []).append((place, value))
    losses = [name for name in columns if meaning(name) == "loss"]
    if not losses:
        known = ", ".join(sorted(map(str, {name for row in rows for name in row}))[:8])
        raise InputError(
            f"{path}: no training loss in it{f' (its columns are {known})' if known else ''}; expected a column or a "
            "printed number called loss, train_loss, training loss or the like, and best one called step or epoch"
        )
    chosen = max(losses, key=lambda name: (len(columns[name]), -_rank(name)))
    _end_in_gaps(rows, chosen, columns[chosen])
    if len(columns[chosen]) < 2:
        raise InputError(f"{path}: one value of the loss ({chosen}); a log to judge has one a step or epoch")
    record, steps = Record({"log": path.name}), _steps(columns, len(rows), columns[chosen])
    for name, cells in columns.items():
        kind = meaning(name)
        if kind in ("", "step") or (kind == "loss" and name != chosen):
            continue
        metric = kind.removeprefix("held out ")
        if metric in LOSS and not any(meaning(each) == "held out loss" for each in columns):
            metric = "loss"
        values = [value for _, value in cells]
        percent = is_share(metric) and max((v for v in values if math.isfinite(v)), default=0.0) > 1.5
        for place, value in cells:
            value = value / 100 if percent else value
            held_out = kind.startswith("held out")
            record.add(steps[place], "held out" if held_out else kind, metric if held_out else "", value)
    return record


def _rank(name: str) -> int:
    """How far down a name stands among those for a loss; a mean over an epoch stands before one batch's loss."""
    if plain(name).endswith("_epoch"):
        return -1
    return FIRST.index(plain(name)) if plain(name) in FIRST else len(FIRST)


def _steps(columns: dict[str, list[tuple[int, float]]], rows: int, losses: list[tuple[int, float]]) -> list[int]:
    """The step of each row: the column of that name that never goes back, has whole numbers and tells the losses apart,
    or else the row's number, as where epochs start again or each has its own steps."""
    known = [name for name in columns if meaning(name) == "step"]
    for name in sorted(known, key=lambda name: plain(name).startswith("epoch")):
        cells = columns[name]
        values = [value for _, value in cells]
        whole = all(math.isfinite(value) and value == int(value) for value in values)
        rises = whole and all(before <= after for before, after in itertools.pairwise(values))
        if rises and len(cells) >= 0.5 * rows and values[-1] > values[0]:
            steps, last, given = [], int(values[0]), dict(cells)
            for place in range(rows):
                last = int(given.get(place, last))
                steps.append(last)
            if len({steps[place] for place, _ in losses}) >= 0.9 * len(losses):
                return steps
    return list(range(1, rows + 1))


def _end_in_gaps(rows: list[Row], name: str, cells: list[tuple[int, float]]) -> None:
    """A loss that is null from some row to the end, and nowhere before, was no number there: JSON has none for it."""
    nulls = [place for place, row in enumerate(rows) if name in row and row[name] is None]
    if len(nulls) >= 2 and nulls[0] > cells[-1][0]:
        cells += [(place, math.nan) for place in nulls]


def judge_log(path: str | Path) -> tuple[list[Finding], dict[str, Any]]:
    """(findings, {"run": names, "skipped": {name: why}}) of a log, or of a run folder as its own doctor told them.

    Raises InputError where it cannot be read.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        folder = RunFolder.open(path)
        if (path / "checks.json").exists():
            try:
                findings = [Finding.from_dict(line) for line in folder.read_lines("findings.jsonl")]
            except (KeyError, TypeError) as error:
                raise InputError(f"{path / 'findings.jsonl'}: damaged: {error}; fit again") from None
            return findings, folder.read_table("checks.json")
        if not (path / "metrics.jsonl").exists():
            raise InputError(f"{path}: this run was not watched and has no metrics.jsonl; fit again")
        path = path / "metrics.jsonl"
    record = read_log(path)
    findings, skipped = judge(record)
    by_epoch, waiting = judge(record, OF_EPOCHS.items())
    known = {each.name for each in findings}
    findings += [each for each in by_epoch if each.name not in known]
    skipped = {name: why for name, why in skipped.items() if name not in OF_EPOCHS or name in waiting}
    broken = _broken(record)
    findings = [broken, *findings] if broken is not None else findings
    ran = [name for name in AILMENTS if (name not in skipped and _rule_runs(name)) or name == "non-finite-values"]
    unseen = "a log does not show it: run the training with a doctor"
    return findings, {"run": ran, "skipped": {name: skipped.get(name, unseen) for name in AILMENTS if name not in ran}}


def _broken(record: Record) -> Finding | None:
    """The first loss or gradient norm that is no number."""
    for quantity in ("loss", "gradient norm"):
        series = record.get(quantity)
        for step, value in zip(series.steps, series.values, strict=True):
            if not math.isfinite(value):
                evidence = f"The {quantity} is {value:g} at step {step}."
                cause = "A step that was too long, a function out of its range, or broken rows: a log cannot tell."
                return Finding("non-finite-values", quantity, "critical", evidence, cause, 0.99, step)
    return None


def _rule_runs(name: str) -> bool:
    return any(rule == name for rule, _ in RULES)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    percent = isinstance(value, str) and value.rstrip().endswith("%")
    try:
        return float(value.rstrip()[:-1]) / 100 if percent else float(value)
    except (TypeError, ValueError):
        return None
