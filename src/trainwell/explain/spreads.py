"""Distributions and the truth to how well they keep their word: coverage, sharpness, proper scores, simple rivals."""

from typing import Any

import numpy as np
import torch

from trainwell.explain.bootstrap import interval, wilson
from trainwell.tasks import Spread

GRID = (np.arange(100) + 0.5) / 100  # levels whose pinball losses, averaged, are half the CRPS
BLOCK = 256  # rows whose quantiles are sought at a time
SHOWN = 60  # rows that a page draws with their intervals
BINS = 10  # of the histogram of where the truth fell
HELD_BACK = 5  # one part in so many of the rows that a simple answer learns from tells how far it is off


def measure_spreads(answers: dict[str, np.ndarray], target: np.ndarray, task: Spread) -> dict[str, Any]:
    """Scores of distributions in the target's unit and, of a network's, how often its intervals hold the truth.

    answers: "number" and "parts" as the task predicts them, or "grid" (rows, levels of GRID, targets) of a simple one;
    target: scaled, as the transform encodes it.
    """
    scaled = torch.as_tensor(target).view(len(target), -1)
    truth = task.unscale(scaled).numpy()
    if "grid" in answers:
        crps = pinballs(answers["grid"], truth, GRID) * 2
        told = np.stack([_at(answers["grid"], share) for share in task.quantiles], 1)
        metrics = {"crps": _mean(crps), "pinball": _mean(pinballs(told, truth, task.quantiles))}
        return {"goal": "crps", "metrics": metrics}
    crps, below, ends = _by_row(answers["parts"], scaled, truth, task)
    metrics = {"crps": _mean(crps)}
    if task.score != "pinball":
        metrics[task.score] = _mean(answers[task.score].astype(np.float64))
    metrics["pinball"] = _mean(pinballs(answers["quantiles"].astype(np.float64), truth, task.quantiles))
    levels = np.arange(1, 20) / 20
    off = np.abs(2 * below - 1).ravel()
    return {
        "goal": "crps",
        "metrics": metrics,
        "unit_note": NOTE,
        "settled": task.ranks is not None,
        "coverage": {"levels": levels.tolist(), "shares": [float((off <= level).mean()) for level in levels]},
        "ranks": np.histogram(below, BINS, (0, 1))[0].tolist(),
        "central": [_central(level, *ends[level], truth) for level in task.central()],
        "fan": _fan(answers["number"].astype(np.float64), ends, truth, task.central()),
    }


def pinballs(quantiles: np.ndarray, truth: np.ndarray, levels: Any) -> np.ndarray:
    """The pinball loss of each row, averaged over levels and targets: (rows, levels, targets), (rows, targets)."""
    share = np.asarray(levels)[:, None]
    error = truth[:, None] - quantiles
    return np.maximum(share * error, (share - 1) * error).mean((1, 2))


NOTE = (
    "The continuous ranked probability score is how far a whole distribution lies from the truth, in the unit of the "
    "target; of a bare number it is the absolute error."
)
Ends = dict[float, tuple[np.ndarray, np.ndarray]]  # of the central interval of each level: (rows, targets) each


def _by_row(
    parts: np.ndarray, scaled: torch.Tensor, truth: np.ndarray, task: Spread
) -> tuple[np.ndarray, np.ndarray, Ends]:
    """The CRPS of each row, the share of its distribution below the truth, and the ends of its central intervals.

    Half the continuous ranked probability score is the pinball loss averaged over all levels. Gneiting & Raftery 2007,
    doi:10.1198/016214506000001437.
    """
    central = task.central()
    sides = sorted(side for level in central for side in ((1 - level) / 2, (1 + level) / 2))
    even, at = task.told(torch.from_numpy(GRID)), task.told(torch.tensor(sides, dtype=torch.float64))
    crps, ends = np.empty(len(parts)), np.empty((len(sides), *truth.shape))
    for start in range(0, len(parts), BLOCK):
        rows = slice(start, start + BLOCK)
        mixed = task.unpack(torch.from_numpy(parts[rows]))
        crps[rows] = 2 * pinballs(task.unscale(mixed.quantile(even)).numpy(), truth[rows], GRID)
        if sides:
            ends[:, rows] = task.unscale(mixed.quantile(at)).numpy().transpose(1, 0, 2)
    below = task.held(shares_below(parts, scaled, task))
    return crps, below, {level: (ends[-1 - i], ends[i]) for i, level in enumerate(central, start=len(central))}


