"""A recipe and data to objects: the only place where names become objects."""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.data import (
    AUGMENTATIONS,
    PICTURED,
    TRANSFORMS,
    BucketedLoader,
    EncodedRows,
    Loader,
    PictureRows,
    Schema,
    Source,
    Split,
    StreamingLoader,
    Transform,
    fits,
)
from trainwell.errors import InputError
from trainwell.models import MODELS
from trainwell.models.transfer import Thawing
from trainwell.nn.keras_network import KerasNetwork, is_keras
from trainwell.nn.normalize import Normalize
from trainwell.nn.side_by_side import SideBySide
from trainwell.recipe import Part, Recipe, build, check, choices, named
from trainwell.tasks import TASKS, Batch, Task
from trainwell.train import OPTIMIZERS, SCHEDULES, Settings, State, optimizer_for
from trainwell.train.average import Average
from trainwell.train.distributed import rank, world_size
from trainwell.transfer import continued, transfer_of

LARGEST_BATCH = 2**22  # numbers in a batch that is evaluated, so that maps of large pictures fit in memory
LARGEST_SAMPLE = 2**27  # numbers in it
SAMPLE = 10_000  # rows that a data-dependent initialization sees
STREAMED_SAMPLE = 500  # of pictures that memory does not hold
ASKED = {"numbers": "columns", "vocabulary": "tokens"}  # what a network's signature asks for -> the layout that has it


def layout_of(model: str | nn.Module, schema: Schema) -> str:
    """How a network wants its inputs: a name of TRANSFORMS, by the kind of data and what the network's call takes."""
    if schema.task in SEQUENCES:
        return SEQUENCES[schema.task](model)
    if any(column.kind == "image" for column in schema.inputs):
        return "image"
    if any(column.kind == "audio" for column in schema.inputs):
        return "sound with length" if asks_for("lengths", model) else "sound"
    if isinstance(model, str):
        asked = inspect.signature(named({"name": model}, MODELS, "model")).parameters
        return next((layout for name, layout in ASKED.items() if name in asked), "vector")
    return "vector"


def asks_for(name: str, model: str | nn.Module) -> bool:
    """Whether a network's call has a parameter of this name."""
    kind = type(model) if isinstance(model, nn.Module) else named({"name": model}, MODELS, "model")
    return name in inspect.signature(kind.forward).parameters


def series_layout(model: str | nn.Module) -> str:
    """Windows of a series, and what else a network asks for: where each starts, or covariates and the calendar."""
    if asks_for("covariates", model):
        return "series with covariates"
    return "series with phase" if asks_for("phase", model) else "series"


SEQUENCES: dict[str, Callable[[str | nn.Module], str]] = {
    "forecast": series_layout,
    "language": lambda model: "stream",
    "masked_language": lambda model: "masked",
    "span_corruption": lambda model: "spans",
    "segment": lambda model: "mask",
    "translate": lambda model: "pairs",
    "summarize": lambda model: "pairs",
    "detect": lambda model: "boxes",
    "tag": lambda model: "tags",
    "answer": lambda model: "answers",
    "likeness": lambda model: "likeness",
    "recognize": lambda model: "speech",
}


def asked_of(recipe: Recipe, model: nn.Module | None, fit: Callable[..., Any]) -> dict[str, Any]:
    """What a transform must know of the network and the task, such as the lookback of a forecast.

    Raises InputError for a network without it.
    """
    kinds = {"model": None if model is not None else named(recipe.model, MODELS, "model")}
    kinds["task"] = named(recipe.task, TASKS, "task")
    known: dict[str, Any] = {}
    for part, kind in kinds.items():
        if kind is not None:
            known |= {key: each.default for key, each in inspect.signature(kind).parameters.items()}
            known |= check(getattr(recipe, part), kind, part)
    found = {}
    for name in list(inspect.signature(fit).parameters)[3:]:
        parameter = inspect.signature(fit).parameters[name]
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            continue
        value = known.get(name, getattr(model, name, None))
        if value is not None:
            found[name] = value
        elif parameter.default is inspect.Parameter.empty:
            raise InputError(f"model: {recipe.model.get('name')} has no {name!r}, which {recipe.task['name']} asks for")
    return found


