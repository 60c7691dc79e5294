"""Times one training step of three picture networks on random pictures: trainwell's loop against a plain one.

    OMP_NUM_THREADS=1 python benchmarks/picture_steps.py [--rounds 5] [--threads 1]

The plain loop is what a tutorial writes: float32, AdamW as torch.optim gives it. The same networks, batch and loss;
trainwell takes the precision and the layout of memory that `fit` takes, and runs with its recorder. Contenders take
turns, each round gives one ratio. Times are the processor's own, so that other work on the machine hardly counts; with
several threads they are the sum over these.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.data import Loader
from trainwell.models.resnet import ResNet
from trainwell.models.vit import VisionTransformer
from trainwell.tasks import Classify
from trainwell.train import Events, State, optimizer_for, train
from trainwell.train.log import Recorder
from trainwell.train.precision import choose

WORKLOADS: dict[str, tuple[Callable[[], nn.Module], int, int, int]] = {  # network, side of a picture, batch, steps
    "ResNet-20, 32 x 32, batch 128": (lambda: ResNet(3, 10, depth=20), 32, 128, 4),
    "ResNet-18, 224 x 224, batch 16": (lambda: ResNet(3, 10, depth=18), 224, 16, 2),
    "ViT-tiny, 224 x 224 in patches of 16, batch 16": (lambda: VisionTransformer(3, 10), 224, 16, 2),
}


def plain(model: nn.Module, x: Tensor, y: Tensor, batch: int) -> Callable[[int], float]:
    """The loop of a tutorial: seconds of the processor a step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run(steps: int) -> float:
        model.train()
        began = time.process_time()
        for number in range(steps):
            rows = slice(number * batch, (number + 1) * batch)
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (time.process_time() - began) / steps

    return run


def ours(model: nn.Module, x: Tensor, y: Tensor, batch: int) -> Callable[[int], float]:
    """trainwell's loop with its recorder, in the precision that it chooses."""
    if choose("auto", torch.device("cpu")) == torch.bfloat16:
        model = model.to(memory_format=torch.channels_last)
    optimizer = optimizer_for(model, name="adamw", lr=1e-3)

    def run(steps: int) -> float:
        rows = slice(0, steps * batch)
        tensors = {"inputs": (x[rows],), "target": y[rows], "row": torch.arange(steps * batch)}
        marks: list[float] = []
        events = Events()
        Recorder(None).attach(events)
        events.on("start", lambda state: marks.append(time.process_time()))
        events.on("end", lambda state: marks.append(time.process_time()))
        state = State(model, Classify(10), {"model": optimizer}, precision="auto")
        train(state, Loader(tensors, batch_size=batch), None, events, epochs=1)
        return (marks[1] - marks[0]) / steps

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name, (make, side, batch, steps) in WORKLOADS.items():
        torch.manual_seed(0)
        x, y = torch.randn(steps * batch, 3, side, side), torch.randint(10, (steps * batch,))
        model = make()
        runs = {"plain": plain(copy.deepcopy(model), x, y, batch), "trainwell": ours(copy.deepcopy(model), x, y, batch)}
        for run in runs.values():
            run(1)
        times: dict[str, list[float]] = {key: [] for key in runs}
        for number in range(options.rounds):
            for key in list(runs) if number % 2 else list(runs)[::-1]:
                times[key].append(runs[key](steps))
        ratios = sorted(a / b for a, b in zip(times["trainwell"], times["plain"], strict=True))
        row = {f"{key}_ms": round(1e3 * statistics.median(values), 1) for key, values in times.items()}
        row |= {
            "ratio": round(statistics.median(ratios), 3),
            "least": round(ratios[0], 3),
            "most": round(ratios[-1], 3),
        }
        print(json.dumps({"workload": name, "rounds": options.rounds, **row}), flush=True)


if __name__ == "__main__":
    main()
