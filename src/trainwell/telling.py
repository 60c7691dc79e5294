"""Moments of a training to what it wrote at each: the same beginning, or the same texts, answered anew."""

import contextlib
from typing import Any

from trainwell.explain.language import continued
from trainwell.explain.translation import written
from trainwell.runs import RunFolder
from trainwell.tasks import Fill, Language, Translate
from trainwell.tasks.draws import inner
from trainwell.train import Events, State

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the training, from which on an evaluation is told of
LENGTH, TEXTS = 200, 2  # tokens of a sample; held-out texts that are answered


class Telling:
    """What a network that writes wrote at some of its evaluations, a line each in samples.jsonl.

    A training of another kind leaves none. The random numbers of the training stay as they are.
    """

    def __init__(self, folder: RunFolder, transform: Any, held_out: Any, seconds: float | None) -> None:
        self.folder, self.transform, self.held_out, self.seconds = folder, transform, held_out, seconds
        self.taken = 0

    def attach(self, events: Events) -> None:
        events.on("start", self.start).on("step", self.step).on("evaluate", self.evaluate).on("end", self.end)

    def start(self, state: State) -> None:
        """Drop what was told after the checkpoint that a training resumes from, as it comes again."""
        self.writes = isinstance(state.task, Language) and not isinstance(state.task, Fill)
        self.writes = self.writes and hasattr(inner(state.model), "begin")
        lines = self.folder.read_lines("samples.jsonl") if self.writes else []
        kept = [line for line in lines if line.get("step", 0) <= state.step and not line.get("last")]
        if len(kept) < len(lines):
            self.folder.write_lines("samples.jsonl", kept)

    def evaluate(self, state: State, metrics: dict[str, float]) -> None:
        """A sample where another share of the training is done, beside what was measured."""
        if not self.is_due(state):
            return
        goal = state.task.goal[0]
        with state.average.swapped() if state.average else contextlib.nullcontext():
            self.tell(state, {"goal": goal, "value": metrics.get(goal)})

    def step(self, state: State, losses: dict[str, Any]) -> None:
        """A sample before the first evaluation, which a short training may have at its end only."""
        if state.best is None and self.is_due(state):
            loss = losses["model"]
            self.tell(state, {"goal": "training loss", "value": float(loss.total) / max(1.0, float(loss.count))})

    def is_due(self, state: State) -> bool:
        """Whether another share of the training is done, which is taken note of."""
        share = max(state.progress, state.seconds / self.seconds if self.seconds else 0.0)
        if not self.writes or self.taken >= len(SHARES) or share < SHARES[self.taken]:
            return False
        while self.taken < len(SHARES) and SHARES[self.taken] <= share:
            self.taken += 1
        return True

    def end(self, state: State) -> None:
        """The last sample, of the weights that were kept."""
        if self.writes:
            self.tell(state, {"goal": state.task.goal[0], "value": state.best, "last": True})

    def tell(self, state: State, facts: dict[str, Any]) -> None:
        """Write and keep one sample."""
        model: Any = inner(state.model)
        if isinstance(state.task, Translate):
            if not hasattr(self.held_out, "tensors"):
                return
            rows = self.held_out.tensors["inputs"][0][slice(0, TEXTS)]
            texts = [self.transform.decode(row.tolist()) for row in rows]
            answers = written(model, state.task, self.transform, texts)
            text = "\n".join(f"{read}\n  → {answer}" for read, answer in zip(texts, answers, strict=True))
        else:
            text = "".join(continued(model, self.transform, length=LENGTH))
        self.folder.append("samples.jsonl", {"step": state.step, **facts, "text": text})
