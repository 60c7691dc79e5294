"""Questions and their passages to windows of tokens, with where in the passage the answer begins and ends."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch

from trainwell.data.rows import Source, counted
from trainwell.data.schema import NOWHERE, UNTOLD, Schema
from trainwell.data.sentences import ragged
from trainwell.data.text import UNKNOWN, Tokenizer, restored_tokenizer, tokenizer_of
from trainwell.data.tokens import Mask
from trainwell.errors import InputError, suggest

COLUMNS = ("context", "question")
EVEN, NEVER = 0.5, 1.0  # the share of none from which on "no answer" is said: before one is chosen; not at all


class Asked(NamedTuple):
    """A question in tokens, all that stands before a passage; the passage's, and the characters (tokens, 2) of each."""

    head: np.ndarray
    tokens: np.ndarray
    characters: np.ndarray


class AnswerTransform:
    """What turns questions on passages into windows of tokens, fitted once and kept with the run.

    A passage that is longer than a window holds beside its question is read in several, which share `overlap` tokens.
    Inputs are the question's and then the passage's tokens (windows, longest), their mask, and segments, 1 from the
    passage on. "inside" is 1 at tokens of the passage; a token at place i of a window is number i + "shift" of its
    passage. The target is the first and the last token of the answer in its passage, (windows, 2), NOWHERE for a
    question without one, UNTOLD where it is not known; "row" is the question's.
    """

    by_row = False  # a question may be several windows, of which the task makes one answer
    bucketed = True
    at_once = 32
    layout = "answers"

    def __init__(self, tokenizer: Tokenizer, length: int, overlap: int, threshold: float = NEVER) -> None:
        self.tokenizer, self.length, self.overlap, self.threshold = tokenizer, length, overlap, threshold
        self.notes: list[str] = []

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        context: int = 512,
        *,
        layout: str = "answers",
        tokenizer: str = "bpe",
        vocabulary: int = 8_000,
        length: int = 384,
        overlap: int | None = None,
    ) -> "AnswerTransform":
        """Learn the vocabulary from these rows; a question takes at most a third of `length`, the passage the rest.

        Windows share a third of `length` where no overlap is told. Raises InputError for windows that cannot be.
        """
        if length < 16 or vocabulary < 3:
            raise InputError(f"transform: length={length} and vocabulary={vocabulary}: expected 16 and 3 at least")
        training = source.frame[np.asarray(rows)]
        texts = [*training["context"].unique(maintain_order=True).to_list(), *training["question"].to_list()]
        length = min(length, context)
        made = cls(tokenizer_of(tokenizer, texts, vocabulary), length, length // 3 if overlap is None else overlap)
        least = length - length // 3 - sum(map(len, (*made.around, made.around[1])))
        if not 0 <= made.overlap < least:
            raise InputError(
                f"transform.overlap={made.overlap}: a window of {length} tokens holds {least} of a passage beside its "
                f"longest question; expected 0 to {least - 1}, or another transform.length"
            )
        made.threshold = EVEN if (training["answer"] == "").any() else NEVER
        made._say(source)
        return made

    def _say(self, source: Source) -> None:
        """Count what is cut, what takes several windows, and answers that stand whole in none."""
        batch = self.encode(source)
        windows = np.bincount(batch["row"].numpy(), minlength=source.rows)
        most, total = self.length // 3, source.rows
        long = sum(len(each) > most for each in self.tokenizer.encode(source.frame["question"].to_list()))
        if long:
            self.notes.append(f"{counted(long, 'question')} of {total:,} longer than {most} tokens: cut there")
        several = windows[windows > 1]
        if len(several):
            self.notes.append(
                f"{counted(len(several), 'question')} of {total:,} on passages longer than a window of {self.length} "
                f"tokens: read in {several.sum():,} windows that share {self.overlap} tokens, those without the answer "
                "learned as “no answer here”; transform.length and transform.overlap change that"
            )
        lost = len(set(batch["row"][batch["target"][:, 0] == UNTOLD].tolist()))
        if lost:
            self.notes.append(
                f"{counted(lost, 'answer')} of {total:,} stands whole in no window of {self.length} tokens: not "
                "learned; a larger transform.overlap or transform.length changes that"
            )

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that stand before the question, and behind it and the passage each."""
        return getattr(self.tokenizer, "around", ([UNKNOWN], [UNKNOWN]))

    def asked(self, source: Source) -> list[Asked]:
        """Each row in tokens; raises InputError for a missing column."""
        for name in COLUMNS:
            if name not in source.frame.columns:
                raise InputError(f"{source.origin}: no column {name!r}; {suggest(name, source.frame.columns)}")
        before, after = self.around
        known: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        contexts, questions = (source.frame[name].cast(pl.String).fill_null("").to_list() for name in COLUMNS)
        found = []
        for context, question in zip(contexts, self.tokenizer.encode(questions), strict=True):
            if context not in known:
                known[context] = self.tokenizer.located(context)
            head = np.concatenate([before, question[: self.length // 3], after]).astype(np.int32)
            found.append(Asked(head, *known[context]))
        return found

    def windows(self, asked: Asked) -> list[tuple[int, int]]:
        """The first and the last token of its passage, that not included, in each window of a question."""
        room = self.length - len(asked.head) - len(self.around[1])
        starts = range(0, max(1, len(asked.tokens) - self.overlap), room - self.overlap)
        return [(start, min(start + room, len(asked.tokens))) for start in starts]

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (tokens, mask, segments), "inside", "shift", "target", "row"}; without rows, all."""
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        part = source if rows is None else source.take(places)
        after = np.array(self.around[1], dtype=np.int32)
        texts: list[np.ndarray] = []
        cut: list[tuple[int, int, int, int]] = []  # of each window its row, the head's length, and where it is cut
        targets: list[tuple[int, int]] = []
        for place, asked, answer in zip(places.tolist(), self.asked(part), _answers(part), strict=True):
            windows = self.windows(asked)
            ends = _ends(asked, windows, *answer)
            for low, high in windows:
                texts.append(np.concatenate([asked.head, asked.tokens[low:high], after]))
                cut.append((place, len(asked.head), low, high))
                targets.append(ends)
        row, head, start, end = np.array(cut, dtype=np.int64).reshape(-1, 4).T
        tokens = ragged(texts)
        order = [np.arange(len(text)) for text in texts]
        bounds = list(zip(order, head.tolist(), (head + end - start).tolist(), strict=True))
        segments = ragged([(each >= low).astype(np.int32) for each, low, _ in bounds])
        inside = ragged([((each >= low) & (each < high)).astype(np.int32) for each, low, high in bounds])
        return {
            "inputs": (tokens, Mask(tokens.values, tokens.starts, tokens.lengths), segments),
            "inside": inside,
            "shift": torch.from_numpy(start - head),
            "target": torch.tensor(targets).view(-1, 2),
            "row": torch.from_numpy(row.copy()),
        }

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures: a score for the first and one for the last."""
        return {"vocabulary": self.tokenizer.vocabulary, "classes": 2, "threshold": self.threshold}

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "length": self.length, "overlap": self.overlap}
        state |= {"threshold": self.threshold, "notes": self.notes}
        return {**state, "tokenizer": self.tokenizer.save()}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "AnswerTransform":
        """The transform that was saved, also before passages were read in windows."""
        overlap = state.get("overlap", state["length"] // 3)
        return cls(restored_tokenizer(state["tokenizer"]), state["length"], overlap, state.get("threshold", NEVER))


def _answers(source: Source) -> list[tuple[str | None, int]]:
    """Of each row the answer, None where it is not told, and the character where it begins."""
    if not {"answer", "start"} <= set(source.frame.columns):
        return [(None, -1)] * source.rows
    return list(zip(source.frame["answer"].to_list(), source.frame["start"].to_list(), strict=True))


def _ends(asked: Asked, windows: list[tuple[int, int]], answer: str | None, start: int) -> tuple[int, int]:
    """The first and the last token of an answer that stands whole in one of these windows."""
    if not answer:
        return (UNTOLD, UNTOLD) if answer is None else (NOWHERE, NOWHERE)
    begins, ends = asked.characters.T
    touched = np.flatnonzero((ends > start) & (begins < start + len(answer)))
    if not len(touched) or not any(low <= touched[0] and touched[-1] < high for low, high in windows):
        return UNTOLD, UNTOLD
    return int(touched[0]), int(touched[-1])
