"""A file of published weights to the name and arguments of the network that it fills."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import SIZES, EfficientNet
from trainwell.models.resnet import ResNet
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer
from trainwell.models.weights import OWN, PREFIXES, UNCOUNTED, best_layout

Part = dict[str, Any]
NETWORKS = {"resnet": ResNet, "vgg": VGG, "densenet": DenseNet, "efficientnet": EfficientNet}
NETWORKS |= {"alexnet": AlexNet, "vit": VisionTransformer}


def candidates() -> Iterator[Part]:
    """The networks that are published with weights, the commonest first."""
    for depth in (20, 32, 44, 56, 110, 18, 34, 50, 101, 152):
        yield {"name": "resnet", "depth": depth}
    for depth in (11, 13, 16, 19):
        yield {"name": "vgg", "depth": depth}
        yield {"name": "vgg", "depth": depth, "batch_norm": False}
    for depth in (121, 169, 201):
        yield {"name": "densenet", "depth": depth}
    yield from ({"name": "efficientnet", "size": size} for size in SIZES)
    yield {"name": "alexnet"}
    yield from ({"name": "vit", "size": size} for size in ("tiny", "small", "base", "large"))


def recognized(path: Path) -> tuple[Part, str, int] | None:
    """The network whose every weight but the head's the file holds, the layout of its names, and its channels.

    None for a file of another network, or one that cannot be read.
    """
    shapes = _shapes(path)
    first = next((shape for name, shape in shapes.items() if len(shape) == 4), None)
    if first is None:
        return None
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    for part in candidates():
        arguments = {key: value for key, value in part.items() if key != "name"}
        with torch.device("meta"):
            model = partial(NETWORKS[part["name"]], first[1], 2, **arguments)()
        if Counter(tuple(each.shape) for each in model.parameters() if each.ndim == 4) - Counter(shapes.values()):
            continue  # some convolution is not in the file: the names need no look
        layout, table = best_layout(model, tensors)
        known = model.state_dict()
        held = {name for theirs in table.values() for name in theirs}
        needed = [
            (ours, theirs) for ours, theirs in table.items() if not ours.startswith("head.") and UNCOUNTED not in ours
        ]
        if all(name in tensors for _, theirs in needed for name in theirs) and all(
            len(theirs) > 1 or tensors[theirs[0]].numel() == known[ours].numel() or ours.startswith("positions")
            for ours, theirs in needed
        ):
            spare = [name for name in tensors if name not in held and UNCOUNTED not in name]
            if not spare:
                return part, layout, first[1]
    return None


def is_published(layout: str) -> bool:
    """Whether weights in this layout were learned on pictures scaled by ImageNet's mean and deviation."""
    return layout != OWN


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file by name, its content unread."""
    try:
        with safe_open(str(path), "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return {}
    for prefix in PREFIXES:
        if shapes and all(name.startswith(prefix) for name in shapes):
            shapes = {name.removeprefix(prefix): shape for name, shape in shapes.items()}
    return shapes
