"""How much of a training has passed, from 0 to 1, to the factor on the learning rate."""

import math
from typing import Protocol


class Schedule(Protocol):
    """A factor on the base learning rate, from the share of the training that has passed, 0 to 1."""

    def __call__(self, progress: float) -> float: ...


class Constant:
    """The base rate throughout, after a linear warm-up over the first share of the training."""

    def __init__(self, *, warmup: float = 0.0) -> None:
        self.warmup = warmup

    def __call__(self, progress: float) -> float:
        return min(1.0, progress / self.warmup) if self.warmup and progress < self.warmup else self.after(progress)

    def after(self, progress: float) -> float:
        """The factor once the warm-up is over."""
        return 1.0


class Step(Constant):
    """Multiplied by `factor` each time another share `every` of the training has passed."""

    def __init__(self, *, every: float = 1 / 3, factor: float = 0.1, warmup: float = 0.0) -> None:
        super().__init__(warmup=warmup)
        self.every, self.factor = every, factor

    def after(self, progress: float) -> float:
        return self.factor ** int(progress / self.every + 1e-9)


class Cosine(Constant):
    """Half a cosine from the base rate to `final` of it. Loshchilov & Hutter 2016, arXiv:1608.03983."""

    def __init__(self, *, final: float = 0.0, warmup: float = 0.03) -> None:
        super().__init__(warmup=warmup)
        self.final = final

    def after(self, progress: float) -> float:
        share = (progress - self.warmup) / max(1e-9, 1 - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class Trapezoid(Constant):
    """Warm-up, hold, and a straight line to `final` over the last share `decay`: warmup-stable-decay."""

    def __init__(self, *, decay: float = 0.6, final: float = 0.0, warmup: float = 0.03) -> None:
        super().__init__(warmup=warmup)
        self.decay, self.final = decay, final

    def after(self, progress: float) -> float:
        left = max(0.0, 1 - progress) / max(1e-9, self.decay)
        return self.final + (1 - self.final) * min(1.0, left)


class Linear(Trapezoid):
    """A straight line from the base rate to `final` of it, after the warm-up."""

    def __init__(self, *, final: float = 0.0, warmup: float = 0.03) -> None:
        super().__init__(decay=1 - warmup, final=final, warmup=warmup)


class OneCycle:
    """Up from `start` over the share `up`, down to `final`, each half a cosine. Smith 2018, arXiv:1803.09820."""

    def __init__(self, *, up: float = 0.25, start: float = 0.04, final: float = 1e-5) -> None:
        self.up, self.start, self.final = up, start, final

    def __call__(self, progress: float) -> float:
        if progress < self.up:
            low, share = self.start, 1 - progress / self.up
        else:
            low, share = self.final, (progress - self.up) / max(1e-9, 1 - self.up)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class Triangle:
    """Straight up from `start` over the share `up`, straight down to `final`."""

    def __init__(self, *, up: float = 0.23, start: float = 0.2, final: float = 0.07) -> None:
        self.up, self.start, self.final = up, start, final

    def __call__(self, progress: float) -> float:
        if progress < self.up:
            return self.start + (1 - self.start) * progress / self.up
        return 1 - (1 - self.final) * min(1.0, (progress - self.up) / max(1e-9, 1 - self.up))


class LogCosine:
    """Cosine bumps, each twice as long as the last. Holzmueller et al. 2024, arXiv:2407.04491 ("coslog4")."""

    def __init__(self, *, bumps: int = 4) -> None:
        self.bumps = bumps

    def __call__(self, progress: float) -> float:
        return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + (2**self.bumps - 1) * min(1.0, progress))))


class Plateau(Constant):
    """Multiplied by `factor` when the goal has not improved for `patience` evaluations; the loop reports each one."""

    def __init__(self, *, factor: float = 0.3, patience: int = 5, warmup: float = 0.0) -> None:
        super().__init__(warmup=warmup)
        self.factor, self.patience = factor, patience
        self.scale, self.waited = 1.0, 0

    def after(self, progress: float) -> float:
        return self.scale

    def observe(self, improved: bool) -> None:
        """Take in one evaluation."""
        self.waited = 0 if improved else self.waited + 1
        if self.waited > self.patience:
            self.scale, self.waited = self.scale * self.factor, 0


SCHEDULES = {
    "constant": Constant,
    "step": Step,
    "cosine": Cosine,
    "linear": Linear,
    "trapezoid": Trapezoid,
    "one_cycle": OneCycle,
    "triangle": Triangle,
    "log_cosine": LogCosine,
    "plateau": Plateau,
}
