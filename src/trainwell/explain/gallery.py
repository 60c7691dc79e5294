"""A network that rebuilds or draws to what its page shows: samples, nearest training rows, codes on a map, the way."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trainwell.data import Schema, Transform
from trainwell.data.decode_rows import decoded
from trainwell.errors import InputError
from trainwell.explain.drawing import STEPS, class_of, rebuilt
from trainwell.explain.generation import Copies
from trainwell.explain.picture_grid import as_text, grid
from trainwell.nn.latent import between
from trainwell.tasks import Adversarial, Diffusion, Reconstruct, Task
from trainwell.tasks.draws import row_noise

SHOWN, NEAREST, MAPPED = 60, 12, 600  # pictures of a grid, pairs, points of the map
GREY = 128  # between pictures, as it is neither paper nor ink
SIDE = 56  # pixels that a small picture of a grid is enlarged to, or near it


def sheet(pictures: Tensor, columns: int) -> str:
    """Pictures in rows as the text of one PNG. pictures: (batch, channels, height, width) bytes"""
    enlarge = max(1, round(SIDE / max(pictures.shape[-2:])))
    return as_text(grid(pictures, columns=columns, background=GREY), enlarge=enlarge)


def code_shape(task: Task, model: Any) -> tuple[int, ...]:
    """The shape of the noise that one row is drawn from."""
    if isinstance(task, Diffusion):
        return tuple(getattr(model, "code_shape", task.shape))
    return (int(model.latent),)


def walk(
    task: Task, model: Any, schema: Schema, *, rows: int = 4, length: int = 10, label: Any = None, seed: int = 0
) -> Tensor:
    """Pictures on the way from one draw to another: (rows * length, channels, height, width) bytes.

    Between two codes it goes along the circle that keeps them likely. Raises InputError for diffusion, whose noise is
    as large as the picture and says little by itself, and for a plain autoencoder.
    """
    if isinstance(task, Diffusion) or (isinstance(task, Reconstruct) and not hasattr(model, "seen")):
        raise InputError("--interpolate: only a vae or a gan has codes to walk between; leave it out")
    if not isinstance(task, Reconstruct | Adversarial):
        raise InputError("--interpolate: this run draws nothing")
    ends = row_noise(torch.arange(2 * rows), code_shape(task, model), seed)
    codes = torch.cat([between(ends[2 * row], ends[2 * row + 1], length) for row in range(rows)])
    device = next(model.parameters()).device
    if isinstance(task, Reconstruct):
        return task.decode(model, codes.to(device))
    classes = None
    if model.classes:
        chosen = class_of(schema, label)
        each = torch.arange(rows) % model.classes if chosen is None else torch.full((rows,), chosen)
        classes = each.repeat_interleave(length).to(device)
    return task.decode(model, codes.to(device), classes)


def out_of_noise(
    task: Diffusion,
    model: Any,
    schema: Schema,
    count: int,
    *,
    label: Any = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Pictures coming out of the noise: steps + 1 times (count, channels, height, width) bytes."""
    rows = torch.arange(count, device=next(model.parameters()).device)
    classes = None
    if model.classes:
        chosen = class_of(schema, label)
        classes = rows % model.classes if chosen is None else torch.full_like(rows, chosen)
    elif label is not None:
        class_of(schema, label)
    guided = 1.0 if guidance is None else guidance
    model.eval()
    with torch.inference_mode():
        film = task.film(model, rows, classes=classes, steps=steps or STEPS, guidance=guided, seed=seed)
        for each in film:
            yield task.rows(model, each)


