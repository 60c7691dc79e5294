"""A variational autoencoder of written characters, with convolutions on both sides."""

from functools import cache

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Run
from benchmarks.doctor.harness.codes import Outputs, bound, by_logarithm, divergence
from benchmarks.doctor.loops.reading import characters
from torch import Tensor, nn
from torch.nn import functional as F


class Strokes(nn.Module):
    """Pictures (rows, 784) to scores of pixels, means and log-variances."""

    def __init__(self, code: int = 16, deep: int = 0) -> None:
        super().__init__()
        sigmoids = [layer for _ in range(deep) for layer in (nn.Linear(128, 128), nn.Sigmoid())]
        self.encoder = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), *sigmoids, nn.Linear(128, 2 * code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, 784), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)), nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Flatten(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Outputs:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance) if self.training else mean
        return self.decoder(code), mean, log_variance


@cache
def drawn() -> Tensor:
    x = torch.tensor(characters()[0]).flatten(1).clamp(0, 1)
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


def shown(outputs: Outputs, x: Tensor) -> float:
    """Share of the mean picture's nats that the code saves, which is not charged itself."""
    mean = x.float().mean(0).clamp(1e-4, 1 - 1e-4)
    base = F.binary_cross_entropy(mean.expand_as(x), x.float())
    return float(1 - F.binary_cross_entropy_with_logits(outputs[0].float(), x.float()) / base)


def strokes() -> Case:
    x = drawn()
    return Case(lambda _: Strokes(), (x[:2300], x[:2300]), (x[2300:], x[2300:]), bound, shown, "shown", rate=3e-3,
                steps=400, batch=32, numbers=lambda outputs: {"kl": float(divergence(outputs).detach())})  # fmt: skip


def by_pixel(outputs: Outputs, x: Tensor) -> Tensor:
    """The mean over pixels beside the sum over the code."""
    return F.binary_cross_entropy_with_logits(outputs[0], x) + divergence(outputs)


def rising(case: Case) -> None:
    """The divergence counts more and more over the first steps."""
    reached = [0]

    def count(run: Run) -> None:
        reached[0] = run.step

    case.after.append(count)
    case.loss = lambda outputs, x: bound(outputs, x, min(1.0, 0.1 + reached[0] / 60))


FAULTS: dict[str, dict[str, Change]] = {
    "strokes": {
        "mean over pixels, sum over the code": of.put(loss=by_pixel),
        "logarithm by hand": of.put(loss=by_logarithm),
        # Healthy, and only awkward.
        "a divergence that counts more and more": rising,
    },
}
