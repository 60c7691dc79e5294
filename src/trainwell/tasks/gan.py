"""Rows and noise to two losses: a discriminator learns to tell real from generated, a generator to pass for real."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainwell.tasks.distance import SlicedDistance
from trainwell.tasks.draws import as_bytes, asked_classes, row_noise, rows_of, signed
from trainwell.tasks.task import Batch, Loss, Metrics, Task


class Game(NamedTuple):
    """Both players' losses from the discriminator's scores of real and generated rows, (batch,) -> (batch,).

    paired: the generator's loss reads the score of the real row too
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False


def tell_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Minus the log probability of the right verdicts on a real and a generated row. (batch,) both -> (batch,)"""
    return F.softplus(-real) + F.softplus(fake)


GAMES = {
    # Goodfellow et al. 2014, arXiv:1406.2661, with the generator's loss that does not fade when it is losing
    "non_saturating": Game(tell_apart, lambda real, fake: F.softplus(-fake)),
    # the same game as its authors first wrote it: the generator's gradient fades when it is losing
    "minimax": Game(tell_apart, lambda real, fake: -F.softplus(fake)),
    # Lim & Ye 2017, arXiv:1705.02894
    "hinge": Game(lambda real, fake: F.relu(1 - real) + F.relu(1 + fake), lambda real, fake: -fake),
    # Arjovsky et al. 2017, arXiv:1701.07875; wants a penalty of kind "gradient"
    "wasserstein": Game(lambda real, fake: fake - real, lambda real, fake: -fake),
    # Mao et al. 2016, arXiv:1611.04076
    "least_squares": Game(
        lambda real, fake: (real - 1).square() + fake.square(), lambda real, fake: (fake - 1).square()
    ),
    # Jolicoeur-Martineau 2018, arXiv:1807.00734; with both penalties it converges: Huang et al. 2025, arXiv:2501.05441
    "relativistic": Game(lambda real, fake: F.softplus(fake - real), lambda real, fake: F.softplus(real - fake), True),
}

Judge = Callable[[Tensor], Tensor]  # rows -> the discriminator's scores


def slope(judge: Judge, x: Tensor) -> Tensor:
    """The squared length of the score's gradient at each row. x: (batch, ...) -> (batch,)"""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def real_slope(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """R1: half the squared slope at real rows. Mescheder et al. 2018, arXiv:1801.04406. -> (batch,)"""
    return slope(judge, real) / 2


