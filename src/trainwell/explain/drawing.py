"""A trained network and a wish to new pictures or rows: by number, class, steps and seed."""

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trainwell.data import Schema, Transform
from trainwell.data.decode_rows import decoded
from trainwell.errors import InputError, suggest
from trainwell.tasks import Adversarial, Diffusion, Reconstruct, Task

STEPS = 50  # that diffusion takes where its user names none
AT_ONCE = 256  # codes that are decoded together


def class_of(schema: Schema, label: Any) -> int | None:
    """The number of a class by its name; raises InputError for one that was not trained."""
    if label is None:
        return None
    if not schema.classes:
        raise InputError(f"--class {label}: this run was trained without classes; leave it out")
    if str(label) not in schema.classes:
        raise InputError(
            f"--class {label}: this class was not trained; {suggest(str(label), schema.classes)} "
            f"({len(schema.classes)} classes in all)"
        )
    return schema.classes.index(str(label))


def draws(task: Task) -> bool:
    """Whether the task makes new pictures or rows."""
    return isinstance(task, Reconstruct | Adversarial | Diffusion)


def drawn(
    task: Task,
    model: Any,
    schema: Schema,
    count: int,
    *,
    label: Any = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> Tensor:
    """New rows of the data; the same seed draws the same again.

    -> (count, *shape), bytes for pictures. label: a class's name; all classes in turn without one. Raises InputError
    for a class that was not trained, guidance without classes, steps below 1 or of a network that takes none.
    """
    if count < 1:
        raise InputError(f"--n {count}: expected 1 or more to draw")
    wish: dict[str, Any] = {"seed": seed}
    chosen = class_of(schema, label) if not isinstance(task, Reconstruct) else None
    if isinstance(task, Reconstruct) and label is not None:
        raise InputError(f"--class {label}: an autoencoder is trained without classes; leave it out, or fit --task gan")
    if chosen is not None:
        wish["classes"] = chosen
    if isinstance(task, Diffusion):
        wish["steps"] = STEPS if steps is None else steps
        wish["guidance"] = 1.0 if guidance is None else guidance
        if wish["guidance"] != 1 and not model.classes:
            raise InputError(f"--guidance {guidance:g}: this run was trained without classes, so nothing guides it")
    else:
        for option, value in (("--steps", steps), ("--guidance", guidance)):
            if value is not None:
                raise InputError(f"{option} {value:g}: only diffusion takes it; this run draws at once, leave it out")
    if not isinstance(task, Reconstruct | Adversarial | Diffusion):
        raise InputError("this run draws nothing; fit one with --task diffusion, gan or reconstruct")
    return task.sample(model, count, **wish)


def rows_drawn(transform: Transform, schema: Schema, rows: Tensor) -> np.ndarray | pl.DataFrame:
    """What was drawn as its user meets it: (count, channels, height, width) bytes, or a frame with the columns."""
    return rows.cpu().numpy() if transform.layout == "image" else decoded(transform, schema, rows.cpu().float().numpy())


def rebuilt(task: Any, model: Any, x: Tensor) -> Tensor:
    """Pictures as they come back from their code: (batch, channels, height, width) bytes -> the same."""
    parts = []
    with torch.inference_mode():
        for rows in x.split(AT_ONCE):
            code = model.encode(rows.float() / 255)
            parts.append(task.decode(model, code[0] if isinstance(code, tuple) else code))
    return torch.cat(parts)
