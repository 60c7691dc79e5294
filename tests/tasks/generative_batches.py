"""What the tests of generative tasks share: small batches, a loader, and a short training by the one loop."""

import torch

from trainwell.train import SCHEDULES, State, optimizer_for, train


def batch_of(x, **more):
    """A batch as a loader gives it, rows numbered from 100."""
    return {"inputs": (x,), "row": torch.arange(100, 100 + len(x)), **more}


def single_rows(batch):
    """The same batch as batches of one row."""
    rows = len(batch["inputs"][0])
    for row in range(rows):
        part = {name: value[row : row + 1] for name, value in batch.items() if name != "inputs"}
        yield {"inputs": tuple(each[row : row + 1] for each in batch["inputs"]), **part}


def same_by_row(task, model, batch):
    """Whether predictions and the loss of a batch are those of its rows one by one, in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        together = task.predict(model, batch)
        for row, single in enumerate(single_rows(batch)):
            for name, value in task.predict(model, single).items():
                torch.testing.assert_close(value[0], together[name][row], atol=1e-5, rtol=1e-5)
    for player in task.players:
        total = task.loss(model, batch, player).total
        parts = sum(task.loss(model, single, player).total for single in single_rows(batch))
        torch.testing.assert_close(total, parts, atol=1e-3, rtol=1e-4)


class Loader:
    """The rows in order, in batches of one size, as the loop takes them."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def set_epoch(self, number):
        """The order stays."""

    def iterate(self, start):
        return iter(self.batches[start:])

    def __iter__(self):
        return iter(self.batches)


def trained(task, model, batches, *, epochs, lr=1e-3, betas=(0.9, 0.99), schedule="cosine", **arguments):
    """The model after so many epochs over the batches."""
    optimizers = {
        player: optimizer_for(model if player == "model" else model.get_submodule(player), lr=lr, betas=betas)
        for player in task.players
    }
    state = State(model, task, optimizers, schedule=SCHEDULES[schedule](), precision="float32")
    return train(state, Loader(batches), epochs=epochs, **arguments)