def fit_transform(
    recipe: Recipe, source: Source, schema: Schema, rows: np.ndarray, model: nn.Module | None
) -> Transform:
    """The transform of the recipe, fitted on these rows alone."""
    layout = layout_of(model or recipe.model["name"], schema)
    kind = TRANSFORMS[layout]
    arguments = check(recipe.transform, kind.fit, "transform")
    made = kind.fit(source, schema, rows, layout=layout, **asked_of(recipe, model, kind.fit), **arguments)
    return continued(made, recipe)


def build_model(recipe: Recipe, transform: Transform, own: nn.Module | None = None) -> nn.Module:
    """The network of the recipe, or the user's own; one for pictures stands behind a normalization of their bytes.

    A task that scales pictures itself gets the network as it is.
    """
    torch.manual_seed(recipe.seed)
    # Members that learn from each other's held-out rows would flatter themselves: as many groups as folds.
    supplied = {**transform.supplies, "groups": max(1, recipe.split.get("folds", 0))}
    supplied |= {name: _asked(recipe, supplied[name]) for name in ("outputs", "classes") if name in supplied}
    if own is None:
        network = build(recipe.model, MODELS, "model", supplied)
        if recipe.task["name"] == "forecast" and recipe.task.get("quantiles"):
            others = [build(recipe.model, MODELS, "model", supplied) for _ in recipe.task["quantiles"]]
            network = SideBySide([network, *others])
    elif is_keras(own):
        sides = ("channels", "height", "width") if transform.layout in PICTURED else ("features",)
        network = KerasNetwork(own, [supplied[name] for name in sides])
    else:
        network = own
    if recipe.transfer:
        transfer_of(recipe).adapt(network)
    if transform.layout in PICTURED:
        network = network.to(memory_format=torch.channels_last)
        if named(recipe.task, TASKS, "task").raw:
            return network
        bytes_of = [[255 * share for share in each] for each in (transform.mean, transform.std)]
        return nn.Sequential(Normalize(*bytes_of), network)
    return network


def _asked(recipe: Recipe, outputs: int) -> int:
    """How many numbers a row the recipe's task asks of a network, where the data has so many targets or classes."""
    kind = named(recipe.task, TASKS, "task")
    defaults = {name: each.default for name, each in choices(kind).items()}
    return kind.asks(outputs, **(defaults | check(recipe.task, kind, "task")))


def inner(model: nn.Module) -> nn.Module:
    """The network behind the normalization of its pictures, or the model itself."""
    behind = isinstance(model, nn.Sequential) and len(model) == 2 and isinstance(model[0], Normalize)
    return model[1] if behind else model  # type: ignore[index]


