"""What watching costs: python -m benchmarks.doctor.overhead [--pairs 7] [--steps 400]; processor time, paired runs.

For an MLP, a CNN, an LSTM and a GPT of a few milliseconds a step: the same training without and with the doctor in
watch mode, in turns of ten steps, and the ratio of their processor times. The checks before training and the last look
after it are reported apart, as they cost once what the steps cost again and again.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from benchmarks.doctor.setups import Recurrent, Transformer, cnn, mlp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

from trainwell.doctor import Doctor


def pictures(rows: int) -> tuple[Tensor, Tensor]:
    """Noise over a smooth pattern for each class, standardized: learned without an ailment."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 10, (rows,), generator=generator)
    patterns = F.interpolate(torch.randn(10, 1, 4, 4, generator=generator), size=14, mode="bicubic")
    return (torch.randn(rows, 1, 14, 14, generator=generator) + patterns[y]) / 2**0.5, y


def vectors(rows: int) -> tuple[Tensor, Tensor]:
    x, y = pictures(rows)
    return x.flatten(1), y


def letters(rows: int) -> tuple[Tensor, Tensor]:
    """Letters of which each asks for one next letter in two of three places, and for any in the third."""
    generator = torch.Generator().manual_seed(0)
    follows, x = torch.randperm(65, generator=generator), torch.randint(0, 65, (rows, 33), generator=generator)
    sure = torch.rand(rows, 33, generator=generator) < 2 / 3
    for place in range(1, 33):
        x[:, place] = torch.where(sure[:, place], follows[x[:, place - 1]], x[:, place])
    return x[:, :-1], x[:, 1:]


BLOCK = 10  # steps that a training goes on for before the other has its turn
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], tuple[Tensor, Tensor]], int]] = {
    "MLP": (lambda: mlp(196, 512, 512, 10), vectors, 128),
    "CNN": (lambda: cnn(width=16), pictures, 128),
    "LSTM": (lambda: Recurrent(width=96), letters, 64),
    "GPT": (lambda: Transformer(96), letters, 64),
}


def training(name: str, steps: int, watched: bool, told: dict[str, Any]) -> Iterator[None]:
    """A training, step by step; `told` gets the processor seconds of the checks before it and what was found."""
    model_of, data_of, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = model_of()
    optimizer = AdamW(model.parameters(), 1e-3)
    x, y = data_of(steps * batch)  # no row comes twice, so that nothing is learned by heart
    doctor = Doctor(model, optimizer, F.cross_entropy, steps=steps) if watched else None
    before = time.process_time()
    if doctor is not None:
        doctor.check([(x[start : start + batch], y[start : start + batch]) for start in range(0, 20 * batch, batch)])
    told["checks"] = time.process_time() - before
    yield
    for step in range(steps):
        if doctor is not None and step % BLOCK == 0:
            doctor.pulse.stamp()  # what goes by while the other training has its turn is no wait for a batch
        start = step * batch
        inputs, target = x[start : start + batch], y[start : start + batch]
        loss = F.cross_entropy(model(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if doctor is not None:
            doctor.watch(loss, inputs, target)
        yield
    if doctor is not None:
        assert not doctor.broken, doctor.broken
        before = time.process_time()
        doctor.close()
        told["end"] = time.process_time() - before
        told["found"] = {finding.name for finding in doctor.findings}


def pair(name: str, steps: int) -> tuple[float, float, dict[str, Any]]:
    """Processor seconds of the same training unwatched and watched, in turns of some steps, as a shared machine is
    never equally busy for long; and what the doctor told."""
    told: dict[str, Any] = {}
    plain, watched = training(name, steps, False, {}), training(name, steps, True, told)
    spent = {plain: 0.0, watched: 0.0}
    for each in spent:
        next(each)
    for turn in range(0, steps, BLOCK):
        for each in (plain, watched) if turn % (2 * BLOCK) else (watched, plain):
            began = time.process_time()
            for _ in range(min(BLOCK, steps - turn)):
                next(each)
            spent[each] += time.process_time() - began
    for each in spent:
        next(each, None)
    return spent[plain], spent[watched], told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | ms a step | slowdown, median of pairs | all pairs | checks before, s | at the end, s | found |")
    print("|---|---|---|---|---|---|---|")
    every: list[float] = []
    for name in NETWORKS:
        pair(name, 2 * BLOCK)
        rows = [pair(name, arguments.steps) for _ in range(arguments.pairs)]
        ratios = sorted(watched / plain for plain, watched, _ in rows)
        every += ratios
        own = statistics.median(plain for plain, _, _ in rows) / arguments.steps * 1000
        checks, end = (statistics.median(told[part] for _, _, told in rows) for part in ("checks", "end"))
        found = sorted(set().union(*(told["found"] for _, _, told in rows)))
        print(
            f"| {name} | {own:.1f} | {statistics.median(ratios):.3f} | {', '.join(f'{each:.3f}' for each in ratios)} | "
            f"{checks:.2f} | {end:.2f} | {', '.join(found) or 'nothing'} |",
            flush=True,
        )
    largest = sorted(every)[max(0, math.ceil(0.95 * len(every)) - 1)]
    print(f"Of all {len(every)} pairs: median {statistics.median(every):.3f}, 95th percentile {largest:.3f}.")


if __name__ == "__main__":
    main()
