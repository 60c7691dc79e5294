"""An evaluation to the sections that say how good it is and where it fails: metrics, mistakes, examples, columns."""

from typing import Any

import numpy as np
from markupsafe import Markup

from trainwell.report import plots
from trainwell.report.drawn import precision_recall_of
from trainwell.report.files import Facts
from trainwell.report.overview import TOP, metric_columns
from trainwell.report.verdict import goal_of, metric_value, noun_of
from trainwell.report.wording import (
    DASH,
    SPACE,
    counted,
    cut,
    decimals_for,
    duration,
    grouped,
    in_percent,
    is_number,
    metric_words,
    more_is_better,
    share,
    significant,
    written,
)

Figure = tuple[Markup, str]  # a plot and the sentence that reads it


def _short(name: str) -> str:
    """A name without what stands in brackets behind it, where it is too long for a plot."""
    return name.partition(" (")[0] if len(name) > plots.LONGEST_NAME else name


def comparison_of(facts: Facts) -> Figure | None:
    """The network beside the simple answers on one scale."""
    goal = goal_of(facts.evaluation)
    rows = [
        (str(entry.get("name")), metric_value((entry.get("metrics") or {}).get(goal))[0]) for entry in facts.baselines
    ]
    rows = [(_short(name), value) for name, value in rows if is_number(value)]
    if not goal or not rows:
        return None
    value, low, high = metric_value(facts.evaluation["metrics"][goal])
    percent, decimals = in_percent(goal), decimals_for(value, low, high, in_percent(goal))
    everyone = [plots.Estimate("this network", value, low, high, written(value, percent, decimals), strong=True)]
    everyone += [plots.Estimate(n, v, written=written(v, percent, decimals), style="other") for n, v in rows]
    _set_aside(everyone)
    everyone.sort(key=lambda row: row.value, reverse=more_is_better(goal))
    place = next(i for i, row in enumerate(everyone) if row.name == "this network") + 1
    direction = "more" if more_is_better(goal) else "less"
    text = f"By {metric_words(goal)} ({direction} is better) this network comes {_ordinal(place)} of {len(everyone)}."
    text += " An arrow points to what lies beyond the scale." if any(row.aside for row in everyone) else ""
    return plots.intervals(everyone, text, percent=percent), text


def _set_aside(everyone: list[plots.Estimate]) -> None:
    """Keep the one value that would squeeze all others into a corner of the scale off it."""
    if len(everyone) < 3:
        return
    middle = float(np.median([row.value for row in everyone]))
    far = max(everyone, key=lambda row: abs(row.value - middle))
    near = [end for row in everyone if row is not far for end in row.ends]
    width = max(near) - min(near)
    outside = max(min(near) - far.value, far.value - max(near))
    far.aside = not far.strong and outside > 4 * width


def _ordinal(place: int) -> str:
    return ("first", "second", "third", "fourth", "fifth")[place - 1] if place <= 5 else f"{place}th"


def metrics_of(facts: Facts) -> dict[str, Any] | None:
    """A table of every metric with its interval, and of every simple answer by the same metric."""
    metrics = facts.evaluation.get("metrics") or {}
    keys = [key for key in metrics if is_number(metric_value(metrics[key])[0])]
    if not keys:
        return None
    rivals = [entry for entry in facts.baselines if isinstance(entry.get("metrics"), dict)][:8]
    cells = []
    for key in keys:
        value, low, high = metric_value(metrics[key])
        percent, decimals = in_percent(key), decimals_for(value, low, high, in_percent(key))
        others = [metric_value(rival["metrics"].get(key))[0] for rival in rivals]
        row = [written(number, percent, decimals, unit=False) for number in (value, low, high, *others)]
        cells.append(row)
    table = [
        {
            "name": metric_words(key) + (", %" if in_percent(key) else ""),
            "goal": key == goal_of(facts.evaluation),
            "better": more_is_better(key),
            "cells": row,
        }
        for key, row in zip(keys, metric_columns(cells), strict=True)
    ]
    took = [duration(rival.get("seconds")) for rival in rivals]
    return {
        "rivals": [str(rival.get("name", "")) for rival in rivals],
        "rows": table,
        "seconds": took if any(t != DASH for t in took) else [],
        "own_seconds": duration(facts.summary.get("seconds_training")),
        "intervals": any(row[1] != DASH for row in cells),
    }


