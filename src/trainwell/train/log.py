"""Moments of the loop to lines: metrics.jsonl, a bar or a log on the terminal, and checkpoints on the disk."""

import math
import sys
import time
from typing import Any, TextIO

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainwell.runs import RunFolder
from trainwell.tasks.task import Loss
from trainwell.train.checkpoint import save_state, save_weights
from trainwell.train.distributed import plain_weights
from trainwell.train.events import Events
from trainwell.train.state import State


def figure(value: float) -> str:
    """A number in four digits, from a thousand on in full: 0.9831, 48,730."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Recorder:
    """Losses, rates and metrics to metrics.jsonl; the device is read once every `every` steps, never at each."""

    def __init__(self, folder: RunFolder | None, every: int = 50) -> None:
        self.folder, self.every = folder, every
        self.waiting: dict[str, list[Loss]] = {}
        self.last: dict[str, float] = {}

    def attach(self, events: Events) -> "Recorder":
        events.on("start", self.start).on("step", self.step).on("evaluate", self.evaluate).on("close", self.flush)
        return self

    def start(self, state: State) -> None:
        """Drop what was written after the checkpoint that a training resumes from, as it comes again."""
        if self.folder is not None:
            lines = self.folder.read_lines("metrics.jsonl")
            kept = [line for line in lines if line.get("step", 0) <= state.step]
            if len(kept) < len(lines):
                self.folder.write_lines("metrics.jsonl", kept)

    def step(self, state: State, losses: dict[str, Loss]) -> None:
        for player, loss in losses.items():
            self.waiting.setdefault(player, []).append(loss)
        if state.step % self.every == 0:
            self.flush(state)

    def flush(self, state: State) -> None:
        """Read the losses that wait and write their mean as one line."""
        line: dict[str, Any] = {}
        for player, waiting in self.waiting.items():
            count = float(torch.stack([torch.as_tensor(each.count) for each in waiting]).sum())
            name = "loss" if player == "model" else f"loss_{player}"
            line[name] = torch.stack([each.total.float() for each in waiting]).sum().item() / max(count, 1e-12)
            for key in dict.fromkeys(key for each in waiting for key in each.logs):
                line[key] = torch.stack([each.logs[key].float() for each in waiting if key in each.logs]).mean().item()
        self.waiting.clear()
        if line:
            self.last = line
            rate = next(iter(state.optimizers.values())).param_groups[0]["lr"]
            self.write({"event": "step", **self.place(state), **line, "lr": rate})

    def evaluate(self, state: State, metrics: dict[str, float]) -> None:
        self.flush(state)
        self.write({"event": "evaluate", **self.place(state), "part": "val", **metrics})

    def place(self, state: State) -> dict[str, Any]:
        return {"step": state.step, "epoch": state.epoch, "seconds": round(state.seconds, 3)}

    def write(self, line: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.append("metrics.jsonl", line)


class Bar:
    """A progress bar with loss, goal and time left on a terminal; in a file, a line at an evaluation, 5 s apart."""

    def __init__(self, recorder: Recorder, seconds: float | None = None, stream: TextIO | None = None) -> None:
        self.recorder, self.seconds = recorder, seconds
        self.console = Console(file=stream or sys.stderr, highlight=False)
        self.bar: Progress | None = None
        self.spoken = self.drawn = self.began = time.perf_counter()

    def attach(self, events: Events) -> "Bar":
        events.on("start", self.start).on("step", self.step).on("evaluate", self.evaluate).on("close", self.end)
        return self

    def start(self, state: State) -> None:
        self.began = time.perf_counter()
        self.goal = state.task.goal[0].replace("_", " ")
        self.goal = "held-out loss" if self.goal == "loss" else self.goal
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
            self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
            self.bar.start()
            self.line = self.bar.add_task("training", total=1.0)

    def share(self, state: State) -> float:
        """How much is done, by steps or by the clock, whichever ends first."""
        return min(1.0, max(state.progress, state.seconds / self.seconds if self.seconds else 0.0))

    def step(self, state: State, losses: dict[str, Loss]) -> None:
        if self.bar is not None and time.perf_counter() - self.drawn > 0.2:
            self.drawn = time.perf_counter()
            self.bar.update(self.line, completed=self.share(state), description=self.words(state))

    def evaluate(self, state: State, metrics: dict[str, float]) -> None:
        now = time.perf_counter()
        if self.bar is None and now - self.spoken >= 5:
            self.spoken = now
            share = self.share(state)
            left = (now - self.began) * (1 - share) / max(share, 1e-9)
            left = left if self.seconds is None else min(left, self.seconds - state.seconds)
            rest = f"  at most {math.ceil(left)} s left" if share < 1 else ""
            self.console.print(f"{share:4.0%}  {self.words(state)}{rest}", soft_wrap=True)  # a line for each

    def words(self, state: State) -> str:
        loss = next(
            (f"loss {figure(value)}" for key, value in self.recorder.last.items() if key.startswith("loss")), ""
        )
        value = state.metrics.get(state.task.goal[0])
        best = "" if value is None or state.best is None else f"{self.goal} {figure(value)} (best {figure(state.best)})"
        return "  ".join(part for part in (f"epoch {state.epoch + 1}", loss, best) if part)

    def end(self, state: State) -> None:
        if self.bar is not None:
            self.bar.stop()


class Checkpoints:
    """The whole state to the run folder every `seconds` and as a training ends or is interrupted; the weights last."""

    def __init__(self, folder: RunFolder, events: Events, seconds: float = 30.0) -> None:
        self.folder, self.events, self.seconds = folder, events, seconds
        self.saved = time.perf_counter()
        events.on("evaluate", self.evaluate).on("epoch", self.evaluate)
        events.on("close", self.close).on("end", self.end)

    def evaluate(self, state: State, metrics: dict[str, float] | None = None) -> None:
        if time.perf_counter() - self.saved >= self.seconds:
            self.save(state)

    def save(self, state: State) -> None:
        """Write the state now, as on Ctrl-C."""
        path = save_state(self.folder, state)
        self.saved = time.perf_counter()
        self.events.emit("checkpoint", state, path)

    def close(self, state: State) -> None:
        """Save between two batches; after an error the last good state stays."""
        if state.stopped or state.interrupted:
            self.save(state)

    def end(self, state: State) -> None:
        save_weights(self.folder, plain_weights(state.model))
