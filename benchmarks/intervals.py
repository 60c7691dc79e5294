"""Tables to how well intervals keep their word: each task of distributions beside one width for all rows.

The one width is that of a plain regression's errors on rows that the members which answered had not learned from.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import trainwell as tw
from trainwell.data import split
from trainwell.explain.spreads import GRID, pinballs
from trainwell.prepare import prepare
from trainwell.recipe import check
from trainwell.tasks.spread import QUANTILES

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = {
    "abalone": ("abalone/abalone.csv", None),
    "california-housing": ("california-housing/housing.csv", "median_house_value"),
}
TASKS = ("regress", "gaussian", "quantile", "mixture")


def main() -> None:
    """Print one line a set and task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--time", default="30s", help="for each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.sets:
        for task in asked.tasks:
            path, target = SETS[name]
            print(name, task, judged(asked.data / path, target, task, asked.time, asked.seed), flush=True)


def judged(path: Path, target: str | None, task: str, seconds: str, seed: int) -> str:
    """Train on one set, and judge quantiles on its test rows; in words."""
    wishes = {"task": task, "time": seconds, "seed": seed}
    data, schema, plan = prepare(path, target, **wishes)
    parts = split(data, schema, seed=seed, **check(plan.recipe.split, split, "split"))
    began, spent = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = tw.fit(path, target, out=Path(folder) / "run", quiet=True, details=False, doctor=None, **wishes)
    took, used = time.perf_counter() - began, time.process_time() - spent
    _, answers, encoded = run.judged(data, parts.test)
    truth = run.task.unscale(torch.as_tensor(encoded).view(len(encoded), -1)).numpy()
    grid = widened(run, data, parts, answers) if task == "regress" else told(run, answers)
    settled = ", settled on held-out rows" if getattr(run.task, "ranks", None) else ""
    return words(grid, truth, answers["number"]) + f"{settled}; {took:.0f} s of the clock, {used:.0f} s of a core"


def told(run: tw.Run, answers: dict[str, np.ndarray]) -> np.ndarray:
    """The quantiles at GRID and at QUANTILES that the run's distributions have: (rows, levels, 1)"""
    mixed = run.task.unpack(torch.from_numpy(answers["parts"]))
    asked = (run.task.told(torch.tensor(np.array(levels))) for levels in (GRID, QUANTILES))
    return np.concatenate([run.task.unscale(mixed.quantile(levels)).numpy() for levels in asked], 1)


def widened(run: tw.Run, data: Any, parts: Any, answers: dict[str, np.ndarray]) -> np.ndarray:
    """The plain answers, each with the quantiles of the errors on held-out rows: (rows, levels, 1)"""
    rows = parts.train if parts.fold is not None else parts.val
    held = run.transform.encode(data, rows)
    if parts.fold is not None:
        held["held_out_fold"] = torch.as_tensor(parts.fold[held["row"].numpy()])
    truth = run.task.unscale(held["target"].view(len(held["target"]), -1)).numpy()
    off = np.quantile(truth - run.answers_to(held)["number"], np.concatenate([GRID, QUANTILES]))
    return answers["number"][:, None] + off[None, :, None]


def words(quantiles: np.ndarray, truth: np.ndarray, number: np.ndarray) -> str:
    """CRPS, pinball loss of the usual quantiles, what intervals of 80 and 90 % hold and how wide they are, RMSE."""
    grid, usual = quantiles[:, : len(GRID)], quantiles[:, len(GRID) :]
    found = [
        f"CRPS {2 * pinballs(grid, truth, GRID).mean():.5g}",
        f"pinball {pinballs(usual, truth, QUANTILES).mean():.5g}",
    ]
    for level, low, high in ((80, 1, -2), (90, 0, -1)):
        inside = (usual[:, low] <= truth) & (truth <= usual[:, high])
        width = (usual[:, high] - usual[:, low]).mean()
        found.append(f"{level} % intervals hold {100 * inside.mean():.1f} %, {width:.4g} wide")
    return ", ".join([*found, f"RMSE {((number - truth) ** 2).mean() ** 0.5:.5g}, {len(truth):,} rows"])


if __name__ == "__main__":
    main()
