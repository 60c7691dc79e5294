"""A Run's answers to a table that a person reads and a file keeps."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from trainwell.data import Source, read, stamps_after
from trainwell.data.image import PictureError, open_picture
from trainwell.errors import InputError
from trainwell.explain.draw import draw_boxes
from trainwell.explain.filling import filled_frame
from trainwell.explain.likeness import nearest_others
from trainwell.explain.texts import TEXTS
from trainwell.load import Run
from trainwell.runs import RunFolder
from trainwell.tasks import Classify, Detect, Fill, Forecast, Language, Likeness, Segment, Spread


def prediction_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row an example, in the source's order: the answer, and for classes each class's probability.

    Numbers that were learned with their spread have a column for each quantile, as prediction_0.05; pictures and sounds
    that are files have their path.
    """
    if isinstance(run.task, Forecast):
        return forecast_frame(run, source)
    if isinstance(run.task, Segment):
        return mask_frame(run, source)
    if run.schema.task in TEXTS:
        return TEXTS[run.schema.task].frame(run, read(source))
    if isinstance(run.task, Fill):
        return filled_frame(run, read(source))
    if isinstance(run.task, Detect):
        return box_frame(run, source)
    if isinstance(run.task, Likeness):
        return likeness_frame(run, source)
    source = read(source)
    answers = run.answers(source)
    if isinstance(run.task, Language):
        return pl.DataFrame({"nats": answers["nats"], "tokens": answers["tokens"]})
    if run.task.raw:
        return whole_frame(answers)
    names = [column.name for column in run.schema.targets]
    columns: dict[str, Any] = {}
    shares = run.task.quantiles if isinstance(run.task, Spread) else []
    if "probability" in answers:
        probability = answers["probability"]
        if len(names) > 1:
            columns |= {name: (probability[:, i] > 0.5).astype(int) for i, name in enumerate(names)}
            columns |= {f"probability_{name}": probability[:, i] for i, name in enumerate(names)}
        else:
            labels, lost = run.classes, np.isnan(probability[:, 0])
            decided = cast(Classify, run.task).decide(np.where(lost[:, None], 0, probability))
            columns["prediction"] = [None if lost[row] else labels[i] for row, i in enumerate(decided)]
            columns |= {f"probability_{label}": probability[:, i] for i, label in enumerate(labels)}
    else:
        number = answers["number"]
        for i, name in enumerate(names if len(names) > 1 else ["prediction"]):
            columns[name] = number[:, i]
            columns |= {f"{name}_{share:g}": answers["quantiles"][:, place, i] for place, share in enumerate(shares)}
    return pl.DataFrame(columns | _files(run, source))


def _files(run: Run, source: Source) -> dict[str, list[str]]:
    """The file of each row where there is one, of pictures or sounds, as a folder tells it apart by nothing else."""
    kinds = {column.name for column in run.schema.inputs if column.kind in ("image", "audio")}
    found = [name for name in kinds if name in source.frame.columns and source.frame[name].dtype == pl.String]
    return {"file": source.frame[found[0]].to_list()} if found else {}


def forecast_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row a step after the end of the source: its stamp, the forecast of each series, and its quantiles if any."""
    transform: Any = run.transform
    grid = transform.grid(read(source))
    answers = run.answers(grid)
    number = answers["number"][0]
    stamps = stamps_after(grid.frame[transform.time], len(number))
    series = [pl.Series(name, number[:, i].astype(float)) for i, name in enumerate(transform.channels)]
    for place, share in enumerate(getattr(run.task, "quantiles", [])):
        ends = answers["quantiles"][0, place]
        series += [
            pl.Series(f"{name}_{share:g}", ends[:, i].astype(float)) for i, name in enumerate(transform.channels)
        ]
    return pl.DataFrame([stamps, *series])


def mask_frame(run: Run, source: Any, out: Path | None = None) -> pl.DataFrame:
    """One row a picture: the share of each class in its answered mask, and, with a folder, the mask's PNG in it.

    Masks are of each picture's own size, in the numbers or colours that the run was taught with. Raises InputError for
    a folder that cannot be written, and where two pictures have one name.
    """
    transform: Any = run.transform
    data = read(source)
    answers = run.answers(data)["mask"]
    names = [Path(cell).stem if isinstance(cell, str) else f"{row:06}" for row, cell in enumerate(_pictures(run, data))]
    columns: dict[str, Any] = {"picture": names}
    lost = [bool(np.isnan(each).any()) for each in answers]
    for place, label in enumerate(run.schema.classes):
        shares = (answers == place).mean((1, 2))
        columns[f"share_{label}"] = [None if gone else round(float(s), 6) for gone, s in zip(lost, shares, strict=True)]
    if out is not None:
        columns["mask"] = _write_masks(names, transform.own_size(data, answers), out)
    return pl.DataFrame(columns)


def _pictures(run: Run, data: Any) -> list[Any]:
    transform: Any = run.transform
    return data.frame[transform.pictures.column].to_list()


def _write_masks(names: list[str], masks: list[np.ndarray | None], out: Path) -> list[str | None]:
    """Write each mask as NAME.png in a folder; returns the paths."""
    from PIL import Image

    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"--out {out}: {len(twice)} names are those of several pictures, as {twice[0]}; predict apart")
    written: list[str | None] = []
    for name, mask in zip(names, masks, strict=True):
        path = out / f"{name}.png"
        if mask is not None:
            with RunFolder(out).replacing(path.name) as temporary:
                Image.fromarray(mask).save(temporary, "PNG", optimize=True)
        written.append(None if mask is None else str(path))
    return written


def box_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row a picture: which it is, and its boxes as a list of label, score and sides in its own pixels."""
    data = read(source)
    found = run.predict(data)
    names = data.frame["image"].to_list() if "image" in data.frame.columns else list(range(data.rows))
    sides = {name: pl.Float64 for name in ("score", "left", "top", "right", "bottom")}
    kind = pl.List(pl.Struct({"label": pl.String, **sides}))
    return pl.DataFrame([pl.Series("image", names), pl.Series("boxes", found.tolist(), dtype=kind)])


