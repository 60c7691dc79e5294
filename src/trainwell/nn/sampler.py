"""Noise to data, step by step, by any function that tells the data and the noise in a mixture apart."""

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from trainwell.nn.diffusion import Path

Separate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (mixture, time of each row) -> (data, noise)
Fresh = Callable[[int], Tensor]  # the number of the step -> noise shaped like the mixture


def ddim(
    separate: Separate, start: Tensor, path: Path, steps: int, *, eta: float = 0.0, fresh: Fresh | None = None
) -> Iterator[Tensor]:
    """The mixtures from noise to data, the start first: without new noise at eta 0, DDPM's own chain at eta 1.

    start: (batch, ...) -> steps + 1 times (batch, ...). Song et al. 2020, arXiv:2010.02502, equations 12 and 16. At eta
    0 on straight lines this is Euler's method, and with as many steps as a linear path has, eta 1 is Ho et al. 2020.
    Raises ValueError for steps below 1, and for noise without `fresh` to draw it.
    """
    mixed = start
    for number, (now, then) in enumerate(_pairs(path, steps, start)):
        yield mixed
        data, noise = separate(mixed, now.expand(len(start)))
        signal, spread = path.signal(then), path.spread(then)
        if not eta or spread == 0:
            mixed = signal * data + spread * noise
            continue
        if fresh is None:
            raise ValueError(f"eta {eta}: a sampler that adds noise has to be given a source of it")
        left = (path.signal(now) / signal * spread / path.spread(now)).square()
        added = (eta * spread * (1 - left).clamp_min(0).sqrt()).clamp_max(spread)
        mixed = signal * data + (spread.square() - added.square()).clamp_min(0).sqrt() * noise + added * fresh(number)
    yield mixed


def heun(separate: Separate, start: Tensor, path: Path, steps: int) -> Iterator[Tensor]:
    """The mixtures from noise to data by the trapezoid rule: two looks a step, and an error that falls with its square.

    The mixture moves by data times the change of signal plus noise times the change of spread; both are averaged over
    the step's ends. start: (batch, ...) -> steps + 1 times (batch, ...). Karras et al. 2022, arXiv:2206.00364.
    Raises ValueError for steps below 1.
    """
    mixed = start
    for now, then in _pairs(path, steps, start):
        yield mixed
        data, noise = separate(mixed, now.expand(len(start)))
        signal, spread = path.signal(then), path.spread(then)
        if spread > 0:  # at the end nothing is left to separate
            there, other = separate(signal * data + spread * noise, then.expand(len(start)))
            change = (signal - path.signal(now), spread - path.spread(now))
            mixed = mixed + change[0] * (data + there) / 2 + change[1] * (noise + other) / 2
        else:
            mixed = signal * data + spread * noise
    yield mixed


def _pairs(path: Path, steps: int, start: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    if steps < 1:
        raise ValueError(f"steps {steps}: sampling takes at least one step; 20 to 50 are usual")
    times = path.grid(steps).to(start.device)
    return zip(times[:-1, None], times[1:, None], strict=True)


SAMPLERS = ("ddim", "heun")


def last(mixtures: Iterator[Tensor]) -> Tensor:
    """The end of the way. -> (batch, ...)"""
    return deque(mixtures, maxlen=1)[0]


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """An answer moved away from the one without a class: guidance 1 changes nothing. Ho & Salimans 2022.

    conditional, unconditional: (batch, ...) -> (batch, ...)
    """
    return torch.lerp(unconditional, conditional, guidance)
