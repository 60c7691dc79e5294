"""A series to what is wrong with its channels: the future among the inputs, a sensor that sticks, no order."""

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.view import View
from trainwell.data.split import as_moments_or_numbers
from trainwell.data.values import as_numbers
from trainwell.doctor.finding import Finding

AHEAD = 48  # steps that are looked ahead
STUCK = 0.05  # of the steps
EVEN, CLOSE = 0.95, 0.9  # of the steps between stamps; correlation with the next


def channels(view: View) -> list[Finding]:
    """What the channels of a series show, in the order of time."""
    if view.schema.task != "forecast" or view.rows < 200:
        return []
    targets = [column.name for column in view.schema.targets if column.name in view.frame.columns]
    names = [column.name for column in view.inputs if view.series(column.name).dtype.is_numeric()]
    found = []
    for target in targets:
        answers = view.finite(target)
        for name in names:
            if name not in targets:
                found += _from_the_future(name, view.finite(name), target, answers)
        found += _without_order(view, target, answers, [name for name in names if name not in targets])
    for name in dict.fromkeys([*targets, *names]):
        found += _stuck(name, view.finite(name))
    return found


def _from_the_future(name: str, values: np.ndarray, target: str, answers: np.ndarray) -> list[Finding]:
    """A channel that has what is asked for some steps before it is there."""
    for ahead in range(1, min(AHEAD, len(values) // 4) + 1):
        mine, later = values[:-ahead], answers[ahead:]
        known = ~np.isnan(mine) & ~np.isnan(later)
        mine, later = mine[known], later[known]
        moves = later != answers[:-ahead][known]  # where the target stands still, its past says the same
        if moves.sum() > 50 and float(np.isclose(mine, later, rtol=1e-6, atol=0)[moves].mean()) > 0.8:
            text = f"{name!r} has at each step what {target!r} has {ahead} steps later."
            cause = "A column was shifted the wrong way, or is made from the answer: leave it out."
            return [said("data-leakage", f"column {name!r}", "critical", text, cause, 0.95)]
    return []


def _stuck(name: str, values: np.ndarray) -> list[Finding]:
    """One value over a long stretch of a channel that moves elsewhere."""
    changes = np.flatnonzero(np.diff(values) != 0)
    edges = np.concatenate([[-1], changes, [len(values) - 1]])
    lengths = np.diff(edges)
    longest = int(lengths.argmax())
    value, length = values[edges[longest + 1]], int(lengths[longest])
    others = np.delete(lengths, longest)
    if np.isnan(value) or length < max(24, STUCK * len(values)) or length > 0.9 * len(values) or not len(others):
        return []
    # Nothing measured, as no rain, is the lowest value of all and comes in long runs elsewhere too.
    if length < 5 * others.max() or value == np.nanmin(values):
        return []
    text = (
        f"{name!r} is {value:g} for {length:,} of {len(values):,} steps in a row, from step {edges[longest] + 2:,} on."
    )
    cause = "A sensor that stuck, or a gap that was filled with its last value."
    return [said("bad-features", f"column {name!r}", "warn", text, cause, 0.85)]


def _without_order(view: View, target: str, answers: np.ndarray, beside: list[str]) -> list[Finding]:
    """A channel whose next value has nothing to do with its last, beside channels where it has."""
    if not beside or abs(_next(answers)) > 4 / np.sqrt(len(answers)):
        return []
    steady = [name for name in beside if _next(view.finite(name)) > 0.8]
    if len(steady) < max(1, len(beside) / 2):
        return []
    text = f"The correlation of {target!r} with its next value is {_next(answers):.2f}, of {steady[0]!r} "
    text += f"{_next(view.finite(steady[0])):.2f}."
    cause = "Its values are not in the order of time, as after a join by another key."
    return [said("bad-features", f"column {target!r}", "warn", text, cause, 0.75)]


def neighbours_held_out(view: View) -> list[Finding]:
    """Rows that follow each other in even time, each answer close to the next, of which some are held out at random."""
    moments = [column.name for column in view.inputs if column.kind == "time"]
    if (
        view.target is None
        or view.amounts is None
        or not (view.table and view.at_random and moments)
        or view.rows < 200
    ):
        return []
    for name in moments:
        stamps = as_moments_or_numbers(view.whole.frame[name])
        paces = np.diff(stamps)
        even = len(paces) and paces[0] > 0 and float((paces == np.median(paces)).mean()) > EVEN
        answers = as_numbers(view.whole.frame[view.target]).astype(np.float64)
        alike = _next(np.where(np.isfinite(answers), answers, np.nan))
        if not even or alike < CLOSE:
            continue
        text = f"Rows follow each other in even steps of {name!r}, and {view.target!r} correlates {alike:.2f} with its "
        text += "next value, but rows are held out at random: the network learns from the neighbours of each."
        cause = (
            f"The score tells how well gaps are filled, not what is to come. Hold out the latest rows with "
            f"--set split.method=time --set split.time={name}, or ask for --task forecast."
        )
        return [said("data-leakage", f"column {name!r}", "warn", text, cause, 0.8)]
    return []


def _next(values: np.ndarray) -> float:
    """Correlation of a series with itself a step later."""
    known = ~np.isnan(values[:-1]) & ~np.isnan(values[1:])
    one, other = values[:-1][known], values[1:][known]
    if len(one) < 50 or not one.std() or not other.std():
        return 1.0
    return float(np.corrcoef(one, other)[0, 1])


RULES = (channels, neighbours_held_out)
