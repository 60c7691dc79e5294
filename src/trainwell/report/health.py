"""A run's facts to its health: what the doctor found, did and watched, and each layer's signal over time."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from markupsafe import Markup

from trainwell.report.files import Facts
from trainwell.report.lessons import lesson
from trainwell.report.plots import Line, curves
from trainwell.report.svg import WIDTH, drawing, element, named, words
from trainwell.report.wording import counted, grouped, is_number, listed, share, significant, spaced

MOST = 300  # findings that the page holds at all
SEVERITIES = ("critical", "warn", "note")
LAYERS, TIMES = 16, 36  # rows and columns of a picture of layers over time
Table = dict[str, tuple[list[float], list[float]]]  # place -> steps, values


def health_of(facts: Facts) -> dict[str, Any]:
    """What the doctor found, did and watched; nothing is said about checks that no file tells of."""
    order = {severity: i for i, severity in enumerate(SEVERITIES)}
    findings = sorted(facts.findings, key=lambda found: order.get(str(found.get("severity")), 3))
    cards = [_finding(found) for found in findings[:MOST]]
    ran = facts.checks.get("run")
    skipped = facts.checks.get("skipped")
    reasons: dict[str, list[str]] = {}
    for name, why in skipped.items() if isinstance(skipped, dict) else ():
        reasons.setdefault(str(why), []).append(_plain(name))
    return {
        "sentence": _health_sentence(facts, ran, sum(map(len, reasons.values())), sorted(reasons)),
        "findings": cards,
        "more": max(0, len(findings) - MOST),
        "skipped": sorted(reasons.items()),
        "run": sorted(_plain(name) for name in ran) if isinstance(ran, list) else [],
        "history": [(entry.get("step"), str(entry.get("change", ""))) for entry in facts.history[:MOST]],
        "figures": layer_figures(facts.probes),
    }


def _plain(name: Any) -> str:
    return str(name).replace("_", " ").replace("-", " ")


def _finding(found: dict[str, Any]) -> dict[str, Any]:
    """One finding as its card shows it."""
    known = {key for key, value in found.items() if value is not None}
    severity = str(found.get("severity") or "note")
    sure = found.get("confidence")
    step = found.get("step")
    statistic = found.get("statistic")
    return {
        "name": _plain(found.get("name", "finding")),
        "severity": severity if severity in SEVERITIES else "note",
        "where": str(found.get("where") or ""),
        "step": grouped(step) if is_number(step) else "",
        "evidence": spaced(found.get("evidence") or ""),
        "cause": spaced(found.get("cause") or ""),
        "remedy": spaced(found.get("remedy") or ""),
        "confidence": share(sure, 0) if is_number(sure) else "",
        "cured": {True: "cured", False: "not cured"}.get(bool(found["cured"]), "") if "cured" in known else "",
        "page": str(found.get("page") or ""),
        "lesson": lesson(str(found.get("page") or "")),
        "figures": _evidence_figures(statistic if isinstance(statistic, dict) else {}),
        "symptoms": [spaced(str(each)) for each in statistic.get("symptoms") or []]
        if isinstance(statistic, dict)
        else [],
    }


def _evidence_figures(statistic: dict[str, Any]) -> list[tuple[Markup, str]]:
    """The series behind a finding, and what its copies did."""
    figures = []
    pairs = [
        pair for pair in statistic.get("series") or [] if isinstance(pair, list) and all(is_number(x) for x in pair)
    ]
    if len(pairs) > 2:
        text = f"What was measured: {significant(pairs[0][1])} at first, {significant(pairs[-1][1])} when it was found."
        figures.append((curves([Line("", [x for x, _ in pairs], [y for _, y in pairs])], text), text))
    twins = statistic.get("twin")
    styles = ("second", "first", "third", "fourth", "fifth")
    lines = [
        Line(str(name), list(range(1, len(losses) + 1)), _drawable(losses), style)
        for (name, losses), style in zip(twins.items() if isinstance(twins, dict) else (), styles, strict=False)
        if isinstance(losses, list)
    ]
    lines = [line for line in lines if sum(map(math.isfinite, line.y)) > 1]
    if lines:
        ends = listed([f"{line.name} {significant([y for y in line.y if math.isfinite(y)][-1])}" for line in lines])
        text = f"The proof: losses of copies trained beside each other end at {ends}."
        figures.append((curves(lines, text, names=("step of the copy", "loss")), text))
    return figures


def _drawable(losses: list[Any]) -> list[float]:
    """Losses as a plot can show them: none beyond a hundred times the first, from where it only runs away."""
    first = next((abs(loss) for loss in losses if is_number(loss)), 1.0)
    return [min(loss, 100 * first) if is_number(loss) else math.nan for loss in losses]


def _health_sentence(facts: Facts, ran: Any, skipped: int, reasons: list[str]) -> str:
    """What was watched and what came of it, from the files that are there."""
    broken = str(facts.checks.get("broken") or "")
    broken = f" The doctor stopped watching after an error of its own: {broken}." if broken else ""
    notes = sum(f.get("severity") == "note" for f in facts.findings)
    found = len(facts.findings) - notes
    open_ones = [f for f in facts.findings if f.get("severity") == "critical" and f.get("cured") is not True]
    because = f", because {listed(reasons, 3)}" if 0 < len(reasons) <= 3 else ""
    could_not = f"{grouped(skipped)} could not run{because}" if skipped else ""
    if isinstance(ran, list):
        watched = f"Watched {counted(len(ran), 'check')}"
        watched += f"; {could_not}" if could_not else ""
    elif "findings.jsonl" in facts.present:
        watched = "Which checks ran was not recorded"
    else:
        return "No health check is recorded in this run."
    if not found:
        beside = f" but {counted(notes, 'note')}" if notes else ""
        nothing = (
            f"{watched}; nothing found{beside}." if isinstance(ran, list) else f"No finding was recorded. {watched}."
        )
        return (nothing if not notes or isinstance(ran, list) else f"{counted(notes, 'note')}. {watched}.") + broken
    cured = sum(f.get("cured") is True for f in facts.findings)
    text = f"{watched}; found {counted(found, 'ailment')}" if isinstance(ran, list) else f"{counted(found, 'finding')}"
    text += f" and {counted(notes, 'note')}" if notes else ""
    text += f", of which {grouped(cured)} {'was' if cured == 1 else 'were'} cured." if cured else "."
    if open_ones:
        text += " A critical one stands: mend it before relying on the result."
    return text + broken


def layer_figures(probes: dict[str, Any]) -> list[tuple[Markup, str]]:
    """Gradient, update and activation of each layer over the steps, a picture and its sentence each."""
    tables: dict[str, Table] = {}
    for episode in probes.get("episodes") or []:
        for quantity in ("gradient", "update", "weight", "activation"):
            for name, each in ((episode.get("series") or {}).get(quantity) or {}).items():
                steps, values = tables.setdefault(quantity, {}).setdefault(name, ([], []))
                steps += each.get("steps") or []
                values += [value if is_number(value) else math.nan for value in each.get("values") or []]
    layers = ((probes.get("episodes") or [{}])[-1].get("facts") or {}).get("layers") or []
    weighted = {name for name in layers if name in tables.get("gradient", {})}
    gradient = {name: tables["gradient"][name] for name in layers if name in weighted}
    update = {name: _ratio(tables["update"][name], tables["weight"][name]) for name in tables.get("update", {})}
    update = {name: update[name] for name in layers if name in update and name in tables.get("weight", {})}
    told: list[tuple[str, Table, Callable[[np.ndarray], str]]] = [
        ("gradient a weight", gradient, _of_gradient),
        ("update over weight", update, _of_update),
        ("deviation of the outputs", tables.get("activation", {}), _of_activation),
    ]
    return [(heat(name, table, text), text) for name, table, tell in told if table and (text := tell(_grid(table)[0]))]


def _ratio(moved: tuple[list[float], list[float]], size: tuple[list[float], list[float]]) -> Any:
    sizes = dict(zip(size[0], size[1], strict=False))
    pairs = [(step, value / sizes[step]) for step, value in zip(*moved, strict=False) if sizes.get(step, 0.0) > 1e-9]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _grid(table: Table) -> tuple[np.ndarray, list[str], list[float]]:
    """(medians by layer and time, the layers' names, the time each column ends at), thinned to what a picture holds."""
    names = list(table)
    if len(names) > LAYERS:
        names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, LAYERS).astype(int))]
    last = max((max(steps, default=0) for steps, _ in table.values()), default=0)
    columns = min(TIMES, max((len(steps) for steps, _ in table.values()), default=1))
    edges = np.linspace(0, last, columns + 1)
    grid = np.full((len(names), columns), np.nan)
    for row, name in enumerate(names):
        steps, values = (np.asarray(each, dtype=float) for each in table[name])
        if len(steps):
            at = np.clip(np.searchsorted(edges, steps, side="left") - 1, 0, columns - 1)
            for column in np.unique(at):
                kept = values[at == column]
                kept = kept[np.isfinite(kept)]
                grid[row, column] = np.median(kept) if len(kept) else np.nan
    return grid, names, edges[1:].tolist()


