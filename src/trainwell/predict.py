"""A Run's answers to a table that a person reads and a file keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.errors import InputError
from trainwell.load import Run
from trainwell.runs import RunFolder


def prediction_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row an example, in the source's order: the answer, and for classes each class's probability."""
    answers = run.answers(source)
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


def write_frame(frame: pl.DataFrame, out: Path) -> None:
    """Write a .csv, .parquet or .jsonl file whole or not at all; raises InputError for another ending."""
    writers: dict[str, Callable[[Path], Any]] = {
        ".csv": frame.write_csv,
        ".parquet": frame.write_parquet,
        ".jsonl": frame.write_ndjson,
    }
    if out.suffix not in writers:
        raise InputError(f"--out {out}: ends in {out.suffix or 'nothing'!r}, expected {', '.join(writers)}")
    with RunFolder(out.parent).replacing(out.name) as temporary:
        writers[out.suffix](temporary)
