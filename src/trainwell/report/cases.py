"""An evaluation to single cases: the rows it was furthest off and surest of, and what each column is worth to it."""

from typing import Any

from trainwell.report import plots
from trainwell.report.files import Facts
from trainwell.report.overview import TOP, is_picture
from trainwell.report.verdict import goal_of
from trainwell.report.wording import (
    DASH,
    MINUS,
    aligned,
    counted,
    cut,
    decimals_for,
    grouped,
    in_percent,
    is_number,
    metric_words,
    more_is_better,
    share,
    significant,
    written,
)

WIDE = 60  # characters from which on a value is a text


def examples_of(facts: Facts, budget: int = 700_000) -> list[dict[str, Any]]:
    """The worst and the most confident examples, with pictures as far as the page's size allows."""
    saved = facts.evaluation.get("examples") or {}
    order = [str(entry.get("column")) for entry in columns_by_worth(facts)]
    groups = []
    titles = (("worst", "Where it was furthest off"), ("confident", "Where it was surest"), ("longest", "The longest"))
    for key, title in titles:
        entries = [entry for entry in saved.get(key) or [] if isinstance(entry, dict)][:12]
        cards = []
        for entry in entries:
            picture = str(entry.get("picture") or "")
            fits = is_picture(picture) and len(picture) <= min(budget, 100_000)
            budget -= len(picture) if fits else 0
            cards.append(_example(entry, picture if fits else "", order, facts.regresses))
        if cards:
            pictured = any(card["picture"] for card in cards)
            shown = [] if pictured else _shared_values(cards)
            numbers = _align_values(cards)
            numeric = all(card["off"] for card in cards)
            groups.append(
                {
                    "title": title,
                    "cards": cards,
                    "pictured": pictured,
                    "columns": [(name, name in numbers, _wide(name, cards)) for name in shown],
                    "numeric": numeric,
                }
            )
    return groups


def _example(entry: dict[str, Any], picture: str, order: list[str], numeric: bool) -> dict[str, Any]:
    """One example as its card or table row shows it."""
    values = entry.get("values") if isinstance(entry.get("values"), dict) else {}
    assert values is not None
    ranked = sorted(values.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    truth, said = entry.get("truth"), entry.get("prediction")
    if numeric:
        truth, said = _number(truth), _number(said)
    off = said - truth if is_number(truth) and is_number(said) else None
    truth, said = _answer(truth), _answer(said)
    return {
        "row": str(entry.get("row", "")),
        "name": str(entry.get("name") or ""),
        "off": _answer(float(off)) if off is not None else "",
        "truth": truth,
        "prediction": said,
        "right": truth == said,
        "confidence": share(entry["confidence"]) if is_number(entry.get("confidence")) else "",
        "loss": significant(entry["loss"]) if is_number(entry.get("loss")) else "",
        "picture": picture,
        "values": {str(name): _answer(value) for name, value in ranked[:12]},
    }


def _answer(value: Any) -> str:
    return significant(value, 5) if isinstance(value, float) else str(value if value is not None else DASH)


def _wide(name: str, cards: list[dict[str, Any]]) -> bool:
    """Whether a column holds texts, which a reader wants to read rather than to see cut."""
    return any(len(card["values"].get(name, "")) > WIDE for card in cards)


def _align_values(cards: list[dict[str, Any]]) -> set[str]:
    """Set the decimal points below each other in the columns whose values all are numbers; returns their names."""
    numbers = set()
    for name in cards[0]["values"]:
        cells = [card["values"].get(name, DASH) for card in cards]
        if all(isinstance(_number(cell), float) for cell in cells):
            for card, cell in zip(cards, aligned(cells), strict=True):
                card["values"][name] = cell.replace("-", MINUS, 1) if cell.startswith("-") else cell
            numbers.add(name)
    return numbers


def _number(value: Any) -> Any:
    """The number that a text holds, else the value as it is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _shared_values(cards: list[dict[str, Any]], most: int = 4) -> list[str]:
    """The columns whose values stand in the table of examples."""
    return list(cards[0]["values"])[:most]


def columns_by_worth(facts: Facts) -> list[dict[str, Any]]:
    """The entries of what each column is worth, most first."""
    entries = [e for e in facts.evaluation.get("columns") or [] if isinstance(e, dict) and is_number(e.get("worth"))]
    return sorted(entries, key=lambda entry: -entry["worth"])


def worth_of(facts: Facts) -> dict[str, Any] | None:
    """What shuffling each column costs, the dearest first."""
    entries = columns_by_worth(facts)
    if not entries:
        return None
    metric = str(entries[0].get("metric") or goal_of(facts.evaluation) or "score")
    percent = in_percent(metric)
    top = entries[:TOP]
    most = max(abs(entry["worth"]) for entry in top)
    digits = decimals_for(most, percent=percent) + (0 if percent else 1)
    rows = [
        plots.Estimate(
            str(e.get("column")),
            e["worth"],
            e.get("low"),
            e.get("high"),
            written(e["worth"], percent, digits, unit=False),
        )
        for e in top
    ]
    first = entries[0]
    amount = f"{grouped(first['worth'] * 100, digits)} points" if percent else grouped(first["worth"], digits)
    verb = "lowers" if more_is_better(metric) else "raises"
    text = (
        f"Shuffling {cut(first.get('column'))} {verb} the {metric_words(metric)} by {amount}, the most of all columns."
    )
    if first["worth"] <= 0:
        text = f"Shuffling any one column does not worsen the {metric_words(metric)}."
    free = [e for e in entries if is_number(e.get("low")) and e["low"] <= 0]
    if free and len(entries) > 1:
        text += f" For {grouped(len(free))} of {counted(len(entries), 'column')} no worth can be told from zero."
    shown = f" Shown are the {TOP} dearest of {grouped(len(entries))}." if len(entries) > TOP else ""
    title = f"cost in {'points of ' if percent else ''}{metric_words(metric)}"
    return {"figure": (plots.intervals(rows, text + shown, title=title, percent=percent, zero=True), text + shown)}
