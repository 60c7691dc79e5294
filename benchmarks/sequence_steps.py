"""Times one training step of the small GPT and of an LSTM on random tokens: trainwell's loop against a plain one.

    OMP_NUM_THREADS=1 python benchmarks/sequence_steps.py [--rounds 5] [--steps 8] [--threads 1] [--only GPT]

The plain loop is what a tutorial writes: float32, AdamW as torch.optim gives it, and networks of torch's own layers
alone, so that what trainwell's blocks gain counts too (the GPT as nanoGPT has it, but for the tanh in GPT-2's GELU). As
many weights, the same batch and loss, and trainwell's recorder with ours. Each contender has a process of its own, as
trainwell's loop changes how its process keeps memory; they take turns, and each round gives one ratio. Times are the
processor's own, so that other work on the machine hardly counts; with several threads they are the sum over these.
"""

import argparse
import json
import multiprocessing
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


class PlainBlock(nn.Module):
    """A pre-norm block of a GPT, of torch's layers. x: (batch, time, width) -> the same"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        parts = self.attention(self.first(x)).split(width, dim=2)
        query, key, value = (each.view(batch, time, self.heads, -1).transpose(1, 2) for each in parts)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(seen.transpose(1, 2).reshape(batch, time, width))
        return x + self.feed_forward(self.second(x))


class PlainGPT(nn.Module):
    """Tokens to scores of the next, of torch's layers. tokens: (batch, time) long -> (batch, time, vocabulary)"""

    def __init__(self, vocabulary: int, width: int, depth: int, heads: int, context: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(PlainBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class PlainLSTM(nn.Module):
    """Tokens to scores of the next, of torch's layers. tokens: (batch, time) long -> (batch, time, vocabulary)"""

    def __init__(self, vocabulary: int, width: int, depth: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary)
        self.recurrent = nn.LSTM(width, width, depth, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.recurrent(self.tokens(tokens))[0])


Make = Callable[[], nn.Module]
WORKLOADS: dict[str, tuple[Make, Make, int]] = {  # ours, the plain one, rows in a batch
    "2-layer LSTM 256, 64 steps, batch 32": (
        lambda: RecurrentLanguageModel(VOCABULARY, width=256, depth=2),
        lambda: PlainLSTM(VOCABULARY, 256, 2),
        32,
    ),
    "GPT 4 layers, 128 wide, 64 tokens, batch 12": (
        lambda: GPT2(VOCABULARY, width=128, depth=4, heads=4, context=TIME, dropout=0.0),
        lambda: PlainGPT(VOCABULARY, 128, 4, 4, TIME),
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


def contender(pipe: Any, name: str, kind: str, steps: int, threads: int) -> None:
    """A process of its own: sends how many weights it trains, then the seconds of a step whenever it is asked."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    make, make_plain, batch = WORKLOADS[name]
    x = torch.randint(1, VOCABULARY, (steps * batch, TIME + 1))
    model = make_plain() if kind == "plain" else make()
    run = plain(model, x, batch) if kind == "plain" else ours(model, x, batch, kind)
    run(2)
    pipe.send(sum(weight.numel() for weight in model.parameters()))
    while pipe.recv():
        pipe.send(run(steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="the workload whose name holds this")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], nargs="*", default=["auto"])
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for name in WORKLOADS:
        if options.only not in name:
            continue
        pipes: dict[str, Any] = {}
        for kind in ("plain", *options.precision):
            pipes[kind], far = context.Pipe()
            arguments = (far, name, kind, options.steps, options.threads)
            context.Process(target=contender, args=arguments, daemon=True).start()
        sizes = {kind: pipe.recv() for kind, pipe in pipes.items()}
        assert len(set(sizes.values())) == 1, f"{name}: {sizes} weights"
        times: dict[str, list[float]] = {kind: [] for kind in pipes}
        for number in range(options.rounds):
            for kind in list(pipes) if number % 2 else list(pipes)[::-1]:
                pipes[kind].send(True)
                times[kind].append(pipes[kind].recv())
        for pipe in pipes.values():
            pipe.send(False)
        for key in options.precision:
            ratios = sorted(a / b for a, b in zip(times[key], times["plain"], strict=True))
            row: dict[str, Any] = {"workload": name, "precision": key, "rounds": options.rounds}
            row |= {f"{each}_ms": round(1e3 * statistics.median(times[each]), 1) for each in ("plain", key)}
            row |= {"ratio": round(statistics.median(ratios), 3), "least": round(ratios[0], 3)}
            print(json.dumps({**row, "most": round(ratios[-1], 3)}), flush=True)


if __name__ == "__main__":
    main()
