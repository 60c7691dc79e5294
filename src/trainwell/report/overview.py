"""A run's facts to the sections that say what happened: health, data, plan, training, how to go on."""

import json
import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trainwell.report.files import Facts
from trainwell.report.plots import Line, curves
from trainwell.report.verdict import goal_of, held_loss, noun_of
from trainwell.report.wording import (
    DASH,
    aligned,
    brief,
    counted,
    cut,
    duration,
    grouped,
    in_percent,
    is_number,
    listed,
    metric_words,
    more_is_better,
    share,
    significant,
)

TOP = 20  # rows of a long table that are shown at once
MOST = 300  # rows of a long table that the page holds at all
NOT_METRICS = ("step", "epoch", "seconds", "loss", "log_loss", "lr")  # of an evaluation, drawn elsewhere or not
LEARNED = {"forecast": "step", **dict.fromkeys(("language", "masked_language", "span_corruption"), "piece")}
DRAWS = ("gan", "diffusion", "reconstruct")  # tasks whose runs make new rows
ROLES = {"target": 0, "input": 1, "group": 2, "ignored": 3}


def headline_of(facts: Facts) -> dict[str, Any]:
    """The title line and the strip of facts below the result."""
    summary = facts.summary
    line = [str(summary.get("task") or facts.schema.get("task") or "")]
    targets = summary.get("target") or []
    if targets and targets != line:
        line.append(listed([str(name) for name in targets], 3))
    line.append(str(summary.get("model") or ""))
    line.append(str(facts.environment.get("created") or "")[:10])
    rows = summary.get("rows") or {}
    strip = []
    if is_number(rows.get("train")):
        learned = LEARNED.get(str(summary.get("task") or ""), noun_of(facts))
        strip.append(("Learned from", counted(rows["train"], learned), ""))
    if is_number(facts.evaluation.get("rows")):
        strip.append(("Measured on", counted(facts.evaluation["rows"], noun_of(facts)), ""))
    if summary.get("model"):
        size = f"{_parameters(summary['parameters'])} parameters" if is_number(summary.get("parameters")) else ""
        strip.append(("Network", str(summary["model"]), size))
    if is_number(summary.get("seconds_training")):
        device = str(facts.environment.get("device") or "")
        strip.append(("Training took", duration(summary["seconds_training"]), f"on {device}" if device else ""))
    return {"line": [part for part in line if part], "strip": strip}


def _parameters(count: float) -> str:
    """A count of parameters, short where it is large."""
    for limit, unit in ((1e9, "billion"), (1e6, "million")):
        if count >= limit:
            return f"{significant(count / limit)} {unit}"
    return grouped(count)


def data_of(facts: Facts) -> dict[str, Any]:
    """Rows, split, notes, and the columns with what each was taken for."""
    summary, schema = facts.summary, facts.schema
    rows = summary.get("rows") or {}
    names = {"train": "to learn from", "val": "to choose the checkpoint", "test": "held out for the result"}
    image = summary.get("image") or {}
    columns = [column for column in schema.get("columns") or [] if isinstance(column, dict)]
    worth = {str(entry.get("column")): i for i, entry in enumerate(_by_worth(facts))}
    columns.sort(key=lambda c: (ROLES.get(str(c.get("role")), 1), worth.get(str(c.get("name")), len(worth))))
    table = [_column(column, schema.get("rows")) for column in columns[:MOST]]
    forecast = summary.get("task") == "forecast"  # reads the steps before; the clock only says which they are
    classes = [str(name) for name in summary.get("classes") or schema.get("classes") or []]
    return {
        "source": str(summary.get("source") or ""),
        "origin": str(summary.get("origin") or ""),
        "rows": [(grouped(rows[key]), names[key]) for key in names if is_number(rows.get(key)) and rows[key]],
        "split": _sentence(summary.get("split")),
        "picture": _picture_words(image),
        "notes": [str(note) for note in summary.get("notes") or []],
        "columns": table[:TOP],
        "rest": table[TOP:],
        "beyond": max(0, len(columns) - MOST),
        "count": len(columns),
        "kinds": _kinds([each for each in columns if not (forecast and each.get("kind") == "time")]),
        "classes": listed([cut(name, 24) for name in classes], 12),
        "class_count": len(classes),
        "class_noun": "tags" if summary.get("task") == "tag" else "classes",
    }


def _sentence(text: Any) -> str:
    """The text with the full stop that ends a sentence."""
    text = str(text or "").strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _picture_words(image: dict[str, Any]) -> str:
    width, height, channels = (image.get(key) for key in ("width", "height", "channels"))
    if not (is_number(width) and is_number(height) and is_number(channels)):
        return ""
    return f"{grouped(width)} × {grouped(height)} pixels, {counted(channels, 'channel')}"


def _by_worth(facts: Facts) -> list[dict[str, Any]]:
    """The columns' entries of the evaluation, most worth first."""
    entries = [e for e in facts.evaluation.get("columns") or [] if isinstance(e, dict) and is_number(e.get("worth"))]
    return sorted(entries, key=lambda entry: -entry["worth"])


