"""A Run and its held-out rows to what the page shows: evaluation.json, baselines.json, the environment, the page."""

import inspect
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from trainwell.data import PICTURED, Source, Split
from trainwell.data.passages import AnswerTransform
from trainwell.explain import baselines, column_worth, examples, measure
from trainwell.explain.answering import settled
from trainwell.explain.calibration import before_tempering, best_temperature
from trainwell.explain.detections import detections
from trainwell.explain.evaluation import calibration
from trainwell.explain.filling import counted_words, filling_samples, filling_sentence
from trainwell.explain.forecasts import by_origin, forecast_cases, sentence
from trainwell.explain.gallery import gallery, nearest_pairs, table_shown
from trainwell.explain.generated import measure_drawn, measure_rebuilt, simply_drawn, simply_rebuilt
from trainwell.explain.language import language_samples, language_sentence
from trainwell.explain.likeness import likeness_sentence, neighbours
from trainwell.explain.reading import looks_within, pieces_of
from trainwell.explain.segments import segment_cases
from trainwell.explain.spreads import shares_below, spread_sentence
from trainwell.explain.texts import TEXTS
from trainwell.load import Run, save
from trainwell.runs import RunFolder, now
from trainwell.tasks import Answer, Classify, Detect, Fill, Forecast, Likeness, Ordinal, Reconstruct, Segment, Spread
from trainwell.tasks.answer import ALWAYS
from trainwell.tasks.spread import ranks_of
from trainwell.train import State

LOOKED_AT = 20_000  # rows that are rebuilt, or searched for the nearest of those drawn


def examine(run: Run, source: Source, split: Split) -> dict[str, Any]:
    """Judge the run on its test rows, else on its validation rows, beside simple answers; write what was found.

    Returns the evaluation, as in evaluation.json.
    """
    rows, part = (split.test, "test") if len(split.test) else (split.val, "val")
    if not len(rows):
        return {}
    known = np.concatenate([split.train, split.val]) if part == "test" else split.train
    if run.schema.task in TEXTS:
        work = TEXTS[run.schema.task]
        found = {**work.evaluate(run, source, rows), "part": part, **_reading(run, source, rows)}
        return _written(run, found, work.baselines(run, source, known, rows))
    if run.task.raw:
        return _examine_whole(run, source, split.train, rows, part)
    goal, reading = "accuracy" if run.schema.task == "classify" else "rmse", _reading(run, source, rows)
    goal = "rank_mae" if isinstance(run.task, Ordinal) else goal
    if run.transform.by_row:
        rows, answers, target = run.judged(source, rows)
    else:
        encoded = run.transform.encode(source, rows)
        rows, target, answers = encoded["row"].numpy(), encoded["target"].numpy(), run.answers_to(encoded)
    evaluation = {**measure(answers, target, run.schema, run.task), "part": part, **reading}
    if not run.transform.by_row:
        if isinstance(run.task, Fill):
            return _filled(run, source, known, encoded, evaluation)
        held = split.test if part == "test" else split.val
        simple = baselines(source, run.schema, run.task, known, held, run.transform)
        return _written(run, evaluation | _whole(run, source, rows, answers, evaluation), simple)
    if isinstance(run.task, Segment):
        evaluation["segments"] = segment_cases(run.transform, source, rows, answers, target)
        return _written(run, evaluation, baselines(source, run.schema, run.task, known, rows, run.transform))
    if isinstance(run.task, Detect):
        evaluation["drawn"] = detections(source, rows, answers["boxes"], run.transform, run.task.threshold)
        return _written(run, evaluation, baselines(source, run.schema, run.task, known, rows, run.transform))
    if isinstance(run.task, Likeness):
        column = run.transform.facts["column"]
        evaluation["sentence"] = likeness_sentence(evaluation)
        evaluation["drawn"] = neighbours(source, rows, answers["embedding"], target, column)
        evaluation["drawn_text"] = "Left a held-out picture, beside it those most like it: same in blue, others orange."
        return _written(run, evaluation, baselines(source, run.schema, run.task, known, rows, run.transform))
    if isinstance(run.task, Classify) and run.task.temperature != 1:
        found = before_tempering(answers["probability"], target, run.task.temperature)
        sure = run.task.decide(answers["probability"]) == target
        found["ece_before"] = calibration(found.pop("confidence_before"), sure)["ece"]
        evaluation["temperature"] = found
    if isinstance(run.task, Spread):
        evaluation["sentence"] = spread_sentence(evaluation)
    evaluation["examples"] = examples(source, rows, answers, target, run.schema, run.transform, run.task)

    def score(part_source: Source, numbers: np.ndarray) -> float:
        truth = run.transform.encode(source, numbers)["target"]
        metrics = run.task.metrics()
        metrics.update(
            {key: torch.as_tensor(each) for key, each in run.answers(part_source).items()}, {"target": truth}
        )
        return metrics.compute()[goal]

    evaluation["columns"] = column_worth(score, source, rows, run.schema, goal)
    return _written(run, evaluation, baselines(source, run.schema, run.task, known, rows, run.transform))


