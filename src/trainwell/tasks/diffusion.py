"""Rows and noise to a network that tells them apart, and noise to new rows: DDPM, DDIM and flow matching."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.errors import InputError
from trainwell.nn.diffusion import PATHS, Path, mix, separate, shares, taught
from trainwell.nn.sampler import SAMPLERS, Separate, ddim, guided, heun, last
from trainwell.nn.time import NONE
from trainwell.tasks.distance import Averages
from trainwell.tasks.draws import as_bytes, asked_classes, even_times, inner, row_noise, rows_of, signed, unit
from trainwell.tasks.task import Batch, Loss, Metrics, Task


class Diffusion(Task):
    """The mean squared error of what the network says about a row mixed with noise, at a random time on a path.

    shape: of one row, (channels, height, width) or (features,). path: a name of PATHS, one with arguments such as
    {"name": "flow", "center": -1.0}, or a path; prediction: velocity, noise or data. drop: the share of rows whose
    class is hidden, so that guidance works. clip: data is kept within [-1, 1] while sampling; None does so for pictures
    alone. The model maps (x, time, classes) to the shape of x and has `classes`; one with `to_latent` and `from_latent`
    is trained on what the first gives.
    Raises ValueError for an unknown path or prediction, or noise prediction on a path that ends in noise alone.
    """

    goal = ("loss", "min")
    raw = True

    def __init__(
        self,
        shape: Sequence[int],
        *,
        path: str | dict[str, Any] | Path = "flow",
        prediction: str = "velocity",
        drop: float = 0.1,
        clip: bool | None = None,
    ) -> None:
        if isinstance(path, str | dict):
            arguments = {"name": path} if isinstance(path, str) else dict(path)
            name = arguments.pop("name", "flow")
            if name not in PATHS:
                raise ValueError(f"no path {name!r}; choose one of {', '.join(PATHS)}")
            self.path: Path = PATHS[name](**arguments)
        else:
            self.path = path
        self.shape, self.prediction, self.drop, self.clip = tuple(shape), prediction, drop, clip
        one = torch.ones(1)
        of_data, of_noise = shares(self.path, prediction, one)
        if (self.path.signal(one) * of_noise - self.path.spread(one) * of_data).abs() < 1e-4:
            raise ValueError(f"prediction {prediction!r} says nothing about data at the end of this path; use velocity")

    def data(self, model: Any, batch: Batch) -> Tensor:
        """The rows in the network's scale, or their codes for a model that works on codes: (batch, ...)."""
        x, network = batch["inputs"][0], inner(model)
        if hasattr(network, "to_latent"):
            with torch.no_grad():
                return network.to_latent(unit(x))
        return signed(x)

    def classes(self, model: Any, batch: Batch) -> Tensor | None:
        """The rows' classes, some of them hidden while training; None where there are none. (batch,) long"""
        if not inner(model).classes or "target" not in batch:
            return None
        target = batch["target"]
        if not (model.training and self.drop):
            return target
        return torch.where(torch.rand(len(target), device=target.device) < self.drop, NONE, target)

    def errors(self, model: Any, batch: Batch) -> Tensor:
        """The squared error of each row, averaged over its entries, at a time and noise that are the row's own in
        evaluation: (batch,).
        """
        data = self.data(model, batch)
        if model.training:
            noise, uniform = torch.randn_like(data), torch.rand(len(data), device=data.device)
        else:
            rows = rows_of(batch)
            noise, uniform = row_noise(rows, data.shape[1:]), even_times(rows)
        time = self.path.times(uniform)
        answer = model(mix(self.path, data, noise, time), time, self.classes(model, batch))
        return (answer.float() - taught(self.path, self.prediction, data, noise, time)).square().flatten(1).mean(1)

    def loss(self, model: Any, batch: Batch, player: str) -> Loss:
        each = self.errors(model, batch)
        return Loss(each.sum(), len(each))

    def predict(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """{"loss": (batch,)}, at times spread evenly over the rows."""
        return {"loss": self.errors(model, batch)}

    def metrics(self) -> Metrics:
        return Averages()

    def separator(self, model: Any, classes: Tensor | None, guidance: float) -> Separate:
        """The network as a sampler asks it: a mixture and the time of each row -> data and noise."""
        clip = len(self.shape) == 3 and not hasattr(model, "to_latent") if self.clip is None else self.clip

        def call(mixed: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
            if classes is None or guidance == 1:
                answer = model(mixed, time, classes).float()
            else:
                both = torch.cat([classes, torch.full_like(classes, NONE)])
                told, untold = model(torch.cat([mixed, mixed]), torch.cat([time, time]), both).float().chunk(2)
                answer = guided(told, untold, guidance)
            data, noise = separate(self.path, self.prediction, mixed, answer, time)
            if clip:
                data = data.clamp(-1, 1)
                wide = [-1, *[1] * (mixed.dim() - 1)]
                noise = (mixed - self.path.signal(time).view(wide) * data) / self.path.spread(time).view(wide)
            return data, noise

        return call

    def film(
        self,
        model: Any,
        rows: Tensor,
        *,
        classes: Tensor | None = None,
        steps: int = 50,
        guidance: float = 1.0,
        seed: int = 0,
        eta: float = 0.0,
        sampler: str = "ddim",
    ) -> Iterator[Tensor]:
        """Samples of these numbers coming out of the noise: steps + 1 times (batch, ...), in the network's scale."""
        if steps < 1:
            raise InputError(f"steps {steps}: sampling takes at least one step; 20 to 50 are usual")
        if guidance != 1 and classes is None:
            raise InputError(f"guidance {guidance:g}: this model knows no classes, so nothing guides it; leave it out")
        if sampler not in SAMPLERS or (sampler == "heun" and eta):
            raise InputError(f"no sampler {sampler!r} with eta {eta:g}; choose ddim, or heun with eta 0")
        shape = getattr(model, "code_shape", self.shape)
        start = row_noise(rows, shape, seed * 10_007)
        call = self.separator(model, classes, guidance)
        if sampler == "heun":
            return heun(call, start, self.path, steps)
        return ddim(
            call, start, self.path, steps, eta=eta, fresh=lambda step: row_noise(rows, shape, seed * 10_007 + 1 + step)
        )

    def sample(
        self,
        model: Any,
        count: int,
        *,
        classes: int | Sequence[int] | None = None,
        steps: int = 50,
        guidance: float = 1.0,
        seed: int = 0,
        eta: float = 0.0,
        sampler: str = "ddim",
    ) -> Tensor:
        """New rows, of these classes or all in turn; sample i of a seed is always the same, whatever the count.

        eta: 0 adds no noise on the way (DDIM; Euler's method on straight lines), 1 is DDPM's chain. -> (count, *shape),
        bytes for pictures. Raises InputError for steps below 1, classes not trained, or guidance without classes.
        """
        training, device = model.training, next(model.parameters()).device
        asked = asked_classes(model, count, classes)
        model.eval()
        samples = []
        with torch.inference_mode():
            for rows in torch.arange(count, device=device).split(256):
                told = None if asked is None else asked.to(device)[rows]
                film = self.film(
                    model, rows, classes=told, steps=steps, guidance=guidance, seed=seed, eta=eta, sampler=sampler
                )
                samples.append(self.rows(model, last(film)))
        model.train(training)
        return torch.cat(samples)

    def rows(self, model: Any, x: Tensor) -> Tensor:
        """What the network works on to rows of the data: bytes for pictures, numbers otherwise."""
        if hasattr(model, "from_latent"):
            x = model.from_latent(x) * 2 - 1 if len(self.shape) == 3 else model.from_latent(x)
        return as_bytes((x + 1) / 2) if len(self.shape) == 3 else x.view(-1, *self.shape)