def _kinds(columns: list[dict[str, Any]]) -> str:
    """How many inputs there are of each kind: 8 numbers and 2 categories."""
    counts: dict[str, int] = {}
    for column in columns:
        if column.get("role", "input") == "input":
            counts[str(column.get("kind"))] = counts.get(str(column.get("kind")), 0) + 1
    many = {"category": "categories", "boxes": "boxes", "series": "series", "audio": "audio"}
    return listed(counted(n, kind, many.get(kind, "")) for kind, n in sorted(counts.items(), key=lambda pair: -pair[1]))


def _column(column: dict[str, Any], rows: Any) -> dict[str, Any]:
    """One column as a row of the table."""
    missing, unique = column.get("missing"), column.get("unique")
    gaps = grouped(missing) if is_number(missing) else DASH
    part = ""
    if is_number(missing) and is_number(rows) and missing and rows:
        part = share(missing / rows, 0) if missing / rows >= 0.01 else f"< {share(0.01, 0)}"
    return {
        "name": str(column.get("name", "")),
        "kind": str(column.get("kind", "")),
        "role": str(column.get("role", "input")),
        "missing": gaps,
        "part": part,
        "unique": grouped(unique) if is_number(unique) and unique else DASH,
        "reason": str(column.get("reason") or ""),
    }


def plan_of(facts: Facts) -> list[dict[str, str]]:
    """Each choice of the plan with its reason."""
    reasons = facts.plan.get("reasons")
    return [
        {key: _choice(reason.get(key)) for key in ("key", "choice", "why", "evidence")}
        for reason in (reasons if isinstance(reasons, list) else [])
        if isinstance(reason, dict)
    ]