def initialize(model: nn.Module, inputs: tuple[torch.Tensor, ...], seed: int, target: Any = None) -> None:
    """Let a network that starts from the data see a sample of the training inputs, and of the targets if it asks."""
    network = inner(model)
    normalize = None if network is model else model[0]  # type: ignore[index]
    starts = getattr(network, "initialize", None)
    if not callable(starts):
        return
    generator = torch.Generator().manual_seed(seed)
    rows = min(SAMPLE, max(1, LARGEST_SAMPLE // max(1, inputs[0][:1].numel())))
    chosen = torch.randperm(len(inputs[0]), generator=generator)[:rows]
    more = {}
    parameters = inspect.signature(starts).parameters
    if target is not None and ("target" in parameters or isinstance(network, SideBySide)):
        chosen = chosen.sort().values  # in order of time, if they have one
        more["target"] = target[chosen.to(target.values.device if hasattr(target, "starts") else target.device)]
    elif "target" in parameters:
        return  # what it has to start from is not at hand
    sample = tuple(each[chosen] for each in inputs)
    with torch.no_grad():
        starts(*(sample if normalize is None else (normalize(sample[0]),)), **more)


def adapt(recipe: Recipe, model: nn.Module, inputs: tuple[torch.Tensor, ...], task: Task) -> Recipe:
    """The recipe fitted to what the user's own network gives; raises InputError if that cannot answer the target.

    A network that ends in a softmax or sigmoid gives probabilities: the loss is told, rather than taken twice.
    """
    try:
        with torch.no_grad():
            output = model.eval()(*(each[:256] for each in inputs))
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(each.shape[1:])) for each in inputs)
        raise InputError(
            f"model: your network cannot take rows of shape {shapes}: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(output, torch.Tensor):
        raise InputError(f"model: your network gives a {type(output).__name__}; expected one tensor of (rows, outputs)")
    wanted = getattr(task, "outputs", output.shape[-1])
    allowed = {wanted, 1} if wanted == 2 else {wanted}
    if output.dim() < 2 or output.shape[-1] not in allowed:
        raise InputError(
            f"model: your network gives {tuple(output.shape[1:])} a row, the target asks for {wanted} outputs; "
            "change its last layer"
        )
    within = bool((output >= 0).all() and (output <= 1).all())
    sums = output.shape[-1] == 1 or bool((output.sum(-1) - 1).abs().max() < 1e-3)
    if recipe.task["name"] == "classify" and within and sums and len(output) > 1:
        return recipe.set("task.scores=probabilities")
    return recipe


def build_task(recipe: Recipe, schema: Schema, transform: Transform) -> Task:
    """The task of the recipe, told what the target is."""
    labels = len(schema.targets) if len(schema.targets) > 1 and schema.task == "classify" else 0
    supplied = {**transform.supplies, "labels": labels, "folds": recipe.split.get("folds", 0)}
    for name, plain in (("temperature", 1.0), ("ranks", None)):  # what a run finds once it has learned
        supplied[name] = getattr(getattr(transform, "target", None), name, plain)
    return build(recipe.task, TASKS, "task", supplied)


def build_state(recipe: Recipe, model: nn.Module, task: Task, device: torch.device) -> State:
    """A training about to begin: the model on its device, an optimizer for each player, the schedule, the average."""
    schedule = build(recipe.schedule or {"name": "constant"}, SCHEDULES, "schedule", {})
    if recipe.transfer:
        transfer = transfer_of(recipe)
        transfer.start(inner(model))
        if transfer.thaw and hasattr(schedule, "observe"):
            raise InputError("transfer.thaw: the plateau schedule does not tell how much has passed; take another")
        if transfer.thaw and world_size() > 1:
            raise InputError("transfer.thaw: several ranks cannot thaw; set transfer.thaw=0, or transfer.freeze=0")
        schedule = Thawing(schedule, transfer, inner(model))
    model = model.to(device)
    settings = settings_of(recipe)
    state = State(
        model=model,
        task=task,
        optimizers={},
        schedule=schedule,
        device=device,
        precision=settings.precision,
        average=Average(model, settings.ema) if settings.ema else None,
    )
    state.optimizers = optimizers_of(recipe.optimizer, state.players)
    if recipe.transfer:
        schedule(0.0)  # what stays frozen at first does so from the first look on
    return state


def optimizers_of(part: Part, players: Mapping[str, nn.Module]) -> dict[str, Optimizer]:
    """An optimizer for each player; a key that is a player's name holds what is different for it.

    Raises InputError for an unknown or ill-typed argument.
    """
    found = {}
    for player, module in players.items():
        own = part.get(player, {})
        if not isinstance(own, dict):
            raise InputError(f"optimizer.{player}: found {own!r}, expected what differs for it, such as {{lr: 0.0004}}")
        whole = {"name": "adamw", **{key: value for key, value in part.items() if key not in players}, **own}
        arguments = {key: value for key, value in whole.items() if key not in ("lr", "weight_decay")}
        check(arguments, named(whole, OPTIMIZERS, "optimizer"), "optimizer")
        for key in ("lr", "weight_decay"):
            if not isinstance(whole.get(key, 0.0), int | float):
                raise InputError(f"optimizer.{key}: found {whole[key]!r}, expected a number")
        found[player] = optimizer_for(module, **whole)
    return found


def settings_of(recipe: Recipe) -> Settings:
    """The recipe's train part, checked and with its defaults; raises InputError for a value that cannot be."""
    try:
        return Settings(**check(recipe.train, Settings, "train"))
    except ValueError as error:
        raise InputError(f"train: {error}") from None


def choose_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one; raises InputError for a device that this machine lacks."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device: {name!r} is not to be had here ({str(error).splitlines()[0]}); use cpu or auto"
        ) from None
    return torch.device(name)


