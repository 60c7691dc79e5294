"""Whole sets as they are published, to what is said of them as sources: each finding above a note is to be explained.

Made by `python -m benchmarks.doctor.clean_sources`. Some have faults of their own, as most real sets have.
"""

import argparse
import zipfile
from pathlib import Path

from benchmarks.doctor.setups import DATA
from benchmarks.doctor.soiled import looked
from benchmarks.doctor.soiled_tables import Soiled, credit, lesions, rows_of, write
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_linnerud, load_wine

SETS = {
    "abalone": lambda folder: write(folder / "abalone.csv", rows_of("abalone", 5000)),
    "abalone, no header": lambda folder: DATA / "abalone" / "abalone.csv",
    "california-housing": lambda folder: DATA / "california-housing" / "housing.csv",
    "german-credit": lambda folder: write(folder / "credit.csv", credit()),
    "horse-colic": lambda folder: DATA / "horse-colic" / "horse-colic.csv",
    "mammography": lambda folder: write(folder / "mammography.csv", lesions(300, 12_000)),
    "iris": lambda folder: DATA / "iris" / "iris.csv",
    "ett": lambda folder: DATA / "ett" / "ETTh1.csv",
    "daily-min-temperatures": lambda folder: DATA / "daily-min-temperatures" / "daily-min-temperatures.csv",
    "monthly-sunspots": lambda folder: DATA / "monthly-sunspots" / "monthly-sunspots.csv",
    "fsdd": lambda folder: spoken(folder),
    "mnist": lambda folder: DATA / "mnist" / "test.parquet",
    "cifar10": lambda folder: DATA / "cifar10" / "test.parquet",
    "omniglot": lambda folder: letters(folder),
    "review-polarity": lambda folder: DATA / "review-polarity",
    "names": lambda folder: DATA / "names" / "names.txt",
    "tinyshakespeare": lambda folder: DATA / "tinyshakespeare" / "input.txt",
    "multi30k-en-de": lambda folder: DATA / "multi30k-en-de",
    "wnut17-ner": lambda folder: DATA / "wnut17-ner" / "wnut17train.conll",
    "xquad-en": lambda folder: DATA / "xquad-en" / "xquad.en.json",
    "bccd": lambda folder: DATA / "bccd",
    "camvid": lambda folder: DATA / "camvid",
    "diabetes of the examples": lambda folder: Path("examples/diabetes.csv"),
    **{
        loader.__name__.removeprefix("load_"): lambda folder, loader=loader: framed(folder, loader)
        for loader in (load_breast_cancer, load_diabetes, load_digits, load_linnerud, load_wine)
    },
}
TARGETS = {
    "california-housing": "median_house_value", "ett": "OT", "diabetes of the examples": "progression",
    "linnerud": "Weight", "horse-colic": "column_24",
}  # fmt: skip


def framed(folder: Path, loader: object) -> Path:
    """One of scikit-learn's sets as a table."""
    path = folder / "table.csv"
    loader(as_frame=True).frame.to_csv(path, index=False)  # type: ignore[operator]
    return path


def spoken(folder: Path) -> Path:
    """The recordings in a folder for each digit, without a copy."""
    for file in sorted((DATA / "fsdd" / "recordings").glob("*.wav")):
        digit = folder / "sounds" / file.name[0]
        digit.mkdir(parents=True, exist_ok=True)
        (digit / file.name).symlink_to(file)
    return folder / "sounds"


def letters(folder: Path) -> Path:
    with zipfile.ZipFile(DATA / "omniglot" / "images_background_small1.zip") as archive:
        archive.extractall(folder)
    return folder / "images_background_small1" / "Greek"


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--only", default="", help="a word of a set's name")
    only = reader.parse_args().only
    told = 0
    for name, place in SETS.items():
        if only not in name:
            continue
        wishes = {"target": TARGETS[name]} if name in TARGETS else {}
        case = Soiled(name, name, lambda folder, planted, place=place: place(folder), (), (), wishes)
        result = looked(case, False, "check")
        told += bool(result["found"])
        print(
            f"{name}: exit {result['code']}, {result['found']}, notes {result['noted']}, {result['seconds']} s",
            flush=True,
        )
        for line in result["text"].splitlines():
            if (
                line.startswith(("warn", "critical", "trainwell:", "Traceback"))
                or "Error" in line[:40]
                or "Warning" in line
            ):
                print(f"    {line[:400]}")
    print(f"something above a note was told of {told} of {len(SETS)} sets")


if __name__ == "__main__":
    main()
