"""A file of published weights to a network with those weights, and a network to such a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.errors import InputError, suggest
from trainwell.models.weight_layouts import LAYOUTS
from trainwell.nn.patch import resized_positions

OWN = "trainwell"  # the layout of a network's own state_dict
PREFIXES = ("module.", "_orig_mod.", "model.")  # what wrappers put in front of every name
UNCOUNTED = "num_batches_tracked"  # of batch norm; many files leave it out, and no result depends on it
NORMALIZE = {"0.mean", "0.scale"}  # of a run: its network stands second, behind the normalization of the pictures
INSIDE = ("checkpoints/best.safetensors", "model.safetensors")  # of a run folder, of a hub folder
ADDED = ("lora_down", "lora_up")  # what no file has, as it was added to the network
SHOWN = 8  # names in one message


class Loaded(NamedTuple):
    """What `load_weights` did: the layout it read, and the parameters that the file did not give."""

    layout: str
    fresh: list[str]


def load_weights(model: nn.Module, path: str | Path, *, new_head: bool = False) -> Loaded:
    """Fill the network, in place, from a safetensors file in its own, torchvision's, timm's or transformers' names.

    `path` is a file, a run folder, a hub folder or "hub:owner/name". With `new_head` the part named head stays as it is
    where the file lacks it or has it for other classes. A table of positions for another picture size is interpolated.
    Raises InputError that names every missing, unexpected or misshapen parameter; nothing is changed then.
    """
    tensors = read_tensors(weights_file(path))
    layout, table = best_layout(model, tensors)
    known = model.state_dict()
    filled, fresh, wrong = {}, [], []
    for ours, theirs in table.items():
        head = new_head and ours.startswith("head.")
        absent = [name for name in theirs if name not in tensors]
        if absent:
            if head:
                fresh.append(ours)
            elif not ours.endswith((UNCOUNTED, *ADDED)):
                wrong += [f"missing {name}" for name in absent]
            continue
        value = torch.cat([tensors[name] for name in theirs]) if len(theirs) > 1 else tensors[theirs[0]]
        fitting = fitted(value, known[ours])
        if fitting is not None:
            filled[ours] = fitting
        elif head:
            fresh.append(ours)
        else:
            shapes = f"{tuple(value.shape)}, expected {tuple(known[ours].shape)}"
            hint = " (new_head=True keeps the network's own head)" if ours.startswith("head.") else ""
            wrong.append(f"shape of {theirs[0]}: {shapes}{hint}")
    expected = {name for theirs in table.values() for name in theirs}
    wrong += [f"unexpected {name}" for name in sorted(tensors.keys() - expected) if not name.endswith(UNCOUNTED)]
    if wrong:
        rest = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        told = f"does not fit {type(model).__name__}, read in the {layout} layout"
        raise InputError(f"{path}: {told}: {'; '.join(wrong[:SHOWN])}{rest}")
    model.load_state_dict(filled, strict=False)
    return Loaded(layout, fresh)


def save_weights(model: nn.Module, path: str | Path, *, layout: str = OWN) -> None:
    """Write the network's weights as safetensors in a layout's names; raises InputError for an unknown layout."""
    known = model.state_dict()
    table = names(model, layout)
    tensors: dict[str, Tensor] = {}
    for ours, theirs in table.items():
        parts = known[ours].chunk(len(theirs)) if len(theirs) > 1 else [known[ours]]
        for name, part in zip(theirs, parts, strict=True):
            tensors[name] = part.clone(memory_format=torch.contiguous_format)
    save_file(tensors, str(path), metadata={"format": "pt", "layout": layout})


def layouts(model: nn.Module) -> list[str]:
    """The layouts that this network can be read from and written to."""
    return [OWN, *LAYOUTS.get(type(model), {})]


def names(model: nn.Module, layout: str) -> dict[str, tuple[str, ...]]:
    """Each entry of the network's state_dict to its published name, or names whose rows lie one after the other."""
    keys = list(model.state_dict())
    if layout == OWN:
        return {key: (key,) for key in keys}
    functions = LAYOUTS.get(type(model), {})
    if layout not in functions:
        raise InputError(f"{type(model).__name__} has no layout {layout!r}; {suggest(layout, layouts(model))}")
    table: dict[str, tuple[str, ...]] = {}
    for ours, theirs in functions[layout](model):
        published = (theirs,) if isinstance(theirs, str) else theirs
        for key in keys:
            if key == ours:
                table[key] = published
            elif key.startswith(ours + "."):
                table[key] = tuple(name + key[len(ours) :] for name in published)
    return table


def best_layout(model: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The layout whose names the file shares most, with those names; a base network's lacks its first word."""
    best: tuple[int, str, dict[str, tuple[str, ...]]] = (-1, OWN, {})
    for layout in layouts(model):
        table = names(model, layout)
        bases = {
            "",
            *(name.split(".")[0] + "." for theirs in table.values() for name in theirs if layout[:5] == "trans"),
        }
        for base in sorted(bases):
            shorter = {ours: tuple(name.removeprefix(base) for name in theirs) for ours, theirs in table.items()}
            shared = sum(name in tensors for theirs in shorter.values() for name in theirs)
            if shared > best[0]:
                best = (shared, layout, shorter)
    return best[1], best[2]


def fitted(value: Tensor, wanted: Tensor) -> Tensor | None:
    """The value in the wanted shape: as it is, flattened, or interpolated if it is a table of positions; else None."""
    if value.shape == wanted.shape:
        return value
    if value.ndim > wanted.ndim and value.flatten(1).shape == wanted.flatten(1).shape:
        return value.reshape(wanted.shape)
    squares = [
        round((part.shape[1] - 1) ** 0.5) ** 2 + 1 == part.shape[1] for part in (value, wanted) if part.ndim == 3
    ]
    if squares == [True, True] and value.shape[::2] == wanted.shape[::2] and value.shape[0] == 1:
        side = round((wanted.shape[1] - 1) ** 0.5)
        return resized_positions(value, side, side)
    return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, without what a run or a wrapper put in front of all of them."""
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a safetensors file ({error}); pickled weights (.pth, .pt, .bin) can run code when opened and "
            "are not read: convert them with safetensors.torch.save_file(torch.load(..., weights_only=True), ...)"
        ) from error
    if tensors.keys() >= NORMALIZE and all(name in NORMALIZE or name.startswith("1.") for name in tensors):
        tensors = {name.removeprefix("1."): value for name, value in tensors.items() if name not in NORMALIZE}
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def weights_file(path: str | Path) -> Path:
    """The file for a path, a run or hub folder, or "hub:owner/name", whose model.safetensors is fetched once."""
    if not str(path).startswith("hub:"):
        inside = [Path(path) / name for name in INSIDE]
        return next((file for file in inside if file.is_file()), Path(path))
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(f"{path}: fetching weights needs huggingface_hub: pip install 'trainwell[hub]'") from None
    name = str(path)[len("hub:") :]
    try:
        return Path(hf_hub_download(name, "model.safetensors"))
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError) as error:
        raise InputError(f"{path}: the hub gave no model.safetensors: {str(error).splitlines()[0]}") from error
