"""Small logs as newcomers have them, odd in name, form or content, and what `trainwell doctor` is to say of each.

Written and put on record on 2026-11-21 at 11:34 UTC, before any of them was judged; the reader had been read, not the
rules. Made by `python -m benchmarks.doctor.odd_logs`.
"""

import json
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.doctor.soiled import LINE, NAMES, called

WELL = [2.3 * math.exp(-0.25 * epoch) + 0.12 + 0.01 * (-1) ** epoch for epoch in range(20)]
HELD = [2.3 * math.exp(-0.22 * epoch) + 0.18 + 0.01 * (-1) ** epoch for epoch in range(20)]
OVER = [value if epoch < 6 else 0.8 + 0.12 * (epoch - 6) for epoch, value in enumerate(HELD)]
FALLS = [2.3 * math.exp(-0.3 * epoch) + 0.01 for epoch in range(20)]
NAN = [*WELL[:8], *[math.nan] * 12]


class Odd(NamedTuple):
    """A file's name and text, the exit code, and findings (of a right reading) or words of the message."""

    name: str
    file: str
    text: str
    code: int
    meant: tuple[str, ...] = ()  # one of which is to be found; none: nothing is to be found
    words: tuple[str, ...] = ()  # one of which the message holds


def table(heads: str, *columns: Iterable[Any], separator: str = ",") -> str:
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([heads.replace(",", separator), *rows]) + "\n"