def gallery(
    task: Any,
    model: Any,
    transform: Transform,
    schema: Schema,
    encoded: dict[str, Any],
    answers: dict[str, np.ndarray],
) -> dict[str, Any]:
    """What the page shows of a run that rebuilds or draws, as it stands in generated.json."""
    shown: dict[str, Any] = {}
    picture = transform.layout == "image"
    if isinstance(task, Reconstruct):
        if picture:
            x = encoded["inputs"][0][:10]
            shown["rebuilt"] = sheet(torch.cat([x, rebuilt(task, model, x)]), 10)
        shown["map"] = code_map(answers["code"][:MAPPED], encoded, schema)
    draws = not isinstance(task, Reconstruct) or hasattr(model, "seen")
    if draws and picture:
        known = getattr(model, "classes", 0)
        columns = known if 5 <= known <= 12 else 10
        count = columns * (SHOWN // columns)
        wish = {"steps": STEPS} if isinstance(task, Diffusion) else {}
        shown["samples"] = {"picture": sheet(task.sample(model, count, seed=0, **wish), columns), "count": count}
        if known and known == columns:
            shown["samples"]["classes"] = schema.classes
        if not isinstance(task, Diffusion):
            shown["between"] = sheet(walk(task, model, schema, rows=3), 10)
        else:
            way = list(out_of_noise(task, model, schema, 10, steps=20))
            shown["way"] = sheet(torch.cat([way[place] for place in (0, 4, 8, 12, 16, 20)]), 10)
    return shown


def nearest_pairs(rows: Tensor, training: Tensor, near: Copies, transform: Transform, schema: Schema) -> dict[str, Any]:
    """Drawn rows with the training row that is nearest to each, the nearest pairs first, as the page shows them."""
    order = np.argsort(near.distances, kind="stable")[:NEAREST]
    share = {"share": near.share, "count": len(rows)}
    drawn_rows, beside = rows[torch.from_numpy(order)], training[torch.from_numpy(near.places[order])]
    if transform.layout == "image":
        return {**share, "pairs": sheet(torch.cat([drawn_rows, beside]), NEAREST)}
    frames = [decoded(transform, schema, each.numpy()) for each in (drawn_rows[:3], beside[:3])]
    return {**share, "columns": frames[0].columns, "rows": [_cells(each) for each in frames]}


def table_shown(rows: Tensor, training: Tensor, transform: Transform, schema: Schema) -> dict[str, Any]:
    """The first drawn rows, and how each column of drawn and real rows is spread."""
    made, real = (decoded(transform, schema, each.numpy()) for each in (rows, training))
    spread = []
    for name in made.columns:
        pair = [each[name] for each in (real, made)]
        if pair[0].dtype.is_numeric():
            spread.append({"column": name, "kind": "number"} | _both(pair, lambda s: [s.mean(), s.std()]))
        elif pair[0].dtype == pl.String:
            level = pair[0].drop_nulls().mode().sort()[0] if pair[0].drop_nulls().len() else ""
            shares = _both(pair, lambda s, level=level: [float((s == level).fill_null(False).mean() or 0)])
            spread.append({"column": name, "kind": "category", "level": level} | shares)
    return {"columns": made.columns, "rows": _cells(made.head(8)), "spread": spread}


def _both(pair: list[pl.Series], of: Any) -> dict[str, list[float]]:
    return {key: [float(each or 0) for each in of(series)] for key, series in zip(("real", "drawn"), pair, strict=True)}


def _cells(frame: Any) -> list[list[str]]:
    return [["" if cell is None else str(cell)[:40] for cell in row] for row in frame.iter_rows()]


def code_map(codes: np.ndarray, encoded: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Codes on a plane where neighbours stay neighbours, with their classes. van der Maaten & Hinton 2008, t-SNE."""
    from sklearn.manifold import TSNE

    if len(codes) < 20:
        return {}
    plane = codes[:, :2]
    if codes.shape[1] > 2:
        perplexity = min(30.0, (len(codes) - 1) / 3)
        plane = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(codes.astype(np.float64))
    found: dict[str, Any] = {"x": np.round(plane[:, 0], 3).tolist(), "y": np.round(plane[:, -1], 3).tolist()}
    if schema.classes and "target" in encoded:
        found["class"] = [schema.classes[int(each)] for each in encoded["target"][: len(codes)]]
    return found
