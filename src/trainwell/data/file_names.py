"""Names of sound files that lie in one folder, such as 7_jackson_32.wav, to columns: label, speaker, take."""

from pathlib import Path

import numpy as np
import polars as pl

from trainwell.data.rows import Source

OTHERS = 0.02  # share of the names that may be built otherwise; their rows have no label
MOST = 0.2  # different labels at most, as a share of the files
DIGITS = {str(digit) for digit in range(10)}
HELD_OUT = 5  # takes of each digit and speaker that the Free Spoken Digit Dataset keeps for the test: 0 to 4


def label_by_names(source: Source, paths: list[Path]) -> None:
    """Columns of what the names say, where all have the same parts between underscores and end in a number, the take.

    The first part is the label, the second, where it repeats too, who speaks. Of digits by speaker and take, as in the
    Free Spoken Digit Dataset, the takes 0 to 4 are the test, as its authors have it.
    """
    parts = [path.stem.split("_") for path in paths]
    size = max({len(each) for each in parts}, key=[len(each) for each in parts].count)
    fitting = [len(each) == size for each in parts]
    if size < 2 or size > 4 or len(paths) < 10 or sum(fitting) < (1 - OTHERS) * len(paths):
        return
    fields = [each if good else [None] * size for each, good in zip(parts, fitting, strict=True)]
    columns: list[tuple[str | None, ...]] = list(zip(*fields, strict=True))
    takes = [each is None or each.isdigit() for each in columns[-1]]
    if not all(takes) or not 2 <= len(set(columns[0]) - {None}) <= MOST * len(paths):
        return
    source.frame = source.frame.with_columns(pl.Series("label", columns[0], dtype=pl.String))
    source.hints["target"] = "label"
    ignored = {"take": "the number of the recording, by the file's name"}
    if size >= 3 and len(set(columns[1]) - {None}) <= MOST * len(paths):
        source.frame = source.frame.with_columns(pl.Series("speaker", columns[1], dtype=pl.String))
        ignored["speaker"] = "who speaks, by the file's name; --group speaker keeps each on one side of the split"
    take = [None if each is None else int(each) for each in columns[-1]]
    source.frame = source.frame.with_columns(pl.Series("take", take, dtype=pl.Int64))
    source.hints["ignored"] = ignored
    lost = len(paths) - sum(fitting)
    said = "label and speaker" if "speaker" in ignored else "label"
    rest = f"; {lost} of other names have none" if lost else ""
    source.notes.append(f"{said} are taken from the file names, as {paths[0].name}{rest}")
    if set(columns[0]) - {None} == DIGITS and "speaker" in ignored:
        held = np.array([each is not None and each < HELD_OUT for each in take])
        if held.any() and not held.all():
            source.parts = np.where(held, "test", "train")
            source.hints["parts by name"] = True
            source.notes.append(
                "digits by speaker and take: takes 0 to 4 are the test, as in the Free Spoken Digit Dataset"
            )
