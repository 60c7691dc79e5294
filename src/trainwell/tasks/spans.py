"""Tags in BIO to spans, and spans to how many of them were found."""

from typing import NamedTuple


class Span(NamedTuple):
    """Words `start` to `end`, the end not included, of one kind."""

    start: int
    end: int
    kind: str


def spans(tags: list[str]) -> list[Span]:
    """The spans of a sentence's tags: a B begins one, and so does an I without a span of its kind before it.

    Tjong Kim Sang & Buchholz 2000, as CoNLL's evaluation reads tags.
    """
    found: list[Span] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        letter, _, new = tag.partition("-")
        if kind and (letter != "I" or new != kind):
            found.append(Span(start, place, kind))
            kind = ""
        if letter in ("B", "I") and not kind:
            start, kind = place, new
    return found


def counts(truth: list[Span], answer: list[Span]) -> tuple[int, int, int]:
    """Spans that are right in both ends and kind, spans answered, spans there are."""
    return len(set(truth) & set(answer)), len(answer), len(truth)


def scores(right: float, answered: float, there: float) -> dict[str, float]:
    """Precision, recall and their harmonic mean F1 of spans; 0 where nothing is answered or there."""
    precision, recall = right / answered if answered else 0.0, right / there if there else 0.0
    return {"f1": 2 * right / (answered + there) if answered + there else 0.0, "precision": precision, "recall": recall}
