"""A trained network to one that learns on: stages from input to output, frozen, thawed, or at rates of their own."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


class Stage(NamedTuple):
    """A part of a network that is frozen or thawed as a whole."""

    name: str
    parameters: list[nn.Parameter]
    modules: list[nn.Module]


def stages(model: nn.Module) -> list[Stage]:
    """The parts of a network in the order in which it defines them, which has to be from input to output.

    Lists of modules are taken apart, wrappers around a single part are looked through, and parameters that lie in no
    part, such as a class token, belong to the first. A parameter that two parts share belongs to the earlier.
    """
    parts = [(name, part) for name, part in _parts(model, "") if any(True for _ in part.parameters())]
    inside = {id(each) for _, part in parts for each in part.parameters()}
    loose = [each for each in model.parameters() if id(each) not in inside]
    found, seen = [], {id(each) for each in loose}
    for name, part in parts:
        parameters = [each for each in part.parameters() if id(each) not in seen]
        seen.update(id(each) for each in parameters)
        found.append(Stage(name, parameters, list(part.modules())))
    if found:
        found[0].parameters[:0] = loose
    return found


def freeze(model: nn.Module, first: int, *, learn_norms: bool = False) -> list[str]:
    """Freeze the first stages and let the rest learn; a negative number counts from the end, -1 leaves the last.

    A frozen batch norm also keeps its statistics and normalizes by them, whatever mode the network is in. With
    `learn_norms` the norms of frozen stages learn, and their statistics follow the new data. Call again with a smaller
    number to thaw stage by stage. Returns the names of the frozen stages; raises ValueError beyond their number.
    """
    found = stages(model)
    if not -len(found) <= first <= len(found):
        raise ValueError(f"freeze {first} of {len(found)} stages: {', '.join(stage.name for stage in found)}")
    first = first if first >= 0 else len(found) + first
    for number, stage in enumerate(found):
        for parameter in stage.parameters:
            parameter.requires_grad_(number >= first)
        for module in stage.modules:
            if not isinstance(module, NORMS):
                continue
            learns = number >= first or learn_norms
            for name, parameter in module.named_parameters(recurse=False):
                # a scale that the network itself holds at one stays held
                parameter.requires_grad_(learns and not (name == "weight" and getattr(module, "fixed_scale", False)))
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                hold_statistics(module, not learns)
    return [stage.name for stage in found[:first]]


def unfreeze(model: nn.Module) -> None:
    """Let every stage learn again, batch norm's statistics included."""
    freeze(model, 0)


def layer_rates(model: nn.Module, lr: float, decay: float = 0.75, *, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Optimizer groups in which the last stage learns at `lr` and each one before at `decay` times the next one's rate.

    Norms and biases have no weight decay; frozen parameters are left out. Howard & Ruder 2018, arXiv:1801.06146.
    """
    groups: list[dict[str, Any]] = []
    found = stages(model)
    for number, stage in enumerate(found):
        rate = lr * decay ** (len(found) - 1 - number)
        learning = [each for each in stage.parameters if each.requires_grad]
        parts = ([p for p in learning if p.ndim > 1], weight_decay), ([p for p in learning if p.ndim <= 1], 0.0)
        groups += [{"params": part, "lr": rate, "weight_decay": decayed} for part, decayed in parts if part]
    return groups


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The named parts of a module: those of its lists one by one, and of the parts that hold such lists."""
    children = [(f"{name}.{key}" if name else key, child) for key, child in module.named_children()]
    learning = [(path, child) for path, child in children if any(True for _ in child.parameters())]
    if len(learning) == 1 and not isinstance(module, nn.ModuleList) and any(learning[0][1].children()):
        yield from _parts(learning[0][1], learning[0][0])
        return
    for path, child in children:
        if isinstance(child, nn.ModuleList):
            yield from ((f"{path}.{key}", each) for key, each in child.named_children())
        elif any(isinstance(each, nn.ModuleList) for each in child.children()):
            yield from _parts(child, path)
        else:
            yield path, child


def hold_statistics(module: nn.Module, hold: bool) -> None:
    """Keeps a batch norm in evaluation mode at every forward pass, or lets it follow the network's mode again."""
    handle = module.__dict__.pop("_held", None)
    if handle is not None:
        handle.remove()
    if hold:
        module.__dict__["_held"] = module.register_forward_pre_hook(_evaluate)


def _evaluate(module: nn.Module, inputs: tuple) -> None:
    module.training = False
