"""Fine-tuning published weights against training from scratch, on few labelled pictures.

    python benchmarks/transfer.py [--pictures 1000] [--time 2m] [--seeds 0] [--test 10000]

The first pictures of ../shared/data/cifar10/train.parquet, a tenth of them to choose the checkpoint by, and the whole
test part. The weights are ResNet-20's, learned on the lossless pictures of all 50,000; their head is thrown away, as
that of other classes would be. The doctor is left out, so that all seconds go into learning. From scratch: the same
network, and the network that the plan chooses by itself.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

import trainwell as tw

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WEIGHTS = DATA / "cifar10-resnet-weights"


def few(folder: Path, pictures: int, test: int) -> Path:
    """A folder of so many training and test pictures, as the whole set lies."""
    for part, rows in (("train", pictures), ("test", test)):
        pl.read_parquet(DATA / "cifar10" / f"{part}.parquet", n_rows=rows).write_parquet(folder / f"{part}.parquet")
    shutil.copy(DATA / "cifar10" / "labels.json", folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--time", default="2m")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--only", nargs="*", default=None)
    options = parser.parse_args()
    weights = str(next(WEIGHTS.glob("*20*.safetensors")))
    resnet: dict[str, Any] = {
        "model": "resnet",
        "changes": ["model.depth=20", "train.epochs=60", "train.batch_size=32"],
    }
    ways: dict[str, dict[str, Any]] = {
        "fine-tuned, new head": {"weights": weights, "changes": ["transfer.new_head=true"]},
        "from scratch, resnet 20": resnet,
        "from scratch, planned": {},
    }
    for seed in options.seeds:
        for name, wishes in ways.items():
            if options.only and not any(word in name for word in options.only):
                continue
            with tempfile.TemporaryDirectory() as folder:
                source = few(Path(folder), options.pictures, options.test)
                wishes = {"time": options.time, "seed": seed, "quiet": True, "doctor": None, **wishes}
                run = tw.fit(source, out=Path(folder) / "run", **wishes)
                summary = run.folder.read_json("summary.json")
                evaluation = run.folder.read_json("evaluation.json")
                row = {"way": name, "seed": seed, "rows": summary["rows"], "seconds": summary["seconds_training"]}
                row |= {"epochs": summary["epochs"], "accuracy": evaluation["metrics"]["accuracy"]}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
