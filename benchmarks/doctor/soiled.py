"""Sources with planted faults, and their healthy twins, to what `trainwell check` and `trainwell fit` say of them.

Made by `python -m benchmarks.doctor.soiled --out FILE`; `--table FILE` prints what a file of results comes to.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.doctor.soiled_folders import PICTURES, TEXTS
from benchmarks.doctor.soiled_series import SERIES, SOUNDS
from benchmarks.doctor.soiled_tables import TABLES, Soiled

from trainwell.cli import main as command_line
from trainwell.doctor.finding import AILMENTS

PARTS = {"tables": TABLES, "series": SERIES, "pictures": PICTURES, "texts": TEXTS, "sounds": SOUNDS}
NAMES = {ailment.title: name for name, ailment in AILMENTS.items()}
LINE = re.compile(rf"^(note|warn|critical): ({'|'.join(re.escape(title) for title in NAMES)})[ (]", re.MULTILINE)


def called(words: list[str]) -> tuple[int, str, str]:
    """What the command line prints, and its exit code; a traceback is code 1."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    argv = mock.patch.object(sys, "argv", ["trainwell", *words])
    with argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command_line()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            code = 1
            traceback.print_exc()
    return code, out.getvalue(), err.getvalue()


def looked(case: Soiled, planted: bool, command: str) -> dict[str, Any]:
    """One call of a command on a source: findings above a note, notes, remarks, exit code, seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = [command, str(case.make(folder, planted))]
        words += [word for key, value in case.wishes.items() for word in (f"--{key}", value)]
        if case.test:
            words += ["--test", str(folder / "test.csv")]
        if command == "fit":
            words += ["--time", "20s", "--doctor", "watch", "--device", "cpu", "--out", str(folder / "run")]
        began = time.perf_counter()
        code, out, err = called(words)
        lines = LINE.findall(out)
        if command == "fit" and (folder / "run" / "findings.jsonl").exists():
            saved = [json.loads(line) for line in (folder / "run" / "findings.jsonl").read_text().splitlines()]
            lines = [(each["severity"], AILMENTS[each["name"]].title) for each in saved if each.get("name") in AILMENTS]
            out += "\n".join(str(each.get("evidence")) for each in saved)
    said = err if code == 2 else "\n".join(line for line in f"{out}\n{err}".splitlines() if line.startswith("note:"))
    return {
        "case": case.name if planted else case.twin, "planted": planted, "command": command, "code": code,
        "found": [NAMES[title] for severity, title in lines if severity != "note"],
        "noted": [NAMES[title] for severity, title in lines if severity == "note"],
        "said": said.strip(), "text": f"{out}\n{err}"[-6000:], "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def judged(case: Soiled, results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The looks at one case together: what was found first, whether rightly, or told in words."""
    found = [name for each in results for name in each["found"]]
    told = any(word.lower() in each["said"].lower() for each in results for word in case.told)
    told = told or any(name in case.meant for each in results for name in each["noted"])
    crash = any(each["code"] not in (0, 2) for each in results)
    return {
        "detected": bool(found), "first": bool(found) and found[0] in case.meant, "told": told, "crash": crash,
        "among": bool({*found} & {*case.meant}), "right": sum(name in case.meant for name in found),
        "all": len(found), "found": found,
    }  # fmt: skip


def tables(results: list[dict[str, Any]]) -> str:
    """Shares by part as a Markdown table, then the misses and the false alarms one by one."""
    rows, misses = [], []
    for part, cases in PARTS.items():
        own = [each for each in results if each["part"] == part]
        verdicts = []
        for case in cases:
            looks = [each for each in own if each["planted"] and each["case"] == case.name]
            if looks:
                verdict = judged(case, looks)
                verdicts.append(verdict)
                if not (verdict["among"] or verdict["told"]):
                    others = ", ".join(verdict["found"]) or "nothing"
                    misses.append(f"- {part}, {case.name}: {'crashed' if verdict['crash'] else others}")
        twins = [each for each in own if not each["planted"]]
        alarms = [each for each in twins if each["found"] or each["code"]]
        misses += [
            f"- false alarm on {part}, {each['case']} ({each['command']}): {each['found'] or each['said']}"
            for each in alarms
        ]
        every = sum(each["all"] for each in verdicts)
        shares = [sum(map(bool, (each[key] for each in verdicts))) for key in ("detected", "first")]
        shares.append(sum(each["among"] or each["told"] for each in verdicts))
        right = sum(each["right"] for each in verdicts)
        crashes = sum(each["crash"] for each in verdicts)
        rows.append(
            f"| {part} | {len(verdicts)} | {shares[0]} | {shares[1]} | {shares[2]} | {right} of {every} | {crashes} "
            f"| {len(alarms)} of {len(twins)} |"
        )
    head = (
        "| part | faults | anything found | named first | named or told in words | findings that are right | crashes "
        "| false alarms on twins |"
    )
    return "\n".join([head, "|" + "---|" * 8, *rows, "", *misses])


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--out", type=Path)
    reader.add_argument("--table", type=Path)
    reader.add_argument("--part", choices=PARTS)
    reader.add_argument("--quick", action="store_true", help="check alone, and no fit but where a test is given")
    reader.add_argument("--only", default="", help="a word of a case's name")
    asked = reader.parse_args()
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        done = {
            (each["part"], each["case"], each["planted"], each["command"])
            for each in (read(asked.out) if asked.out.exists() else [])
        }
        for part, cases in PARTS.items():
            for case in cases if asked.part in (None, part) else []:
                for planted in (False, True):
                    commands = ("check",) if asked.quick else dict.fromkeys(("check", case.command))
                    for command in commands if not case.test else (case.command,):
                        key = (part, case.name if planted else case.twin, planted, command)
                        if asked.only in case.name and key not in done:
                            done.add(key)
                            result = {"part": part, **looked(case, planted, command)}
                            with asked.out.open("a") as file:
                                file.write(json.dumps(result) + "\n")
                            print(part, *(result[each] for each in ("case", "command", "code", "found", "seconds")))
    if asked.table or asked.out:
        print(tables(read(asked.table or asked.out)))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()
