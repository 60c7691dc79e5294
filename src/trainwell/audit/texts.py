"""Texts to what is wrong with them before they become tokens: empty, cut, told by a word, written in another way."""

import re
from collections import Counter

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.parts import FEWEST, ks
from trainwell.audit.view import View
from trainwell.doctor.finding import Finding

WORD = re.compile(r"\w+|[^\w\s]+")
TEXTS = 4_000
LONG = 2_000  # characters of a text that are searched for words
SHORT = 100  # characters, below which a length that nearly all texts have is a cut
OWN, OTHERS, TELLING = 0.98, 0.02, 4  # shares of a class and of the others that hold a word; words that may do so


def text_cells(view: View) -> list[Finding]:
    """Empty texts, texts of one short length, a word that tells the class, parts in other writing."""
    name = view.column("text")
    if name is None or view.schema.task not in ("classify", "regress") or view.rows < 40:
        return []
    texts = view.series(name).fill_null("")[:TEXTS].to_list()
    empty = sum(not text.strip() for text in texts)
    found = []
    if empty > max(2, 0.01 * len(texts)):
        text = f"{empty:,} of {len(texts):,} texts are empty."
        cause = "A column that was filled badly, or files that hold nothing."
        found.append(said("bad-features", f"column {name!r}", "warn", text, cause, 0.95))
    lengths = Counter(len(text) for text in texts if text.strip())
    length, count = lengths.most_common(1)[0] if lengths else (0, 0)
    if 1 < length < SHORT and count > 0.8 * len(texts) and len(set(texts)) > 0.3 * len(texts):
        text = f"{count:,} of {len(texts):,} texts are {length} characters long, and none longer than {max(lengths)}."
        cause = "They were cut, as by a column of a fixed width."
        if any(" " in each.strip() for each in texts[:50]):  # codes of one length are no texts
            found.append(said("bad-features", f"column {name!r}", "warn", text, cause, 0.8))
    return found + _telling_word(view, texts) + _writing(view, texts)


def _telling_word(view: View, texts: list[str]) -> list[Finding]:
    """A word of nearly all texts of one class and hardly any other, where few words are so.

    Classes that differ in kind, as languages do, have many such words.
    """
    if view.labels is None:
        return []
    labels = view.labels[: len(texts)]
    sets = [set(WORD.findall(text[:LONG].lower())) for text in texts]
    sizes = np.bincount(labels)
    if sizes.min() < 20 or len(sizes) > 50:
        return []
    every = Counter(word for words in sets for word in words)
    for kind in range(len(sizes)):
        own = Counter(word for words, label in zip(sets, labels, strict=True) if label == kind for word in words)
        rest = len(texts) - int(sizes[kind])
        shares = {word: (count / sizes[kind], (every[word] - count) / rest) for word, count in own.items()}
        telling = [word for word, (mine, others) in shares.items() if mine >= OWN and others <= OTHERS]
        close = [word for word, (mine, others) in shares.items() if mine - others > 0.6]
        if telling and len(close) <= TELLING:
            word = telling[0]
            text = (
                f"{word!r} stands in {shares[word][0]:.0%} of the texts of class {view.classes[kind]!r} and in "
                f"{shares[word][1]:.0%} of the others."
            )
            cause = "A mark of where the texts came from, or the answer itself, tells the class: take it out."
            return [said("data-leakage", "texts", "critical", text, cause, 0.85)]
    return []


def _writing(view: View, texts: list[str]) -> list[Finding]:
    """Given parts that differ in capitals, digits or signs."""
    if view.parts is None:
        return []
    parts = view.parts[: len(texts)]
    ways = {
        "capitals": r"[A-Z]",
        "digits": r"\d",
        "signs": r"[^\w\s]",
        "blanks": r"\s",
        "angle brackets": r"[<>]",
    }
    for part in ("test", "val"):
        ours, theirs = parts == "train", parts == part
        if min(ours.sum(), theirs.sum()) < FEWEST:
            continue
        for what, pattern in ways.items():
            shares = np.array([len(re.findall(pattern, text)) / max(1, len(text)) for text in texts])
            mine, other = np.sort(shares[ours]), np.sort(shares[theirs])
            if ks(mine, other) > 0.6:
                text = (
                    f"{np.median(other):.1%} of the characters of the {part} texts are {what}, of the training texts "
                    f"{np.median(mine):.1%}; they hardly overlap."
                )
                cause = "The parts were cleaned or tokenized in another way."
                return [said("preprocessing-mismatch", "texts", "critical", text, cause, 0.8)]
    return []


RULES = (text_cells,)
