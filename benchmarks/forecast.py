"""ETTh1 forecast at four horizons: errors on the standardized test part of the usual 12, 4 and 4 months.

    python benchmarks/forecast.py [--horizons 96 192 336 720] [--model patch_blend]

Every window of the test part counts, the last ones too. Settings were chosen by the error on the validation part.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import trainwell as tw

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
GOALS = {96: 0.370, 192: 0.405, 336: 0.422, 720: 0.440}
SETTINGS = ["split.parts=[8640,2880,2880]", "model.lookback=512", "task.quantiles=[]"]


def main() -> None:
    """Fit each horizon and print its errors beside the goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--horizons", nargs="*", type=int, default=list(GOALS))
    parser.add_argument("--model", default="linear_blend")
    parser.add_argument("--set", dest="changes", nargs="*", default=[])
    options = parser.parse_args()
    for horizon in options.horizons:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            changes = [f"task.horizon={horizon}", *SETTINGS, *options.changes]
            if options.model != "linear_blend":  # the plan's own settings are those of the plan's own model
                changes += ["optimizer.lr=0.0001", "schedule={name: trapezoid, decay: 0.9, warmup: 0.0}"]
            run = tw.fit(DATA / "ett" / "ETTh1.csv", task="forecast", model=options.model, changes=changes,
                         out=Path(folder) / "run", quiet=True)  # fmt: skip
            metrics = run.folder.read_json("evaluation.json")["metrics"]
            seen = [each["mse"] for each in run.folder.read_lines("metrics.jsonl") if each.get("event") == "evaluate"]
            naive = run.folder.read_json("baselines.json")[0]["metrics"]["mse"]
            lookback = run.recipe.model.get("lookback")
        goal = GOALS.get(horizon)
        mse, mae = metrics["mse"], metrics["mae"]
        print(
            f"{horizon} steps by {run.recipe.model['name']} from {lookback}: MSE {mse['value']:.4f} "
            f"[{mse['low']:.3f}, {mse['high']:.3f}], goal {goal}, MAE {mae['value']:.4f}, seasonal naive {naive:.3f}; "
            f"validation MSE {min(seen):.4f}; {time.perf_counter() - began:.0f} s in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
