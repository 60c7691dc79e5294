"""All cases to the table: python -m benchmarks.doctor [--part open] [--seeds 0 1 2] [--small].

Each fault is planted in each of its families and watched, treated, and left to the simple remedies; each healthy run
is watched and treated. Results go to a JSON-lines file as they come (--out), and a later call goes on from there.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.doctor.controls import AWKWARD, Control, generated
from benchmarks.doctor.examiners import EXAMINED, KEPT5, OPEN5
from benchmarks.doctor.faults import FAULTS, KEPT, OPEN, Fault
from benchmarks.doctor.newcomers import KEPT3, NEWCOMERS, OPEN3, RIGHT
from benchmarks.doctor.reports import KEPT6, OPEN6, REPORTED
from benchmarks.doctor.run import Outcome, run
from benchmarks.doctor.setups import FAMILIES, Setup
from benchmarks.doctor.strangers import KEPT4, OPEN4, STRANGERS, WELL
from benchmarks.doctor.table import tables
from benchmarks.doctor.threads import KEPT7, OPEN7, THREADS
from benchmarks.doctor.undisturbed import UNDISTURBED
from benchmarks.doctor.unharmed import UNHARMED
from benchmarks.doctor.untroubled import UNTROUBLED
from benchmarks.doctor.variants import KEPT2, OPEN2, VARIANTS
from benchmarks.doctor.watchers import Doctored, at_random, autotrainer, sagemaker, tenth_and_clip

PARTS = {
    "open": OPEN, "kept": KEPT, "healthy": (), "all": FAULTS, "open2": OPEN2, "kept2": KEPT2, "open3": OPEN3,
    "kept3": KEPT3, "open4": OPEN4, "kept4": KEPT4, "healthy4": (),
    "open5": OPEN5, "kept5": KEPT5, "healthy5": (), "open6": OPEN6, "kept6": KEPT6, "healthy6": (),
    "open7": OPEN7, "kept7": KEPT7, "healthy7": (),
}  # fmt: skip
LISTS = {
    "open": OPEN, "kept apart": KEPT, "open, second list": OPEN2, "kept apart, second list": KEPT2,
    "open, third list": OPEN3, "kept apart, third list": KEPT3,
    "open, fourth list": OPEN4, "kept apart, fourth list": KEPT4,
    "open, fifth list": OPEN5, "kept apart, fifth list": KEPT5,
    "open, sixth list": OPEN6, "kept apart, sixth list": KEPT6,
    "open, seventh list": OPEN7, "kept apart, seventh list": KEPT7,
}  # fmt: skip


def main() -> None:
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    out = Path(arguments.out)
    done = {_key(row) for row in _rows(out)}
    seeds = arguments.seeds[:1] if arguments.small else arguments.seeds
    with open(out, "a", encoding="utf-8") as file:
        for row in _cases(arguments, seeds, done):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(_line(row), flush=True)
    report = tables(_rows(out))
    print(report)
    if arguments.write:
        _write(Path(arguments.write), report, arguments.mark)


def _cases(
    arguments: argparse.Namespace, seeds: list[int], done: set[tuple[str, str, int]]
) -> Iterator[dict[str, Any]]:
    healthy: dict[tuple[str, int], float] = {}
    for seed in seeds:
        for fault in PARTS[arguments.part]:
            if arguments.only and not any(word in fault.name or word in fault.ailment for word in arguments.only):
                continue
            for family in chosen(fault, arguments.families, seed):
                if (fault.name, family, seed) in done:
                    continue
                if (family, seed) not in healthy and not arguments.no_treat:
                    healthy[family, seed] = run(FAMILIES[family], seed).score
                yield _planted(fault, family, seed, healthy.get((family, seed)), arguments)
    if arguments.only or arguments.part not in ("all", "healthy", *(f"healthy{each}" for each in (4, 5, 6, 7))):
        return
    controls = [*AWKWARD, *RIGHT, *(generated(arguments.first + each) for each in range(arguments.generated))]
    # The later lists' have numbers of their own, so that rows measured before they were there keep theirs; the fifth's,
    # the sixth's and the seventh's are counted by themselves.
    fourth = list(enumerate(WELL, 1000))
    alone = {"healthy4": fourth, "healthy5": list(enumerate(UNHARMED, 2000))}
    alone |= {"healthy6": list(enumerate(UNDISTURBED, 3000)), "healthy7": list(enumerate(UNTROUBLED, 4000))}
    for number, control in alone.get(arguments.part, [*enumerate(controls), *fourth]):
        if (control.name, "healthy", number) not in done:
            yield _control(control, number, seeds[0], arguments.told)


def chosen(fault: Fault, count: int, seed: int) -> list[str]:
    """The families that a fault is planted in with this seed: so many, in turn, so that all come up."""
    listed = next(
        each for each in (FAULTS, VARIANTS, NEWCOMERS, STRANGERS, EXAMINED, REPORTED, THREADS) if fault in each
    )
    place = 2 * listed.index(fault) + seed
    return [fault.families[(place + step) % len(fault.families)] for step in range(min(count, len(fault.families)))]


def _planted(
    fault: Fault, family: str, seed: int, healthy: float | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One fault in one family: what is named, and what each remedy reaches."""
    setup = fault.plant(FAMILIES[family])
    watched = Doctored("watch", arguments.told)
    plain = run(setup, seed, watched)
    row = {
        "kind": "fault", "name": fault.name, "family": family, "seed": seed, "ailment": fault.ailment,
        "accept": [fault.ailment, *fault.also], "healthy": healthy, "nothing": plain.score, "steps": setup.steps,
        "part": next(name for name, part in LISTS.items() if fault in part), "onset": min(setup.at, default=0),
        "curable": fault.curable, "seconds": plain.seconds, **_told(watched),
    }  # fmt: skip
    if not arguments.no_treat and fault.curable:
        if not arguments.no_baselines:
            row["tenth"] = run(tenth_and_clip(setup), seed).score
            place = [*FAULTS, *VARIANTS, *NEWCOMERS, *STRANGERS, *EXAMINED, *REPORTED, *THREADS].index(fault)
            row["random"] = run(at_random(setup, 3 * place + seed), seed).score
        row |= _treated(setup, seed, arguments.told)
    return row


