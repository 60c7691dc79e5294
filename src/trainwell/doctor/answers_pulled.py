"""The gradient at a discriminator's answers to the loss that it is of: what was wanted of the answers, how strongly."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SAME = 1e-3  # of a gradient's size, which the slope that it is taken for may leave
FAR_OUT = 3.0  # answers, from which on a gradient fades with a sigmoid between or without
STEADY = 1e-4  # of its mean, from row to row, within which a gradient does not ask what the answers are
CLEARLY = 0.1  # times what the next form leaves, which one that is believed leaves at most
VARIED = 1e-3  # deviation of answers from row to row, below which any slope looks like any other

# A gradient is weight * (one(a) - wanted * other(a)) at answers a.
Form = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
SCORES, SHARES, SQUARES, SQUASHED = "scores", "shares", "squares", "shares taken for scores"
FORMS: dict[str, Form] = {
    SCORES: (torch.sigmoid, torch.ones_like),
    SQUARES: (lambda a: a, torch.ones_like),
    SHARES: (lambda p: 1 / (1 - p), lambda p: 1 / (p * (1 - p))),
    SQUASHED: (lambda a: a.sigmoid().sigmoid() * _slope(a), lambda a: _slope(a)),
}


def _slope(answers: Tensor) -> Tensor:
    shares = answers.sigmoid()
    return shares * (1 - shares)


@dataclass(frozen=True)
class Pull:
    """What a loss wants of answers: its form, how much it weighs, and the answer, as the form counts it, that it aims
    at (a share for cross-entropy, a number for squares)."""

    form: str
    weight: float
    wanted: float

    def slope(self, answers: Tensor) -> Tensor:
        """The loss's gradient at these answers, for as many rows as it was read from."""
        one, other = FORMS[self.form]
        return self.weight * (one(answers) - self.wanted * other(answers))

    def value(self, answers: Tensor) -> float:
        """The loss at these answers."""
        a, t = answers.double(), self.wanted
        if self.form == SQUARES:
            return float(self.weight * (a - t).square().sum() / 2)
        if self.form == SHARES:
            return float(-self.weight * (t * a.log() + (1 - t) * (1 - a).log()).sum())
        a = a.sigmoid() if self.form == SQUASHED else a
        return float(self.weight * (torch.nn.functional.softplus(a) - t * a).sum())


def pull_of(answers: Tensor, gradient: Tensor) -> Pull | None:
    """The loss whose gradient this is at these answers; None where it is none of those known, as a critic's."""
    a, g = answers.detach().double().flatten(), gradient.detach().double().flatten()
    size = float(g.norm())
    if len(a) < 4 or not size > 0 or float(a.std()) < VARIED or not bool(torch.isfinite(g).all()):
        return None
    if float(g.std()) < STEADY * float(g.abs().mean()):
        return None  # a steady pull, as a critic's, aims at no answer
    best, least, second = None, SAME, SAME
    for name, (one, other) in FORMS.items():
        if name == SHARES and not bool(((a > 0) & (a < 1)).all()):
            continue
        if name == SQUASHED and float(a.abs().median()) > FAR_OUT:
            continue
        sides = torch.stack([one(a), other(a)], 1)
        found = torch.linalg.lstsq(sides, g[:, None]).solution.flatten()
        rest = float((sides @ found - g).norm()) / size
        weight = float(found[0])
        if rest < least and weight:
            best, least, second = Pull(name, weight, -float(found[1]) / weight), rest, least
        else:
            second = min(second, rest)
    return best if least < CLEARLY * second else None
