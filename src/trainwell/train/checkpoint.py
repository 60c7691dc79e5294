"""A training's state to files without pickle, and back, so that it goes on as if it had never stopped."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainwell.errors import InputError
from trainwell.runs import RunFolder
from trainwell.train.distributed import plain_names
from trainwell.train.state import State

VERSION = 1
WEIGHTS, TRAINING = "checkpoints/best.safetensors", "checkpoints/last.safetensors"


def save_weights(folder: RunFolder, weights: dict[str, Tensor], name: str = WEIGHTS) -> Path:
    """The model's tensors alone, for prediction; readable by anything that reads safetensors."""
    return _write(folder, name, weights, {"version": str(VERSION)})


def load_weights(folder: RunFolder, name: str = WEIGHTS) -> dict[str, Tensor]:
    """Raises InputError that names the file if it is missing or damaged."""
    return _read(folder.path / name)[0]


def save_state(folder: RunFolder, state: State, name: str = TRAINING) -> Path:
    """All that resuming needs: weights, best ones, average, optimizers, schedule, random state, place in the data."""
    names = plain_names(state.model)
    tensors: dict[str, Tensor] = {f"model.{names[key]}": value for key, value in state.model.state_dict().items()}
    tensors |= {f"best.{names[key]}": value for key, value in (state.best_weights or {}).items()}
    tensors |= {f"average.{key}": value for key, value in (state.average.tensors() if state.average else {}).items()}
    tensors["random.torch"] = torch.get_rng_state()
    if state.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(state.device)
    plain: dict[str, Any] = {"facts": state.facts(), "optimizers": {}}
    for player, optimizer in state.optimizers.items():
        saved = optimizer.state_dict()
        plain["optimizers"][player] = {"groups": saved["param_groups"], "numbers": {}}
        for index, values in saved["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{player}.{index}.{key}"] = value
                else:
                    plain["optimizers"][player]["numbers"][f"{index}.{key}"] = value
    plain["schedule"] = {key: value for key, value in vars(state.schedule).items() if isinstance(value, int | float)}
    return _write(folder, name, tensors, {"version": str(VERSION), "training": json.dumps(plain)})


def load_state(folder: RunFolder, state: State, name: str = TRAINING) -> None:
    """Put a saved training back into a state built from the same recipe; raises InputError if it is damaged."""
    path = folder.path / name
    tensors, metadata = _read(path)
    if int(metadata.get("version", 0)) > VERSION:
        raise InputError(f"{path}: version {metadata['version']}, written by a later trainwell; update it")
    try:
        _restore(state, tensors, json.loads(metadata["training"]))
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: does not fit this recipe's training ({reason}); resume with the run's recipe"
        ) from error
    torch.set_rng_state(tensors["random.torch"])
    if "random.cuda" in tensors and state.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], state.device)


def _restore(state: State, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    names = plain_names(state.model)
    weights, best = _below(tensors, "model."), _below(tensors, "best.")
    state.model.load_state_dict({name: weights[names[name]] for name in names})
    state.best_weights = {name: best[names[name]].to(state.device) for name in names} if best else None
    if state.average:
        state.average.restore(_below(tensors, "average."))
    for player, optimizer in state.optimizers.items():
        saved = plain["optimizers"][player]
        entries: dict[int, dict[str, Any]] = {}
        for key, value in {**_below(tensors, f"optimizer.{player}."), **saved["numbers"]}.items():
            index, _, field = key.partition(".")
            entries.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({"state": entries, "param_groups": saved["groups"]})
        for parameter, values in optimizer.state.items():
            for key, value in values.items():
                # Fused kernels walk memory as it lies: a channels-last parameter needs its moments to lie likewise.
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[key] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    vars(state.schedule).update(plain["schedule"])
    vars(state).update(plain["facts"])


def _write(folder: RunFolder, name: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    # A copy of each, as safetensors refuses tensors that share memory, such as tied weights.
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with folder.replacing(name) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # its words for a full disk and the like
            raise InputError(f"{folder.path / name}: cannot write: {error}; free some space") from error
    return folder.path / name


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: missing from the run; copy it back or fit again")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged: {error}; copy it back or fit again") from None