def _treated(setup: Setup, seed: int, told: str) -> dict[str, Any]:
    treated = Doctored("treat", told)
    outcome = run(setup, seed, treated)
    doctor = treated.doctor
    spent = doctor.diagnosis.proof.spent + doctor.replay.spent + doctor.retake.spent
    return {
        "treated": outcome.score,
        "cost": (setup.steps + spent) / setup.steps,
        "history": [each["change"] for each in doctor.history],
        "broken_treat": doctor.broken,
    }


def _control(control: Control, number: int, seed: int, told: str) -> dict[str, Any]:
    """One healthy run: false alarms, whether watching changed a single loss, and whether treatment did harm."""
    watched = Doctored("treat", told)
    outcome = run(control.setup, seed, watched)
    alone: Outcome | None = None
    if watched.doctor.history or number % 4 == 0:  # where it changed nothing, every fourth is proved to be the same
        alone = run(control.setup, seed)
    return {
        "kind": "healthy", "name": control.name, "family": "healthy", "seed": number, "steps": control.setup.steps,
        "nothing": outcome.score if alone is None else alone.score, "treated": outcome.score,
        "same": None if alone is None or watched.doctor.history else outcome.losses == alone.losses,
        "history": [each["change"] for each in watched.doctor.history], **_told(watched),
    }  # fmt: skip


def _told(watched: Doctored) -> dict[str, Any]:
    doctor = watched.doctor
    told = [each for each in doctor.findings if each.severity != "note"]
    return {
        "found": [each.name for each in told],
        "severities": [each.severity for each in told],
        "at": [each.step for each in told],
        "sure": [each.sure for each in told],
        "where": [each.where for each in told],
        "evidence": [each.evidence for each in told],
        "notes": [each.name for each in doctor.findings if each.severity == "note"],
        "symptoms": [each.name for each in doctor.diagnosis.symptoms],
        "broken": doctor.broken,
        "autotrainer": autotrainer(doctor.record),
        "sagemaker": sagemaker(doctor.record),
    }


def _line(row: dict[str, Any]) -> str:
    if row["kind"] == "healthy":
        verdict = "silent" if not row["found"] else f"ALARM {row['found']}"
    else:
        first = row["found"][:1]
        verdict = (
            "named"
            if first and first[0] in row["accept"]
            else ("later" if set(row["found"]) & set(row["accept"]) else "MISSED")
        )
        verdict += f" {row['found']}"
    scores = " ".join(
        f"{key} {row[key]:.3f}"
        for key in ("healthy", "nothing", "treated", "tenth", "random")
        if row.get(key) is not None
    )
    broken = row.get("broken") or row.get("broken_treat") or ""
    return f"{row['name']} ({row['family']}, {row['seed']}): {verdict}; {scores} {broken}"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["name"], row["family"], row["seed"]


def _write(path: Path, report: str, mark: str) -> None:
    """The tables into the page, between its two marks."""
    start, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(start)
    path.write_text(f"{before}{start}\n{report}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, default="all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--generated", type=int, default=100, help="healthy runs drawn by chance")
    parser.add_argument("--families", type=int, default=1, help="so many families a fault with each seed, in turn")
    parser.add_argument("--first", type=int, default=0, help="the first of the healthy runs drawn by chance")
    parser.add_argument("--no-baselines", action="store_true", help="without the simple remedies beside the cures")
    parser.add_argument("--told", choices=("all", "lines", "losses"), default="all", help="what the doctor is told")
    parser.add_argument("--small", action="store_true", help="one seed")
    parser.add_argument("--only", nargs="*", default=[], help="faults whose name or ailment holds one of these words")
    parser.add_argument("--no-treat", action="store_true", help="detection alone")
    parser.add_argument("--out", default="doctor-results.jsonl")
    parser.add_argument("--write", help="the page whose tables are to be replaced, such as benchmarks/doctor/README.md")
    parser.add_argument("--mark", default="tables", help="the name of the marks in the page between which they go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
