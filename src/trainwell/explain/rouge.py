"""An answer and its truths to how much of one is in the other: ROUGE, by single words, pairs and the longest run."""

import re
from collections import Counter

WORDS = re.compile(r"\w+")


def rouge(answer: str, truths: list[str]) -> dict[str, float]:
    """F measures of ROUGE-1, -2 and -L, the best over the truths. Lin 2004.

    Words are in lower case, without stems; ROUGE-L is by the longest common subsequence of words.
    """
    words = WORDS.findall(answer.lower())
    found = {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    for truth in truths:
        right = WORDS.findall(truth.lower())
        both = {
            "rouge1": (_shared(words, right, 1), len(words), len(right)),
            "rouge2": (_shared(words, right, 2), len(words) - 1, len(right) - 1),
            "rougeL": (_subsequence(words, right), len(words), len(right)),
        }
        for name, (shared, given, wanted) in both.items():
            value = 2 * shared / (given + wanted) if given > 0 and wanted > 0 else 0.0
            found[name] = max(found[name], value)
    return found


def _shared(first: list[str], second: list[str], length: int) -> int:
    """How many runs of so many words both have."""
    runs = [
        Counter(tuple(words[place : place + length]) for place in range(len(words) - length + 1))
        for words in (first, second)
    ]
    return sum((runs[0] & runs[1]).values())


def _subsequence(first: list[str], second: list[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row
        row = [0]
        for place, other in enumerate(second, start=1):
            row.append(before[place - 1] + 1 if word == other else max(row[-1], before[place]))
    return row[-1]
