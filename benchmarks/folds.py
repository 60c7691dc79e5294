"""Film reviews to accuracies in ten folds: each hundred of file names held out once, as Pang & Lee 2004 divide them.

    python benchmarks/folds.py [--weights MINILM] [--time 2m] [--fold 1 --fold 2]

A linear model on the words and pairs of words of the same rows stands beside each fold.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import trainwell as tw
from trainwell.data import read

DATA = Path(os.environ.get("TRAINWELL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def linear(texts: list[str], labels: np.ndarray, held: np.ndarray) -> float:
    """Accuracy on the held-out rows of logistic regression on weighed words and pairs of words."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=30, max_iter=1000))
    rest = np.flatnonzero(~held)
    model.fit([texts[row] for row in rest], labels[rest])
    held = np.flatnonzero(held)
    return float((model.predict([texts[row] for row in held]) == labels[held]).mean())


def main() -> None:
    """Measure the folds that the command line names, or all ten."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="a hub folder to start from")
    parser.add_argument("--time", default="2m", help="of each training at most")
    parser.add_argument("--fold", type=int, action="append", choices=range(1, 11), help="from 1; all if none is given")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="a change of the recipe, as for fit")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    files = sorted((DATA / "review-polarity").glob("*/cv*.txt"))
    source = replace(read(str(DATA / "review-polarity")), parts=None)
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    labels = np.array([file.parent.name for file in files])
    assert source.frame["label"].to_list() == labels.tolist(), "rows are expected in the order of the files' names"
    numbers = np.array([int(file.name[2]) for file in files])  # cv0.. is the first fold
    found, beside = [], []
    for fold in options.fold or range(1, 11):
        began = time.perf_counter()
        rest, own = (source.take(np.flatnonzero((numbers == fold - 1) == held)) for held in (False, True))
        wishes = {"weights": options.weights} if options.weights else {}
        run = tw.fit(rest, test=own, time=options.time, changes=options.changes, quiet=True, details=False,
                     out=options.out / f"polarity-{fold}", **wishes)  # fmt: skip
        found.append(float((run.predict(own) == labels[numbers == fold - 1]).mean()))
        beside.append(linear(texts, labels, numbers == fold - 1))
        summary = run.folder.read_json("summary.json")
        print(
            f"fold {fold}: {found[-1]:.3f} of {own.rows} reviews, linear {beside[-1]:.3f}, {summary['epochs']} epochs, "
            f"{summary['seconds_training']:.0f} s of training, {time.perf_counter() - began:.0f} s in all",
            flush=True,
        )
    print(f"mean of {len(found)}: {np.mean(found):.4f}, deviation {np.std(found):.4f}; linear {np.mean(beside):.4f}")


if __name__ == "__main__":
    main()
