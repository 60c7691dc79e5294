"""A run whose answers are texts to what it wrote: samples as it learned, and the cases it did worst and best."""

from typing import Any

from trainwell.report.files import Facts
from trainwell.report.wording import counted, grouped, is_number, share, significant

SHOWN, STAGES, LENGTH = 8, 8, 600  # cases of each kind, samples of the training, characters of a text
SHORT = 24  # characters of the longest line of a list
BLANKS = {"\n": "⏎", "\t": "⇥", " ": "␣"}  # tokens that nothing would be seen of


def texts_of(facts: Facts) -> dict[str, Any]:
    """Groups of cases, texts that were written freely, and texts written while it learned; empty for other runs."""
    saved = facts.evaluation.get("texts") or {}
    titles = (("worst", "Where it was furthest off"), ("best", "Where it was nearest"), ("longest", "The longest"))
    groups = []
    for key, title in titles:
        cards = [_card(entry, str(saved.get("score", ""))) for entry in saved.get(key) or [] if isinstance(entry, dict)]
        if cards:
            groups.append({"title": title, "cards": cards[:SHOWN]})
    samples = [_text(str(text)[: 3 * LENGTH]) for text in facts.evaluation.get("samples") or []]
    found = {"groups": groups, "samples": samples, "stages": _stages(facts.samples), "looks": _looks(facts.evaluation)}
    return found | {"reading": _reading(facts.evaluation)}


def _text(text: str) -> dict[str, Any]:
    """A text, and whether it is a list of short lines, which go side by side; a play has empty and longer ones."""
    lines = text.splitlines()
    return {"text": text, "listed": len(lines) > 8 and all(0 < len(line) <= SHORT for line in lines)}


def _reading(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """What the tokenizer makes of a text, piece by piece, and the sentence that counts."""
    saved = evaluation.get("reading") or {}
    pieces = [str(piece) for piece in saved.get("pieces") or []]
    if not pieces or not is_number(saved.get("a_word")):
        return None
    unknown = saved.get("unknown")
    told = f"A word takes {significant(saved['a_word'], 3)} tokens on average"
    told += f" of {grouped(saved['vocabulary'])} that there are" if is_number(saved.get("vocabulary")) else ""
    if is_number(unknown):
        told += f"; {share(unknown, 2)} of them are not in the vocabulary" if unknown else "; none is unknown"
    return {"pieces": pieces, "text": told + ". Held-out text, in its tokens:"}


def _looks(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """Where each written token looked: rows of shades from 0 to 1."""
    saved = evaluation.get("attention") or {}
    read, written, weights = (saved.get(key) or [] for key in ("read", "written", "weights"))
    if not read or len(weights) != len(written) or any(len(row) != len(read) for row in weights):
        return None
    read, written = ([BLANKS.get(str(name), str(name)) for name in side] for side in (read, written))
    rows = [(name, [round(float(w), 3) for w in row]) for name, row in zip(written, weights, strict=True)]
    return {"read": read, "rows": rows, "within": bool(saved.get("within"))}


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
    found: list[dict[str, Any]] = []
    for each in (samples[place] for place in chosen):
        goal = f", {each['goal']} {significant(each['value'])}" if is_number(each.get("value")) else ""
        step = each.get("step")
        after = f"after {counted(step, 'step')}" if is_number(step) else f"after {grouped(0)} steps"
        shown = {"after": after + goal, **_text(str(each["text"])[:LENGTH])}
        if not found or found[-1]["text"] != shown["text"]:
            found.append(shown)
    return found
