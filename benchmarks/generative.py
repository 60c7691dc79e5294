"""Generative networks on MNIST: bounds of a VAE, and scores of GANs and diffusion by a classifier.

    trainwell fit ../shared/data/mnist --out runs/mnist-classifier
    python benchmarks/generative.py vae --minutes 20
    python benchmarks/generative.py dcgan --conditional --minutes 30 --classifier runs/mnist-classifier
    python benchmarks/generative.py wgan-gp --conditional --minutes 30 --classifier runs/mnist-classifier
    python benchmarks/generative.py diffusion --minutes 60 --classifier runs/mnist-classifier [--network dit]

Distances are between --samples generated and as many test pictures; beside them stands the distance between the test
pictures and as many training pictures, the least that can be hoped for. Pictures of the samples, and the
weights, go to --out. `--rows` shortens everything for a trial. Runs of `trainwell fit` are judged by
`trainwell evaluate RUN SOURCE --judge CLASSIFIER`.
"""

import argparse
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import trainwell as tw
from trainwell.data import Loader
from trainwell.explain.generation import classifier_features, copies, importance_bound, scores
from trainwell.explain.picture_grid import save_animation, save_grid
from trainwell.models.diffusion_unet import DiffusionUNet
from trainwell.models.dit import DiT
from trainwell.models.gan import DCGAN
from trainwell.models.vae import ConvVAE
from trainwell.tasks.diffusion import Diffusion
from trainwell.tasks.gan import Adversarial
from trainwell.tasks.reconstruct import Reconstruct
from trainwell.train import SCHEDULES, State, evaluate, optimizer_for, train
from trainwell.train.average import Average
from trainwell.train.precision import autocast, choose

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SHAPE = (1, 28, 28)


def pictures(part: str, rows: int | None) -> dict[str, Any]:
    """Pictures, classes and row numbers as a loader takes them."""
    frame = pl.read_parquet(DATA / "mnist" / f"{part}.parquet").head(rows or 10**9)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in frame["image"].to_list()])
    x = torch.from_numpy(pixels[:, None])
    target = torch.from_numpy(frame["label"].to_numpy().astype(np.int64))
    return {"inputs": (x,), "target": target, "row": torch.arange(len(x))}


def learn(model: Any, task: Any, options: argparse.Namespace, **choice: Any) -> State:
    """The model after so many minutes in the one loop, with averaged weights."""
    wish = {
        "name": "adam",
        "lr": 1e-3,
        "betas": (0.9, 0.99),
        "schedule": "cosine",
        "batch": 128,
        "clip": None,
        **choice,
    }
    optimizers = {
        player: optimizer_for(
            model if player == "model" else model.get_submodule(player),
            name=wish["name"],
            lr=wish["lr"],
            betas=wish["betas"],
        )
        for player in task.players
    }
    model.to(memory_format=torch.channels_last)
    if options.weights:
        model.load_state_dict(load_file(options.weights))
        return State(model, task, optimizers, SCHEDULES["constant"](), precision=options.precision)
    schedule = SCHEDULES[wish["schedule"]](**({} if wish["schedule"] == "constant" else {"warmup": 0.02}))
    state = State(model, task, optimizers, schedule, precision=options.precision, average=Average(model, options.ema))
    loader = Loader(pictures("train", options.rows), batch_size=wish["batch"], drop_last=True, seed=options.seed)
    train(state, loader, epochs=options.epochs, seconds=60 * options.minutes, clip=wish["clip"])
    size = sum(each.numel() for each in model.parameters())
    print(f"{size:,} weights, {state.step} steps of {wish['batch']}, {state.epoch} epochs, {state.seconds:.0f} s")
    save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()}, options.out / "weights.safetensors"
    )
    return state


def vae(options: argparse.Namespace) -> dict[str, Any]:
    """The negative ELBO on the test part, and on its first pictures the importance-weighted bound with its error."""
    model = ConvVAE(*SHAPE, latent=options.latent, maps=32, hidden=256)
    task = Reconstruct(SHAPE, binarize=True, free=0.05, warmup=10_000)
    state = learn(model, task, options)
    test = pictures("test", options.rows)
    found: dict[str, Any] = dict(evaluate(state, Loader(test, batch_size=500, shuffle=False)))
    model.eval()
    first = {"inputs": (test["inputs"][0][: options.bound_rows],), "row": test["row"][: options.bound_rows]}
    bound = importance_bound(task, model, task.clean(model, first), draws=options.draws)
    elbo = task.predict(model, first)["loss"].mean().item()
    found |= {
        f"importance bound, {options.draws} draws, first {len(bound)}": bound.mean().item(),
        "standard error": (bound.std() / math.sqrt(len(bound))).item(),
        "negative ELBO of the same": elbo,
    }
    save_grid(task.sample(model, 64, seed=0), options.out / "samples.png")
    return found


