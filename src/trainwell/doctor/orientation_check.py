"""Pictures of both parts to whether some of one part are turned or mirrored that should not be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.data_check import small
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.sample import Sample, is_picture
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
ASKED = 200  # training pictures
AGREEING = 0.5  # of the pictures
LEAST = 10  # held-out rows of a class that a row is compared with
SHIFTS = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]  # a picture moved is no picture turned
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored left to right": lambda rows: rows.flip(3),
    "turned upside down": lambda rows: rows.flip((2, 3)),
    "mirrored top to bottom": lambda rows: rows.flip(2),
    "turned by a quarter": lambda rows: rows.rot90(1, (2, 3)),
    "turned by three quarters": lambda rows: rows.rot90(3, (2, 3)),
}


def turned(sample: Sample, held: Sample | None, facts: dict[str, Any]) -> Finding | None:
    """Training rows that lie closer to held-out rows of their class once they are mirrored or turned, where held-out
    rows themselves hardly ever do: which way up is part of what such pictures are."""
    ours = _pictures(sample)
    if ours is None:
        raise CannotJudge("the inputs are no pictures of classes")
    if held is None or facts.get("folds"):
        raise CannotJudge("needs held-out pictures")
    theirs = _pictures(held)
    if theirs is None or ours[0].shape[1:] != theirs[0].shape[1:]:
        raise CannotJudge("needs pictures of classes in both parts")
    ours = ours[0][:ASKED], ours[1][:ASKED]
    known = [kind for kind in theirs[1].unique().tolist() if int((theirs[1] == kind).sum()) > LEAST]
    if len(known) < 2:
        raise CannotJudge(f"needs more than {LEAST} held-out rows of two classes")
    found = []
    for way, turn in WAYS.items():
        if "quarter" in way and ours[0].shape[2] != ours[0].shape[3]:
            continue
        of_ours = _closer(ours, theirs, known, turn, apart=True)
        of_theirs = _closer(theirs, theirs, known, turn, apart=False)
        error = (max(of_theirs.mean(), 0.01) * (1 / len(of_ours) + 1 / len(of_theirs))) ** 0.5
        gone = float(of_ours.mean() - of_theirs.mean())
        if of_theirs.mean() < LIMITS.either_way and gone > max(LIMITS.turned_rows, 5 * error):
            found.append((gone, float(of_ours.mean()), float(of_theirs.mean()), way))
    if not found:
        return None
    gone, share, usual, way = max(found)
    if _agreeing(ours, theirs) < AGREEING:
        return None  # the labels do not go by looks, whichever way up
    evidence = (
        f"{share:.0%} of the training pictures are closer to held-out pictures of their class once they are {way}; of "
        f"the held-out pictures themselves {usual:.0%} are."
    )
    statistic = {"value": share, "healthy": [0, usual + LIMITS.turned_rows], "way": way}
    if share > LIMITS.all_turned:
        cause = "One of the parts is turned as a whole: another transform, or axes in another order."
        return Finding("preprocessing-mismatch", "held out", "critical", evidence, cause, 0.9, statistic=statistic)
    cause = "An augmentation turns pictures whose label depends on which way up they are."
    where = "training rows"
    return Finding("label-breaking-augmentation", where, "warn", evidence, cause, 0.85, statistic=statistic)


def _pictures(sample: Sample) -> tuple[Tensor, Tensor] | None:
    """(rows, channels, height, width) of at most 12 by 12 pixels, and their classes."""
    if not sample.inputs or sample.inputs[0].dim() != 4 or sample.labels is None:
        return None
    rows = sample.inputs[0][: LIMITS.rows]
    if not (rows.is_floating_point() or is_picture(rows)) or len(rows) != len(sample.labels[: LIMITS.rows]):
        return None
    rows = torch.nan_to_num(small(rows.detach().cpu()), 0.0, 0.0, 0.0)
    return rows, torch.as_tensor(sample.labels[: LIMITS.rows])


def _agreeing(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> float:
    """The share of our pictures that have the class of the nearest of theirs, as they are or turned any way."""
    square = ours[0].shape[2] == ours[0].shape[3]
    ways = [turn(ours[0]) for way, turn in WAYS.items() if square or "quarter" not in way]
    distances = torch.stack([torch.cdist(each.flatten(1), theirs[0].flatten(1)) for each in (ours[0], *ways)])
    return float((theirs[1][distances.amin(0).argmin(1)] == ours[1]).float().mean())


def _closer(
    asked: tuple[Tensor, Tensor], among: tuple[Tensor, Tensor], known: list[int], turn: Any, *, apart: bool
) -> np.ndarray:
    """For each row of a known class, whether its nearest of that class is nearer once it is turned."""
    found = []
    for kind in known:
        rows, others = asked[0][asked[1] == kind], among[0][among[1] == kind]
        if not len(rows):
            continue
        distances = []
        for each in (rows, turn(rows)):
            moved = torch.cat([each.roll(shift, (2, 3)) for shift in SHIFTS])
            distance = torch.cdist(moved.flatten(1), others.flatten(1)).unflatten(0, (len(SHIFTS), -1)).amin(0)
            distances.append(distance if apart else distance.fill_diagonal_(float("inf")))
        plain, other = (each.min(1).values for each in distances)
        found.append((other < plain).numpy())
    return np.concatenate(found) if found else np.zeros(1)
