"""Times one training step of the small GPT and of an LSTM on random tokens: trainwell's loop against a plain one.

    OMP_NUM_THREADS=1 python benchmarks/sequence_steps.py [--rounds 5] [--steps 8] [--threads 1]

The plain loop is what a tutorial writes: float32, AdamW as torch.optim gives it. The same networks, batch and loss, and
trainwell's recorder with it. Contenders take turns, each round gives one ratio. Times are the processor's own, so that
other work on the machine hardly counts; with several threads they are the sum over these.
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
from trainwell.models.gpt2 import GPT2
from trainwell.models.rnn import RecurrentLanguageModel
from trainwell.tasks import Language
from trainwell.train import Events, State, optimizer_for, train
from trainwell.train.log import Recorder

VOCABULARY, TIME = 65, 64
WORKLOADS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "2-layer LSTM 256, 64 steps, batch 32": (lambda: RecurrentLanguageModel(VOCABULARY, width=256, depth=2), 32),
    "GPT 4 layers, 128 wide, 64 tokens, batch 12": (
        lambda: GPT2(VOCABULARY, width=128, depth=4, heads=4, context=TIME, dropout=0.0),
        12,
    ),
}


def plain(model: nn.Module, x: Tensor, batch: int) -> Callable[[int], float]:
    """The loop of a tutorial: seconds of the processor a step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run(steps: int) -> float:
        model.train()
        began = time.process_time()
        for number in range(steps):
            rows = x[number * batch : (number + 1) * batch]
            loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (time.process_time() - began) / steps

    return run


def ours(model: nn.Module, x: Tensor, batch: int, precision: str) -> Callable[[int], float]:
    """trainwell's loop with its recorder."""
    optimizer = optimizer_for(model, name="adamw", lr=1e-3)

    def run(steps: int) -> float:
        rows = x[: steps * batch]
        tensors = {"inputs": (rows[:, :-1],), "target": rows[:, 1:], "row": torch.arange(len(rows))}
        marks: list[float] = []
        events = Events()
        Recorder(None).attach(events)
        events.on("start", lambda state: marks.append(time.process_time()))
        events.on("end", lambda state: marks.append(time.process_time()))
        state = State(model, Language(VOCABULARY), {"model": optimizer}, precision=precision)  # type: ignore[arg-type]
        train(state, Loader(tensors, batch_size=batch), None, events, epochs=1)
        return (marks[1] - marks[0]) / steps

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], nargs="*", default=["auto"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name, (make, batch) in WORKLOADS.items():
        torch.manual_seed(0)
        x = torch.randint(1, VOCABULARY, (options.steps * batch, TIME + 1))
        model = make()
        runs = {"plain": plain(copy.deepcopy(model), x, batch)}
        runs |= {precision: ours(copy.deepcopy(model), x, batch, precision) for precision in options.precision}
        for run in runs.values():
            run(2)
        times: dict[str, list[float]] = {key: [] for key in runs}
        for number in range(options.rounds):
            for key in list(runs) if number % 2 else list(runs)[::-1]:
                times[key].append(runs[key](options.steps))
        for key in options.precision:
            ratios = sorted(a / b for a, b in zip(times[key], times["plain"], strict=True))
            row: dict[str, Any] = {"workload": name, "precision": key, "rounds": options.rounds}
            row |= {f"{each}_ms": round(1e3 * statistics.median(times[each]), 1) for each in ("plain", key)}
            row |= {"ratio": round(statistics.median(ratios), 3), "least": round(ratios[0], 3)}
            print(json.dumps({**row, "most": round(ratios[-1], 3)}), flush=True)


if __name__ == "__main__":
    main()
