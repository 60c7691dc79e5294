"""The same rows to what simple answers give: the commonest class or the mean, a linear model, boosted trees."""

import time
import warnings
from typing import Any

import numpy as np
import torch

from trainwell.data import Schema, Source, Transform
from trainwell.explain.detections import nearest_boxes
from trainwell.explain.evaluation import measure
from trainwell.explain.forecasts import naive_forecasts
from trainwell.explain.language import n_grams
from trainwell.explain.likeness import pixels_alike
from trainwell.explain.segments import simple_segments
from trainwell.explain.sounds import mean_cepstra
from trainwell.explain.spreads import GRID, OneWidth, simple_spread
from trainwell.explain.words import word_weights
from trainwell.tasks import Classify, Detect, Forecast, Language, Likeness, Ordinal, Segment, Spread, Task

ROWS, FEATURES = 20_000, 2_000  # that a linear model learns from at most, so that it takes seconds


def baselines(
    source: Source, schema: Schema, task: Task, train: np.ndarray, test: np.ndarray, transform: Transform
) -> list[dict[str, Any]]:
    """Name, kind, seconds and metrics of each simple answer, learned on `train` rows and judged on `test` rows.

    transform: the run's own, of which the target's encoding is used and, for pictures, their pixels.
    """
    if isinstance(task, Language):
        return n_grams(source, transform, train, transform.encode(source, test))
    if isinstance(task, Segment):
        return simple_segments(source, transform, train, transform.encode(source, test))
    if isinstance(task, Detect):
        return nearest_boxes(source, train, transform.encode(source, test), transform, schema.classes)
    if isinstance(task, Likeness):
        return pixels_alike(transform.encode(source, test))
    if isinstance(task, Forecast):
        return naive_forecasts(source, transform, train, transform.encode(source, test), task)
    if not len(test) or len(schema.targets) > 1:
        return []
    given = len(train)
    if transform.layout == "image":  # few enough to decode and hold
        train = np.random.default_rng(0).permutation(train)[: ROWS // 4]
        test = np.random.default_rng(1).permutation(test)[:ROWS]
    judged, learned = transform.encode(source, test), transform.encode(source, train)
    test, truth = judged["row"].numpy(), judged["target"].numpy()
    train, known = learned["row"].numpy(), learned["target"].numpy()
    rows = []
    constant = _constant(known, schema, task)
    rows.append(
        _judged(
            _constant_name(task),
            "constant",
            constant,
            test,
            truth,
            schema,
            task,
            0.0,
        )
    )
    table = transform.layout in ("columns", "vector")
    features = _features(source, schema, train, transform)
    if features is None:
        return rows
    x, x_test = features(train), features(test)
    chosen = np.random.default_rng(0).permutation(len(train))[: ROWS if table else ROWS // 4]
    note = f" on {len(chosen):,} rows" if len(chosen) < given else ""
    for name, kind, model, used in (
        (f"linear model{note}", "linear", _linear(schema), chosen),
        *((("boosted trees", "trees", _trees(schema), np.arange(len(train))),) if table else ()),
    ):
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model cut short is still a simple answer
            model = OneWidth(model) if isinstance(task, Spread) else model
            model.fit(x[used], known[used].ravel())
        rows.append(
            _judged(name, kind, _answer(model, schema, task), x_test, truth, schema, task, time.perf_counter() - began)
        )
    return rows


def _features(source: Source, schema: Schema, train: np.ndarray, transform: Transform) -> Any:
    """A function from rows to a matrix: pixels for pictures, standardized numbers and one-hot categories for tables."""
    if transform.layout == "image":
        return lambda rows: (
            transform.encode(source, rows, with_target=False)["inputs"][0].flatten(1)[:, :FEATURES].numpy() / 255.0
        )
    if transform.layout.startswith("sound"):
        return mean_cepstra(source, transform)
    if transform.layout == "tokens":
        return word_weights(source, train, transform.columns)
    plain = Transform.fit(source, schema, train, layout="vector")
    if not plain.supplies["features"]:
        return None
    return lambda rows: plain.encode(source, rows, with_target=False)["inputs"][0].numpy()


def _constant_name(task: Task) -> str:
    if isinstance(task, Spread):
        return "spread of all training rows"
    if isinstance(task, Ordinal):
        return "middle class"
    return "commonest class" if isinstance(task, Classify) else "mean"


def _constant(known: np.ndarray, schema: Schema, task: Task) -> Any:
    if isinstance(task, Spread):
        values = known.ravel().astype(np.float64)
        off = np.quantile(values, GRID) - values.mean()
        return lambda rows: simple_spread(np.full(len(rows), values.mean()), off, task)
    if schema.task == "classify":
        share = np.bincount(known.astype(int), minlength=len(schema.classes)) / len(known)
        return lambda rows: {"probability": np.tile(share, (len(rows), 1))}
    return lambda rows: {"scaled": np.tile(known.reshape(len(known), -1).mean(0), (len(rows), 1))}


def _linear(schema: Schema) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeCV

    return LogisticRegression(max_iter=200) if schema.task == "classify" else RidgeCV(np.logspace(-2, 3, 11))


def _trees(schema: Schema) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if schema.task == "classify" else HistGradientBoostingRegressor
    return kind(random_state=0)


def _answer(model: Any, schema: Schema, task: Task) -> Any:
    if isinstance(task, Spread):
        return lambda x: simple_spread(model.predict(x).astype(np.float64), model.off, task)
    if schema.task != "classify":
        return lambda x: {"scaled": model.predict(x)[:, None]}

    def probability(x: np.ndarray) -> dict[str, np.ndarray]:
        full = np.zeros((x.shape[0], len(schema.classes)))
        full[:, model.classes_.astype(int)] = model.predict_proba(x)
        return {"probability": full}

    return probability


def _judged(
    name: str, kind: str, answer: Any, x: np.ndarray, truth: np.ndarray, schema: Schema, task: Task, seconds: float
) -> dict[str, Any]:
    answers = answer(x)
    if "scaled" in answers:
        number = task.unscale(torch.as_tensor(answers["scaled"])).numpy()  # type: ignore[attr-defined]
        answers = {"number": number}
    metrics = {key: each["value"] for key, each in measure(answers, truth, schema, task)["metrics"].items()}
    return {"name": name, "kind": kind, "seconds": seconds, "metrics": metrics}
