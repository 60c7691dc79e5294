"""What a step on tape shows of its loss, to findings: what it compares, with which answers, and where it begins."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.head_check import wrong_initial_loss
from trainwell.doctor.tape import Call, Tape
from trainwell.doctor.trial import Trial

LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
DIFFERENCES = ("sub", "__sub__", "__rsub__", "rsub")
SHAPED = ("unsqueeze", "__getitem__", "view", "reshape", "expand", "t", "transpose")  # by which a column is meant
FEWEST = 4  # rows, as few are a column and a row by chance
SAME = 1e-3  # of a loss, by which the mean of its known part may differ from it


def loss_head_mismatch(trial: Trial, tapes: Sequence[Tape]) -> Finding | None:
    """A column of answers that meets a row of targets, so that each is compared with all."""
    made: dict[int, str] = {}
    for call in tapes[0].calls:
        if (rows := _crossed(call, made)) >= FEWEST:
            return Finding(
                "loss-head-mismatch",
                "loss",
                "critical",
                f"Shapes ({rows}, 1) and ({rows},) meet in {_name(call)}, which makes ({rows}, {rows}) of them.",
                "Broadcasting compares every row with every other row's answer.",
                0.9,
                statistic={"value": rows, "healthy": [0, 0]},
            )
        made |= dict.fromkeys(call.given, _name(call))
    return None


def _crossed(call: Call, made: dict[int, str]) -> int:
    """How many rows a call compares with all others; made: which function gave what."""
    name = _name(call)
    if name not in (*LOSSES, *DIFFERENCES) or sorted(map(len, call.shapes)) != [1, 2]:
        return 0
    column, row = sorted(call.shapes, key=len, reverse=True)
    place = call.asked[call.shapes.index(column)]
    meant = name in DIFFERENCES and made.get(place, "") in ("", *SHAPED)
    return column[0] if column == (*row, 1) and not meant else 0


def _name(call: Call) -> str:
    return getattr(call.function, "__name__", "")


def targets_out_of_range(trial: Trial, tapes: Sequence[Tape]) -> Finding | None:
    """Answers below 0 or above 1 where the loss takes them for shares."""
    wanted = trial.made.target
    if trial.made.kind not in ("bce", "bce_logits") or wanted is None:
        raise CannotJudge("no shares are asked for")
    low, high = float(wanted.min()), float(wanted.max())
    if low >= 0 and high <= 1:
        return None
    return Finding(
        "targets-out-of-range",
        "target",
        "critical",
        f"The answers run from {low:.3g} to {high:.3g}; binary cross-entropy takes shares from 0 to 1.",
        "Labels are not mapped to 0 and 1.",
        0.9,
        statistic={"value": max(-low, high - 1), "healthy": [0, 0]},
    )


def wrong_initial(trial: Trial, tapes: Sequence[Tape]) -> Finding | None:
    """A first loss far above that of guessing among classes, where cross-entropy is all that it is."""
    made = trial.made
    if made.kind != "cross_entropy" or made.output is None or made.target is None or made.output.dim() != 2:
        raise CannotJudge("the loss is not known to be cross-entropy alone")
    labels = made.target
    if labels.is_floating_point() or labels.dim() != 1 or int(labels.min()) < 0 or made.weight is not None:
        raise CannotJudge("the loss is not known to be cross-entropy alone")
    mean = -float(made.output.gather(1, labels[:, None]).mean())  # the loss was given logarithms of shares
    if abs(mean - trial.loss) > SAME * abs(trial.loss):
        raise CannotJudge("the loss has other parts")
    return wrong_initial_loss(replace(trial, output=made.output, classes=made.output.shape[1]))


CHECKS: dict[str, Callable[[Trial, Sequence[Tape]], Finding | None]] = {
    "loss-head-mismatch": loss_head_mismatch,
    "targets-out-of-range": targets_out_of_range,
    "wrong-initial-loss": wrong_initial,
}
