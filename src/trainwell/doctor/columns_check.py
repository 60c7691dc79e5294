"""Columns and pictures of a sample that say the same of every row, and numbers that stand for a missing one."""

import numpy as np

from trainwell.doctor.finding import Finding
from trainwell.doctor.sample import Sample
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
RARE = 0.1  # deviations below 0 at which a class of one row in a hundred stands where it is not
BLANK = 0.97  # of all pixels, which are one and the same number; drawings leave some 95 % of a sheet white
OFTEN, SELDOM = 0.45, 0.005  # share of a column's rows that a number may stand for that is missing
LEAST = 3  # rows of that number


def who_knows_whom(values: np.ndarray) -> bool:
    """Whether a matrix, once or several times, says which rows lie near which, as of a graph: no features."""
    square = values[: values.shape[1]]
    return len(square) == values.shape[1] > 1 and values.min() >= 0 and bool(np.allclose(square, square.T))


def shares_of_words(values: np.ndarray) -> bool:
    """Whether a row's values are its shares of many words, few of which it has: their sum, or their length, is 1."""
    sums, lengths = values.sum(1), np.sqrt((values**2).sum(1))
    near = (np.abs(sums - 1) < 0.01) | (np.abs(lengths - 1) < 0.01) | (sums == 0)
    return bool(values.min() >= 0 and (values == 0).mean() > 0.5 and near.mean() > 0.95)


def one_value(sample: Sample) -> Finding | None:
    """What carries nothing, or a code among numbers."""
    return _blank_pictures(sample) or _code_for_missing(sample) or _same_of_every_row(sample)


def _blank_pictures(sample: Sample) -> Finding | None:
    """Pictures of hardly anything but one number, with two others at most."""
    for place, each in enumerate(sample.inputs):
        if each.dim() != 4 or not each.is_floating_point() or each.shape[0] < 16:
            continue
        kinds, counts = each.detach().unique(return_counts=True)
        share = float(counts.max()) / each.numel()
        if 1 < len(kinds) <= 3 and share > BLANK:
            value = float(kinds[counts.argmax()])
            return Finding(
                "bad-features",
                f"input {place}",
                "critical",
                f"{share:.1%} of all pixels are {value:.3g}, and there are {len(kinds)} different values in all.",
                "The transform has rounded the pictures away, as a division of whole numbers by 255 does.",
                0.9,
                statistic={"value": share, "healthy": [0, BLANK]},
            )
    return None


def _code_for_missing(sample: Sample) -> Finding | None:
    """A number that many rows have in a column and that lies far from all others there, as -999 does."""
    for place, matrix in sample.numbers():
        sequence = sample.inputs[place].dim() == 3  # of which each number counts for itself
        matrix = matrix.reshape(-1, sample.inputs[place].shape[2]) if sequence else matrix
        if sample.inputs[place].dim() not in (2, 3) or len(matrix) < 64 or matrix.shape[1] > 500:
            continue
        for column, values in enumerate(matrix.T):
            kinds, counts = np.unique(values, return_counts=True)
            for value, count in ((kinds[0], counts[0]), (kinds[-1], counts[-1])):
                if not max(LEAST, SELDOM * len(values)) <= count <= OFTEN * len(values):
                    continue
                others = values[values != value]
                middle = np.median(others)
                spread = 1.4826 * np.median(np.abs(others - middle))
                nearest = np.abs(others - middle).max()
                if spread > 0 and abs(value - middle) > max(LIMITS.outlier * spread, LIMITS.gap * nearest):
                    return _told_code(place, column, float(value), int(count), len(values))
    return None


def _told_code(place: int, column: int, value: float, count: int, rows: int) -> Finding:
    return Finding(
        "bad-features",
        f"input {place}, feature {column}",
        "warn",
        f"{count} of {rows:,} rows have {value:.4g} in column {column}, far from all other numbers there.",
        "A number that stands for a missing one was taken for a measured one.",
        0.85,
        statistic={"value": count / rows, "healthy": [0, 0]},
    )


def _same_of_every_row(sample: Sample) -> Finding | None:
    """Columns of a table that say the same of every row.

    Not told: a background that other columns have as well, as the rims of pictures do; a class of a one-hot code that
    is not in the sample, as 0 or, standardized over all rows, as a little below it (a class that one row in a hundred
    has is at -0.1 elsewhere); a single column of ones, which some add for the sake of an intercept.
    """
    for place, matrix in sample.numbers():
        if sample.inputs[place].dim() != 2 or len(matrix) < 128 or not 3 <= matrix.shape[1] <= 200:
            continue
        still = (matrix == matrix[:1]).all(0)
        moving = matrix[:, ~still]
        if not still.any() or moving.shape[1] < 2:
            continue
        kinds = np.array([len(np.unique(column)) for column in moving.T])
        background = [float((moving == value).mean()) > 0.05 for value in matrix[0, still]]
        zero = matrix[0, still] == 0
        scaled = abs(np.median(moving.mean(0))) < 0.1 and 0.5 < np.median(moving.std(0)) < 2
        if scaled and ((matrix[0, still] < 0) & (matrix[0, still] > -RARE)).all():
            continue
        if any(background) or (zero.any() and (kinds.min() <= 2 or np.median(kinds) <= 20)):
            continue
        columns = np.flatnonzero(still)
        if len(columns) == 1 and matrix[0, columns[0]] == 1:
            continue
        value = matrix[0, columns[0]]
        return Finding(
            "bad-features",
            f"input {place}, feature {columns[0]}",
            "warn",
            f"{len(columns)} of {matrix.shape[1]} columns have one value in all {len(matrix):,} rows, "
            f"such as {value:.3g} in column {columns[0]}.",
            "A column that never changes tells nothing: a dead sensor, a failed join, or a default that was filled in.",
            0.55,
            statistic={"value": len(columns), "healthy": [0, 0], "explains nothing": True},
        )
    return None
