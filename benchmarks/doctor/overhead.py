"""What watching costs: python -m benchmarks.doctor.overhead [--pairs 7] [--steps 400]; processor time, paired runs.

For an MLP, a CNN, an LSTM and a GPT of a few milliseconds a step: the same training without and with the doctor in
watch mode, one right after the other, and the ratio of their processor times. The checks before training are reported
apart, as they cost once what the steps cost again and again.
"""

import argparse
import statistics
import time
from collections.abc import Callable

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


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], tuple[Tensor, Tensor]], int]] = {
    "MLP": (lambda: mlp(196, 512, 512, 10), vectors, 128),
    "CNN": (lambda: cnn(width=16), pictures, 128),
    "LSTM": (lambda: Recurrent(width=96), letters, 64),
    "GPT": (lambda: Transformer(96), letters, 64),
}


def seconds(name: str, steps: int, watched: bool) -> tuple[float, float, list[str]]:
    """Processor seconds of the steps and of the checks before them, and the names of what was found."""
    model_of, data_of, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = model_of()
    optimizer = AdamW(model.parameters(), 1e-3)
    x, y = data_of(steps * batch)  # no row comes twice, so that nothing is learned by heart
    doctor = Doctor(model, optimizer, F.cross_entropy, steps=steps) if watched else None
    before = time.process_time()
    if doctor is not None:
        doctor.check([(x[start : start + batch], y[start : start + batch]) for start in range(0, 20 * batch, batch)])
    began = time.process_time()
    for step in range(steps):
        start = step * batch
        inputs, target = x[start : start + batch], y[start : start + batch]
        loss = F.cross_entropy(model(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if doctor is not None:
            doctor.watch(loss, inputs, target)
    ended = time.process_time()
    if doctor is not None:
        assert not doctor.broken, doctor.broken
        doctor.close()
    found = [finding.name for finding in doctor.findings] if doctor is not None else []
    return ended - began, began - before, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | ms a step | slowdown, median of pairs | largest | checks before, s | found |")
    print("|---|---|---|---|---|---|")
    for name in NETWORKS:
        ratios, own, checks, found = [], [], [], set()
        seconds(name, 20, False)
        for _ in range(arguments.pairs):
            plain = seconds(name, arguments.steps, False)[0]
            watched, before, names = seconds(name, arguments.steps, True)
            ratios.append(watched / plain)
            own.append(plain / arguments.steps * 1000)
            checks.append(before)
            found |= set(names)
        median = statistics.median
        print(
            f"| {name} | {median(own):.1f} | {median(ratios):.3f} | {max(ratios):.3f} | {median(checks):.1f} | "
            f"{', '.join(sorted(found)) or 'nothing'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
