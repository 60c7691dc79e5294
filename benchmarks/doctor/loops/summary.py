"""Rows of results to a page: detection, cause, precision, repair, false alarms, and the misses one by one."""

from typing import Any

Row = dict[str, Any]


def names(row: Row) -> list[str]:
    """What was found, in its order, notes left out."""
    return [each["name"] for each in row["findings"] if each["severity"] != "note"]


def share(right: int, whole: int) -> str:
    return f"{100 * right / whole:.1f} % ({right} of {whole})" if whole else "none"


def within(row: Row, first: int) -> bool:
    return bool(set(names(row)[:first]) & set(row["accept"]))


def repaired(row: Row) -> bool:
    """At least 95 % of the healthy twin's score; every healthy score is above zero, so one below zero never is."""
    return row["score"] >= 0.95 * row["healthy"]


def summary(rows: list[Row]) -> str:
    """Markdown, a part for each mode."""
    parts = []
    for mode in ("alone", "tenth", "random", "watch", "treat"):
        planted = [row for row in rows if row["mode"] == mode and "ailment" in row]
        healthy = [row for row in rows if row["mode"] == mode and "ailment" not in row]
        if mode in ("watch", "treat") and (planted or healthy):
            parts.append(f"## {mode}\n\n" + "\n".join([*_others(planted, healthy), "", *_told(planted, healthy)]))
        elif planted:
            lines = _harm(planted) if mode == "alone" else []
            parts.append(f"## {mode}\n\n" + "\n".join([_cured(planted), *lines]))
    return "\n\n".join(parts)


def _cured(planted: list[Row]) -> str:
    curable = [row for row in planted if row["curable"]]
    return f"Curable ones at 95 % of the healthy twin: {share(sum(map(repaired, curable)), len(curable))}\n"


def _others(planted: list[Row], healthy: list[Row]) -> list[str]:
    """What other tools' rules make of the numbers that the doctor read in these runs."""
    lines = []
    for tool in ("autotrainer", "sagemaker"):
        seen = [row for row in planted if tool in row]
        sound = [row for row in healthy if tool in row]
        right = [len(set(row[tool]) & set(row["accept"])) for row in seen]
        lines += [
            f"- {tool}'s rules: detected {share(sum(bool(row[tool]) for row in seen), len(seen))}, cause among those "
            f"named {share(sum(map(bool, right)), len(seen))}, precision "
            f"{share(sum(right), sum(len(row[tool]) for row in seen))}, healthy runs with a false alarm "
            f"{share(sum(bool(row[tool]) for row in sound), len(sound))}"
        ]
    return lines


def _harm(planted: list[Row]) -> list[str]:
    """What each mistake costs where nobody watches."""
    lines = []
    for row in planted:
        much = row["score"] / row["healthy"]
        verdict = "harm" if much < 0.95 else "too good" if much > 1.02 else "NOTHING"
        lines.append(
            f"- {row['loop']}, {row['fault']} ({row['seed']}): {row['score']:.3f} of {row['healthy']:.3f}, "
            f"{verdict}, meant {row['harm']}"
        )
    return lines


def _told(planted: list[Row], healthy: list[Row]) -> list[str]:
    told = [name in row["accept"] for row in planted for name in names(row)]
    alarms = [row for row in healthy if names(row)]
    critical = sum(any(each["severity"] == "critical" for each in row["findings"]) for row in healthy)
    curable = [row for row in planted if row["curable"]]
    groups: dict[tuple[str, str], list[bool]] = {}
    for row in curable:
        groups.setdefault((row["loop"], row["fault"]), []).append(repaired(row))
    lines = [
        "| measure | |", "|---|---|",
        f"| detected: anything found | {share(sum(bool(names(row)) for row in planted), len(planted))} |",
        f"| cause named first | {share(sum(within(row, 1) for row in planted), len(planted))} |",
        f"| cause among the first three | {share(sum(within(row, 3) for row in planted), len(planted))} |",
        f"| precision per finding | {share(sum(told), len(told))} |",
        f"| curable ones at 95 % of the healthy twin | {share(sum(map(repaired, curable)), len(curable))} |",
        f"| the same, on all seeds | {share(sum(map(all, groups.values())), len(groups))} |",
        f"| healthy runs with a false alarm | {share(len(alarms), len(healthy))} |",
        f"| with a critical one | {critical} |",
        f"| healthy runs worse by 5 % than alone | {sum(not repaired(row) for row in healthy)} |",
        f"| runs that broke | {sum(bool(row['trouble'] or row['broken']) for row in [*planted, *healthy])} |",
        "", "Misses, one by one:", "",
    ]  # fmt: skip
    for row in planted:
        if not within(row, 1):
            lines.append(f"- {_who(row)}: meant {row['ailment']}, found {', '.join(names(row)) or 'nothing'}")
    lines += [f"- healthy, {_who(row)}: found {', '.join(names(row))}" for row in alarms]
    treated = [row for row in curable if row["mode"] == "treat" and not repaired(row)]
    for row in treated:
        did = "; ".join(row["history"]) or "nothing"
        lines.append(f"- not repaired: {_who(row)}: {row['score']:.3f} of {row['healthy']:.3f}; did {did}")
    broke = [row for row in [*planted, *healthy] if row["trouble"] or row["broken"]]
    lines += [f"- broke: {_who(row)}: {row['trouble'] or row['broken']}" for row in broke]
    return lines


def _who(row: Row) -> str:
    return f"{row['fault'] or 'as it is'} ({row['loop']}, seed {row['seed']})"