def mistakes_of(facts: Facts) -> dict[str, Any]:
    """Confusion, classes, calibration and the curve of thresholds; or scatter and residuals."""
    evaluation = facts.evaluation
    figures = [
        _confusion(facts), _reliability(facts), _roc(facts), _scatter(facts), _residuals(facts),
        precision_recall_of(facts),
    ]  # fmt: skip
    return {
        "figures": [figure for figure in figures if figure and figure[0]],
        "classes": _classes(evaluation.get("by_class"), str((evaluation.get("confusion") or {}).get("noun"))),
        "threshold": _threshold(evaluation.get("threshold")),
        "intervals": _intervals(evaluation.get("intervals")),
    }


def _confusion(facts: Facts) -> Figure | None:
    """The matrix of truth and prediction, of the most confused classes where there are many."""
    saved = facts.evaluation.get("confusion") or {}
    labels = [str(label) for label in saved.get("labels") or []]
    counts = np.asarray(saved.get("counts") or [], dtype=float)
    if len(labels) < 2 or counts.shape != (len(labels), len(labels)):
        return None
    noun = str(saved.get("noun") or noun_of(facts))
    totals, wrong = counts.sum(axis=1), counts.copy()
    np.fill_diagonal(wrong, 0)
    text = _confusion_sentence(labels, counts, wrong, noun)
    if len(labels) > TOP:
        chosen = np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:TOP])
        text += f" Shown are the {TOP} of {grouped(len(labels))} classes that are confused most."
        hidden = counts[chosen].sum(1) - counts[np.ix_(chosen, chosen)].sum(1)
        text += f" {counted(hidden.sum(), noun)} of theirs went to classes not shown." if hidden.sum() else ""
        labels, counts, totals = [labels[i] for i in chosen], counts[np.ix_(chosen, chosen)], totals[chosen]
    return plots.confusion(labels, counts, text, totals=totals, noun=noun), text


def _confusion_sentence(labels: list[str], counts: np.ndarray, wrong: np.ndarray, noun: str) -> str:
    """Which two classes are mixed up most, and how often."""
    total = wrong.sum()
    if not total:
        return f"Every one of the {counted(counts.sum(), noun)} is on the diagonal: no mistake."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    most = f"{cut(labels[i])} taken for {cut(labels[j])}"
    return (
        f"{counted(total, 'mistake')} in {counted(counts.sum(), noun)}; the commonest is {most}, "
        f"{grouped(wrong[i, j])} of {counted(counts[i].sum(), noun)} of that class."
    )


def _classes(by_class: Any, noun: str) -> dict[str, Any] | None:
    """Precision, recall and F1 of each class; of many classes those with the lowest F1."""
    entries = [entry for entry in by_class or [] if isinstance(entry, dict)]
    if not entries:
        return None
    many = len(entries) > TOP
    if many:
        entries = sorted(entries, key=lambda e: e["f1"] if is_number(e.get("f1")) else 2.0)[:TOP]
    keys = ("precision", "recall", "f1")
    cells = [[written(e.get(k), k != "f1", 3 if k == "f1" else 1) for k in keys] for e in entries]
    rows = [
        {
            "name": str(e.get("class", "")),
            "cells": row,
            "rows": grouped(e["rows"]) if is_number(e.get("rows")) else DASH,
        }
        for e, row in zip(entries, metric_columns(cells), strict=True)
    ]
    worst = min(entries, key=lambda e: e["f1"] if is_number(e.get("f1")) else 2.0)
    text = f"The {TOP} of {grouped(len(by_class))} classes with the lowest F1." if many else ""
    if not text and is_number(worst.get("f1")):
        found, right = (written(worst.get(key), True, 1) for key in ("recall", "precision"))
        name = cut(worst.get("class"))
        text = f"It does worst on {name}: it finds {found} of them, and {right} of its answers “{name}” are right."
    return {"rows": rows, "text": text, "noun": "Entities" if noun == "word" else "Rows"}


def _reliability(facts: Facts) -> Figure | None:
    """How sure it says to be against how often it is right."""
    saved = facts.evaluation.get("calibration") or {}
    said, right, rows = (saved.get(key) or [] for key in ("confidence", "accuracy", "rows"))
    bins = [(a, b, n) for a, b, n in zip(said, right, rows, strict=False) if all(map(is_number, (a, b, n))) and n > 0]
    if not bins:
        return None
    total = sum(n for _, _, n in bins)
    mean = sum(a * n for a, _, n in bins) / total
    truth = sum(b * n for _, b, n in bins) / total
    gap = (mean - truth) * 100
    lean = "too sure of itself" if gap > 0 else "less sure than it could be"
    text = f"On average it says {share(mean)} and is right {share(truth)}"
    text += f": {grouped(abs(gap), 1)} points {lean}." if abs(gap) >= 1 else ", which is close."
    if is_number(saved.get("ece")):
        text += f" The mean distance from the dashed line (calibration error) is {share(saved['ece'])}."
    heated = facts.evaluation.get("temperature") or {}
    if is_number(heated.get("value")) and is_number(heated.get("ece_before")):
        text += f" A temperature of {grouped(heated['value'], 2)}, chosen on rows held out while learning, brought"
        text += f" it there from {share(heated['ece_before'])}."
    text += " Upright lines are 95 % intervals: small dots, of few rows, tell little."
    return plots.reliability(said, right, rows, text), text


