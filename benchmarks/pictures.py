"""Default plans on pictures: accuracy on held-out pictures and the seconds of training.

    python benchmarks/pictures.py digits mnist [--time 10m] [--seeds 0 1 2]

digits is the named set, split by the plan; mnist is the folder of ../shared/data with its own test part.
"""

import argparse
import json
import tempfile
from pathlib import Path

import trainwell as tw

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=["digits", "mnist", "cifar10"])
    parser.add_argument("--time", default=None)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    options = parser.parse_args()
    for name in options.sets:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                source = name if name == "digits" else DATA / name
                run = tw.fit(source, time=options.time, seed=seed, out=Path(folder) / "run")
                summary = run.folder.read_json("summary.json")
                evaluation = run.folder.read_json("evaluation.json")
                row = {"set": name, "seed": seed, "training_seconds": summary["seconds_training"]}
                row |= {"rows": evaluation["rows"], "accuracy": evaluation["metrics"]["accuracy"]}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
