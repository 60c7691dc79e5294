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
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 10, (rows,), generator=generator)
    return torch.randn(rows, 1, 14, 14, generator=generator) + 0.3 * y[:, None, None, None], y


def vectors(rows: int) -> tuple[Tensor, Tensor]:
    x, y = pictures(rows)
    return x.flatten(1), y


def letters(rows: int) -> tuple[Tensor, Tensor]:
    x = torch.randint(0, 65, (rows, 33), generator=torch.Generator().manual_seed(0))
    return x[:, :-1], x[:, 1:]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], tuple[Tensor, Tensor]], int]] = {
    "MLP": (lambda: mlp(196, 512, 512, 10), vectors, 128),
    "CNN": (lambda: cnn(width=16), pictures, 128),
    "LSTM": (lambda: Recurrent(width=96), letters, 64),
    "GPT": (lambda: Transformer(96), letters, 64),
}


def seconds(name: str, steps: int, watched: bool) -> tuple[float, float]:
    """Processor seconds of the steps, and of the checks before them."""
    model_of, data_of, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = model_of()
    optimizer = AdamW(model.parameters(), 1e-3)
    x, y = data_of(20 * batch)
    doctor = Doctor(model, optimizer, F.cross_entropy, steps=steps) if watched else None
    before = time.process_time()
    if doctor is not None:
        doctor.check([(x[start : start + batch], y[start : start + batch]) for start in range(0, len(x), batch)])
    began = time.process_time()
    for step in range(steps):
        start = step % 20 * batch
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
    return ended - began, began - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | ms a step | slowdown, median of pairs | largest | checks before, s |\n|---|---|---|---|---|")
    for name in NETWORKS:
        ratios, own, checks = [], [], []
        seconds(name, 20, False)
        for _ in range(arguments.pairs):
            plain, (watched, before) = seconds(name, arguments.steps, False)[0], seconds(name, arguments.steps, True)
            ratios.append(watched / plain)
            own.append(plain / arguments.steps * 1000)
            checks.append(before)
        median = statistics.median
        print(
            f"| {name} | {median(own):.1f} | {median(ratios):.3f} | {max(ratios):.3f} | {median(checks):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
