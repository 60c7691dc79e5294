"""The run folder that a training leaves behind: written atomically, read, listed and compared."""

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from trainwell.errors import InputError

VERSION = 1


class RunFolder:
    """One run folder; `run.json` in it holds its version, name, state and time."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, name: str, out: str | Path | None = None) -> "RunFolder":
        """A new folder: `out` itself, or runs/NAME-N with the next free N; raises InputError if it cannot write."""
        path = None
        try:
            if out is not None:
                path = Path(out)
                if path.exists() and (not path.is_dir() or any(path.iterdir())):
                    raise InputError(f"{path}: exists already and is not an empty folder; choose another --out")
                path.mkdir(parents=True, exist_ok=True)
            else:
                path = _next_free(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
            folder = cls(path)
            facts = {"version": VERSION, "name": path.name, "state": "training", "created": now()}
            folder.write_json("run.json", facts)
        except OSError as error:
            raise InputError(f"{error.filename or out or 'runs'}: cannot write the run: {_reason(error)}") from error
        except InputError:
            with contextlib.suppress(OSError):  # leave no folder behind that holds nothing
                Path(path or "").rmdir()
            raise
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run; raises InputError if the folder is missing, no run, damaged or of a later version."""
        folder = cls(path)
        if not os.path.isdir(path):
            raise InputError(f"{path}: no such run folder; `trainwell runs` lists what there is")
        if not os.path.isfile(folder.path / "run.json"):
            raise InputError(f"{path}: not a run folder, it has no run.json; `trainwell runs` lists what there is")
        version = folder.facts().get("version")
        if not isinstance(version, int) or version > VERSION:
            raise InputError(
                f"{path}: run version {version}, this trainwell reads up to {VERSION}; update trainwell to open it"
            )
        return folder

    def facts(self) -> dict[str, Any]:
        """What run.json says: version, name, state, created; raises InputError if it is damaged."""
        return self.read_table("run.json")

    def read_table(self, name: str) -> dict[str, Any]:
        """A JSON file that holds one table of names; raises InputError that names the file if it is damaged."""
        table = self.read_json(name)
        if not isinstance(table, dict):
            found = type(table).__name__
            raise InputError(f"{self.path / name}: damaged: found a {found}, expected a table of names; fit again")
        return table

    def write_text(self, name: str, text: str) -> Path:
        """Write a file whole or not at all; raises InputError if the disk is full or may not be written."""
        return self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all; raises InputError if the disk is full or may not be written."""
        with self.replacing(name) as temporary:
            temporary.write_bytes(content)
        return self.path / name

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary path beside the file, moved over it when the block ends well and removed when it does not."""
        target = self.path / name
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
            yield temporary
            os.chmod(temporary, mode)  # as the user's umask has it, whatever wrote the content
            with open(temporary, "r+b") as file:  # else a power cut may leave the new name with no content
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise InputError(f"{target}: cannot write: {_reason(error)}") from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file whole or not at all; a number that JSON lacks, such as NaN, becomes null."""
        return self.write_text(name, json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))

    def append(self, name: str, value: dict[str, Any]) -> None:
        """Add one line to a JSON-lines file; the torn line that a killed process left at its end is cut off.

        NaN and infinities stay, as Python's json writes them: a loss that broke is what a reader looks for.
        """
        line = _line(value)
        try:
            with open(self.path / name, "a+b") as file:
                end = file.tell()
                if end and not _ends_a_line(file):
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
                file.write(line.encode("utf-8"))
        except OSError as error:
            raise InputError(f"{self.path / name}: cannot write: {_reason(error)}") from error

    def write_lines(self, name: str, values: list[dict[str, Any]]) -> Path:
        """Write a JSON-lines file whole or not at all, as `append` would line by line."""
        return self.write_text(name, "".join(_line(value) for value in values))

    def read_json(self, name: str) -> Any:
        """Raises InputError that names the file if it is missing or damaged."""
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: missing from the run; copy it back or fit again") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}; copy it back or fit again") from None

    def read_yaml(self, name: str) -> Any:
        """Raises InputError that names the file if it is missing or damaged."""
        path = self.path / name
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: missing from the run; copy it back or fit again") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: damaged: {error}; copy it back or fit again") from None

    def read_lines(self, name: str) -> list[dict[str, Any]]:
        """All whole lines of a JSON-lines file; a missing file is an empty list, a torn last line is left out."""
        path = self.path / name
        if not path.exists():
            return []
        try:
            lines = path.read_bytes().rstrip(b"\n").split(b"\n")
        except OSError as error:
            raise InputError(f"{path}: cannot read: {_reason(error)}") from None
        values = []
        for number, line in enumerate(lines, start=1):
            try:
                values.append(json.loads(line))
            except ValueError:
                if number < len(lines):
                    found = line[:60].decode("utf-8", "replace")
                    raise InputError(f"{path}: line {number} is damaged: {found!r}; remove the line") from None
        return values

    def set_state(self, state: str, why: str = "") -> None:
        """Note in run.json what has become of the run: training, interrupted, failed and why, or finished."""
        facts = {key: value for key, value in self.facts().items() if key != "why"}
        self.write_json("run.json", {**facts, "state": state, "changed": now(), **({"why": why} if why else {})})

    def remove(self) -> None:
        """Delete the folder with all it holds; raises InputError if it is no run or may not be deleted."""
        if not os.path.isfile(self.path / "run.json"):
            raise InputError(f"{self.path}: not a run folder, it has no run.json; nothing was removed")
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: cannot remove: {_reason(error)}") from error


def list_runs(root: str | Path = "runs") -> list[dict[str, Any]]:
    """One row a run below the folder, newest last: what run.json, summary.json and evaluation.json say."""
    rows = []
    for path in sorted(Path(root).glob("*/run.json"), key=lambda each: (each.stat().st_mtime, each)):
        folder = RunFolder(path.parent)
        try:
            row = {"path": str(path.parent), **folder.facts()}
            if (folder.path / "recipe.yaml").exists():  # what an unfinished run was about
                recipe = folder.read_yaml("recipe.yaml") or {}
                row |= {key: (recipe.get(key) or {}).get("name") for key in ("task", "model")}
            if (folder.path / "summary.json").exists():
                summary = folder.read_table("summary.json")
                row |= {key: summary.get(key) for key in ("source", "task", "model", "seconds_training")}
            if metrics := _metrics(folder):
                row["metrics"] = metrics
        except InputError as error:
            row = {"path": str(path.parent), "name": path.parent.name, "state": f"damaged: {error}"}
        rows.append(row)
    return rows


def compare(paths: list[str | Path]) -> dict[str, list[Any]]:
    """What differs between runs: recipe keys and metrics by dotted name, one value a run, None where it has none."""
    tables = []
    for path in paths:
        folder = RunFolder.open(path)
        flat = _flatten("recipe", folder.read_yaml("recipe.yaml"))
        flat |= {f"metrics.{key}": value for key, value in _metrics(folder).items()}
        tables.append(flat)
    keys = list(dict.fromkeys(key for table in tables for key in table))
    rows = {key: [table.get(key) for table in tables] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _metrics(folder: RunFolder) -> dict[str, Any]:
    """Name to value from evaluation.json; empty where there is none."""
    if not (folder.path / "evaluation.json").exists():
        return {}
    found = folder.read_table("evaluation.json")
    try:
        return {key: value["value"] for key, value in found.get("metrics", {}).items()}
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{folder.path / 'evaluation.json'}: damaged: it has no metrics by name; fit again") from None


def _next_free(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    taken = [
        int(match[1]) for each in root.iterdir() if (match := re.fullmatch(rf"{re.escape(name)}-(\d+)", each.name))
    ]
    number = max(taken, default=0) + 1
    while True:
        try:
            (root / f"{name}-{number}").mkdir()
            return root / f"{name}-{number}"
        except FileExistsError:  # another process took it between the look and the making
            number += 1


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another --out"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another --out"
    return error.strerror or str(error)


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: inner for name, each in value.items() for key, inner in _flatten(f"{prefix}.{name}", each).items()}
    return {prefix: value}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_listed) + "\n"


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)  # NumPy scalars and arrays, torch tensors


def _plain(value: Any) -> Any:
    """The value as JSON has it: lists, tables, text and finite numbers, None for others."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else _plain(_listed(value))