def judged(options: argparse.Namespace, samples: Callable[[int], Tensor]) -> dict[str, Any]:
    """Scores of the samples against as many test pictures, in the features of the classifier."""
    training, test = (pictures(*part) for part in (("train", options.rows), ("test", options.samples)))
    count = len(test["target"])
    generated = samples(count)
    save_grid(generated[:100], options.out / "samples.png", columns=10)
    if options.classifier is None:
        return {"scores": "none: name a classifier's run by --classifier"}
    run = tw.load(options.classifier)
    weights = b"".join(each.numpy().tobytes() for each in run.model.state_dict().values())
    real, made = (classifier_features(run.model, x) for x in (test["inputs"][0], generated))
    trained = classifier_features(run.model, training["inputs"][0])
    right = float((real.probability.argmax(1) == test["target"].numpy()).mean())
    least = scores(real, type(real)(trained.features[:count], trained.probability[:count]))
    near = copies(made.features, trained.features, real.features)
    beside = torch.stack([generated[:32], training["inputs"][0][near.places[:32]]], 1).flatten(0, 1)
    save_grid(beside, options.out / "nearest.png", columns=8)
    return {
        "classifier": f"{100 * right:.2f} % right, {hashlib.sha256(weights).hexdigest()[:12]}",
        **scores(real, made),
        "nearer to a training picture than 95 % of test pictures": near.share,
        "distance of training pictures": least["distance"],
    }


def dcgan(options: argparse.Namespace) -> dict[str, Any]:
    """DCGAN, non-saturating, with a penalty on the discriminator's slope (R1), or with batch norm as published."""
    norm, penalty = (options.norm, None) if options.norm == "batch" else (options.norm, "r1")
    model = DCGAN(*SHAPE, 10, latent=64, maps=options.maps or 32, norm=norm, conditional=options.conditional)
    task = Adversarial(SHAPE, game="non_saturating", penalty=penalty, weight=options.weight or 0.01)
    learn(model, task, options, lr=options.rate or 5e-4, betas=(0.5, 0.99), batch=64)
    return judged(options, lambda count: task.sample(model, count, seed=0))


def wgan_gp(options: argparse.Namespace) -> dict[str, Any]:
    """WGAN-GP as published for MNIST: five critic steps, penalty 10."""
    model = DCGAN(*SHAPE, 10, latent=128, maps=options.maps or 32, conditional=options.conditional)
    task = Adversarial(SHAPE, game="wasserstein", penalty="gradient", weight=options.weight or 10.0, critic_steps=5)
    learn(model, task, options, lr=options.rate or 2e-4, betas=(0.5, 0.9), batch=64)
    return judged(options, lambda count: task.sample(model, count, seed=0))


def diffusion(options: argparse.Namespace) -> dict[str, Any]:
    """Flow matching, class-conditional; DDIM with 20 steps beside 200."""
    if options.network == "dit":
        model: Any = DiT(*SHAPE, 10, patch=4, hidden=128, depth=6)
    else:
        model = DiffusionUNet(*SHAPE, 10, maps=options.maps or 48, stages=(1, 2), patch=2)
    task = Diffusion(SHAPE, path=options.path, prediction="velocity")
    learn(model, task, options, name="adamw", clip=1.0)
    found: dict[str, Any] = {}
    for steps in options.sampling_steps:
        began = time.perf_counter()

        def draw(count: int, steps: int = steps) -> Tensor:
            with autocast(choose(options.precision, torch.device("cpu")), torch.device("cpu"))():
                return task.sample(model, count, steps=steps, guidance=options.guidance, seed=0)

        found[f"{steps} steps"] = judged(options, draw)
        found[f"{steps} steps"]["seconds"] = round(time.perf_counter() - began)
    model.eval()
    with torch.inference_mode():
        film = list(task.film(model, torch.arange(40), classes=torch.arange(40) % 10, steps=20))
        save_animation([task.rows(model, each) for each in film], options.out / "steps.gif", columns=10)
    return found


KINDS = {"vae": vae, "dcgan": dcgan, "wgan-gp": wgan_gp, "diffusion": diffusion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--epochs", type=float, default=1000)
    parser.add_argument("--classifier", type=Path, help="the run folder of a trained classifier of the same digits")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--weights", type=Path, help="weights.safetensors of an earlier call, judged as they are")
    parser.add_argument("--rows", type=int, help="only so many pictures of each part")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--bound-rows", type=int, default=200)
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--maps", type=int)
    parser.add_argument("--norm", default="none", choices=["batch", "none", "spectral", "instance"])
    parser.add_argument("--weight", type=float, help="of the gradient penalty")
    parser.add_argument("--rate", type=float, help="of a GAN's two optimizers")
    parser.add_argument("--conditional", action="store_true", help="tell a GAN the classes")
    parser.add_argument("--network", default="unet", choices=["unet", "dit"])
    parser.add_argument("--path", default="flow", choices=["flow", "linear", "cosine"])
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--sampling-steps", type=int, nargs="+", default=[20, 200])
    options = parser.parse_args()
    options.out = options.out or Path("runs") / f"generative-{options.kind}"
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    found = KINDS[options.kind](options)
    print(json.dumps(found, indent=1, default=lambda each: np.round(each, 4).tolist()))
    (options.out / "scores.json").write_text(json.dumps(found, default=lambda each: each.tolist()))


if __name__ == "__main__":
    main()