def likeness_frame(run: Run, source: Any) -> pl.DataFrame:
    """One row a picture: the other picture most like it, how alike from -1 to 1, and the direction as numbers."""
    data = read(source)
    embedding = run.predict(data)
    nearest, alike = nearest_others(embedding)
    column = run.transform.facts["column"]
    names = data.frame[column].to_list() if column in data.frame.columns else list(range(data.rows))
    columns: dict[str, Any] = {column: names, "nearest": [names[each] if each >= 0 else None for each in nearest]}
    columns["likeness"] = alike
    return pl.DataFrame(columns | {f"embedding_{i + 1}": embedding[:, i] for i in range(embedding.shape[1])})


def draw_frame(run: Run, frame: pl.DataFrame, folder: Path) -> int:
    """Write each picture of a frame of boxes, its boxes drawn, into a folder as PNG; returns how many were written.

    Raises InputError for answers that are no boxes in picture files.
    """
    if "boxes" not in frame.columns or frame["image"].dtype != pl.String:
        raise InputError("--pictures: this run answers with no boxes in picture files; leave the option out")
    folder.mkdir(parents=True, exist_ok=True)
    written, taken = 0, set()
    for number, (path, boxes) in enumerate(frame.iter_rows()):
        if boxes is None:
            continue
        try:
            picture = open_picture(path, None, "RGB")
        except PictureError:
            continue
        name = Path(path).stem if Path(path).stem not in taken else f"{Path(path).stem}-{number}"
        taken.add(name)
        with RunFolder(folder).replacing(f"{name}.png") as temporary:
            draw_boxes(picture, boxes, run.schema.classes).save(temporary, "PNG")
        written += 1
    return written


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame as CSV wants it: one row a box (a row of empty cells for a picture without), moments as short as they
    can be: days where all are midnights, else no parts of a second that all lack."""
    if "boxes" in frame.columns:
        frame = frame.explode("boxes", empty_as_null=True, keep_nulls=True).unnest("boxes")
    for series in frame.iter_columns():
        if isinstance(series.dtype, pl.Datetime) and (series == series.dt.truncate("1d")).all():
            frame = frame.with_columns(series.dt.date())
        elif isinstance(series.dtype, pl.Datetime) and (series == series.dt.truncate("1s")).all():
            frame = frame.with_columns(series.dt.strftime("%Y-%m-%d %H:%M:%S"))
    return frame


def whole_frame(answers: dict[str, np.ndarray]) -> pl.DataFrame:
    """What each row costs, which is much for an unusual one, and its code where it has one."""
    columns: dict[str, Any] = {"loss": answers["loss"]}
    code = answers.get("code", np.zeros((len(answers["loss"]), 0)))
    return pl.DataFrame(columns | {f"code_{place + 1}": code[:, place] for place in range(code.shape[1])})


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    ".csv": lambda frame, path: flat(frame).write_csv(path),
    ".json": pl.DataFrame.write_json,
    ".parquet": pl.DataFrame.write_parquet,
    ".jsonl": pl.DataFrame.write_ndjson,
}


def check_ending(out: Path) -> None:
    """Raises InputError for a file that `write_frame` cannot write, so that it is said before anything is computed."""
    if out.suffix not in WRITERS:
        raise InputError(f"--out {out}: ends in {out.suffix or 'nothing'!r}, expected {', '.join(WRITERS)}")


def write_frame(frame: pl.DataFrame, out: Path) -> None:
    """Write a .csv, .json, .parquet or .jsonl file whole or not at all; raises InputError for another ending."""
    check_ending(out)
    with RunFolder(out.parent).replacing(out.name) as temporary:
        WRITERS[out.suffix](frame, temporary)
