"""Moments of a training to a strip of the same draws: how they got better, one seed throughout."""

import contextlib
from typing import Any

import torch
from torch import Tensor

from trainwell.explain.drawing import rebuilt
from trainwell.explain.gallery import sheet
from trainwell.runs import RunFolder
from trainwell.tasks import Diffusion, Reconstruct
from trainwell.tasks.draws import inner
from trainwell.train import Events, State

SHARES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the training, after which a frame is taken
SHOWN = 10


class Film:
    """Pictures of one seed at eight moments of a training that draws or rebuilds, a line each in film.jsonl.

    A training of another kind, or of tables, leaves none. The random numbers of the training stay as they are.
    """

    def __init__(self, folder: RunFolder, held_out: Any, seconds: float | None) -> None:
        self.folder, self.held_out, self.seconds = folder, held_out, seconds
        self.taken = 0

    def attach(self, events: Events) -> None:
        events.on("start", self.start).on("step", self.step).on("end", self.end)

    def start(self, state: State) -> None:
        """The first frame, unless the training goes on from an earlier sitting."""
        self.filmed = state.task.raw and len(getattr(state.task, "shape", ())) == 3
        while self.taken < len(SHARES) and SHARES[self.taken] < self.share(state):
            self.taken += 1
        self.step(state)

    def step(self, state: State, losses: Any = None) -> None:
        """A frame where another share of the training is done."""
        if self.filmed and self.taken < len(SHARES) - 1 and self.share(state) >= SHARES[self.taken]:
            with state.average.swapped() if state.average and state.step else contextlib.nullcontext():
                self.take(state)
            while self.taken < len(SHARES) - 1 and SHARES[self.taken] <= self.share(state):
                self.taken += 1

    def end(self, state: State) -> None:
        """The last frame, of the weights that were kept."""
        if self.filmed:
            self.take(state)

    def share(self, state: State) -> float:
        """How much is done, by steps or by the clock, whichever ends first."""
        return max(state.progress, state.seconds / self.seconds if self.seconds else 0.0)

    def take(self, state: State) -> None:
        """Draw and write one frame."""
        with state.autocast():
            pictures = self.pictures(state)
        line = {"step": state.step, "seconds": round(state.seconds, 2), "picture": sheet(pictures.cpu(), SHOWN)}
        self.folder.append("film.jsonl", line)

    def pictures(self, state: State) -> Tensor:
        """Draws of seed 0; of an autoencoder that cannot draw, held-out pictures as they come back."""
        task: Any = state.task
        model: Any = inner(state.model)
        if isinstance(task, Reconstruct) and not hasattr(model, "seen"):
            if not hasattr(self.held_out, "tensors"):  # none, or pictures that memory does not hold
                return torch.zeros(SHOWN, *task.shape, dtype=torch.uint8)
            x = self.held_out.tensors["inputs"][0][:SHOWN]
            training = model.training
            pictures = rebuilt(task, model.eval(), x)
            model.train(training)
            return pictures
        return task.sample(model, SHOWN, seed=0, **({"steps": 20} if isinstance(task, Diffusion) else {}))
