"""A Run to files of what it draws: a picture of pictures, an animation, or a table of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trainwell.data import read
from trainwell.errors import InputError
from trainwell.explain.drawing import draws, rebuilt
from trainwell.explain.filling import said
from trainwell.explain.gallery import out_of_noise, walk
from trainwell.explain.language import written
from trainwell.explain.picture_grid import save_animation, save_grid
from trainwell.load import Run, load
from trainwell.predict import WRITERS, write_frame
from trainwell.tasks import Diffusion, Fill, Language, Reconstruct, Translate

MOST = 2_000  # pictures of one sheet
ENDINGS = (".png", ".gif")
SIDE = 56  # pixels that a small picture is enlarged to, or near it


TEXT = {  # what only a language model is told, by what `continued` calls it
    "prompt": "prompt",
    "length": "length",
    "temperature": "heat",
    "top_k": "most",
    "top_p": "mass",
    "min_p": "least",
    "repetition_penalty": "penalty",
    "stop": "stop",
}


def say(path: Path, wishes: dict[str, Any], seed: int = 0) -> None:
    """Print the text that a run writes as it comes, or the name of the file that it draws into."""
    for piece in sampled(path, wishes, seed):
        print(piece, end="", flush=True)
    print()


def sampled(path: Path, wishes: dict[str, Any], seed: int = 0) -> Iterator[str]:
    """Pieces of the text that a run writes, or the name of the file that it draws into.

    wishes: what the command line was told, by option. Raises InputError for a run that neither writes nor draws, and
    for a wish that is not for its kind.
    """
    run = load(path)
    if isinstance(run.task, Fill):
        _prompt_alone(run, wishes, "fills holes")
        yield said(run, wishes.get("prompt"))
        return
    if isinstance(run.task, Translate):
        yield _answered(run, wishes)
        return
    writes = isinstance(run.task, Language)
    if not writes and not draws(run.task):
        raise InputError(
            f"{run.path}: a {run.recipe.task['name']} run neither writes nor draws; fit TEXT, or fit with "
            "--task diffusion, gan or reconstruct"
        )
    for name in wishes:
        if (name in TEXT) != writes:
            kind = "is a language model" if writes else "draws"
            raise InputError(f"--{name.strip('_').replace('_', '-')}: {path} {kind} and does not take it; leave it out")
    if writes:
        yield from written(run.model, run.transform, **{TEXT[name]: each for name, each in wishes.items()}, seed=seed)
        return
    out, count = wishes.get("out"), wishes.get("n")
    options: dict[str, Any] = {"label": wishes.get("class_"), "source": wishes.get("reconstruct"), "seed": seed}
    options |= {name: wishes[name] for name in ("steps", "guidance", "interpolate") if name in wishes}
    yield str(sample_to_file(run, out, count, **options))


def _answered(run: Run, wishes: dict[str, Any]) -> str:
    """What a translation or a summary writes for a prompt; raises InputError without one, and for other wishes."""
    _prompt_alone(run, wishes, "answers by beam search")
    if not str(wishes.get("prompt", "")).strip():
        raise InputError(
            f"{run.path} answers texts: give one with --prompt, or many with `trainwell predict RUN SOURCE`"
        )
    return str(run.predict(pl.DataFrame({run.transform.read: [str(wishes["prompt"])]}))[0])  # type: ignore[attr-defined]


def _prompt_alone(run: Run, wishes: dict[str, Any], does: str) -> None:
    """Raises InputError for any wish but a prompt."""
    others = [name for name in wishes if name != "prompt"]
    if others:
        wrong = others[0].strip("_").replace("_", "-")
        raise InputError(f"--{wrong}: {run.path} {does} and does not take it; leave it out")


def sample_to_file(
    run: Run,
    out: Path | None,
    count: int | None = None,
    *,
    label: Any = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    source: Any = None,
    interpolate: bool = False,
) -> Path:
    """Draw, rebuild or walk, and write it; the path of the file.

    out: .png for a sheet, .gif for the steps of diffusion or the way between codes, .csv, .parquet or .jsonl for rows.
    source: its rows are rebuilt, below themselves. Raises InputError for what the run cannot do, before it computes.
    """
    picture = run.transform.layout == "image"
    out = out or Path("samples.png" if picture else "samples.csv")
    _check(run, out, count, steps, picture=picture, interpolate=interpolate, source=source)
    if not picture:
        if source is not None:
            raise InputError("--reconstruct: of a table, `trainwell predict RUN SOURCE` gives each row's loss and code")
        frame = run.sample(1_000 if count is None else count, label=label, steps=steps, guidance=guidance, seed=seed)
        assert isinstance(frame, pl.DataFrame)
        write_frame(frame, out)
        return out
    count = 64 if count is None else count
    enlarge = max(1, round(SIDE / max(run.task.shape[1:])))  # type: ignore[attr-defined]
    if source is not None:
        return save_grid(_beside(run, source, count), out, columns=_columns(run, count), enlarge=enlarge)
    if interpolate:
        length = 30 if out.suffix == ".gif" else 10
        rows = max(1, min(count, 8)) if out.suffix == ".gif" else max(1, count // length)
        made = walk(run.task, run.model, run.schema, rows=rows, length=length, label=label, seed=seed)
        if out.suffix == ".gif":
            frames = list(made.unflatten(0, (rows, length)).transpose(0, 1))
            return save_animation(frames, out, columns=rows, enlarge=enlarge)
        return save_grid(made, out, columns=length, enlarge=enlarge)
    if out.suffix == ".gif":
        wish: dict[str, Any] = {"label": label, "steps": steps, "guidance": guidance, "seed": seed}
        way = list(out_of_noise(run.task, run.model, run.schema, count, **wish))  # type: ignore[arg-type]
        return save_animation(way, out, columns=_columns(run, count), enlarge=enlarge)
    made = torch.as_tensor(np.asarray(run.sample(count, label=label, steps=steps, guidance=guidance, seed=seed)))
    return save_grid(made, out, columns=_columns(run, count), enlarge=enlarge)


def _check(
    run: Run, out: Path, count: int | None, steps: int | None, *, picture: bool, interpolate: bool, source: Any
) -> None:
    """Raises InputError for an ending or a wish that does not fit the run."""
    endings = ENDINGS if picture else tuple(WRITERS)
    if out.suffix.lower() not in endings:
        what = "pictures" if picture else "rows of a table"
        raise InputError(
            f"--out {out}: this run makes {what}; the file ends in {out.suffix or 'nothing'!r}, expected "
            f"{', '.join(endings)}"
        )
    if count is not None and count < 1:
        raise InputError(f"--n {count}: expected 1 or more to draw")
    if picture and count is not None and count > MOST:
        raise InputError(f"--n {count}: a sheet holds {MOST:,} pictures; draw more in Python, by run.sample")
    if steps is not None and steps < 1:
        raise InputError(f"--steps {steps}: sampling takes at least one step; 20 to 50 are usual")
    if interpolate and not picture:
        raise InputError("--interpolate: shows pictures on the way from one to another; this run makes rows of a table")
    if source is not None and not isinstance(run.task, Reconstruct):
        raise InputError("--reconstruct: only an autoencoder rebuilds rows; fit one with --task reconstruct")
    if out.suffix.lower() == ".gif" and not isinstance(run.task, Diffusion) and not interpolate:
        raise InputError(f"--out {out}: only diffusion draws in steps; add --interpolate, or end the file in .png")


def _columns(run: Run, count: int) -> int:
    """Pictures a row of a sheet: one column a class where each has its turn."""
    known = int(getattr(run.model, "classes", 0))
    return known if 4 <= known <= 12 and count >= known else max(1, min(count, 8))


def _beside(run: Run, source: Any, count: int) -> Tensor:
    """Pictures of a source in rows, each row above its own as it comes back."""
    encoded = run.transform.encode(read(source), with_target=False)
    x = encoded["inputs"][0][:count]
    columns = _columns(run, len(x))
    x = x[: len(x) // columns * columns]
    pair = torch.stack([x.unflatten(0, (-1, columns)), rebuilt(run.task, run.model, x).unflatten(0, (-1, columns))], 1)
    return pair.flatten(0, 2)