def settle(run: Run, source: Source, split: Split) -> None:
    """What is chosen on validation rows once all is learned: margins, a temperature, or where quantiles end."""
    if isinstance(run.task, Classify):
        settle_temperature(run, source, split)
    if isinstance(run.task, Spread):
        settle_ranks(run, source, split)
    if isinstance(run.task, Answer):
        settle_threshold(run, source, split)
    if not (isinstance(run.task, Forecast) and run.task.quantiles and len(split.val)):
        return
    run.task.margins = None
    encoded = run.transform.encode(source, split.val)
    quantiles = torch.from_numpy(run.answers_to(encoded)["quantiles"])
    margins = run.task.margins_of(quantiles, torch.from_numpy(encoded["target"].numpy()))
    run.transform.margins, run.task.margins = margins, torch.tensor(margins)  # type: ignore[attr-defined]
    save(run.folder, run.recipe, run.schema, run.transform)


def settle_temperature(run: Run, source: Source, split: Split) -> None:
    """Choose the temperature by validation rows, or by the rows that each group of members left out; keep it."""
    task = cast(Classify, run.task)
    if task.labels or not run.transform.by_row:
        return
    task.temperature = 1.0
    held = _held_out(run, source, split)
    if held is None:
        return
    answers, target = held
    task.temperature = best_temperature(answers["probability"], target)
    if run.transform.target.temperature != task.temperature:
        run.transform.target.temperature = task.temperature
        save(run.folder, run.recipe, run.schema, run.transform)


def settle_ranks(run: Run, source: Source, split: Split) -> None:
    """Choose where told quantiles are taken by the same rows, if their truths lie unevenly beyond chance."""
    task = cast(Spread, run.task)
    task.ranks = None
    held = _held_out(run, source, split)
    if held is None:
        return
    answers, target = held
    below = shares_below(answers["parts"], torch.as_tensor(target).view(len(target), -1), task)
    task.ranks = ranks_of(below)
    if (task.ranks or []) != run.transform.target.ranks:
        run.transform.target.ranks = task.ranks or []
        save(run.folder, run.recipe, run.schema, run.transform)


def settle_threshold(run: Run, source: Source, split: Split) -> None:
    """Choose by validation rows from when on "no answer" is said, where that was learned; keep and tell it."""
    task, transform = cast(Answer, run.task), cast(AnswerTransform, run.transform)
    if transform.threshold == ALWAYS or not len(split.val):
        return
    task.threshold = transform.threshold = settled(run, source.take(split.val))
    transform.notes.append(
        f"“no answer” is said where it takes more than {100 * task.threshold:.3g} % of the chance that it and the "
        f"likeliest answer have together: best for the F1 of the {len(split.val):,} validation questions"
    )
    save(run.folder, run.recipe, run.schema, run.transform)