EPOCHS = range(1, 21)
OVERFIT = ("overfitting",)
BROKEN = ("non-finite-values",)
CASES = [
    Odd("no such file", "", "", 2, (), ("no such file",)),
    Odd("empty", "log.csv", "", 2, (), ("empty", "nothing", "0 lines")),
    Odd("a header alone", "log.csv", "epoch,loss,val_loss\n", 2, (), ("row", "line")),
    Odd("one row", "log.csv", "epoch,loss\n1,0.5\n", 2, (), ("row", "line", "one")),
    Odd("no loss column", "log.csv", table("epoch,accuracy", EPOCHS, FALLS), 2, (), ("loss",)),
    Odd("a table of data", "iris.csv", "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n", 2, (), ("loss",)),
    Odd("a picture", "log.png", "\x89PNG\r\n\x1a\n\x00\x00\x00", 2, (), ("log", "text")),
    Odd("Python code", "train.py", "import torch\nfor epoch in range(3):\n    print(epoch)\n", 2, (), ("loss",)),
    Odd("a recipe", "recipe.yaml", "task: classify\noptimizer:\n  lr: 0.1\n", 2, (), ("loss", "log")),
    Odd("JSON without a loss", "log.json", json.dumps({"name": "run", "lr": 0.1}), 2, (), ("loss",)),
    Odd("JSON that breaks off", "log.json", '[{"epoch": 1, "loss": 0.5}, {"epo', 2, (), ("JSON",)),
    Odd("JSON lines of which the last breaks off", "log.jsonl",
        "".join(json.dumps({"epoch": e, "loss": v}) + "\n" for e, v in zip(EPOCHS, WELL, strict=True)) + '{"epo', 0),
    Odd("JSON of columns", "history.json", json.dumps({"loss": FALLS, "val_loss": OVER}), 0, OVERFIT),
    Odd("a number in place of a table", "log.json", "3.5", 2, (), ("loss", "row", "line")),
    *[
        Odd(f"columns {train} and {held}", "log.csv", table(f"{step},{train},{held}", EPOCHS, FALLS, OVER), 0, OVERFIT)
        for step, train, held in (
            ("epoch", "train/loss", "val/loss"), ("epoch", "loss", "eval_loss"), ("Epoch", "Loss", "Val Loss"),
            ("epoch", "training_loss", "validation_loss"), ("Epoch", "Training Loss", "Validation Loss"),
            ("epoch", "trainLoss", "valLoss"), ("epoch", "tr_loss", "te_loss"), ("epoch", "loss_train", "loss_val"),
            ("step", "train.loss", "valid.loss"), ("epoch", "Train_Loss", "Test_Loss"), ("it", "cost", "val_cost"),
            ("epoch", "train_cross_entropy", "val_cross_entropy"), ("epoch", "train_mse", "val_mse"),
            ("epoch", "train/total_loss", "val/total_loss"), ("", "train_loss", "val_loss"),
        )
    ],
    Odd("tabs between cells", "log.tsv", table("epoch,loss,val_loss", EPOCHS, FALLS, OVER, separator="\t"), 0, OVERFIT),
    Odd("semicolons between cells", "log.csv", table("epoch,loss,val_loss", EPOCHS, FALLS, OVER, separator=";"), 0,
        OVERFIT),
    Odd("commas as decimal points", "log.csv", table("epoch;loss;val_loss", EPOCHS, [f"{v:.4f}".replace(".", ",")
        for v in FALLS], [f"{v:.4f}".replace(".", ",") for v in OVER], separator=";"), 0, OVERFIT),
    Odd("blanks after commas", "log.csv", table("epoch, loss, val_loss", EPOCHS, FALLS, OVER).replace(",", ", "), 0,
        OVERFIT),
    Odd("a note above the header", "log.csv", "# run 7\n" + table("epoch,loss,val_loss", EPOCHS, FALLS, OVER), 0,
        OVERFIT),
    Odd("accuracies in percent", "log.csv", table("epoch,loss,val_loss,accuracy,val_accuracy", EPOCHS, WELL, HELD,
        [98 - 60 * math.exp(-0.3 * e) for e in EPOCHS], [96 - 60 * math.exp(-0.3 * e) for e in EPOCHS]), 0),
    Odd("accuracies with a percent sign", "log.csv", table("epoch,loss,val_loss,val_accuracy", EPOCHS, WELL, HELD,
        [f"{96 - 60 * math.exp(-0.3 * e):.1f}%" for e in EPOCHS]), 0),
    Odd("nan in words", "log.csv", table("epoch,loss", EPOCHS, NAN), 0, BROKEN),
    Odd("NaN in capitals", "log.csv", table("epoch,loss", EPOCHS, ["NaN" if v != v else v for v in NAN]), 0, BROKEN),
    Odd("inf", "log.csv", table("epoch,loss", EPOCHS, ["inf" if v != v else v for v in NAN]), 0, BROKEN),
    Odd("nan in JSON as null", "log.jsonl", "".join(json.dumps({"epoch": e, "loss": None if v != v else v}) + "\n"
        for e, v in zip(EPOCHS, NAN, strict=True)), 0, BROKEN),
    Odd("a loss that is seldom written", "log.csv", table("step,loss,lr", range(200),
        [WELL[s // 10] if s % 10 == 0 else "" for s in range(200)], [1e-3] * 200), 0),
    Odd("epochs that start again", "log.csv", table("epoch,loss,val_loss", [*EPOCHS, *EPOCHS], WELL + WELL,
        HELD + HELD), 0),
    Odd("resumed, the last epochs twice", "log.csv", table("epoch,loss,val_loss", [*EPOCHS[:12], *EPOCHS[9:]],
        [*WELL[:12], *WELL[9:]], [*HELD[:12], *HELD[9:]]), 0),
    Odd("epochs as fractions", "log.csv", table("epoch,loss,val_loss", [e / 10 for e in EPOCHS], FALLS, OVER), 0,
        OVERFIT),
    Odd("steps of which each has an epoch", "log.csv", table("epoch,batch,loss", [s // 20 for s in range(100)],
        [s % 20 for s in range(100)], [2.3 * math.exp(-s / 30) + 0.1 for s in range(100)]), 0),
    Odd("a column of text", "log.csv", table("time,epoch,loss,val_loss,note", ["12:00:01"] * 20, EPOCHS, FALLS, OVER,
        ["ok"] * 20), 0, OVERFIT),
    Odd("many losses", "log.csv", table("epoch,loss,loss_box,loss_class,val_loss", EPOCHS, FALLS, WELL, WELL, OVER), 0,
        OVERFIT),
    Odd("healthy", "log.csv", table("epoch,loss,val_loss", EPOCHS, WELL, HELD), 0),
    Odd("healthy, five epochs", "log.csv", table("epoch,loss,val_loss", range(5), WELL[:5], HELD[:5]), 0),
    Odd("likelihoods below zero", "log.csv", table("epoch,loss,val_loss", EPOCHS, [v - 3 for v in WELL],
        [v - 3 for v in HELD]), 0),
    Odd("a loss of thousands", "log.csv", table("epoch,loss,val_loss", EPOCHS, [9e4 * v for v in WELL],
        [9e4 * v for v in HELD]), 0),
]  # fmt: skip


def verdict(case: Odd, folder: Path) -> str:
    """Empty where it is as meant, else what was said."""
    path = folder / (case.file or "none.csv")
    if case.file:
        path.write_text(case.text, encoding="latin-1")
    code, out, err = called(["doctor", str(path)])
    found = [NAMES[title] for severity, title in LINE.findall(out) if severity != "note"]
    right = code == case.code and (bool({*found} & {*case.meant}) if case.meant else not found)
    if case.words:
        right = right and any(word.lower() in err.lower() for word in case.words) and "Traceback" not in err
    return "" if right else f"exit {code}, {found or 'nothing found'}; {err.strip().splitlines()[-1:]}"


def main() -> None:
    wrong = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            told = verdict(case, Path(folder))
            wrong += bool(told)
            if told:
                print(f"- {case.name}: {told}")
    print(f"{len(CASES) - wrong} of {len(CASES)} as meant")


if __name__ == "__main__":
    main()