def _roc(facts: Facts) -> Figure | None:
    """The curve of found positives over false alarms."""
    saved = facts.evaluation.get("roc") or {}
    false, true = saved.get("false_positive") or [], saved.get("true_positive") or []
    pairs = [(a, b) for a, b in zip(false, true, strict=False) if is_number(a) and is_number(b)]
    if len(pairs) < 2:
        return None
    found = max((b for a, b in pairs if a <= 0.05), default=0.0)
    text = f"Allowing 5{SPACE}% false alarms, it finds {share(found)} of the positives."
    if is_number(saved.get("auc")):
        text += f" The area under the curve is {grouped(saved['auc'], 3)}; guessing gives 0.5."
    return plots.roc(false, true, text), text


def _threshold(saved: Any) -> str:
    """At which probability the positive class is answered, and what that was chosen for."""
    if not isinstance(saved, dict) or not is_number(saved.get("value")):
        return ""
    text = f"It answers the positive class from a probability of {significant(saved['value'])} on"
    return text + (f", chosen for {metric_words(str(saved['metric']))}." if saved.get("metric") else ".")


def _scatter(facts: Facts) -> Figure | None:
    """Predictions over truths, and how many lie close."""
    saved = facts.evaluation.get("scatter") or {}
    pairs = list(zip(saved.get("truth") or [], saved.get("prediction") or [], strict=False))
    pairs = [(a, b) for a, b in pairs if is_number(a) and is_number(b)]
    if not pairs:
        return None
    truth, prediction = np.array(pairs, dtype=float).T
    error = prediction - truth
    half = float(np.median(np.abs(error)))
    text = f"Half of the predictions are within {significant(half)} of the truth"
    order = np.argsort(truth, kind="stable")
    part = max(1, len(order) // 5)
    low, high = float(error[order[:part]].mean()), float(error[order[-part:]].mean())
    if len(order) >= 20 and low > half / 2 and high < -half / 2:
        text += "; low truths are predicted too high and high ones too low"
    total = facts.evaluation.get("rows")
    text += "."
    if is_number(total) and total > len(pairs):
        text += f" Shown are {grouped(len(pairs))} of {grouped(total)} rows."
    name = cut((facts.summary.get("target") or [""])[0], 24)
    return plots.scatter(truth.tolist(), prediction.tolist(), text, name=name), text


def _residuals(facts: Facts) -> Figure | None:
    """How the errors are spread around zero."""
    saved = facts.evaluation.get("residuals") or {}
    edges, counts = saved.get("edges") or [], saved.get("counts") or []
    if not counts or len(edges) != len(counts) + 1 or not all(map(is_number, [*edges, *counts])) or not sum(counts):
        return None
    middles = (np.asarray(edges[:-1]) + np.asarray(edges[1:])) / 2
    weights = np.asarray(counts) / sum(counts)
    mean = float((middles * weights).sum())
    deviation = float(np.sqrt(((middles - mean) ** 2 * weights).sum()))
    if abs(mean) > 0.1 * deviation:
        side = "high" if mean > 0 else "low"
        unit = f" {saved['unit']}" if saved.get("unit") else ""
        text = f"Its answers are too {side} by {significant(abs(mean), 2)}{unit} on average."
    else:
        text = "The errors lie on both sides of zero: on average it is neither too high nor too low."
    unit = f", in {saved['unit']}" if saved.get("unit") else ""
    names = (f"error: predicted minus true{unit}", f"{noun_of(facts)}s")
    return plots.bars(edges, counts, text, names=names, noun=noun_of(facts)), text


def _intervals(saved: Any) -> str:
    """What the prediction intervals promise and keep."""
    if not isinstance(saved, dict) or not (is_number(saved.get("level")) and is_number(saved.get("coverage"))):
        return ""
    text = (
        f"Its {share(saved['level'], 0)} prediction intervals hold the truth for {share(saved['coverage'])} of the rows"
    )
    return text + (f"; their mean width is {significant(saved['width'])}." if is_number(saved.get("width")) else ".")
