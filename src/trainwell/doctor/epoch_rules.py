"""A log as epochs to what can be said of it: of few rows, where rules that wait for steps never speak, or of many."""

from collections.abc import Callable

import numpy as np

from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.log_names import is_share
from trainwell.doctor.series import Record, finite, picked, spread

FEWEST, BLOCKS = 8, 24  # rows that these rules take; more are drawn together to so many means
MOVED = 0.02  # of the loss at the start, below which it has not moved
HIGH = 0.9  # accuracy beyond which a loss may well stay where it is


def stays(record: Record) -> Finding | None:
    """A loss that is at the end where it was at the start, with nothing learned in between."""
    losses = _losses(record)
    start, end = _ends(losses)
    swing = float(np.ptp(losses))
    if start <= 0 or abs(start - end) > MOVED * start or swing > 5 * MOVED * start or _knows(record):
        return None
    return Finding(
        "plateau",
        "loss",
        "warn",
        f"The loss went from {start:.4g} to {end:.4g} from one end of the log to the other.",
        "Nothing is learned: a rate of nothing, weights that no gradient reaches, or inputs that say nothing; a log "
        "cannot tell which. Of a network that knew all before, it is no fault.",
        0.6,
        record.step,
        statistic={"value": (start - end) / start, "healthy": [MOVED, 1.0], "series": picked(record.get("loss"))},
    )


def rises(record: Record) -> Finding | None:
    """A loss that ends above its start, or well above its lowest, row after row."""
    losses = _losses(record)
    start, end = _ends(losses)
    lowest = float(losses.min())
    noise = spread(np.diff(losses))[1] / 2**0.5
    above = end > 1.1 * start and bool((losses[-3:] > losses[0]).all())
    risen = end > 1.5 * lowest and end - lowest > 0.3 * (start - lowest) and end - lowest > 0.1 * start
    since = len(losses) - 1 - int(losses.argmin())
    if start <= 0 or lowest <= 0 or end - lowest < 4 * noise or not (above or (risen and since >= 3)):
        return None
    return Finding(
        "learning-rate-too-high",
        "optimizer",
        "critical" if above else "warn",
        f"The loss is {end:.4g} at the end of the log; it was {start:.4g} at the start and {lowest:.4g} at its lowest.",
        "Steps that are too long for the slope, or a turned sign; a log cannot tell which.",
        0.6,
        record.step,
        statistic={"value": end / lowest, "healthy": [1.0, 1.5], "series": picked(record.get("loss"))},
    )


def without_bottom(record: Record) -> Finding | None:
    """A loss that falls below zero ever faster, where a training slows down."""
    losses = _losses(record)
    third = len(losses) // 3
    early, late = losses[0] - losses[third], losses[-third - 1] - losses[-1]
    # A likelihood may be below zero, and slows down as any loss does.
    if losses[-1] >= 0 or late <= 0 or late < 2 * max(early, 0.0) or abs(losses[-1]) < 5 * abs(losses[0]):
        return None
    return Finding(
        "gradient-ascent",
        "loss",
        "critical",
        f"The loss fell from {losses[0]:.4g} to {losses[-1]:.4g}, by {late:.3g} in the last third of the log and "
        f"{early:.3g} in the first.",
        "What is made smaller has no bottom: an error with a turned sign, or a loss that was given other numbers than "
        "it expects.",
        0.8,
        record.step,
        statistic={"value": float(losses[-1]), "series": picked(record.get("loss"))},
    )


def _losses(record: Record) -> np.ndarray:
    losses = finite(record.get("loss").array)
    if len(losses) < FEWEST:
        raise CannotJudge(f"needs {FEWEST} rows of the log")
    if len(losses) < 3 * BLOCKS:
        return losses
    return np.array([float(block.mean()) for block in np.array_split(losses, BLOCKS)])


def _ends(losses: np.ndarray) -> tuple[float, float]:
    return float(np.median(losses[:3])), float(np.median(losses[-3:]))


def _knows(record: Record) -> bool:
    """Whether some share of held-out rows is answered well."""
    held = [record.get("held out", word).array for word in record.places("held out") if is_share(word)]
    return any(len(each) and float(np.median(each[-3:])) > HIGH for each in held)


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "gradient-ascent": without_bottom,
    "learning-rate-too-high": rises,
    "plateau": stays,
}
