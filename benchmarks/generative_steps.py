"""Times one training step of generative networks on 28 x 28 pictures: trainwell's loop against a plain one in float32.

    OMP_NUM_THREADS=1 python benchmarks/generative_steps.py [--rounds 7] [--steps 4] [--only diffusion]

The plain loop is what a tutorial writes: float32, the usual memory format, Adam as torch.optim gives it. The same
networks, batch and losses. Contenders take turns, each round gives one ratio. Times are the processor's own, on one
thread, so that other work on the machine does not count.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.data import Loader
from trainwell.models.diffusion_unet import DiffusionUNet
from trainwell.models.gan import DCGAN
from trainwell.models.vae import ConvVAE
from trainwell.tasks.diffusion import Diffusion
from trainwell.tasks.gan import Adversarial
from trainwell.tasks.reconstruct import Reconstruct
from trainwell.train import Events, State, optimizer_for, train
from trainwell.train.average import Average
from trainwell.train.log import Recorder

SHAPE = (1, 28, 28)


def vae_step(model: Any, optimizers: dict[str, Any], x: Tensor, classes: Tensor) -> None:
    """Bernoulli reconstruction and KL, summed, over the batch."""
    x = x.float() / 255
    answer = model(x)
    error = F.binary_cross_entropy_with_logits(answer.output, x, reduction="sum")
    kl = -0.5 * (1 + answer.log_variance - answer.mean.pow(2) - answer.log_variance.exp()).sum()
    optimizers["model"].zero_grad()
    ((error + kl) / len(x)).backward()
    optimizers["model"].step()


def gan_step(model: Any, optimizers: dict[str, Any], x: Tensor, classes: Tensor) -> None:
    """Discriminator, then generator, non-saturating."""
    x = x.float() / 127.5 - 1
    fake = model.generator(torch.randn(len(x), model.latent))
    loss = F.softplus(-model.discriminator(x)).mean() + F.softplus(model.discriminator(fake.detach())).mean()
    optimizers["discriminator"].zero_grad()
    loss.backward()
    optimizers["discriminator"].step()
    loss = F.softplus(-model.discriminator(model.generator(torch.randn(len(x), model.latent)))).mean()
    optimizers["generator"].zero_grad()
    loss.backward()
    optimizers["generator"].step()


def diffusion_step(model: Any, optimizers: dict[str, Any], x: Tensor, classes: Tensor) -> None:
    """Flow matching: noise minus data from a mixture of both."""
    x = x.float() / 127.5 - 1
    noise, at = torch.randn_like(x), torch.sigmoid(torch.randn(len(x)))
    mixed = (1 - at).view(-1, 1, 1, 1) * x + at.view(-1, 1, 1, 1) * noise
    classes = torch.where(torch.rand(len(x)) < 0.1, -1, classes)
    loss = F.mse_loss(model(mixed, at, classes), noise - x)
    optimizers["model"].zero_grad()
    loss.backward()
    optimizers["model"].step()


Step = Callable[[Any, dict[str, Any], Tensor, Tensor], None]
WORKLOADS: dict[str, tuple[Callable[[], nn.Module], Any, Step, int]] = {
    "VAE": (lambda: ConvVAE(*SHAPE, latent=20), Reconstruct(SHAPE), vae_step, 128),
    "DCGAN": (
        lambda: DCGAN(*SHAPE, latent=64, maps=32, norm="batch"),
        Adversarial(SHAPE, penalty=None),
        gan_step,
        64,
    ),
    "diffusion U-Net": (lambda: DiffusionUNet(*SHAPE, 10, maps=48), Diffusion(SHAPE), diffusion_step, 128),
}


def plain(model: Any, step: Step, players: tuple[str, ...], x: Tensor, y: Tensor, batch: int) -> Callable[[int], float]:
    """The loop of a tutorial: seconds of the processor a step."""
    parts = {name: model if name == "model" else model.get_submodule(name) for name in players}
    optimizers = {name: torch.optim.Adam(part.parameters(), lr=1e-3) for name, part in parts.items()}

    def run(steps: int) -> float:
        model.train()
        began = time.process_time()
        for number in range(steps):
            rows = slice(number * batch, (number + 1) * batch)
            step(model, optimizers, x[rows], y[rows])
        return (time.process_time() - began) / steps

    return run


def ours(model: Any, task: Any, x: Tensor, y: Tensor, batch: int, precision: str) -> Callable[[int], float]:
    """trainwell's loop with its recorder and averaged weights, as `fit` runs it."""
    model = model.to(memory_format=torch.channels_last)
    players = {name: model if name == "model" else model.get_submodule(name) for name in task.players}
    optimizers = {name: optimizer_for(part, name="adam", lr=1e-3) for name, part in players.items()}
    average = Average(model, 0.999)

    def run(steps: int) -> float:
        rows = steps * batch
        loader = Loader({"inputs": (x[:rows],), "target": y[:rows], "row": torch.arange(rows)}, batch_size=batch)
        marks: list[float] = []
        events = Events()
        Recorder(None).attach(events)
        events.on("start", lambda state: marks.append(time.process_time()))
        events.on("close", lambda state: marks.append(time.process_time()))
        state = State(model, task, optimizers, precision=precision, average=average)  # type: ignore[arg-type]
        train(state, loader, None, events, epochs=1)
        return (marks[1] - marks[0]) / steps

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--only", default="", help="the workload whose name holds this")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, (make, task, step, batch) in WORKLOADS.items():
        if options.only not in name:
            continue
        torch.manual_seed(0)
        x = torch.randint(0, 256, (options.steps * batch, *SHAPE), dtype=torch.uint8)
        y = torch.randint(0, 10, (len(x),))
        model = make()
        runs = {
            "plain": plain(copy.deepcopy(model), step, task.players, x, y, batch),
            "trainwell": ours(model, task, x, y, batch, options.precision),
        }
        for run in runs.values():
            run(2)
        times: dict[str, list[float]] = {key: [] for key in runs}
        for number in range(options.rounds):
            for key in list(runs) if number % 2 else list(runs)[::-1]:
                times[key].append(runs[key](options.steps))
        ratios = sorted(a / b for a, b in zip(times["trainwell"], times["plain"], strict=True))
        row: dict[str, Any] = {f"{key}_ms": round(1e3 * statistics.median(each), 1) for key, each in times.items()}
        row |= {
            "ratio": round(statistics.median(ratios), 3),
            "least": round(ratios[0], 3),
            "most": round(ratios[-1], 3),
        }
        print(
            json.dumps({"workload": name, "precision": options.precision, "rounds": options.rounds, **row}), flush=True
        )


if __name__ == "__main__":
    main()
