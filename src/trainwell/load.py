"""A run folder to a Run: the trained network with all it needs to answer."""

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from trainwell.build import build_model, build_task, choose_device, plain_loader
from trainwell.data import PICTURED, Schema, Source, Transform, read, restored
from trainwell.data.box_transform import BoxTransform
from trainwell.errors import InputError
from trainwell.explain.drawing import drawn, draws, rows_drawn
from trainwell.explain.evaluation import measure
from trainwell.explain.filling import filled_frame
from trainwell.explain.generated import measure_whole
from trainwell.explain.judged import KNOWN, ClassifierJudge, InceptionFile, Judge, Pictures, judged
from trainwell.explain.language import written
from trainwell.explain.texts import TEXTS
from trainwell.recipe import Recipe
from trainwell.runs import RunFolder
from trainwell.tasks import (
    Adversarial,
    Classify,
    Detect,
    Diffusion,
    Fill,
    Language,
    Reconstruct,
    Spread,
    Task,
    Translate,
)
from trainwell.train.checkpoint import load_weights

BLOCK = 1 << 28  # bytes of decoded pictures that are answered to at a time


class Run:
    """A trained network with its recipe, schema, transform and folder; what `tw.fit` and `tw.load` hand back.

    `model` is a plain nn.Module in evaluation mode; `metrics` are on held-out rows.
    """

    def __init__(
        self, folder: RunFolder, recipe: Recipe, schema: Schema, transform: Transform, model: nn.Module, task: Task
    ) -> None:
        self.folder, self.recipe, self.schema = folder, recipe, schema
        self.transform, self.model, self.task = transform, model.eval(), task

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def classes(self) -> list[Any]:
        """The labels in the order of `predict_proba`'s columns, of the type that the data had."""
        return [_typed(label, self.schema.class_type) for label in self.schema.classes]

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers on held-out rows, by name."""
        if not (self.path / "evaluation.json").exists():
            return {}
        return {key: value["value"] for key, value in self.folder.read_json("evaluation.json")["metrics"].items()}

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the doctor found, and did."""
        return self.folder.read_lines("findings.jsonl")

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def answers(self, source: Any) -> dict[str, np.ndarray]:
        """What the task predicts for each row, by name, in the rows' order; arrays, a frame, a path or a Source.

        A row that cannot be read, such as a torn picture, is NaN throughout.
        """
        data = read(source)
        if not self.transform.by_row:
            return self.answers_to(self.transform.encode(data, with_target=False))
        rows, found, _ = self.judged(data, np.arange(data.rows), with_target=False)
        if len(rows) == data.rows:
            return found
        whole = {key: np.full((data.rows, *each.shape[1:]), np.nan) for key, each in found.items()}
        for key, each in found.items():
            whole[key][rows] = each
        return whole

    def judged(
        self, source: Source, rows: np.ndarray, with_target: bool = True
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Of these rows those that could be read, the answers to them by name, and their encoded targets if asked for.

        Pictures are decoded a block at a time, so that memory need not hold them all.
        """
        parts = []
        for block in self._blocks(rows):
            encoded = self.transform.encode(source, block, with_target=with_target)
            if len(encoded["row"]):
                truth = encoded["target"].numpy() if with_target else encoded["row"].numpy()
                parts.append((encoded["row"].numpy(), self.answers_to(encoded), truth))
        if not parts:
            raise InputError(f"{source.origin}: none of its {len(rows):,} pictures could be read")
        answers = {key: np.concatenate([part[1][key] for part in parts]) for key in parts[0][1]}
        rows, target = (np.concatenate([part[place] for part in parts]) for place in (0, 2))
        return rows, answers, target

    def _blocks(self, rows: np.ndarray) -> list[np.ndarray]:
        if self.transform.layout not in PICTURED:
            return [rows]
        sides = (self.transform.supplies[name] for name in ("channels", "height", "width"))
        length = max(1, BLOCK // math.prod(sides))
        return [rows[start : start + length] for start in range(0, max(1, len(rows)), length)]

    def answers_to(self, encoded: dict[str, Any]) -> dict[str, np.ndarray]:
        """What the task predicts for rows that the transform has encoded, by name."""
        device = next((each.device for each in self.model.parameters()), torch.device("cpu"))
        if isinstance(self.task, Adversarial):
            raise InputError(
                f"{self.path}: a GAN answers nothing about rows; draw new ones: trainwell sample {self.path}"
            )
        parts: list[dict[str, np.ndarray]] = []
        with torch.inference_mode():
            for batch in plain_loader(encoded, device, getattr(self.transform, "at_once", 1024)):
                parts.append({key: each.cpu().numpy() for key, each in self.task.predict(self.model, batch).items()})
        return self.task.merge({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})

    def predict(self, source: Any) -> np.ndarray:
        """A label or number for each row, in the row's order; (rows, targets) where there are several targets.

        Of a detector, a list of boxes for each picture, as `boxes` gives it. Of likeness, (rows, width) of length one.
        Of a forecast, the steps after the end of the source: (horizon, channels).
        Of a language model, the nats a token of each window; of one that fills holes, the texts with [MASK] filled.
        Of a segmentation, a mask of each picture's own size, in the numbers or colours that it was taught with. Of a
        task whose answers are texts, the texts. Of an autoencoder, the rows as they come back; of diffusion, each
        row's error.
        The label of a row that cannot be read is None.
        """
        if isinstance(self.task, Fill):
            return filled_frame(self, read(source))["prediction"].to_numpy()
        if self.schema.task in TEXTS:
            return TEXTS[self.schema.task].frame(self, read(source))["prediction"].to_numpy()
        if self.schema.task == "segment":
            return self.masks(source)
        answers = self.answers(source)
        if self.task.raw:
            return answers["output"] if "output" in answers else answers["loss"]
        if not self.transform.by_row:
            return answers["number"][0] if "number" in answers else answers["nats"] / answers["tokens"]
        if "embedding" in answers:
            return answers["embedding"]
        if "boxes" in answers:
            return self.boxes(source, answers["boxes"])
        if "number" in answers:
            return answers["number"][:, 0] if answers["number"].shape[1] == 1 else answers["number"]
        probability = answers["probability"]
        if len(self.schema.targets) > 1:
            return (probability > 0.5).astype(int)
        lost = np.isnan(probability[:, 0])
        decided = cast(Classify, self.task).decide(np.where(lost[:, None], 0, probability))
        labels = np.array(self.classes)[decided]
        if not lost.any():
            return labels
        labels = labels.astype(object)
        labels[lost] = None
        return labels

    def masks(self, source: Any) -> np.ndarray:
        """The mask of each picture at its own size: one array where they are of one size, else an array of arrays."""
        data = read(source)
        found = self.transform.own_size(data, self.answers(data)["mask"])  # type: ignore[attr-defined]
        if len({None if each is None else each.shape for each in found}) == 1 and found[0] is not None:
            return np.stack(found)
        masks = np.empty(len(found), dtype=object)
        masks[:] = found
        return masks

    def boxes(self, source: Any, answers: np.ndarray) -> np.ndarray:
        """Of each picture a list of boxes with label, score and sides in its own pixels, as sure as the task asks for.

        A picture that cannot be read has None.
        """
        data = read(source)
        transform, least = cast(BoxTransform, self.transform), cast(Detect, self.task).threshold
        found = transform.in_pictures(data, np.arange(data.rows), answers)
        kept = np.empty(data.rows, dtype=object)
        for row, boxes in enumerate(found):
            lost = bool(np.isnan(answers[row]).any())
            kept[row] = None if lost else [box for box in boxes if box["score"] >= least]
        return kept

    def quantiles(self, source: Any) -> dict[float, np.ndarray]:
        """For each share that the task tells quantiles of, the values with that share below: (rows, targets) each.

        In the unit of the target. Raises InputError for a run that answers numbers without telling how they spread.
        """
        answers = self.answers(source)
        if not isinstance(self.task, Spread):
            raise InputError(
                f"{self.path}: a {self.recipe.task['name']} run tells no quantiles; fit with --task quantile, gaussian "
                "or mixture"
            )
        return {share: answers["quantiles"][:, place] for place, share in enumerate(self.task.quantiles)}

    def predict_proba(self, source: Any) -> np.ndarray:
        """The probability of each class, (rows, classes), columns in the order of `classes`."""
        answers = self.answers(source)
        if "probability" not in answers:
            raise InputError(f"{self.path}: a {self.schema.task} run gives no probabilities; use predict")
        return answers["probability"]

    def evaluate(self, source: Any) -> dict[str, Any]:
        """Metrics with 95 % intervals on rows that have the target, and what they are made of."""
        if self.task.raw:
            encoded = self.transform.encode(read(source), with_target=False)
            return measure_whole(self.task, self.model, self.transform, self.schema, encoded, self.answers_to)
        names = ",".join(column.name for column in self.schema.targets)
        if self.schema.task in TEXTS:
            return TEXTS[self.schema.task].evaluate(self, read(source))
        data = read(source, target=names)
        if self.transform.by_row:
            _, answers, target = self.judged(data, np.arange(data.rows))
        else:
            encoded = self.transform.encode(data)
            answers, target = self.answers_to(encoded), encoded["target"].numpy()
        return measure(answers, target, self.schema, self.task)

    def sample(
        self,
        count: int = 16,
        *,
        label: Any = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
    ) -> np.ndarray | pl.DataFrame:
        """New pictures, (count, channels, height, width) bytes, or a frame of new rows; a seed draws the same again.

        label: the class to draw, all in turn without one; steps, guidance: of diffusion. Raises InputError for a run
        that does not draw.
        """
        rows = drawn(
            self.task, self.model, self.schema, count, label=label, steps=steps, guidance=guidance, seed=seed
        )  # fmt: skip
        return rows_drawn(self.transform, self.schema, rows)

    def write(self, prompt: str | None = None, **options: Any) -> str:
        """What a language model goes on with after a prompt, and the prompt; options as `trainwell sample` has them.

        length, heat, most, mass, least, penalty, stop, seed: as in `explain.language.continued`. Raises InputError for
        a run that does not write.
        """
        if not isinstance(self.task, Language) or isinstance(self.task, Fill | Translate):
            raise InputError(f"{self.path}: a {self.recipe.task['name']} run does not write on; use predict")
        return "".join(written(self.model, self.transform, prompt, **options))

    def scores(
        self,
        source: Any,
        judge: "Run | str | Path",
        count: int = 2_000,
        *,
        steps: int | None = 20,
        guidance: float | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """What a judge says of pictures that this run draws, beside as many of the source; kept in scores.json.

        judge: a classifier's run on such pictures, its folder, or a TorchScript file of Inception. Where the source
        has parts, its held-out ones are what the draws are compared with, and copies are looked for among the others.
        Raises InputError for a run that draws no pictures, and for a judge that judges none.
        """
        if not draws(self.task) or self.transform.layout != "image":
            raise InputError(f"{self.path}: this run draws no pictures, so a judge has nothing to look at")
        by, data = judge_of(judge), read(source)
        held, known = held_out(data, seed)
        real = self.transform.encode(data, held[:count], with_target=False)
        learned = self.transform.encode(data, known[:KNOWN], with_target=False)["inputs"][0].numpy()
        rows = real["row"].numpy()
        taken = steps if isinstance(self.task, Diffusion) else None
        made = drawn(self.task, self.model, self.schema, len(rows), steps=taken, guidance=guidance, seed=seed)
        label = next((column.name for column in self.schema.targets), None)
        truth = data.frame[label][rows].cast(pl.String).to_list() if label in data.frame.columns else None
        classes = [str(each) for each in self.schema.classes]
        told = not isinstance(self.task, Reconstruct) and bool(getattr(self.model, "classes", None))
        asked = [classes[row % len(classes)] for row in range(len(rows))] if told else None
        shown = Pictures(made.cpu().numpy(), real["inputs"][0].numpy(), learned if len(known) else None, asked, truth)
        found = judged(by, shown) | {"drawn": {"steps": taken, "guidance": guidance, "seed": seed}}
        self.folder.write_json("scores.json", found)
        return found

    def __repr__(self) -> str:
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in self.metrics.items())
        return f"Run({str(self.path)!r}, {self.recipe.model.get('name')}, {numbers})"


def judge_of(judge: Run | str | Path) -> Judge:
    """A judge of pictures from a classifier's run, its folder, or a TorchScript file of Inception."""
    if not isinstance(judge, Run) and not Path(judge).is_dir():
        return InceptionFile(Path(judge))
    run = judge if isinstance(judge, Run) else load(judge)
    return ClassifierJudge(str(run.path), run.model, run.transform, run.schema)


def held_out(source: Source, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The rows that a source's parts hold out, and those to learn from, by chance; all and none without parts."""
    order = np.random.default_rng(seed).permutation(source.rows)
    if source.parts is None:
        return order, order[:0]
    part = "test" if "test" in source.parts else "val"
    return order[source.parts[order] == part], order[source.parts[order] == "train"]


def save(folder: RunFolder, recipe: Recipe, schema: Schema, transform: Transform) -> None:
    """Write recipe, schema and fitted transform; the weights are written by the training."""
    folder.write_text("recipe.yaml", recipe.to_yaml())
    folder.write_json("schema.json", schema.to_dict())
    state, arrays = transform.save()
    folder.write_json("transform.json", state)
    with folder.replacing("transform.safetensors") as temporary:
        save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, temporary)


def load(path: str | Path, model: nn.Module | None = None, device: str = "auto") -> Run:
    """A run from its folder, of your own network with an instance of it; raises InputError if a file is damaged."""
    folder = RunFolder.open(path)
    recipe = Recipe.from_dict(folder.read_yaml("recipe.yaml"), where=str(folder.path / "recipe.yaml"))
    if not recipe.model.get("name") or not recipe.task.get("name"):
        raise InputError(
            f"{folder.path / 'recipe.yaml'}: damaged: names no model or no task; copy it back or fit again"
        )
    schema = _restored(folder, "schema.json", lambda: Schema.from_dict(folder.read_json("schema.json")))
    transform = _restored(folder, "transform.json", lambda: _transform(folder))
    if model is None and recipe.model.get("name") == "own":
        raise InputError(
            f"{folder.path}: this run trained your own network; pass it: tw.load({str(path)!r}, model=YourNetwork()). "
            f"Its source lies in {folder.path / 'source'}"
        )
    network = build_model(recipe, transform, model)
    state = folder.facts()["state"]
    if state != "finished" and not (folder.path / "checkpoints" / "best.safetensors").exists():
        raise InputError(
            f"{folder.path}: this run is not finished ({state}); go on with: trainwell fit --resume {folder.path}"
        )
    weights = load_weights(folder)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{folder.path}: the weights do not fit the network: {str(error).splitlines()[1].strip()}"
        ) from None
    return Run(
        folder, recipe, schema, transform, network.to(choose_device(device)), build_task(recipe, schema, transform)
    )


def _transform(folder: RunFolder) -> Transform:
    path = folder.path / "transform.safetensors"
    if not path.is_file():
        raise InputError(f"{path}: missing from the run; copy it back or fit again")
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged: {error}; copy it back or fit again") from None
    return restored(folder.read_json("transform.json"), arrays)


def _restored(folder: RunFolder, name: str, make: Any) -> Any:
    try:
        return make()
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder.path / name}: damaged: {error}; copy it back or fit again") from None


def _typed(label: str, kind: str) -> Any:
    if kind == "int":
        return int(label)
    if kind == "float":
        return float(label)
    return label == "True" if kind == "bool" else label
