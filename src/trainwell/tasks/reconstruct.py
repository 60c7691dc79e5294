"""Inputs to themselves through a code: autoencoders plain, denoising or sparse, and variational ones by their bound."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.corrupt import CORRUPTIONS
from trainwell.nn.latent import Reconstruction, Variational, free_nats, kl_to_standard_normal
from trainwell.tasks.distance import ActiveUnits
from trainwell.tasks.draws import as_bytes, inner, row_noise, rows_of, unit
from trainwell.tasks.task import Batch, Loss, Metrics, Task

LIKELIHOODS = ("bernoulli", "gaussian", "laplace")
PIXELS, DAMAGE, CODES = 1, 2, 3  # streams of noise, so that no two uses share their draws


class Reconstruct(Task):
    """Minus the log likelihood of the input given its code, in nats a row, and for a variational model the code's KL.

    shape: of one row, (channels, height, width) or (features,). likelihood: bernoulli (pictures, in [0, 1]), gaussian
    or laplace with this deviation or scale. binarize: each pixel is drawn black or white by its grey, anew each time.
    corruption and amount: damage that the network has to mend. sparsity: nats charged for each unit of |code|.
    beta: weight of the KL (Higgins et al. 2017); free: nats that each unit may use for nothing; warmup: training rows
    over which beta rises from 0 (Sonderby et al. 2016, arXiv:1602.02282). Reported is the plain bound: beta 1, no free
    nats. Raises ValueError for an unknown likelihood or corruption.
    """

    goal = ("loss", "min")
    raw = True

    def __init__(
        self,
        shape: Sequence[int],
        *,
        likelihood: str | None = None,
        deviation: float = 1.0,
        binarize: bool = False,
        corruption: str | None = None,
        amount: float = 0.3,
        sparsity: float = 0.0,
        beta: float = 1.0,
        free: float = 0.0,
        warmup: int = 0,
    ) -> None:
        self.shape = tuple(shape)
        self.likelihood = likelihood or ("bernoulli" if len(self.shape) == 3 else "gaussian")
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"no likelihood {likelihood!r}; choose one of {', '.join(LIKELIHOODS)}")
        if corruption is not None and corruption not in CORRUPTIONS:
            raise ValueError(f"no corruption {corruption!r}; choose one of {', '.join(CORRUPTIONS)}")
        self.deviation, self.binarize, self.corruption, self.amount = deviation, binarize, corruption, amount
        self.sparsity, self.beta, self.free, self.warmup = sparsity, beta, free, warmup

    def noise(self, model: nn.Module, batch: Batch, shape: Sequence[int], stream: int) -> Tensor:
        """Noise that is fresh while training and each row's own otherwise: (batch, *shape)."""
        x = batch["inputs"][0]
        if model.training:
            return torch.randn(len(x), *shape, device=x.device)
        return row_noise(rows_of(batch), shape, stream)

    def clean(self, model: nn.Module, batch: Batch) -> Tensor:
        """The input that is to come back, in the scale of the likelihood: (batch, ...)."""
        x = unit(batch["inputs"][0])
        if not self.binarize:
            return x
        return (torch.special.ndtr(self.noise(model, batch, x.shape[1:], PIXELS)) < x).float()

    def answer(self, model: nn.Module, batch: Batch, x: Tensor) -> Reconstruction | Variational:
        """What the model makes of the input, damaged first if asked for; in evaluation codes are drawn by row."""
        if self.corruption is not None:
            x = CORRUPTIONS[self.corruption](x, self.noise(model, batch, x.shape[1:], DAMAGE), self.amount)
        if model.training or not hasattr(inner(model), "seen"):
            return model(x)
        return model(x, row_noise(rows_of(batch), (int(inner(model).latent),), CODES))

    def nats(self, output: Tensor, x: Tensor) -> Tensor:
        """Minus the log likelihood of each row, summed over its entries. output, x: (batch, ...) -> (batch,)"""
        output, x = output.float().flatten(1), x.flatten(1)
        if self.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(output, x, reduction="none").sum(1)
        error, size = (x - output) / self.deviation, x.shape[1]
        if self.likelihood == "laplace":
            return error.abs().sum(1) + size * math.log(2 * self.deviation)
        return 0.5 * error.square().sum(1) + size * math.log(self.deviation * math.sqrt(2 * math.pi))

    def loss(self, model: nn.Module, batch: Batch, player: str) -> Loss:
        x = self.clean(model, batch)
        answer = self.answer(model, batch, x)
        each = self.nats(answer.output, x)
        total = each.sum()
        if self.sparsity:
            total = total + self.sparsity * answer.code.float().abs().sum()
        if not isinstance(answer, Variational):
            return Loss(total, len(x))
        kl = kl_to_standard_normal(answer.mean, answer.log_variance)
        risen = (answer.seen / self.warmup).clamp_max(1) if self.warmup else torch.ones_like(total)
        total = total + self.beta * risen * free_nats(kl, self.free)
        logs = {"reconstruction": each.mean().detach(), "kl": kl.sum(1).mean().detach(), "beta": self.beta * risen}
        return Loss(total, len(x), logs)

    def predict(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"output": like the input, in [0, 1] for a Bernoulli, "code": (batch, latent), "loss": (batch,) in nats}, and
        for a variational model the loss's parts "reconstruction" and "kl": (batch,).
        """
        x = self.clean(model, batch)
        answer = self.answer(model, batch, x)
        each = self.nats(answer.output, x)
        found = {"output": self.mean(answer.output).view(x.shape), "code": answer.code, "loss": each}
        if isinstance(answer, Variational):
            kl = kl_to_standard_normal(answer.mean, answer.log_variance).sum(1)
            found |= {"code": answer.mean, "loss": each + kl, "reconstruction": each, "kl": kl}
        return found

    def mean(self, output: Tensor) -> Tensor:
        """The expected input under the likelihood: (batch, ...) -> (batch, ...)."""
        return output.float().sigmoid() if self.likelihood == "bernoulli" else output.float()

    def metrics(self) -> Metrics:
        return ActiveUnits()

    def decode(self, model: nn.Module, code: Tensor) -> Tensor:
        """Codes to rows of the data: bytes for pictures, numbers otherwise. code: (batch, latent) -> (batch, *shape)"""
        training = model.training
        model.eval()
        with torch.inference_mode():
            rows = self.mean(inner(model).decode(code)).view(-1, *self.shape)
        model.train(training)
        return as_bytes(rows) if len(self.shape) == 3 else rows

    def sample(self, model: nn.Module, count: int, *, seed: int = 0) -> Tensor:
        """New rows from codes drawn from the standard normal; sample i of a seed is always the same.

        -> (count, *shape), bytes for pictures. Raises InputError for a plain autoencoder.
        """
        if not hasattr(inner(model), "seen"):
            raise InputError("a plain autoencoder has no distribution of codes to draw from; fit a vae to sample")
        device = next(model.parameters()).device
        parts = torch.arange(count, device=device).split(256)
        latent = int(inner(model).latent)
        return torch.cat([self.decode(model, row_noise(rows, (latent,), seed)) for rows in parts])
