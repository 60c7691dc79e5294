"""Data to a Run: read, plan, train, examine, report; the whole way in one function."""

import sys
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from trainwell import build
from trainwell.audit import audit
from trainwell.begin import begin
from trainwell.data import PICTURED, Schema, Source, split
from trainwell.doctor.bedside import mode_of
from trainwell.errors import InputError
from trainwell.examine import environment, examine, save_source, settle, summarize
from trainwell.explain.augmented import augmented
from trainwell.learn import learn
from trainwell.load import Run, save
from trainwell.prepare import announce, prepare
from trainwell.recipe import Recipe, check
from trainwell.report import write_report
from trainwell.runs import RunFolder
from trainwell.train.distributed import rank, unwrap
from trainwell.train.distributed import start as join_ranks


def fit(
    source: Any = None,
    target: str | None = None,
    *,
    model: str | nn.Module | None = None,
    recipe: str | Path | Recipe | None = None,
    changes: list[str] | None = None,
    time: str | float | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    quiet: bool = False,
    details: bool = True,
    doctor: str | None = "treat",
    **wishes: Any,
) -> Run:
    """Train a network on a source and leave a run folder with a page to read.

    source: a path, a named set, arrays or a frame; model: a name or your own network; changes: such as
    "optimizer.lr=0.01"; time: seconds or a text such as "10m", which the training keeps to; details: judge it and
    simple answers on held-out rows and write the page; doctor: "treat" mends what ails the training, "ask" says what
    it would change, "watch" only tells, None is none; wishes: as in `prepare`, such as task, types, val, test, seed.
    Raises InputError for input that its user can mend.
    """
    join_ranks()
    mode, began = mode_of(doctor), clock.perf_counter()
    own = model if isinstance(model, nn.Module) else None
    if resume is not None:
        folder = RunFolder.open(resume)
        recipe = Recipe.load(folder.path / "recipe.yaml")
        source = recipe.source if source is None else source
    data, schema, plan = prepare(source, target, model=model, recipe=recipe, changes=changes, time=time, **wishes)
    _say(announce(data, schema, plan), quiet)
    parts = split(data, schema, seed=plan.recipe.seed, **check(plan.recipe.split, split, "split"))
    transform = build.fit_transform(plan.recipe, data, schema, parts.train, own)
    begun = begin(plan, data, schema, parts, transform, own)
    noted = _note(transform, quiet)
    if resume is None:
        folder = RunFolder.create(data.name, out)
    if rank() == 0:
        save(folder, plan.recipe, schema, transform)
        if resume is None:
            folder.write_json("plan.json", {"reasons": [asdict(each) for each in plan.reasons]})
            _look(folder, data, schema, plan.recipe, mode, quiet)
        folder.write_json("environment.json", environment(begun.state.device, begun.state.dtype))
        save_source(folder, begun.state.model)
        if plan.recipe.augment and transform.layout in PICTURED:
            folder.write_json("augmented.json", augmented(begun.loader, schema.classes))
    with _marked(folder):
        state = learn(begun, folder, plan, mode, transform, quiet=quiet, resumed=resume is not None)
        run = Run(folder, plan.recipe, schema, transform, unwrap(state.model), state.task)
        if rank() == 0:
            settle(run, data, parts)
            if details:
                examine(run, data, parts)
            folder.write_json("summary.json", summarize(run, state, data, parts, clock.perf_counter() - began))
            if details:
                write_report(folder.path)
            folder.set_state("finished")
    _note(transform, quiet, noted)
    return run


def _look(folder: RunFolder, data: Source, schema: Schema, recipe: Recipe, mode: Any, quiet: bool) -> None:
    """What the source itself shows to a doctor, said and written before anything is learned from it."""
    findings = audit(data, schema, recipe.split) if mode is not None else []
    for each in findings:
        _say(str(each), quiet)
    if findings:
        folder.write_lines("findings.jsonl", [each.to_dict() for each in findings])


def _note(transform: Any, quiet: bool, said: Sequence[str] = ()) -> list[str]:
    """Say the notes of a transform that were not said yet; returns all of them."""
    for note in [each for each in transform.notes if each not in said]:
        _say(f"note: {note}", quiet)
    return list(transform.notes)


def _say(text: str, quiet: bool = False) -> None:
    if rank() == 0 and not quiet:
        print(text, file=sys.stderr)


@contextmanager
def _marked(folder: RunFolder) -> Iterator[None]:
    """Whatever ends the block early is noted in the run and raised again; Ctrl-C carries the path of the run."""
    try:
        yield
    except BaseException as error:
        if rank() == 0:
            with suppress(OSError, InputError):  # a full disk is told by the error itself
                if isinstance(error, KeyboardInterrupt):
                    folder.set_state("interrupted")
                else:
                    folder.set_state("failed", f"{type(error).__name__}: {error}")
        if isinstance(error, KeyboardInterrupt):
            error.args = (str(folder.path),)
        raise
