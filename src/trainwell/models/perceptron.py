"""Perceptron: a weighted sum against a threshold, taught by its mistakes. Rosenblatt 1958, doi:10.1037/h0042519."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Features to one score an output; an output fires where its score reaches 0, its weighted sum the threshold.

    x: (batch, features) -> (batch, outputs)

    Pictures are flattened. It starts at zero, as Rosenblatt's proof of convergence does.
    """

    def __init__(self, features: int, outputs: int = 1) -> None:
        super().__init__()
        self.sum = nn.Linear(features, outputs)
        nn.init.zeros_(self.sum.weight)
        nn.init.zeros_(self.sum.bias)

    @property
    def threshold(self) -> Tensor:
        """What the weighted sum of each output has to reach to fire: the bias with its sign turned."""
        return -self.sum.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.sum(x.flatten(1))

    def fires(self, x: Tensor) -> Tensor:
        """Whether each output fires, as booleans: (batch, features) -> (batch, outputs)."""
        return self(x) >= 0


def signs(target: Tensor, outputs: int) -> Tensor:
    """Class numbers, zeros and ones, or booleans to -1 and 1, one column an output: -> (batch, outputs).

    Class numbers become one output against the rest where there are several outputs.
    """
    if target.dim() == 1:
        target = target[:, None] if outputs == 1 else nn.functional.one_hot(target.long(), outputs)
    return (target > 0).float() * 2 - 1


@torch.no_grad()
def rosenblatt_step(model: Perceptron, x: Tensor, target: Tensor) -> int:
    """Show the rows one after another; add each row that an output got wrong to its weights, or take it away.

    x: (batch, features); target: class numbers (batch,), of several outputs each one against the rest, or zeros and
    ones (batch, outputs). Returns how many corrections were made: 0 means learned. With one output and batches of one
    row, the task's loss "perceptron" under gradient descent of rate 1 is this same rule.
    """
    corrections = 0
    wanted = signs(target, model.sum.out_features)
    for row, sign in zip(x.flatten(1), wanted, strict=True):
        wrong = (sign * model.sum(row) <= 0) * sign
        model.sum.weight.add_(torch.outer(wrong, row))
        model.sum.bias.add_(wrong)
        corrections += int(wrong.count_nonzero())
    return corrections


@dataclass(frozen=True)
class Separability:
    """Whether one perceptron can tell two classes apart, and the sentence that says why."""

    separable: bool
    reason: str
    weights: tuple[float, ...] = ()  # of a perceptron that does it, where there is one
    bias: float = 0.0

    def __bool__(self) -> bool:
        return self.separable


def separable(x: Tensor, y: Tensor) -> Separability:
    """Whether some plane has all rows of one class on one side and all rows of the other class on the other.

    x: (rows, features); y: (rows,) zeros and ones or booleans

    A linear program looks for the plane; where there is none, a second one finds a point that is an average of rows of
    both classes (their convex hulls meet), which no plane can put on two sides at once (Minsky & Papert 1969).
    Raises ValueError unless both classes are there.
    """
    import numpy
    from scipy.optimize import linprog

    points, fires = x.flatten(1).double().numpy(), (y.flatten() > 0).numpy()
    if fires.all() or not fires.any():
        raise ValueError("y holds one class; separability asks for rows of two")
    rows, features = points.shape
    sided = numpy.where(fires, 1.0, -1.0)[:, None] * numpy.hstack([points, numpy.ones((rows, 1))])
    plane = linprog(numpy.zeros(features + 1), A_ub=-sided, b_ub=-numpy.ones(rows), bounds=(None, None))
    if plane.success:
        *weights, bias = (float(value) for value in plane.x)
        return Separability(
            True, "a plane has each class on its own side, so Rosenblatt's rule ends", (*weights,), bias
        )

    ones, zeros = numpy.flatnonzero(fires), numpy.flatnonzero(~fires)
    meet = numpy.hstack([points[ones].T, -points[zeros].T])
    sums = numpy.zeros((2, rows))
    sums[0, : len(ones)] = sums[1, len(ones) :] = 1
    both = linprog(
        numpy.zeros(rows), A_eq=numpy.vstack([meet, sums]), b_eq=[*numpy.zeros(features), 1, 1], bounds=(0, None)
    )
    if not both.success:
        return Separability(False, "no plane was found that has each class on its own side")
    shares = both.x
    point = shares[: len(ones)] @ points[ones]
    reason = (
        f"the point ({_numbers(point)}) is an average of rows {_members(ones, shares[: len(ones)])}, where y is 1, and "
        f"of rows {_members(zeros, shares[len(ones) :])}, where y is 0; a plane has averages of one side on that "
        "side, so none has each class on its own: a hidden layer is needed"
    )
    return Separability(False, reason)


def _numbers(values, shown: int = 6) -> str:
    return ", ".join(f"{value:g}" for value in values[:shown]) + (", ..." if len(values) > shown else "")


def _members(rows, shares, shown: int = 6) -> str:
    return _numbers([row for row, share in zip(rows, shares, strict=True) if share > 1e-9], shown)