def loaders(
    recipe: Recipe, transform: Transform, source: Source, split: Split, device: torch.device
) -> tuple[Any, Any, tuple[torch.Tensor, ...]]:
    """Batches to learn from, batches to choose the checkpoint by, and a sample of the encoded training inputs."""
    if transform.layout in PICTURED and not _held(transform, len(split.train) + len(split.val), device):
        return _streams(recipe, transform, source, split, device)
    training = transform.encode(source, split.train)
    if split.fold is not None:
        training["fold"] = torch.as_tensor(split.fold[training["row"].numpy()])
    kind = BucketedLoader if getattr(transform, "bucketed", False) else Loader
    loader = kind(training, **_training_options(recipe, transform, len(training["row"]), device))
    if split.fold is not None:
        held_out = {**training, "held_out_fold": training["fold"]}
        del held_out["fold"]
    elif len(split.val):
        held_out = transform.encode(source, split.val)
    else:
        return loader, None, training["inputs"]
    at_once = getattr(transform, "at_once", 1024)
    return loader, plain_loader(held_out, device, at_once), training["inputs"]


def _training_options(recipe: Recipe, transform: Transform, rows: int, device: torch.device) -> dict[str, Any]:
    """How a loader serves rows to learn from, whether they lie in memory or not."""
    batch_size = settings_of(recipe).batch_size
    return {
        "batch_size": min(batch_size, rows),
        # A last batch of a few rows would count as much as a full one in batch statistics.
        "drop_last": rows > 4 * batch_size,
        "seed": recipe.seed,
        "device": device,
        "rank": rank(),
        "world": world_size(),
        "transform": augmentation(recipe, transform),
    }


def _held(transform: Transform, rows: int, device: torch.device) -> bool:
    """Whether so many pictures, decoded, find room in the memory to spare, of the machine and of the device."""
    size = rows * math.prod(transform.supplies[name] for name in ("width", "height", "channels"))
    return fits(size) and fits(size, device)


def _streams(
    recipe: Recipe, transform: Transform, source: Source, split: Split, device: torch.device
) -> tuple[Any, Any, tuple[torch.Tensor, ...]]:
    """Loaders whose worker processes decode ahead, for pictures that memory does not hold."""
    settings = settings_of(recipe)
    workers = min(8, os.cpu_count() or 1) if settings.workers is None else settings.workers
    transform.notes.append(
        f"{len(split.train) + len(split.val):,} pictures are more than memory holds once decoded: "
        f"{workers} worker processes read them ahead at each epoch (train.workers)"
    )
    rows = _ahead(transform, source, split.train, split.fold)
    options = _training_options(recipe, transform, len(rows), device)
    loader = StreamingLoader(rows, workers=workers, **options)
    loader.notes = transform.notes
    sample = transform.encode(source, split.train[:: max(1, len(rows) // STREAMED_SAMPLE)])["inputs"]
    if not len(split.val):
        return loader, None, sample
    held_out = StreamingLoader(
        _ahead(transform, source, split.val),
        batch_size=settings.batch_size, shuffle=False, workers=workers, device=device,
    )  # fmt: skip
    held_out.notes = transform.notes
    return loader, held_out, sample


def _ahead(transform: Transform, source: Source, rows: np.ndarray, fold: np.ndarray | None = None) -> Any:
    """What worker processes read these rows from."""
    if transform.layout == "image":
        return PictureRows(transform, source, rows, fold)
    return EncodedRows(transform, source, rows)


def plain_loader(tensors: dict[str, Any], device: torch.device, batch_size: int = 1024) -> Loader:
    """Batches in the order of the rows, for evaluation and prediction; fewer rows each where one is large."""
    first = tensors["inputs"][0]
    if isinstance(first, torch.Tensor) and len(first):
        batch_size = max(1, min(batch_size, LARGEST_BATCH // max(1, first[0].numel())))
    return Loader(tensors, batch_size=batch_size, shuffle=False, device=device)


def augmentation(recipe: Recipe, transform: Transform) -> Callable[[Batch], Batch] | None:
    """The recipe's augmentations one after the other; None where there are none."""
    if not recipe.augment:
        return None
    steps = [build(part, AUGMENTATIONS, "augment", transform.supplies) for part in recipe.augment]

    def augment(batch: Batch) -> Batch:
        for step in steps:
            batch = step(batch)
        return batch

    return augment