def both_slopes(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """R1 and R2: half the squared slopes at real and generated rows. Huang et al. 2025, 2501.05441. -> (batch,)"""
    return (slope(judge, real) + slope(judge, fake)) / 2


def unit_slope(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """How far slopes between real and generated rows are from 1, squared. Gulrajani et al. 2017. -> (batch,)"""
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    return ((slope(judge, torch.lerp(real, fake, share)) + 1e-12).sqrt() - 1).square()


PENALTIES = {"r1": real_slope, "r1_r2": both_slopes, "gradient": unit_slope}


class Adversarial(Task):
    """Two players in turn on each batch: the discriminator, then, every `critic_steps` batches, the generator.

    shape: of one row, (channels, height, width) or (features,). game: a name of GAMES; penalty: a name of PENALTIES or
    None, times `weight`. blur: deviation of noise that the discriminator sees on real and generated rows alike at
    first, so that the players settle the coarse before the fine and pass over fewer heaps of data (Sonderby et al.
    2016, arXiv:1610.04490). Over `blurred` batches it falls with the square of what is left of them or, where
    `faintest` is given, by the same share at each batch down to that deviation, which leaves longer for how many rows
    lie where while heaps part. firm times the square of the noise is added to the penalty's weight: too weak a penalty
    lets the players chase each other around heaps. The model has `generator(noise, classes)`,
    `discriminator(x, classes)`, `latent`, `classes`, and a buffer `turns` if the critic takes several steps or the rows
    are blurred. Raises ValueError for an unknown game or penalty and for a `faintest` that is no part of `blur`.
    """

    players = ("discriminator", "generator")
    goal = ("distance", "min")
    raw = True

    def __init__(
        self,
        shape: Sequence[int],
        *,
        game: str = "non_saturating",
        penalty: str | None = "r1",
        weight: float = 1.0,
        critic_steps: int = 1,
        blur: float = 0.0,
        blurred: int = 1000,
        faintest: float = 0.0,
        firm: float = 0.0,
    ) -> None:
        if game not in GAMES:
            raise ValueError(f"no game {game!r}; choose one of {', '.join(GAMES)}")
        if penalty is not None and penalty not in PENALTIES:
            raise ValueError(f"no penalty {penalty!r}; choose one of {', '.join(PENALTIES)}")
        if faintest and not 0 < faintest <= blur:
            raise ValueError(f"faintest {faintest}: expected more than 0 and at most the blur of {blur}, or 0 for none")
        self.shape, self.game, self.critic_steps = tuple(shape), GAMES[game], critic_steps
        self.blur, self.blurred, self.faintest, self.firm = blur, max(1, blurred), faintest, firm
        self.penalty, self.weight = PENALTIES[penalty] if penalty and weight else None, weight

    def batches(self, model: Any, batch: Batch) -> Iterator[Batch]:
        """The batch with its number, kept in the model so that the turns go on where a training stopped."""
        if self.critic_steps > 1 or self.blur:
            model.turns += 1
            batch = {**batch, "turn": int(model.turns)}
        yield batch

    def classes(self, model: Any, batch: Batch) -> Tensor | None:
        """The classes that a conditional model is told, (batch,) long."""
        return batch["target"] if model.classes else None

    def haze(self, batch: Batch) -> float:
        """The deviation of the noise on this batch, which falls as the training goes on."""
        left = max(0.0, 1 - batch.get("turn", self.blurred) / self.blurred)
        if self.faintest and left:
            return self.blur * (self.faintest / self.blur) ** (1 - left)
        return self.blur * left**2

    def hazy(self, x: Tensor, batch: Batch) -> Tensor:
        """The rows as the discriminator sees them, under as much noise as is left. x: (batch, ...) -> the same"""
        haze = self.haze(batch)
        return x + haze * torch.randn_like(x) if haze else x

    def loss(self, model: Any, batch: Batch, player: str) -> Loss:
        if player == "generator":
            return self.generator_loss(model, batch)
        real, classes = self.hazy(signed(batch["inputs"][0]), batch), self.classes(model, batch)
        with torch.no_grad():
            fake = self.hazy(model.generator(self.noise(model, batch), classes).to(real.dtype), batch)

        def judge(x: Tensor) -> Tensor:
            return model.discriminator(x, classes).float()

        real_score, fake_score = judge(real), judge(fake)
        each = self.game.discriminator(real_score, fake_score)
        if self.penalty is not None:
            with torch.autocast(real.device.type, enabled=False):  # a slope of a slope loses too much in bfloat16
                weight = self.weight + self.firm * self.haze(batch) ** 2
                each = each + weight * self.penalty(judge, real, fake)
        # Of pairs, as a Wasserstein or relativistic score has no zero: 0.5 is guessing, 1 is a discriminator that wins.
        right = (real_score > fake_score).float().mean()
        logs = {"real_score": real_score.mean(), "fake_score": fake_score.mean(), "discriminator_accuracy": right}
        return Loss(each.sum(), len(real), {name: value.detach() for name, value in logs.items()})

    def generator_loss(self, model: Any, batch: Batch) -> Loss:
        """The generator's; on a batch that is the critic's alone nothing, over nothing, so that no weight moves."""
        if batch.get("turn", 0) % self.critic_steps:
            return Loss(torch.zeros((), requires_grad=True), 0)
        classes = self.classes(model, batch)
        made = self.hazy(model.generator(self.noise(model, batch), classes), batch)
        fake_score = model.discriminator(made, classes).float()
        real_score = fake_score
        if self.game.paired:
            real_score = model.discriminator(self.hazy(signed(batch["inputs"][0]), batch), classes).float()
        return Loss(self.game.generator(real_score, fake_score).sum(), len(fake_score))

    def noise(self, model: Any, batch: Batch) -> Tensor:
        """What the generator starts from, fresh while training and each row's own otherwise: (batch, latent)."""
        x = batch["inputs"][0]
        if model.training:
            return torch.randn(len(x), model.latent, device=x.device)
        return row_noise(rows_of(batch), (model.latent,))

    def predict(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """{"sample": one generated row for each real one, of its class, in [-1, 1] for pictures}."""
        noise = row_noise(rows_of(batch), (model.latent,))
        return {"sample": model.generator(noise, self.classes(model, batch)).float()}

    def metrics(self) -> Metrics:
        return SlicedDistance()

    def decode(self, model: Any, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Noise to rows of the data, bytes for pictures: (batch, latent) -> (batch, *shape)."""
        training = model.training
        model.eval()
        with torch.inference_mode():
            rows = model.generator(noise, classes).view(-1, *self.shape).float()
        model.train(training)
        return as_bytes((rows + 1) / 2) if len(self.shape) == 3 else rows

    def sample(self, model: Any, count: int, *, classes: int | Sequence[int] | None = None, seed: int = 0) -> Tensor:
        """New rows, of these classes or all in turn; sample i of a seed is always the same.

        -> (count, *shape), bytes for pictures. Raises InputError for a class that was not trained.
        """
        device = next(model.parameters()).device
        asked = asked_classes(model, count, classes)
        samples = []
        for rows in torch.arange(count, device=device).split(256):
            noise = row_noise(rows, (model.latent,), seed)
            samples.append(self.decode(model, noise, None if asked is None else asked.to(device)[rows]))
        return torch.cat(samples)
