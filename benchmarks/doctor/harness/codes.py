"""A variational autoencoder of numerals."""

from collections.abc import Callable
from functools import cache, partial

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change
from benchmarks.doctor.loops.reading import parquet
from torch import Tensor, nn
from torch.nn import functional as F

Outputs = tuple[Tensor, Tensor, Tensor]


class Coder(nn.Module):
    """Pictures (rows, 784) to scores of pixels, means and log-variances."""

    def __init__(self, width: int = 200, code: int = 16, sigmoids: int = 0) -> None:
        super().__init__()
        deep = [layer for _ in range(sigmoids) for layer in (nn.Linear(width, width), nn.Sigmoid())]
        self.encoder = nn.Sequential(nn.Linear(784, width), nn.ReLU(), *deep)
        self.code = nn.Linear(width, 2 * code)
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 784))

    def forward(self, x: Tensor) -> Outputs:
        mean, log_variance = self.code(self.encoder(x)).chunk(2, -1)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance) if self.training else mean
        return self.decoder(code), mean, log_variance


def divergence(outputs: Outputs) -> Tensor:
    """In nats, the mean over rows."""
    _, mean, log_variance = outputs
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1).mean()


def bound(outputs: Outputs, x: Tensor, weight: float = 1.0) -> Tensor:
    """Reconstruction and divergence, in nats a picture."""
    pixels = F.binary_cross_entropy_with_logits(outputs[0], x, reduction="none")
    return pixels.sum(-1).mean() + weight * divergence(outputs)


def averaged(outputs: Outputs, x: Tensor) -> Tensor:
    """The mean over pixels beside the sum over the code."""
    return F.binary_cross_entropy_with_logits(outputs[0], x) + divergence(outputs)


def by_logarithm(outputs: Outputs, x: Tensor) -> Tensor:
    """Cross-entropy by hand, of shares that may be nought or one."""
    shares = torch.sigmoid(20 * outputs[0])
    return -(x * shares.log() + (1 - x) * (1 - shares).log()).sum(-1).mean() + divergence(outputs)


def saved(outputs: Outputs, x: Tensor) -> float:
    """Share of the mean picture's nats that the bound saves."""
    outputs = (outputs[0].float(), outputs[1].float(), outputs[2].float())
    mean = x.float().mean(0).clamp(1e-4, 1 - 1e-4)
    base = F.binary_cross_entropy(mean.expand_as(x), x.float(), reduction="none").sum(-1).mean()
    return float(1 - bound(outputs, x.float()) / base)


@cache
def pictures() -> Tensor:
    return torch.tensor(parquet("mnist", "train", 8000)[0], dtype=torch.float32).flatten(1) / 255


def ink() -> Case:
    x = pictures()
    return Case(lambda _: Coder(), (x[:7000], x[:7000]), (x[7000:], x[7000:]), bound, saved, "saved", rate=2e-3,
                steps=400, numbers=lambda outputs: {"kl": float(divergence(outputs).detach())})  # fmt: skip


def heavier(weight: float) -> Callable[..., Tensor]:
    return partial(bound, weight=weight)


FAULTS: dict[str, dict[str, Change]] = {
    "ink": {
        "divergence times a hundred": of.put(loss=heavier(100.0)),
        "mean over pixels, sum over the code": of.put(loss=averaged),
        "logarithm by hand": of.put(loss=by_logarithm),
        "six sigmoid layers": of.put(build=lambda _: Coder(sigmoids=6)),
        "scores kept with their graphs": of.then(of.keep),
        "float16 weights": of.half,
        # Healthy, and only awkward.
        "warm-up": of.put(schedule=of.warm(80)),
    },
}
