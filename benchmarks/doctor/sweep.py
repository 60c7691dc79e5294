"""Whole sets as they are published, fitted by the plan's own choice: what the doctor says and changes.

Made by `python -m benchmarks.doctor.sweep --out FILE`, each fit a process of its own; where the doctor changed
something, the same fit follows with `--doctor watch`. `--show FILE` prints the table, and what each finding told.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.doctor.clean_sources import SETS, TARGETS

Row = dict[str, Any]
WISHES = {name: {"target": target} for name, target in TARGETS.items()}
# Beside what the plan makes of each set: other tasks on some.
OTHERS = {
    "california-housing, quantile": "quantile", "california-housing, gaussian": "gaussian",
    "california-housing, mixture": "mixture", "abalone, ordinal": "ordinal", "wine, reconstruct": "reconstruct",
    "mnist, reconstruct": "reconstruct", "mnist, gan": "gan", "mnist, diffusion": "diffusion",
    "omniglot, likeness": "likeness",
}  # fmt: skip


def fitted(name: str, mode: str, seconds: int) -> Row:
    """One fit: its score on held-out rows, findings, changes, and all that the terminal showed."""
    source = name.partition(", ")[0] if name in OTHERS else name
    wishes = WISHES.get(source, {}) | ({"task": OTHERS[name]} if name in OTHERS else {})
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = [sys.executable, "-m", "trainwell", "fit", str(SETS[source](Path(folder))), "--time", f"{seconds}s"]
        words += [word for key, value in wishes.items() for word in (f"--{key}", value)]
        words += ["--doctor", mode, "--device", "cpu", "--out", str(run)]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        evaluation, checks, summary = (read(run / f"{each}.json", {}) for each in ("evaluation", "checks", "summary"))
        findings = run / "findings.jsonl"
        goal = evaluation.get("goal", "")
        return {
            "name": name, "mode": mode, "code": done.returncode, "took": round(time.perf_counter() - began, 1),
            "goal": goal, "score": (evaluation.get("metrics", {}).get(goal) or {}).get("value"),
            "steps": summary.get("steps"), "model": summary.get("model"), "broken": checks.get("broken", ""),
            "findings": [json.loads(line) for line in findings.read_text().splitlines()] if findings.exists() else [],
            "history": read(run / "history.json", []), "text": f"{done.stdout}\n{done.stderr}"[-8000:],
        }  # fmt: skip


def read(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else otherwise


def table(rows: list[Row]) -> str:
    """Markdown: a line a source, then each finding above a note with what it was told on."""
    watched = {row["name"]: row for row in rows if row["mode"] == "watch"}
    lines = ["| source | network | goal | score | watched alone | found | changed |", "|---|---|---|---|---|---|---|"]
    told = []
    for row in rows:
        if row["mode"] == "watch":
            continue
        found = [each for each in row["findings"] if each["severity"] != "note"]
        other = watched.get(row["name"], {})
        changes = "; ".join(str(each["change"]) for each in row["history"])
        ended = row["broken"] or (f"exit code {row['code']}" if row["code"] else "")
        lines.append(
            f"| {row['name']} | {row['model']}, {row['steps']} steps | {row['goal']} | {shown(row['score'])} | "
            f"{shown(other.get('score'))} | {', '.join(each['name'] for each in found)} {ended} | {changes} |"
        )
        told += [f"- {row['name']}, {each['severity']} {each['name']}: {each['evidence']}" for each in found]
    return "\n".join([*lines, "", *told])


def shown(score: float | None) -> str:
    return "" if score is None else f"{score:.4g}"


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--only", default="", help="a word of a set's name")
    reader.add_argument("--seconds", type=int, default=40, help="of training in each fit")
    reader.add_argument("--out", type=Path, default=Path("sweep.jsonl"))
    reader.add_argument("--show", type=Path, help="print what this file holds, and fit nothing")
    words = reader.parse_args()
    rows = [json.loads(line) for line in (words.show or words.out).open()] if (words.show or words.out).exists() else []
    done = {(row["name"], row["mode"]) for row in rows}
    for name in [each for each in (*SETS, *OTHERS) if words.only in each and not words.show]:
        for mode in ("treat", "watch"):
            changed = any(row["history"] for row in rows if row["name"] == name)
            if (mode == "treat" or changed) and (name, mode) not in done:
                rows.append(fitted(name, mode, words.seconds))
                with words.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                row = rows[-1]
                found = [each["name"] for each in row["findings"] if each["severity"] != "note"]
                print(f"{name} ({mode}): {row['goal']} {row['score']}, found {found}, {row['took']} s", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
