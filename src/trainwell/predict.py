"""A Run's answers to a table that a person reads and a file keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.data import read, stamps_after
from trainwell.errors import InputError
from trainwell.load import Run
from trainwell.runs import RunFolder
from trainwell.tasks import Forecast, Language


def prediction_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row an example, in the source's order: the answer, and for classes each class's probability."""
    if isinstance(run.task, Forecast):
        return forecast_frame(run, source)
    answers = run.answers(source)
    if isinstance(run.task, Language):
        return pl.DataFrame({"nats": answers["nats"], "tokens": answers["tokens"]})
    names = [column.name for column in run.schema.targets]
    columns: dict[str, Any] = {}
    if "probability" in answers:
        probability = answers["probability"]
        if len(names) > 1:
            columns |= {name: (probability[:, i] > 0.5).astype(int) for i, name in enumerate(names)}
            columns |= {f"probability_{name}": probability[:, i] for i, name in enumerate(names)}
        else:
            labels, lost = run.classes, np.isnan(probability[:, 0])
            likeliest = np.where(lost[:, None], 0, probability).argmax(1)
            columns["prediction"] = [None if lost[row] else labels[i] for row, i in enumerate(likeliest)]
            columns |= {f"probability_{label}": probability[:, i] for i, label in enumerate(labels)}
    else:
        number = answers["number"]
        columns |= {name if len(names) > 1 else "prediction": number[:, i] for i, name in enumerate(names)}
    return pl.DataFrame(columns)


def forecast_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row a step after the end of the source: its stamp and the forecast of each series."""
    transform: Any = run.transform
    grid = transform.grid(read(source))
    number = run.answers(grid)["number"][0]
    stamps = stamps_after(grid.frame[transform.time], len(number))
    series = [pl.Series(name, number[:, i].astype(float)) for i, name in enumerate(transform.channels)]
    return pl.DataFrame([stamps, *series])


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    ".csv": pl.DataFrame.write_csv,
    ".parquet": pl.DataFrame.write_parquet,
    ".jsonl": pl.DataFrame.write_ndjson,
}


def check_ending(out: Path) -> None:
    """Raises InputError for a file that `write_frame` cannot write, so that it is said before anything is computed."""
    if out.suffix not in WRITERS:
        raise InputError(f"--out {out}: ends in {out.suffix or 'nothing'!r}, expected {', '.join(WRITERS)}")


def write_frame(frame: pl.DataFrame, out: Path) -> None:
    """Write a .csv, .parquet or .jsonl file whole or not at all; raises InputError for another ending."""
    check_ending(out)
    with RunFolder(out.parent).replacing(out.name) as temporary:
        WRITERS[out.suffix](frame, temporary)
