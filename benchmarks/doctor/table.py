"""Rows of results to the page's tables: detection, cause, precision, false alarms, repair, misses by name."""

import math
from typing import Any

Row = dict[str, Any]


def tables(rows: list[Row]) -> str:
    """Markdown."""
    faults = [row for row in rows if row["kind"] == "fault"]
    healthy = [row for row in rows if row["kind"] == "healthy"]
    parts: dict[str, list[Row]] = {}
    for row in faults:
        parts.setdefault(row["part"], []).append(row)
    parts |= {"all": faults} if len(parts) > 1 else {}
    lines = ["| measure | goal | " + " | ".join(f"{name} ({len(part)})" for name, part in parts.items()) + " |"]
    lines.append("|---|---|" + "---|" * len(parts))
    measures = [
        ("detected: anything found", "97 %", detected),
        ("cause named first", "88 %", lambda part: named(part, 1)),
        ("cause among the first three", "", lambda part: named(part, 3)),
        ("precision per finding", "97 %", precision),
        ("delay in steps until one of the right names, median and 90th percentile", "", delay),
        ("repaired to 95 % of the healthy twin, on 3 of 3 seeds", "92 %", lambda part: repaired(part, "treated")),
        ("the same, run by run", "", lambda part: repaired_runs(part, "treated")),
        ("run by run, a tenth of the rate and clipping", "", lambda part: repaired_runs(part, "tenth")),
        ("run by run, a random remedy", "", lambda part: repaired_runs(part, "random")),
        ("run by run, nothing", "", lambda part: repaired_runs([r for r in part if "treated" in r], "nothing")),
        ("cost of repair, median", "1.3", lambda part: cost(part, 0.5)),
        ("cost of repair, largest", "2", lambda part: cost(part, 1.0)),
        ("AUTOTRAINER's rules: detected", "", lambda part: detected(part, "autotrainer")),
        ("AUTOTRAINER's rules: cause among those named", "", lambda part: named(part, 99, "autotrainer")),
        ("SageMaker's rules: detected", "", lambda part: detected(part, "sagemaker")),
        ("SageMaker's rules: cause among those named", "", lambda part: named(part, 99, "sagemaker")),
    ]
    for words, goal, measure in measures:
        lines.append(f"| {words} | {goal} | " + " | ".join(measure(part) for part in parts.values()) + " |")
    lines += ["", *_healthy(healthy), "", *_misses(faults, healthy)]
    return "\n".join(lines)


def _share(count: int, whole: int) -> str:
    return f"{100 * count / whole:.1f} % ({count} of {whole})" if whole else "none"


def detected(part: list[Row], key: str = "found") -> str:
    return _share(sum(bool(row[key]) for row in part), len(part))


def named(part: list[Row], first: int, key: str = "found") -> str:
    return _share(sum(bool(set(row[key][:first]) & set(row["accept"])) for row in part), len(part))


def precision(part: list[Row]) -> str:
    told = [name in row["accept"] for row in part for name in row["found"]]
    return _share(sum(told), len(told))


def repaired(part: list[Row], key: str) -> str:
    """Faults of which every run, one a seed, reaches 95 % of its healthy twin."""
    groups: dict[str, list[bool]] = {}
    for row in part:
        if key in row and row["curable"]:
            groups.setdefault(row["name"], []).append(row[key] >= 0.95 * row["healthy"])
    return _share(sum(all(group) for group in groups.values()), len(groups))


def repaired_runs(part: list[Row], key: str) -> str:
    """Runs that reach 95 % of their healthy twin."""
    runs = [row[key] >= 0.95 * row["healthy"] for row in part if key in row and row["curable"]]
    return _share(sum(runs), len(runs))


def delay(part: list[Row]) -> str:
    """Steps from the fault's onset to the first finding with a right name, of the runs that have one."""
    first = [[at for name, at in zip(row["found"], row["at"], strict=True) if name in row["accept"]] for row in part]
    waits = sorted(max(0, min(each) - row["onset"]) for each, row in zip(first, part, strict=True) if each)
    ninth = math.floor(0.9 * len(waits))
    return f"{waits[len(waits) // 2]}, {waits[ninth]} ({len(waits)} runs)" if waits else "none"


def cost(part: list[Row], quantile: float) -> str:
    costs = sorted(row["cost"] for row in part if "cost" in row)
    return f"{costs[min(len(costs) - 1, math.floor(quantile * len(costs)))]:.2f}" if costs else "none"


def _healthy(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    alarms, changed = [row for row in rows if row["found"]], [row for row in rows if row.get("history")]
    worse = [row for row in rows if "treated" in row and row["treated"] < 0.95 * row["nothing"]]
    lines = ["| healthy runs | goal | |", "|---|---|---|"]
    lines.append(f"| with a false alarm | 2 % | {_share(len(alarms), len(rows))} |")
    lines.append(f"| with a critical one | 0 | {sum('critical' in row['severities'] for row in rows)} |")
    lines.append(f"| changed in treat mode | 0 | {len(changed)} |")
    lines.append(f"| worse by 5 % for it | 0 | {len(worse)} |")
    proved = [row["same"] for row in rows if row["same"] is not None]
    lines.append(f"| unchanged ones equal to unwatched, loss by loss | all | {_share(sum(proved), len(proved))} |")
    for name in ("autotrainer", "sagemaker"):
        lines.append(
            f"| with a false alarm by {name}'s rules | | {_share(sum(bool(row[name]) for row in rows), len(rows))} |"
        )
    return lines


def _misses(faults: list[Row], healthy: list[Row]) -> list[str]:
    lines = ["Misses, one by one:", ""]
    for row in faults:
        if not set(row["found"][:1]) & set(row["accept"]):
            said = ", ".join(row["found"]) or "nothing"
            lines.append(f"- {row['name']} ({row['family']}, seed {row['seed']}): meant {row['ailment']}, found {said}")
    for row in healthy:
        if row["found"]:
            lines.append(f"- healthy, {row['name']}: found {', '.join(row['found'])}")
    missed = [row for row in faults if "treated" in row and row["treated"] < 0.95 * row["healthy"]]
    for row in missed:
        lines.append(
            f"- not repaired: {row['name']} ({row['family']}, seed {row['seed']}): {row['treated']:.3f}, "
            f"healthy {row['healthy']:.3f}; did {'; '.join(row['history']) or 'nothing'}"
        )
    return lines if len(lines) > 2 else ["No misses."]
