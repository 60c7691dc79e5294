"""Spoken digits to accuracies: the official split, and each speaker in turn unseen in training.

python benchmarks/sound.py official [--time 10m]
python benchmarks/sound.py speakers [--time 6m] [--only george]
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import trainwell as tw
from trainwell.data import Source, read

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def reported(name: str, run: tw.Run, began: float) -> float:
    """Print a run's accuracy with its interval; returns it."""
    found = run.folder.read_json("evaluation.json")
    value = found["metrics"]["accuracy"]
    summary = run.folder.read_json("summary.json")
    print(
        f"{name}: {value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}] of {found['rows']} sounds, "
        f"{summary['epochs']} epochs, {summary['seconds_training']:.0f} s of training, "
        f"{time.perf_counter() - began:.0f} s in all",
        flush=True,
    )
    return float(value["value"])


def apart(source: Source, speaker: str) -> tuple[Source, Source]:
    """The rows of all other speakers, and this one's."""
    whole = replace(source, parts=None)
    own = (source.frame["speaker"] == speaker).to_numpy()
    return whole.take(np.flatnonzero(~own)), whole.take(np.flatnonzero(own))


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("official", "speakers"))
    parser.add_argument("--time", help="of each training at most, as 6m")
    parser.add_argument("--only", help="one speaker alone")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    if options.which == "official":
        began = time.perf_counter()
        run = tw.fit(str(DATA / "fsdd"), time=options.time, out=options.out / "fsdd-official", quiet=True)
        reported("official split", run, began)
        return
    source = read(str(DATA / "fsdd"))
    speakers = [options.only] if options.only else sorted(source.frame["speaker"].unique().to_list())
    accuracies = []
    for speaker in speakers:
        others, own = apart(source, speaker)
        began = time.perf_counter()
        run = tw.fit(others, test=own, time=options.time, out=options.out / f"fsdd-without-{speaker}",
                     quiet=True)  # fmt: skip
        accuracies.append(reported(f"without {speaker}", run, began))
    print(f"mean of {len(accuracies)}: {np.mean(accuracies):.4f}, lowest {min(accuracies):.4f}")


if __name__ == "__main__":
    main()
