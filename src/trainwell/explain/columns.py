"""Columns shuffled one by one to what each is worth to the answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.data import Schema, Source

ROWS, COLUMNS, REPEATS = 1_000, 40, 3


def column_worth(
    score: Callable[[Source, np.ndarray], float],
    source: Source,
    rows: np.ndarray,
    schema: Schema,
    metric: str,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """How much worse the metric gets when a column is shuffled among rows, largest first. Breiman 2001.

    score: the metric of a source whose rows these numbers are in the original; at most 1,000 rows and 40 columns are
    tried, three times each; `low` and `high` are the least and the most of the three.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(rows)[:ROWS]
    part = source.take(rows)
    names = [column.name for column in schema.inputs if column.name in part.frame.columns][:COLUMNS]
    if len(rows) < 10 or len(names) < 2:
        return []
    whole, sign = score(part, rows), -1 if metric in ("rmse", "mae", "log_loss", "rank_mae") else 1
    found = []
    for name in names:
        drops = []
        for _ in range(REPEATS):
            shuffled = part.frame.with_columns(part.frame[name][random.permutation(len(rows))].alias(name))
            drops.append(sign * (whole - score(replace(part, frame=shuffled), rows)))
        found.append(
            {"column": name, "worth": float(np.mean(drops)), "low": min(drops), "high": max(drops), "metric": metric}
        )
    return sorted(found, key=lambda each: -each["worth"])
