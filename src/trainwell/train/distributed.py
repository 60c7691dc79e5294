"""One process to many: ranks started by torchrun learn as one, each on its share of the rows."""

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainwell.tasks.task import Task


def start(backend: str | None = None) -> tuple[int, int]:
    """Join the group that torchrun describes in the environment; (rank, world size), (0, 1) without torchrun."""
    if "RANK" not in os.environ or dist.is_initialized():
        return rank(), world_size()
    backend = backend or ("nccl" if torch.cuda.is_available() else "gloo")
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend)
    return rank(), world_size()


def rank() -> int:
    """This process's number, 0 when alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes learn together, 1 when alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(count: Tensor | int | float) -> Any:
    """The sum of a count over all ranks; the count itself when alone."""
    if world_size() == 1:
        return count
    total = torch.as_tensor(count, dtype=torch.float64).clone()
    if dist.get_backend() == "nccl":
        total = total.cuda()
    dist.all_reduce(total)
    return total  # left on its device: to read it would make the processor wait for it at each step


def of_first_rank(value: float) -> float:
    """The first rank's number on every rank, so that all of them decide alike; the number itself when alone."""
    if world_size() == 1:
        return value
    number = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(number, 0)
    return number.item()


def wrap(model: nn.Module, task: Task) -> nn.Module:
    """Each player in its own DistributedDataParallel, in place; buffers stay each rank's own.

    With players wrapped one by one and `requires_grad_` switched by turn, a GAN on two ranks equals one process.
    """
    if world_size() == 1:
        return model
    if task.players == ("model",):
        return DistributedDataParallel(model, broadcast_buffers=False)
    for player in task.players:
        parent, _, name = player.rpartition(".")
        setattr(
            model.get_submodule(parent) if parent else model,
            name,
            DistributedDataParallel(model.get_submodule(player), broadcast_buffers=False),
        )
    return model


def unwrap(model: nn.Module) -> nn.Module:
    """The model without the wrappers that `wrap` put around it or its players."""
    if isinstance(model, DistributedDataParallel):
        return model.module
    for name, child in list(model.named_modules()):
        if isinstance(child, DistributedDataParallel):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent) if parent else model, last, child.module)
    return model


def unsynced(part: nn.Module, wait: bool) -> AbstractContextManager:
    """Inside the block gradients stay on their rank if there are more pieces to wait for."""
    return part.no_sync() if wait and isinstance(part, DistributedDataParallel) else contextlib.nullcontext()


def plain_names(model: nn.Module) -> dict[str, str]:
    """Names in the model's state_dict to the names without the wrappers of `wrap` and `torch.compile`."""
    wrappers = {}
    for name, module in model.named_modules():
        inner = "module" if isinstance(module, DistributedDataParallel) else "_orig_mod"
        if inner in module._modules:
            outer = f"{name}." if name else ""
            wrappers[f"{outer}{inner}."] = outer
    names = {}
    for name in model.state_dict():
        plain = name
        for wrapper in sorted(wrappers, key=len, reverse=True):  # the innermost first, so that outer names still fit
            if plain.startswith(wrapper):
                plain = wrappers[wrapper] + plain.removeprefix(wrapper)
        names[name] = plain
    return names


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors under the names that they have without wrappers."""
    weights = model.state_dict()
    return {plain: weights[name] for name, plain in plain_names(model).items()}
