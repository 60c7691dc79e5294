"""Parts that the source itself gives to whether they went through one preparation: columns, levels, classes."""

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.view import View
from trainwell.data.values import as_text
from trainwell.doctor.finding import Finding

APART = 0.5  # of the rows on the other side of some value: no chance and hardly any drift takes a column so far
FEWEST = 50


def other_parts(view: View) -> list[Finding]:
    """Columns of the test or validation part that hardly overlap with the training part's, or have other levels."""
    if view.parts is None or view.schema.task == "forecast":
        return []
    train = view.parts == "train"
    found: list[Finding] = []
    for part in ("test", "val"):
        theirs = view.parts == part
        if min(train.sum(), theirs.sum()) < FEWEST:
            continue
        found += _numbers(view, train, theirs, part) + _levels(view, train, theirs, part)
    return found + _classes(view, train)


def _numbers(view: View, train: np.ndarray, theirs: np.ndarray, part: str) -> list[Finding]:
    off = []
    for name, values in view.numbers.items():
        ours, others = (np.sort(values[rows][~np.isnan(values[rows])]) for rows in (train, theirs))
        if min(len(ours), len(others)) < FEWEST:
            continue
        apart = ks(ours, others)
        if apart > APART:
            off.append((apart, name, np.median(ours), np.median(others)))
    if not off:
        return []
    apart, name, mine, other = max(off)
    text = (
        f"{len(off)} of {len(view.numbers)} columns of numbers lie elsewhere in the {part} part: {name!r} around "
        f"{other:.3g}, in the training part around {mine:.3g}."
    )
    cause = "Other units, or each part was scaled by itself; what is learned from one does not hold in the other."
    return [said("preprocessing-mismatch", f"column {name!r}", "critical", text, cause, 0.85)]


def ks(ours: np.ndarray, others: np.ndarray) -> float:
    """The largest difference between the shares below a value (Kolmogorov-Smirnov), of two sorted arrays."""
    every = np.concatenate([ours, others])
    shares = [np.searchsorted(each, every, side="right") / len(each) for each in (ours, others)]
    return float(np.abs(shares[0] - shares[1]).max())


def _levels(view: View, train: np.ndarray, theirs: np.ndarray, part: str) -> list[Finding]:
    """Levels that the training part does not have, in a good part of the other's rows."""
    for column in view.inputs:
        if column.kind != "category":
            continue
        levels = as_text(view.series(column.name)).fill_null("").to_numpy()
        known = set(levels[train].tolist())
        new = [level for level in levels[theirs].tolist() if level not in known]
        # Rare levels are new in any part now and then: of as many rows of the training part itself, so many are.
        counts = np.unique(levels[train], return_counts=True)[1]
        alone = float((counts == 1).sum() / train.sum())
        if len(new) > max(0.2, 3 * alone) * theirs.sum() and len(new) >= 10:
            share = f"{len(new) / theirs.sum():.0%} of the {part} rows"
            text = f"{share} have a level that no training row has, such as {new[0]!r}."
            cause = "Another spelling or coding than in the training part."
            return [said("preprocessing-mismatch", f"column {column.name!r}", "critical", text, cause, 0.9)]
    return []


def _classes(view: View, train: np.ndarray) -> list[Finding]:
    """A class of the other parts that the training part has no row of."""
    if view.labels is None or len(view.classes) > 100:
        return []
    known = np.unique(view.labels[train])
    lost = [(view.classes[kind], int((view.labels == kind).sum())) for kind in np.setdiff1d(view.labels, known)]
    lost = [(name, count) for name, count in lost if count >= 5]
    if not lost:
        return []
    name, count = lost[0]
    text = f"The class {name!r} has {count:,} rows in the other parts and none in the training part."
    cause = "It cannot be learned: a class folder is lacking or has another name."
    return [said("targets-out-of-range", "classes", "critical", text, cause, 0.95)]


RULES = (other_parts,)
