"""A network that rebuilds or draws, and held-out rows, to numbers with intervals and simple answers beside them."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trainwell.data import Schema, Source, Transform
from trainwell.data.decode_rows import decoded
from trainwell.explain.drawing import drawn
from trainwell.explain.generation import Copies, copies, sliced, told_apart, verdicts
from trainwell.tasks import Diffusion, Reconstruct, Task

RESAMPLES = 200
MOST, MOST_STEPPED = 1_000, 400  # rows that are drawn to be judged; pictures of diffusion, which take long
COMPONENTS = 50  # directions of pictures that trees see
KNOWN = 5_000  # training rows that a simple answer is learned from


def interval(values: np.ndarray, of: Callable[[np.ndarray], float] = np.mean, seed: int = 0) -> dict[str, float]:
    """A number of rows and its 95 % percentile bootstrap interval. Efron 1979. values: (rows, ...)"""
    random = np.random.default_rng(seed)
    found = [of(values[random.integers(0, len(values), len(values))]) for _ in range(RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return {"value": float(of(values)), "low": float(low), "high": float(high)}


def clean(task: Reconstruct, model: Any, encoded: dict[str, Any]) -> np.ndarray:
    """The rows in the scale that the task compares in. -> (rows, features)"""
    batch = {"inputs": encoded["inputs"], "row": encoded["row"]}
    return task.clean(model.eval(), batch).flatten(1).numpy()


def measure_rebuilt(
    task: Reconstruct, model: Any, encoded: dict[str, Any], answers: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Nats and root-mean-square error of rows that come back from their code, and the sentence that says it."""
    x = clean(task, model, encoded)
    error = ((answers["output"].reshape(len(x), -1) - x) ** 2).mean(1)
    metrics = {
        "rmse": interval(error, lambda each: math.sqrt(each.mean())),
        "loss": interval(answers["loss"].astype(np.float64)),
    }
    noun, unit = ("picture", "pixel") if len(task.shape) == 3 else ("row", "column")
    size, latent = x.shape[1], answers["code"].shape[1]
    rmse = metrics["rmse"]
    sentence = (
        f"Rebuilds a held-out {noun} of {size:,} numbers from {latent} with an error of {rmse['value']:.3g} "
        f"[{rmse['low']:.3g}, {rmse['high']:.3g}] a {unit} (root-mean-square, {_scale(task)})."
    )
    if "kl" in answers:
        active = int((answers["code"].var(0) > 0.01).sum())
        metrics |= {name: interval(answers[name].astype(np.float64)) for name in ("reconstruction", "kl")}
        metrics["active_units"] = {"value": float(active), "low": float(active), "high": float(active)}
        nats = metrics["loss"]
        sentence = (
            f"Says a held-out {noun} in {nats['value']:.4g} nats [{nats['low']:.4g}, {nats['high']:.4g}], "
            f"{metrics['kl']['value']:.3g} of them for its code, of which {active} of {latent} units are used. "
            f"Rebuilt from it, a {unit} is off by {rmse['value']:.3g} (root-mean-square, {_scale(task)})."
        )
    goal = "loss" if "kl" in answers else "rmse"  # a variational model also pays for its code, and is judged by both
    return {"rows": len(x), "goal": goal, "metrics": metrics, "sentence": sentence}


def _scale(task: Reconstruct) -> str:
    if len(task.shape) != 3:
        return "columns scaled"
    return "black and white drawn by grey" if task.binarize else "black is 0, white is 1"


def simply_rebuilt(
    task: Reconstruct, model: Any, training: dict[str, Any], encoded: dict[str, Any], latent: int
) -> list[dict[str, Any]]:
    """What the mean row gives, and as many principal components as the code has numbers, by the same error."""
    from sklearn.decomposition import PCA

    known, x = clean(task, model, training), clean(task, model, encoded)
    rows = []
    for name, kind, count in (("mean", "constant", 0), (f"{latent} principal components", "linear", latent)):
        began = time.perf_counter()
        guess = np.tile(known.mean(0), (len(x), 1))
        if count:
            if count >= min(known.shape):
                continue
            components = PCA(count, svd_solver="randomized", random_state=0).fit(known)
            guess = components.inverse_transform(components.transform(x))
        metrics = {"rmse": math.sqrt(float(((guess - x) ** 2).mean()))}
        if not count:  # it has no code to pay for, so its nats compare with those of a variational model
            metrics["loss"] = _nats(task, guess, x)
        rows.append({"name": name, "kind": kind, "seconds": time.perf_counter() - began, "metrics": metrics})
    return rows


def _nats(task: Reconstruct, guess: np.ndarray, x: np.ndarray) -> float:
    """Minus the log likelihood of rows by their guess, in nats a row."""
    output, rows = (torch.from_numpy(np.ascontiguousarray(each, dtype=np.float32)) for each in (guess, x))
    if task.likelihood == "bernoulli":
        output = torch.logit(output.clamp(1e-4, 1 - 1e-4))
    return float(task.nats(output, rows).mean())