def shares_below(parts: np.ndarray, scaled: torch.Tensor, task: Spread) -> np.ndarray:
    """The share of each distribution, as it was mixed, below its truth: (rows, targets)"""
    found = [
        task.unpack(torch.from_numpy(parts[start : start + BLOCK])).below(scaled[start : start + BLOCK, None].float())[
            0
        ]
        for start in range(0, len(parts), BLOCK)
    ]
    return torch.cat(found)[:, 0].double().numpy()


def _central(level: float, low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """One central interval: how often it holds the truth, and how wide it is, on average and at both tenths."""
    inside, width = (low <= truth) & (truth <= high), high - low
    narrow, wide = np.percentile(width, [10, 90])
    return {
        "level": level,
        "coverage": wilson(int(inside.sum()), inside.size),
        "width": float(width.mean()),
        "narrow": float(narrow),
        "wide": float(wide),
    }


def _fan(number: np.ndarray, ends: Ends, truth: np.ndarray, levels: list[float]) -> dict[str, Any] | None:
    """Some rows in the order of their answers, each with its widest and narrowest interval and the truth."""
    if not levels:
        return None
    chosen = np.random.default_rng(0).permutation(len(truth))[:SHOWN]
    chosen = chosen[np.argsort(number[chosen, 0], kind="stable")]
    drawn: dict[str, Any] = {"number": number[chosen, 0].tolist(), "truth": truth[chosen, 0].tolist(), "bands": []}
    for level in sorted({levels[-1], levels[0]}, reverse=True):
        low, high = (end[chosen, 0].tolist() for end in ends[level])
        drawn["bands"].append({"level": level, "low": low, "high": high})
    return drawn


class OneWidth:
    """A simple answer and how far it was off on rows that it did not learn from, the same for every row."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.off = np.zeros(len(GRID))

    def fit(self, x: Any, y: np.ndarray) -> None:
        """Learn from four rows of five, and take the spread of the errors on the fifth."""
        order = np.random.default_rng(0).permutation(len(y))
        held = order[: max(1, len(y) // HELD_BACK)]
        learned = order[len(held) :] if len(order) > len(held) else order
        self.model.fit(x[learned], y[learned])
        self.off = np.quantile(y[held] - self.model.predict(x[held]), GRID)

    def predict(self, x: Any) -> np.ndarray:
        """The number alone: (rows,)"""
        return self.model.predict(x)


def simple_spread(number: np.ndarray, off: np.ndarray, task: Spread) -> dict[str, np.ndarray]:
    """Scaled numbers, (rows,), and the quantiles of their errors to answers as `measure_spreads` takes them."""
    grid = task.unscale(torch.from_numpy(number[:, None] + off[None])[..., None]).numpy()
    return {"number": task.unscale(torch.from_numpy(number)[:, None]).numpy(), "grid": grid}


def spread_sentence(evaluation: dict[str, Any]) -> str:
    """The result in words: what the widest judged interval held, how wide it is, and the score that ranks answers."""
    crps, rows = evaluation["metrics"]["crps"], evaluation["rows"]
    held = "held-out" if evaluation["part"] == "test" else "validation"
    scored = f"{_figure(crps['value'])} [{_figure(crps['low'])}, {_figure(crps['high'])}]"
    if not evaluation["central"]:
        return f"Off by {scored} by the continuous ranked probability score, on {rows:,} {held} rows."
    last = evaluation["central"][-1]
    share, low, high = (100 * last["coverage"][key] for key in ("value", "low", "high"))
    return (
        f"Its {100 * last['level']:.0f} % intervals hold the truth for {share:.1f} % [{low:.1f}, {high:.1f}] of "
        f"{rows:,} {held} rows and are {_figure(last['width'])} wide on average; off by {scored}, by the continuous "
        "ranked probability score."
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _at(grid: np.ndarray, share: float) -> np.ndarray:
    """The quantile of this share, by a straight line between those of GRID: (rows, targets)"""
    place = float(np.clip(share * len(GRID) - 0.5, 0, len(GRID) - 1))
    left = int(place)
    right = min(left + 1, len(GRID) - 1)
    return grid[:, left] + (place - left) * (grid[:, right] - grid[:, left])


def _mean(values: np.ndarray) -> dict[str, float]:
    return interval(lambda answer, _: float(answer.mean()), values, values)