def heat(name: str, table: Table, label: str) -> Markup:
    """Layers from the input (top) to the output, time from left to right; the darker, the more, by powers of ten."""
    grid, names, ends = _grid(table)
    with np.errstate(divide="ignore"):
        powers = np.log10(np.where(grid > 0, grid, np.nan))
    known = powers[np.isfinite(powers)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    left, top, cell = 112.0, 36.0, 14.0
    wide = (WIDTH - left - 4) / max(1, grid.shape[1])
    scale = f"pale {10**low:.1e}, dark {10**high:.1e}"
    parts = [words(2, 12, name, "title"), words(WIDTH - 4, 28, scale, "label", "end")]
    for row, layer in enumerate(names):
        parts.append(named(left - 5, top + cell * row + 11, layer, 16))
        for column in range(grid.shape[1]):
            value = grid[row, column]
            if math.isnan(value):
                continue
            power = powers[row, column]
            strength = 0.06 + 0.94 * (power - low) / (high - low or 1.0) if math.isfinite(power) else 0.0
            told = element("title", f"{layer}, to step {grouped(round(ends[column]))}: {value:.2g}")
            at = {"x": left + wide * column, "y": top + cell * row, "width": wide, "height": cell - 1}
            parts.append(element("rect", told, class_="cell right", fill_opacity=f"{strength:.2f}", **at))
    bottom = top + cell * len(names)
    parts += [
        words(left, bottom + 13, "0", "tick"),
        words(WIDTH - 4, bottom + 13, grouped(round(ends[-1])) if ends else "", "tick", "end"),
        words((left + WIDTH) / 2, bottom + 13, "step", "label", "middle"),
    ]
    return drawing(bottom + 20, label, *parts)


def _ends(grid: np.ndarray) -> tuple[float, float]:
    """The first and the last layer's median over the later half of the time."""
    later = grid[:, grid.shape[1] // 2 :]
    rows = [row[np.isfinite(row)] for row in later if np.isfinite(row).any()]
    return (float(np.median(rows[0])), float(np.median(rows[-1]))) if rows else (math.nan, math.nan)


def _of_gradient(grid: np.ndarray) -> str:
    first, last = _ends(grid)
    if not first >= 0 or not last > 0:
        return ""
    return f"Gradients: what reaches the first layer is {significant(first / last)} times what reaches the last one."


def _of_update(grid: np.ndarray) -> str:
    later = grid[:, grid.shape[1] // 2 :]
    if not np.isfinite(later).any():
        return ""
    return (
        f"Updates: a step changes a typical layer by {np.nanmedian(later):.1e} of its size in the later half; "
        "about a thousandth is usual."
    )


def _of_activation(grid: np.ndarray) -> str:
    first, last = _ends(grid)
    return f"Outputs: the first layer's deviate by {significant(first)}, the last one's by {significant(last)}." * (
        math.isfinite(first) and math.isfinite(last)
    )
