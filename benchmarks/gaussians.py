"""Eight Gaussians on a ring and 25 on a grid: are all found, and how many samples lie within three deviations?

    OMP_NUM_THREADS=1 python benchmarks/gaussians.py [--networks diffusion gan] [--seeds 0 1 2 3 4]

Ring: radius 2, deviation 0.02 (Gulrajani et al. 2017). Grid: 2 apart, deviation 0.05 (Srivastava et al. 2017). A mode
counts as found if a fifth of its share of 10,000 samples lies within three deviations of it; the best possible share is
0.989. The last column is the time that the processor worked, on one thread.
"""

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from trainwell.models.diffusion_mlp import DiffusionMLP
from trainwell.models.gan import GAN
from trainwell.tasks.diffusion import Diffusion
from trainwell.tasks.gan import Adversarial
from trainwell.train import SCHEDULES, State, optimizer_for, train
from trainwell.train.average import Average

SAMPLES = 10_000


def ring() -> tuple[Tensor, float]:
    """Eight centers and their deviation."""
    angle = torch.arange(8) * math.pi / 4
    return 2 * torch.stack([angle.cos(), angle.sin()], 1), 0.02


def square() -> tuple[Tensor, float]:
    """25 centers and their deviation."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return torch.cartesian_prod(line, line), 0.05


SETS = {"8 on a ring": ring, "25 on a grid": square}


class Endless:
    """Fresh points at every step, scaled to deviation 1, as the loop takes them."""

    def __init__(self, centers: Tensor, deviation: float, batch: int, steps: int) -> None:
        self.centers, self.deviation, self.batch, self.steps = centers, deviation, batch, steps
        self.scale = (centers.square().mean() + deviation**2).sqrt()

    def __len__(self) -> int:
        return self.steps

    def set_epoch(self, number: int) -> None:
        """Every pass is new."""

    def iterate(self, start: int) -> Iterator[dict[str, Any]]:
        for _ in range(start, self.steps):
            chosen = torch.randint(len(self.centers), (self.batch,))
            points = self.centers[chosen] + self.deviation * torch.randn(self.batch, 2)
            yield {"inputs": (points / self.scale,), "target": chosen}


def learn(network: str, points: Endless, seed: int) -> Tensor:
    """Samples of a network trained on the points, in their unit: (SAMPLES, 2)."""
    torch.manual_seed(seed)
    if network == "diffusion":
        model: Any = DiffusionMLP(2, width=96, depth=2)
        task: Any = Diffusion((2,), path={"name": "flow", "center": -1.0, "deviation": 1.5})
        optimizers = {"model": optimizer_for(model, lr=2e-3, betas=(0.9, 0.99))}
        schedule: Any = SCHEDULES["cosine"]()
        wish: dict[str, Any] = {"steps": 20, "sampler": "heun"}
    else:
        model = GAN(2, latent=10, bits=8, widths=(128, 128, 128), waves=(0.25, 0.5, 1.0, 2.0, 4.0))
        # The heaps are so narrow that the usual penalty on slopes would in the end keep the discriminator from telling
        # them from what lies beside them; under blur a weak one lets the players chase each other over the heaps.
        task = Adversarial(
            (2,),
            game="relativistic",
            penalty="r1_r2",
            weight=0.0005,
            blur=0.4,
            faintest=0.02,
            blurred=round(0.7 * points.steps),
            firm=4.0,
        )
        # The discriminator learns faster (Heusel et al. 2017), so that it sees how many samples lie where. Squares of
        # gradients are remembered for ten steps: over a hundred, a large gradient after small ones moved all samples.
        optimizers = {
            player: optimizer_for(model.get_submodule(player), name="adam", lr=rate, betas=(0.0, 0.9))
            for player, rate in (("discriminator", 2e-3), ("generator", 5e-4))
        }
        schedule, wish = SCHEDULES["trapezoid"](decay=0.4), {}
    state = State(model, task, optimizers, schedule, precision="float32", average=Average(model, 0.995))
    train(state, points, epochs=1)
    return task.sample(model, SAMPLES, seed=seed, **wish) * points.scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["diffusion"], choices=["diffusion", "gan"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| points | network | seed | modes found | within three deviations | rarest mode, of its share | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for network in options.networks:
        for name in options.sets:
            centers, deviation = SETS[name]()
            for seed in options.seeds:
                began = time.process_time()
                samples = learn(network, Endless(centers, deviation, options.batch, options.steps), seed)
                seconds = time.process_time() - began
                distance, nearest = torch.cdist(samples, centers).min(1)
                good = distance < 3 * deviation
                counts = torch.bincount(nearest[good], minlength=len(centers)) * len(centers) / SAMPLES
                found = int((counts > 0.2).sum())
                print(
                    f"| {name} | {network} | {seed} | {found} of {len(centers)} | {good.float().mean():.3f} "
                    f"| {counts.min():.2f} | {seconds:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