def _held_out(run: Run, source: Source, split: Split) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Answers to rows that chose the checkpoint, each by members that did not learn it, and their targets."""
    if split.fold is not None:
        encoded = run.transform.encode(source, split.train)
        encoded["held_out_fold"] = torch.as_tensor(split.fold[encoded["row"].numpy()])
        return run.answers_to(encoded), encoded["target"].numpy()
    if not len(split.val):
        return None
    return run.judged(source, split.val)[1:]


def _examine_whole(run: Run, source: Source, train: np.ndarray, rows: np.ndarray, part: str) -> dict[str, Any]:
    """The evaluation of a run that rebuilds or draws rows, and generated.json, which shows what it makes."""
    task, model, transform, schema = run.task, run.model, run.transform, run.schema
    model.to("cpu")
    encoded, training = (transform.encode(source, each[:LOOKED_AT]) for each in (rows, train))
    shown: dict[str, Any]
    if isinstance(task, Reconstruct):
        answers = run.answers_to(encoded)
        evaluation = measure_rebuilt(task, model, encoded, answers)
        simple = simply_rebuilt(task, model, training, encoded, answers["code"].shape[1])
        shown = gallery(task, model, transform, schema, encoded, answers)
        if hasattr(model, "seen"):
            drawn, made, near = measure_drawn(task, model, transform, schema, training, encoded)
            evaluation["metrics"] |= drawn["metrics"]
    else:
        evaluation, made, near = measure_drawn(task, model, transform, schema, training, encoded)
        simple = simply_drawn(transform, schema, training, encoded)
        shown = gallery(task, model, transform, schema, encoded, {})
    if not isinstance(task, Reconstruct) or hasattr(model, "seen"):
        known = training["inputs"][0]
        shown["nearest"] = nearest_pairs(made, known, near, transform, schema)
        if transform.layout != "image":
            shown["table"] = table_shown(made, known, transform, schema)
    run.folder.write_json("generated.json", shown)
    return _written(run, {**evaluation, "part": part}, simple)


def _whole(
    run: Run, source: Source, rows: np.ndarray, answers: dict[str, np.ndarray], evaluation: dict[str, Any]
) -> dict[str, Any]:
    """What a page shows of work on one whole rather than on rows: forecasts drawn, or texts written."""
    if isinstance(run.task, Forecast):
        drawn = forecast_cases(source, run.transform, rows, answers)
        origins = by_origin(source, run.transform, rows, answers["scaled"])
        return {"forecasts": drawn, "origins": origins, "sentence": sentence(evaluation, run.transform)}
    samples = language_samples(run.model, run.transform)
    return {"samples": samples, "sentence": language_sentence(evaluation, run.transform)}


def _filled(
    run: Run, source: Source, known: np.ndarray, encoded: dict[str, Any], evaluation: dict[str, Any]
) -> dict[str, Any]:
    """What a page shows of work on the holes of a text, beside a guess by how often each piece comes."""
    task = cast(Fill, run.task)
    shown = {"samples": filling_samples(run, encoded), "sentence": filling_sentence(evaluation, task)}
    return _written(run, evaluation | shown, counted_words(source, run.transform, task, known, encoded, run.model))


def _reading(run: Run, source: Source, rows: np.ndarray) -> dict[str, Any]:
    """What the tokenizer makes of held-out texts, where there is one, and where the network looks in the first."""
    texts = [column.name for column in run.schema.inputs if column.kind == "text"]
    if not hasattr(run.transform, "tokenizer") or not texts or texts[0] not in source.frame.columns:
        return {}
    shown = source.frame[np.asarray(rows)[:500]][texts[0]].fill_null("").to_list()
    some = rows[:1] if run.transform.by_row else rows
    looked = looks_within(run.model, run.transform, run.transform.encode(source, some, with_target=False))
    return {"reading": pieces_of(run.transform, shown)} | ({"attention": looked} if looked else {})


def _written(run: Run, evaluation: dict[str, Any], simple: list[dict[str, Any]]) -> dict[str, Any]:
    run.folder.write_json("evaluation.json", evaluation)
    run.folder.write_json("baselines.json", simple)
    return evaluation


def summarize(run: Run, state: State, data: Source, parts: Split, total: float) -> dict[str, Any]:
    """What the page and the list of runs say first."""
    shape = {key: run.transform.supplies.get(key) for key in ("channels", "height", "width")}
    return {
        "name": run.path.name,
        "source": data.name,
        "origin": data.origin,
        "task": run.recipe.task["name"],
        "target": [column.name for column in run.schema.targets],
        "rows": {"train": len(parts.train), "val": len(parts.val), "test": len(parts.test)},
        "split": parts.how,
        "notes": data.notes + getattr(run.transform, "notes", []),
        "seconds_training": round(state.seconds, 2),
        "seconds_total": round(total, 2),
        "parameters": sum(each.numel() for each in run.model.parameters()),
        "model": run.recipe.model.get("name"),
        "best_step": state.best_step,
        "steps": state.step,
        "epochs": state.epoch,
        "stopped": state.stopped,
        "classes": run.schema.classes,
        "image": shape if run.transform.layout in PICTURED else None,
        "sound": {"rate": run.transform.supplies["rate"]} if run.transform.layout.startswith("sound") else None,
        "digest": data.digest,
    }


def save_source(folder: RunFolder, model: nn.Module) -> None:
    """The files that define the network's classes, so that the run can be read without this version of the package."""
    for kind in {type(each) for each in model.modules()}:
        try:
            path = inspect.getsourcefile(kind)
        except TypeError:  # a class typed into a session has no file
            continue
        if path and not kind.__module__.startswith("torch.") and os.path.exists(path):
            folder.write_text(f"source/{kind.__module__}.py", Path(path).read_text(encoding="utf-8"))


def environment(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What the training ran on: versions, processor, threads, memory, device and precision."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return {
        "trainwell": version("trainwell"),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory, 1),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
        "created": now(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
