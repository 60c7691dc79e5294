"""A run whose answers are texts to what it wrote: samples as it learned, and the cases it did worst and best."""

from typing import Any

from trainwell.report.files import Facts
from trainwell.report.wording import counted, grouped, is_number, significant

SHOWN, STAGES, LENGTH = 8, 8, 600  # cases of each kind, samples of the training, characters of a text


def texts_of(facts: Facts) -> dict[str, Any]:
    """Groups of cases, texts that were written freely, and texts written while it learned; empty for other runs."""
    saved = facts.evaluation.get("texts") or {}
    titles = (("worst", "Where it was furthest off"), ("best", "Where it was nearest"))
    groups = []
    for key, title in titles:
        cards = [_card(entry, str(saved.get("score", ""))) for entry in saved.get(key) or [] if isinstance(entry, dict)]
        if cards:
            groups.append({"title": title, "cards": cards[:SHOWN]})
    samples = [str(text)[: 3 * LENGTH] for text in facts.evaluation.get("samples") or []]
    return {"groups": groups, "samples": samples, "stages": _stages(facts.samples), "note": str(saved.get("note", ""))}


def _card(entry: dict[str, Any], score: str) -> dict[str, Any]:
    """One case: its lines, each a name and pieces of text that may carry a mark."""
    lines = []
    for name, text in entry.get("lines") or []:
        pieces = [[text, ""]] if isinstance(text, str) else text
        lines.append((str(name), [(str(piece), str(mark)) for piece, mark in pieces]))
    value = f"{score} {significant(entry['score'])}" if is_number(entry.get("score")) else ""
    return {"row": str(entry.get("row", "")), "score": value, "lines": lines}


def _stages(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples of the training, evenly over its steps, the first and the last among them."""
    samples = [each for each in samples if each.get("text") is not None]
    if not samples:
        return []
    last = len(samples) - 1
    chosen = sorted({round(place * last / max(1, STAGES - 1)) for place in range(STAGES)})
    found = []
    for each in (samples[place] for place in chosen):
        goal = f", {each['goal']} {significant(each['value'])}" if is_number(each.get("value")) else ""
        step = each.get("step")
        after = f"after {counted(step, 'step')}" if is_number(step) else f"after {grouped(0)} steps"
        found.append({"after": after + goal, "text": str(each["text"])[:LENGTH]})
    return found