class Seen:
    """Drawn and real rows as trees and distances see them: pictures along their main directions, tables encoded."""

    def __init__(self, transform: Transform, schema: Schema, training: dict[str, Any]) -> None:
        self.transform, self.schema, self.components = transform, schema, None
        x = training["inputs"][0]
        if transform.layout == "image":
            from sklearn.decomposition import PCA

            flat = x.flatten(1).numpy() / 255.0
            count = min(COMPONENTS, *flat.shape)
            self.components = PCA(count, svd_solver="randomized", random_state=0).fit(flat[:KNOWN])

    def plain(self, x: Tensor) -> np.ndarray:
        """Rows as numbers, pictures in [0, 1]: (rows, ...) -> (rows, features)"""
        return x.flatten(1).numpy() / 255.0 if x.dtype == torch.uint8 else x.flatten(1).numpy()

    def again(self, rows: Tensor) -> Tensor:
        """Drawn rows of a table as they are once written and read, so that what tells them apart is in the table."""
        if self.transform.layout == "image":
            return rows
        frame = decoded(self.transform, self.schema, rows.cpu().float().numpy())
        return self.transform.encode(Source("drawn", frame), with_target=False)["inputs"][0]

    def features(self, x: Tensor) -> np.ndarray:
        """What trees see: (rows, ...) -> (rows, features)"""
        return self.plain(x) if self.components is None else self.components.transform(self.plain(x))


def measure_drawn(
    task: Task, model: Any, transform: Transform, schema: Schema, training: dict[str, Any], encoded: dict[str, Any]
) -> tuple[dict[str, Any], Tensor, Copies]:
    """How well drawn rows pass for held-out ones, and whether they are copies; the rows drawn and their nearest."""
    seen = Seen(transform, schema, training)
    picture = transform.layout == "image"
    count = min(len(encoded["row"]), MOST_STEPPED if picture and isinstance(task, Diffusion) else MOST)
    real = encoded["inputs"][0][:count]
    wish = {"steps": 20} if isinstance(task, Diffusion) else {}
    rows = seen.again(drawn(task, model, schema, count, **wish))
    guess, truth = verdicts(seen.features(real), seen.features(rows))
    apart = interval(np.stack([guess, truth], 1), lambda each: _area(each[:, 0], each[:, 1]))
    known = seen.plain(training["inputs"][0])
    near = copies(seen.plain(rows), known, seen.plain(real))
    far, least = sliced(seen.plain(real), seen.plain(rows)), sliced(seen.plain(real), known[: len(real)])
    metrics = {"told_apart": apart} | {
        name: {"value": value} for name, value in (("distance", far), ("copies", near.share))
    }
    noun = "pictures" if picture else "rows"
    sentence = (
        f"Boosted trees tell its {noun} from held-out ones with an area under the curve of {apart['value']:.3f} "
        f"[{apart['low']:.3f}, {apart['high']:.3f}]; 0.5 is guessing, 1 is always."
    )
    found = {"rows": count, "goal": "told_apart", "metrics": metrics, "sentence": sentence, "least_distance": least}
    return found, rows, near


def measure_whole(
    task: Task,
    model: Any,
    transform: Transform,
    schema: Schema,
    encoded: dict[str, Any],
    answers_to: Callable[[dict[str, Any]], dict[str, np.ndarray]],
) -> dict[str, Any]:
    """What rows that were not learned from say of a run that rebuilds or draws: metrics with intervals.

    Without the training rows nothing is said about copies.
    """
    if isinstance(task, Reconstruct):
        return measure_rebuilt(task, model, encoded, answers_to(encoded))
    found = measure_drawn(task, model, transform, schema, encoded, encoded)[0]
    found["metrics"].pop("copies")
    return found


def simply_drawn(
    transform: Transform, schema: Schema, training: dict[str, Any], encoded: dict[str, Any], seed: int = 0
) -> list[dict[str, Any]]:
    """What two simple ways to draw give: each column by itself, and a normal fitted to the rows."""
    seen, random = Seen(transform, schema, training), np.random.default_rng(seed)
    real, known = encoded["inputs"][0][:MOST], training["inputs"][0][:KNOWN]
    part = "pixel" if transform.layout == "image" else "column"
    rows = []
    for name, kind, draw in (
        (f"each {part} drawn by itself", "independent", _apart),
        ("a normal fitted to the rows", "normal", _normal),
    ):
        began = time.perf_counter()
        made = seen.again(draw(transform, schema, known, len(real), random))
        metrics = {
            "told_apart": told_apart(seen.features(real), seen.features(made)),
            "distance": sliced(seen.plain(real), seen.plain(made)),
        }
        rows.append({"name": name, "kind": kind, "seconds": time.perf_counter() - began, "metrics": metrics})
    return rows


def _apart(transform: Transform, schema: Schema, known: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Rows whose pixels or columns come each from another row."""
    if transform.layout != "image":
        frame = decoded(transform, schema, known.numpy())
        shuffled = pl.DataFrame([series[random.integers(0, len(known), count)] for series in frame.iter_columns()])
        return transform.encode(Source("apart", shuffled), with_target=False)["inputs"][0]
    flat = known.flatten(1)
    places = torch.from_numpy(random.integers(0, len(known), (count, flat.shape[1])))
    return flat.gather(0, places).view(count, *known.shape[1:])


def _normal(transform: Transform, schema: Schema, known: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Draws from the normal with the rows' mean and covariance, by its main directions."""
    from sklearn.decomposition import PCA

    x = known.flatten(1).double().numpy()
    components = PCA(min(200, *x.shape), svd_solver="randomized", random_state=0).fit(x)
    codes = random.normal(size=(count, len(components.explained_variance_))) * np.sqrt(components.explained_variance_)
    made = torch.as_tensor(components.inverse_transform(codes), dtype=torch.float32).view(count, *known.shape[1:])
    return made.round().clamp(0, 255).to(torch.uint8) if transform.layout == "image" else made


def _area(guess: np.ndarray, truth: np.ndarray) -> float:
    """The area under the ROC curve, ties by half. Mann & Whitney 1947."""
    from scipy.stats import rankdata

    positive = truth > 0.5
    count = int(positive.sum())
    if not 0 < count < len(truth):
        return math.nan
    ranks = rankdata(guess)[positive].sum() - count * (count + 1) / 2
    return float(ranks / (count * (len(truth) - count)))
