"""A loss, whatever it is, to whether it is lower for better answers: the network's own, dealt to the rows anew."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import UNFIT
from trainwell.doctor.patient import leaving_no_trace

if TYPE_CHECKING:
    from trainwell.doctor.trial import Trial

ROWS = 8  # that are needed at least
MANY = 2**21  # numbers in an answer, beyond which sorting them takes too long
AGREED = 0.8  # of the rows, whose own slope must say the same
FAINT = 1e-3  # differences between answers over those between targets, or the other way, that a loss need not see
SAME = 1e-6  # of a loss, within which two are the same


@dataclass
class Rewards:
    """The loss of better and of worse answers, and the share of rows that a step would move away from theirs."""

    better: float
    worse: float
    away: float
    moves: bool  # whether the loss changes with the answers at all

    @property
    def turned(self) -> bool:
        """Whether worse answers have the lower loss."""
        least = 10 * SAME * max(1.0, abs(self.better))
        return self.better > self.worse + least and self.away > AGREED

    @property
    def blind(self) -> bool:
        """Whether it is the same which row has which answer."""
        return self.moves and abs(self.better - self.worse) <= SAME * max(abs(self.better), abs(self.worse))


class Given(nn.Module):
    """A network that answers the same whatever it is asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.answer


def rewards(trial: "Trial") -> Rewards | None:
    """What the loss makes of the network's answers where each row is given the best of them that fit, and the worst;
    None where output and target do not say what fits."""
    output, target = trial.output, trial.target
    if (
        output is None
        or target is None
        or not output.dim()
        or not target.dim()
        or len(output) < ROWS
        or output.numel() > MANY
        or len(trial.patient.players) > 1
    ):
        return None
    dealt = _classes(output, target, trial) if not target.is_floating_point() else _numbers(output, target)
    if dealt is None:
        return None
    better, worse, toward = dealt
    try:
        with leaving_no_trace(), torch.enable_grad():
            losses = [float(_loss(trial, each).detach()) for each in (better, worse, 2 * output + 1)]
            asked = output.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(_loss(trial, asked), asked, allow_unused=True)
    except UNFIT:
        return None  # the loss asks for more of the network than its answer
    away = float((toward(slope) > 0).float().mean()) if slope is not None else 0.0
    return Rewards(losses[0], losses[1], away, abs(losses[2] - losses[0]) > SAME * max(abs(losses[0]), 1e-12))


def _loss(trial: "Trial", output: Tensor) -> Tensor:
    rest = trial.rest
    return trial.patient.loss(Given((output, *rest) if rest else output), trial.batch)


def _classes(output: Tensor, target: Tensor, trial: "Trial") -> Any:
    """Each row's own class changes places with its highest score, or with its lowest."""
    axis = 1 if target.shape == output.shape[:1] + output.shape[2:] else output.dim() - 1
    if output.dim() < 2 or target.shape != output.movedim(axis, -1).shape[:-1] or output.shape[axis] < 2:
        return None
    scores = output.movedim(axis, -1)
    known = (target >= 0) & (target < scores.shape[-1]) & (target != trial.made.ignored)
    # As many scores as there are classes: what has more of them may be a code, which is compared in other ways, what
    # has fewer may be grades, of which a row has all below its own.
    as_many = known.any() and int(target.max()) + 1 == scores.shape[-1]
    if not known.any() or (trial.made.kind not in ("cross_entropy", "nll") and not as_many):
        return None
    own = torch.where(known, target, 0)[..., None]
    if float(scores.std()) < FAINT:
        return None

    def changed(place: Tensor) -> Tensor:
        mine, other = scores.gather(-1, own), scores.gather(-1, place)
        made = scores.scatter(-1, place, mine).scatter(-1, own, other)
        return torch.where(known[..., None], made, scores).movedim(-1, axis)

    def toward(slope: Tensor) -> Tensor:
        return slope.movedim(axis, -1).gather(-1, own)[..., 0][known]

    return changed(scores.argmax(-1, keepdim=True)), changed(scores.argmin(-1, keepdim=True)), toward


def _numbers(output: Tensor, target: Tensor) -> Any:
    """The answers in the order of the targets, column by column, or in the opposite one."""
    if output.numel() != target.numel() or len(output) != len(target) or not bool(target.isfinite().all()):
        return None
    given, told = output.reshape(len(output), -1), target.reshape(len(target), -1).to(output)
    order, ranked = told.argsort(0), given.sort(0).values
    spread = float((told - told.mean(0)).abs().max())
    answered = float((ranked[-1] - ranked[0]).abs().max())
    if spread == 0 or not FAINT * spread < answered < spread / FAINT:
        return None
    apart = (ranked[-1] < told.min(0).values) | (ranked[0] > told.max(0).values)
    # An absolute error of answers beyond all targets is the same in any order.
    ranked = torch.where(apart, ranked - ranked.mean(0) + told.mean(0), ranked)
    upward = torch.zeros_like(given).scatter(0, order, ranked)
    downward = torch.zeros_like(given).scatter(0, order, ranked.flip(0))

    def toward(slope: Tensor) -> Tensor:
        """Above zero where a step makes a row's answer less that lies below its target, or more that lies above."""
        apart = told - given
        return (slope.reshape(len(slope), -1) * apart)[apart != 0]

    return upward.view_as(output), downward.view_as(output), toward
