"""Spoken digits to accuracies: the official split, and each speaker in turn unseen in training.

python benchmarks/sound.py official [--time 10m]
python benchmarks/sound.py speakers [--time 6m] [--only george]
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy.io import wavfile

import trainwell as tw
from trainwell.data import Source, read

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
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


def joined(folder: Path, source: Source, part: str, rows: int, seed: int) -> Path:
    """Strings of two to six clips of one speaker of this part, as wav files, in a table with the digits they say."""
    random = np.random.default_rng(seed)
    frame = source.frame.filter(pl.Series(source.parts == part))
    folder.mkdir(parents=True)
    texts = []
    for row in range(rows):
        own = frame.filter(pl.col("speaker") == random.choice(frame["speaker"].unique().sort()))
        chosen = own.sample(int(random.integers(2, 7)), with_replacement=True, seed=int(random.integers(1 << 31)))
        pieces = []
        for path in chosen["audio"]:
            pieces += [wavfile.read(path)[1], np.zeros(int(random.integers(0, 1600)), np.int16)]
        wavfile.write(folder / f"{row:05d}.wav", 8000, np.concatenate(pieces))
        texts.append(" ".join(WORDS[int(each)] for each in chosen["label"]))
    table = folder.parent / f"{folder.name}.csv"
    pl.DataFrame({"file": [f"{row:05d}.wav" for row in range(rows)], "text": texts}).write_csv(table)
    return table


def strings(options: argparse.Namespace) -> None:
    """Learn what is said in strings of digits from training takes, and judge on strings of the test takes."""
    source, began = read(str(DATA / "fsdd")), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train = joined(Path(folder) / "train", source, "train", 3000, seed=0)
        test = joined(Path(folder) / "test", source, "test", 300, seed=1)
        run = tw.fit(str(train), test=str(test), time=options.time, out=options.out / "fsdd-strings", quiet=True)
    found, summary = run.folder.read_json("evaluation.json"), run.folder.read_json("summary.json")
    for name, each in found["metrics"].items():
        print(f"{name}: {each['value']:.4f} [{each['low']:.4f}, {each['high']:.4f}] of {found['rows']} strings")
    print(f"{summary['epochs']} epochs, {summary['seconds_training']:.0f} s of training, "
          f"{time.perf_counter() - began:.0f} s in all")  # fmt: skip


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("official", "strings", "speakers"))
    parser.add_argument("--time", help="of each training at most, as 6m")
    parser.add_argument("--only", help="one speaker alone")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    if options.which == "official":
        began = time.perf_counter()
        run = tw.fit(str(DATA / "fsdd"), time=options.time, out=options.out / "fsdd-official", quiet=True)
        reported("official split", run, began)
        return
    if options.which == "strings":
        strings(options)
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
