"""Hand-written loops under the doctor: python -m benchmarks.doctor.loops --seeds 0 1 2 --mode watch --out FILE.

--mode alone trains without a doctor (which is how harm is told), tenth and random give the curable ones a tenth of
the rate with clipping, or a remedy drawn by chance; in watch and treat the rules of other tools judge the doctor's
numbers beside it. --healthy trains the loops as they are and their awkward kin, --show FILE prints what a file of
results holds, --list judge, examination, inspection, harness, infirmary, outpatients or apprentices takes the loops of
that package instead of these. A later call goes on from where the file ends.
"""

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.apprentices import planted as apprentices
from benchmarks.doctor.examination import planted as examination
from benchmarks.doctor.harness import planted as harness
from benchmarks.doctor.infirmary import planted as infirmary
from benchmarks.doctor.inspection import planted as inspection
from benchmarks.doctor.judge import planted as judge
from benchmarks.doctor.loops import planted
from benchmarks.doctor.loops.nobody import Nobody
from benchmarks.doctor.loops.others import TENTH, Remedied, drawn, judged
from benchmarks.doctor.loops.planted import Mistake, finite
from benchmarks.doctor.loops.summary import summary
from benchmarks.doctor.outpatients import planted as outpatients

from trainwell.doctor import Doctor

Row = dict[str, Any]
LISTS: dict[str, Any] = {
    "loops": planted,
    "judge": judge,
    "examination": examination,
    "inspection": inspection,
    "harness": harness,
    "infirmary": infirmary,
    "outpatients": outpatients,
    "apprentices": apprentices,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mode", choices=("alone", "tenth", "random", "watch", "treat"), default="watch")
    parser.add_argument("--only", default="", help="mistakes whose loop, name or ailment holds this word")
    parser.add_argument("--list", choices=tuple(LISTS), default="loops", help="whose loops and mistakes")
    parser.add_argument("--healthy", action="store_true", help="the healthy loops instead of the mistakes")
    parser.add_argument("--out", type=Path, default=Path("loops.jsonl"))
    parser.add_argument("--show", type=Path, help="print what this file holds, and train nothing")
    arguments = parser.parse_args()
    if arguments.show:
        print(summary(rows_of(arguments.show)))
        return
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for row in cases(arguments):
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(told(row), flush=True)


def cases(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a run that the file does not hold yet; a mistake's healthy twin, trained alone, goes before it."""
    done = {(row["mode"], row["loop"], row["fault"], row["seed"]): row for row in rows_of(arguments.out)}
    of = LISTS[arguments.list]
    for seed in arguments.seeds:
        if arguments.healthy:
            wanted: list[Any] = [*((loop, "") for loop in of.LOOPS), *of.AWKWARD]
        else:
            wanted = [each for each in of.MISTAKES if each.curable or arguments.mode not in ("tenth", "random")]
        for each in wanted:
            loop, name = (each.loop, each.name) if isinstance(each, Mistake) else each
            if arguments.only not in f"{loop} {name} {each.ailment if isinstance(each, Mistake) else ''}":
                continue
            twin = ("alone", loop, "" if isinstance(each, Mistake) else name, seed)
            if twin not in done:
                done[twin] = run(of.LOOPS[loop], *twin[1:3], seed, "alone")
                yield done[twin]
            key = (arguments.mode, loop, name, seed)
            if key not in done:
                done[key] = run(of.LOOPS[loop], loop, name, seed, arguments.mode) | {"healthy": done[twin]["score"]}
                if isinstance(each, Mistake):
                    done[key] |= {"ailment": each.ailment, "accept": [each.ailment, *each.also]}
                    done[key] |= {"curable": each.curable, "harm": each.harm}
                yield done[key]


class Counted:
    """A doctor, or nobody, and how many steps it was told of."""

    def __init__(self, doctor: Any) -> None:
        self.doctor, self.steps = doctor, 0

    def watch(self, *parts: Any, **numbers: Any) -> None:
        self.steps += 1
        self.doctor.watch(*parts, **numbers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.doctor, name)


def run(train: Callable[..., float], loop: str, name: str, seed: int, mode: str) -> Row:
    """One training, from its files to its score on held-out rows."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    made: list[Counted] = []

    def doctor_of(*parts: Any, **options: Any) -> Counted:
        if mode == "alone":
            doctor: Any = Nobody()
        elif mode in ("tenth", "random"):
            doctor = Remedied(TENTH if mode == "tenth" else drawn(loop, name, seed), *parts, **options)
        else:
            doctor = Doctor(*parts, mode=mode, **options)
        made.append(Counted(doctor))
        return made[-1]

    began, trouble = time.perf_counter(), ""
    try:
        score = finite(train(doctor_of, seed, name))
    except Exception as error:  # what a doctor breaks is a result as well
        score, trouble = finite(float("nan")), f"{type(error).__name__}: {error}"
    doctor = made[0].doctor if made else None
    return {
        "loop": loop, "fault": name, "seed": seed, "mode": mode, "score": score, "trouble": trouble,
        "steps": sum(each.steps for each in made), "seconds": time.perf_counter() - began,
        "findings": [
            {"name": each.name, "severity": each.severity, "step": each.step, "confidence": each.sure}
            for each in getattr(doctor, "findings", [])
        ],
        "history": [str(each.get("change", each)) for each in getattr(doctor, "history", [])],
        "spent": spent(doctor), "broken": str(getattr(doctor, "broken", "") or ""), **judged(doctor),
    }  # fmt: skip


def spent(doctor: Any) -> int:
    """Steps that the doctor took besides the loop's own: on copies, and again after a cure."""
    if doctor is None or isinstance(doctor, Nobody):
        return 0
    return int(doctor.diagnosis.proof.spent + doctor.replay.spent + doctor.retake.spent)


def rows_of(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def told(row: Row) -> str:
    found = [each["name"] for each in row["findings"] if each["severity"] != "note"]
    against = f" of {row['healthy']:.3f}" if "healthy" in row else ""
    meant = f", meant {row['ailment']}" if "ailment" in row else ""
    words = f"{row['mode']} {row['loop']}, {row['fault'] or 'as it is'} ({row['seed']}): {row['score']:.3f}{against}"
    return f"{words}{meant}, found {found}, {row['steps']} steps, {row['seconds']:.1f} s {row['trouble']}"


if __name__ == "__main__":
    main()