def _choice(value: Any) -> str:
    """A choice as a reader meets it: names and numbers plain, the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def training_of(facts: Facts) -> dict[str, Any]:
    """How the training went: its curves, their reading, why it stopped, and what it was shown."""
    steps = [event for event in facts.events if event.get("event") == "step" and is_number(event.get("step"))]
    seen = [event for event in facts.events if event.get("event") == "evaluate" and is_number(event.get("step"))]
    held = [event for event in seen if event.get("part", "val") == "val"]
    best = facts.summary.get("best_step")
    marks = [(float(best), "chosen")] if is_number(best) and (steps or seen) else []
    figures = [_loss_figure(steps, held, best, marks), _goal_figure(facts, held, best, marks), _rate_figure(steps)]
    return {
        "figures": [figure for figure in figures if figure],
        "sentence": _training_sentence(facts),
        "augmented": _shown(facts),
    }


def _shown(facts: Facts) -> list[tuple[str, str]]:
    """The augmented pictures, each with its label or with nothing; labels go only where each picture has one."""
    found, labels = facts.augmented.get("pictures"), facts.augmented.get("labels")
    names: dict[str, Any] = {}
    if isinstance(labels, list) and isinstance(found, list) and len(labels) == len(found):
        names = {each: label for each, label in zip(found, labels, strict=True) if isinstance(each, str)}
    return [(each, cut(names.get(each, ""), 32)) for each in pictures(found)]


def _training_sentence(facts: Facts) -> str:
    """How many steps, how long, and why it ended."""
    summary, parts = facts.summary, []
    if is_number(summary.get("steps")):
        text = counted(summary["steps"], "step")
        if is_number(summary.get("epochs")):
            epochs = summary["epochs"]
            text += f" over {grouped(epochs, 0 if epochs == round(epochs) else 1)} epoch{'s' if epochs != 1 else ''}"
        if is_number(summary.get("seconds_training")):
            text += f" in {duration(summary['seconds_training'])}"
        parts.append(text + ".")
    if summary.get("stopped"):
        why = str(summary["stopped"]).strip().rstrip(".")
        parts.append(f"It stopped: {why}.")
    return " ".join(parts)


def _series(events: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    pairs = [(event["step"], event[key]) for event in events if is_number(event.get(key))]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _loss_figure(steps: list, held: list, best: Any, marks: list[tuple[float, str]]) -> tuple[Markup, str] | None:
    """Loss on both parts over the steps, and where they part."""
    learned = _series(steps, "loss")
    watched = _series([{**event, "loss": held_loss(event)} for event in held], "loss")
    lines = [Line("training", *learned, "second"), Line("validation", *watched, "first")]
    lines = [line for line in lines if line.x]
    if not lines:
        return None
    text = ""
    if watched[1]:
        low = min(range(len(watched[1])), key=watched[1].__getitem__)
        text = f"Validation loss was lowest, {significant(watched[1][low])}, at step {grouped(watched[0][low])}"
        last = watched[1][-1]
        if low < len(watched[1]) - 1 and last > watched[1][low] * 1.02:
            text += f", and rose to {significant(last)} by the end"
        text += "."
    if learned[1]:
        tail = learned[1][-max(1, len(learned[1]) // 20) :]
        went = f"went from {significant(learned[1][0])} to" if len(learned[1]) > 1 else "was"
        text += f" Training loss {went} {significant(sum(tail) / len(tail))}."
    if is_number(best) and marks:
        text += f" The dashed line marks the checkpoint that was kept, of step {grouped(best)}."
    return curves(lines, text.strip(), names=("step", "loss"), marks=marks), text.strip()


def _goal_figure(facts: Facts, held: list, best: Any, marks: list[tuple[float, str]]) -> tuple[Markup, str] | None:
    """The metric of the goal on the validation rows over the steps."""
    numbers = [key for key in (held[-1] if held else {}) if key not in NOT_METRICS]
    goal = goal_of(facts.evaluation)
    key = goal if goal in numbers else next((k for k in numbers if is_number(held[-1].get(k))), "")
    x, y = _series(held, key)
    if not key or key == "loss" or len(x) < 2:
        return None
    percent = in_percent(key)
    pick = max if more_is_better(key) else min
    at = pick(range(len(y)), key=y.__getitem__)
    told = share(y[at], 2) if percent else significant(y[at], 4)
    last = share(y[-1], 2) if percent else significant(y[-1], 4)
    text = f"Validation {metric_words(key)} was best, {told}, at step {grouped(x[at])}"
    ending = f"; at the end it was {last}" if last != told else ", and was the same at the end"
    text += "." if at == len(y) - 1 else f"{ending}."
    name = f"{metric_words(key)}, validation"
    return curves([Line(metric_words(key), x, y)], text, names=("step", name), percent=percent, marks=marks), text


def _rate_figure(steps: list) -> tuple[Markup, str] | None:
    """The learning rate over the steps, where it changed."""
    x, y = _series(steps, "lr")
    if len(x) < 3 or max(y) == min(y):
        return None
    top = max(range(len(y)), key=y.__getitem__)
    text = f"The learning rate reached {brief(y[top])} at step {grouped(x[top])} and "
    text += f"ended at {brief(y[-1])}." if y[-1] > y[top] / 1000 else "ended near zero."
    return curves([Line("learning rate", x, y, "third")], text, names=("step", "learning rate"), log=False), text


def pictures(encoded: Any, budget: int = 400_000) -> list[str]:
    """The pictures that are base64 text of a PNG and fit the budget of characters together."""
    kept: list[str] = []
    for picture in encoded if isinstance(encoded, list) else []:
        if is_picture(picture) and len(picture) <= budget:
            kept.append(picture)
            budget -= len(picture)
    return kept


def is_picture(picture: Any) -> bool:
    """Whether this is the base64 text of a PNG, so that nothing else gets into the page as an address."""
    return (
        isinstance(picture, str)
        and picture.startswith("iVBOR")
        and picture.replace("=", "").replace("+", "").replace("/", "").isalnum()
    )


def environment_of(facts: Facts) -> list[tuple[str, str]]:
    """The machine and the versions, each with its name and unit in words."""
    shown = []
    for key, value in facts.environment.items():
        name, told = str(key).replace("_", " "), str(value)
        if key == "memory_gb" and is_number(value):
            name, told = "memory", f"{grouped(value, 1)} GB"
        if key == "created":
            told = told[:16].replace("T", " ")
        if value is not None and value != "":
            shown.append((name, told))
    return shown


def next_of(facts: Facts) -> dict[str, Any]:
    """The run's place and source, quoted for the shell and for Python, and what it can be asked for."""
    folder, task = facts.folder, facts.summary.get("task")
    if folder.is_absolute() and folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    return {
        "shell": shlex.quote(folder.as_posix()),
        "python": json.dumps(folder.as_posix(), ensure_ascii=False),
        "recipe": shlex.quote((folder / "recipe.yaml").as_posix()),
        "source": shlex.quote(_source(facts.summary)),
        "answers": task not in ("gan", "diffusion", "language"),
        "draws": ("draws.png" if facts.summary.get("image") else "draws.csv") if task in DRAWS else "",
        "writes": shlex.quote(_beginning(facts)) if task == "language" else "",
        "said": json.dumps(_beginning(facts), ensure_ascii=False),
    }


def _source(summary: dict[str, Any]) -> str:
    """What `fit` was given: a path or the name of a set; of data from memory a word that stands for it."""
    origin = str(summary.get("origin") or "")
    return str(summary.get("source") or "SOURCE") if origin in ("", "memory") else origin


def _beginning(facts: Facts) -> str:
    """A word that the network knows to write, as its own texts hold it."""
    samples = facts.evaluation.get("samples") or []
    words = [word for text in samples for word in str(text).split() if word.isalpha()]
    return words[0] if words else "Once"


def metric_columns(rows: list[list[str]]) -> list[list[str]]:
    """Table cells with each column's decimal points below each other."""
    return [list(row) for row in zip(*(aligned(column) for column in zip(*rows, strict=True)), strict=True)]
