"""A training's log, written by any library, to the findings that its columns can show and a list of the others."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.rounds import RULES, judge
from trainwell.doctor.series import Record
from trainwell.errors import InputError
from trainwell.runs import RunFolder

STEPS = ("step", "global_step", "iteration", "iter", "batch", "epoch")
LOSSES = ("loss", "train_loss", "training_loss", "train/loss", "loss/train", "train_loss_step", "training/loss")
HELD_OUT = ("val", "eval", "test", "valid", "dev", "held_out")
RATES = ("lr", "learning_rate", "train/lr", "train/learning_rate", "lr-sgd", "lr-adam", "lr-adamw")
NORMS = ("grad_norm", "gradient_norm", "train/grad_norm", "grad/norm", "global_grad_norm")


def read_log(path: str | Path) -> Record:
    """A CSV file, JSON lines, a JSON list, a TensorBoard event file or folder, or a run's probes.json to a record.

    Raises InputError where the file cannot be read or holds no column that is known.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a CSV, JSON-lines or TensorBoard log, or a run folder")
    if path.is_dir() and (path / "probes.json").exists():
        path = path / "probes.json"
    if path.name == "probes.json":
        try:
            return Record.from_dict(json.loads(path.read_text(encoding="utf-8"))["episodes"][-1])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"{path}: damaged: {error}; fit again") from None
    record = Record({"log": path.name})
    rows = _tensorboard(path) if path.is_dir() or "tfevents" in path.name else _rows(path)
    last = 0
    for row in rows:
        numbers = {
            str(key).strip().lower(): number for key, value in row.items() if (number := _number(value)) is not None
        }
        last = int(next((numbers[name] for name in STEPS if name in numbers), last + 1))
        held = "val_" if row.get("event") == "evaluate" else ""  # a line of this package's metrics.jsonl
        for name, value in numbers.items():
            _take(record, last, held + name, value)
    if not len(record.get("loss")):
        known = ", ".join(LOSSES[:4])
        raise InputError(
            f"{path}: no training loss in it; expected a column named {known} or "
            f"the like, and one of {', '.join(STEPS[:3])}"
        )
    return record


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


def _take(record: Record, step: int, name: str, value: float) -> None:
    """One number into the series that its name stands for."""
    parts = name.replace("/", "_").replace("-", "_").split("_")
    if parts[0] in HELD_OUT or parts[-1] in HELD_OUT:
        word = "_".join(part for part in parts if part not in HELD_OUT) or "loss"
        record.add(step, "held out", word, value)
    elif name in LOSSES:
        record.add(step, "loss", "", value)
    elif name in RATES or parts[0] == "lr":
        record.add(step, "rate", "", value)
    elif name in NORMS:
        record.add(step, "gradient norm", "", value)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the log: {error}") from None
    start = text.lstrip()[:1]
    if start == "[":
        try:
            yield from (row for row in json.loads(text) if isinstance(row, dict))
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
    elif start == "{":
        yield from _json_lines(path, text)
    else:
        lines = text.splitlines()
        if len(lines) < 2:
            raise InputError(f"{path}: {len(lines)} lines; expected a header and one row a step")
        yield from csv.DictReader(lines)


def _json_lines(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        whole = json.loads(text)
        yield from whole.get("log_history", [whole])  # a Hugging Face trainer_state.json
        return
    except ValueError:
        pass
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                if number < len(lines):
                    raise InputError(f"{path}: line {number} is no JSON: {line[:60]!r}") from None


def _tensorboard(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise InputError(f"{path}: reading TensorBoard logs needs its package: pip install tensorboard") from None
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0})
    reader.Reload()
    table: dict[int, dict[str, Any]] = {}
    for tag in reader.Tags()["scalars"]:
        for event in reader.Scalars(tag):
            table.setdefault(event.step, {"step": event.step})[tag] = event.value
    yield from (table[step] for step in sorted(table))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
