"""A name and a model to an optimizer whose weight decay spares norms and biases; fused where torch has it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from trainwell.errors import InputError


def parameter_groups(module: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups, matrices with decay and the rest without; a module's or child's own `parameter_groups` goes first."""
    own = [each for each in (module, *module.children()) if callable(getattr(each, "parameter_groups", None))]
    groups: list[dict[str, Any]] = []
    for each in own[:1] if module in own[:1] else own:
        groups += each.parameter_groups(lr=lr, weight_decay=weight_decay)  # type: ignore[operator]
    taken = {id(each) for group in groups for each in group["params"]}
    left = [each for each in module.parameters() if each.requires_grad and id(each) not in taken]
    matrices = {id(each) for each in matrices_of(module)}
    if weight_decay:
        groups.append({"params": [each for each in left if id(each) in matrices], "weight_decay": weight_decay})
        left = [each for each in left if id(each) not in matrices]
    groups.append({"params": left, "weight_decay": 0.0})
    return [{"lr": lr, **group} for group in groups if group["params"]]


def matrices_of(module: nn.Module) -> list[Tensor]:
    """The parameters that multiply and learn: of two dimensions or more, embeddings and norms apart."""
    apart = [
        each
        for each in module.modules()
        if isinstance(each, nn.Embedding | nn.EmbeddingBag | nn.LayerNorm | nn.RMSNorm)
    ]
    exempt = {id(parameter) for each in apart for parameter in each.parameters()}
    return [each for each in module.parameters() if each.requires_grad and each.dim() > 1 and id(each) not in exempt]


def optimizer_for(
    module: nn.Module, *, name: str = "adamw", lr: float = 1e-3, weight_decay: float = 0.0, **arguments: Any
) -> Optimizer:
    """An optimizer by name over the module's parameters, each group's base rate kept as `initial_lr`.

    Raises InputError if no parameter learns.
    """
    module = module.module if isinstance(module, DistributedDataParallel) else module
    groups = parameter_groups(module, lr, weight_decay)
    if not groups:
        raise InputError(
            "optimizer: every parameter of the network is frozen; set requires_grad on those that shall learn"
        )
    optimizer = OPTIMIZERS[name](mark_orthogonal(module, groups) if name == "muon" else groups, **arguments)
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return optimizer


def sgd(parameters: Iterable, *, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Plain gradient descent on mini-batches. Robbins & Monro 1951."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=momentum, nesterov=nesterov, fused=True)


def momentum(parameters: Iterable, *, momentum: float = 0.9) -> Optimizer:
    """Gradient descent with a heavy ball. Polyak 1964."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=momentum, fused=True)


def nesterov(parameters: Iterable, *, momentum: float = 0.9) -> Optimizer:
    """Momentum with a look ahead. Nesterov 1983, in the form of Sutskever et al. 2013."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=momentum, nesterov=True, fused=True)


def adagrad(parameters: Iterable, *, eps: float = 1e-10) -> Optimizer:
    """Rates divided by the root of all squared gradients so far. Duchi et al. 2011."""
    return torch.optim.Adagrad(parameters, lr=0.01, eps=eps, fused=True)


def rmsprop(parameters: Iterable, *, alpha: float = 0.99, momentum: float = 0.0) -> Optimizer:
    """Rates divided by the root of a running mean of squared gradients. Tieleman & Hinton 2012."""
    return torch.optim.RMSprop(parameters, lr=0.01, alpha=alpha, momentum=momentum, foreach=True)


def adam(parameters: Iterable, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Optimizer:
    """Momentum over RMSprop, both corrected for their start. Kingma & Ba 2014, arXiv:1412.6980."""
    return torch.optim.Adam(parameters, lr=1e-3, betas=betas, eps=eps, fused=True)


def adamw(parameters: Iterable, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Optimizer:
    """Adam with weight decay apart from the gradient. Loshchilov & Hutter 2017, arXiv:1711.05101."""
    return torch.optim.AdamW(parameters, lr=1e-3, betas=betas, eps=eps, fused=True)


class Lamb(Optimizer):
    """Adam whose step on each tensor is scaled to the size of its weights. You et al. 2019, arXiv:1904.00962."""

    def __init__(self, parameters: Iterable, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6) -> None:
        super().__init__(parameters, {"lr": 1e-3, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            first_decay, second_decay = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                count = state["step"].item()
                state["first"].lerp_(parameter.grad, 1 - first_decay)
                state["second"].lerp_(parameter.grad.square(), 1 - second_decay)
                update = (state["first"] / (1 - first_decay**count)) / (
                    (state["second"] / (1 - second_decay**count)).sqrt() + group["eps"]
                )
                update.add_(parameter, alpha=group["weight_decay"])
                size, length = parameter.norm(), update.norm()
                trust = torch.where((size > 0) & (length > 0), size / length, 1.0)
                parameter.add_(update * trust, alpha=-group["lr"])


class Muon(Optimizer):
    """Momentum made orthogonal for groups marked `orthogonal`, AdamW for all others. Jordan et al. 2024.

    The step on a matrix is 0.2 * sqrt(max(rows, columns)) times its orthogonal momentum, which is the size of an AdamW
    step (Liu et al. 2025, arXiv:2502.16982), so that one rate serves both kinds of parameter.
    """

    def __init__(
        self,
        parameters: Iterable,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": 1e-3,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "weight_decay": 0.0,
            "orthogonal": False,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            update = self._orthogonal if group["orthogonal"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update(parameter, self.state[parameter], group)

    def _orthogonal(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"]
        momentum.lerp_(parameter.grad, 1 - group["momentum"])  # type: ignore[arg-type]
        ahead = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)  # type: ignore[union-attr]
        size = 0.2 * max(ahead.shape) ** 0.5
        parameter.add_(orthogonalize(ahead).view_as(parameter), alpha=-group["lr"] * size)

    def _adamw(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = torch.zeros(())
            state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        count, (first_decay, second_decay) = state["step"].item(), group["betas"]
        state["first"].lerp_(parameter.grad, 1 - first_decay)  # type: ignore[arg-type]
        state["second"].lerp_(parameter.grad.square(), 1 - second_decay)  # type: ignore[union-attr]
        spread = (state["second"] / (1 - second_decay**count)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["first"], spread, value=-group["lr"] / (1 - first_decay**count))


def orthogonalize(matrix: Tensor, *, iterations: int = 5) -> Tensor:
    """The nearest half-orthogonal matrix, roughly: singular values to about 1 by a quintic Newton-Schulz iteration.

    matrix: (rows, columns) -> (rows, columns)
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(torch.bfloat16)
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)


def mark_orthogonal(module: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups for Muon: matrices become orthogonal, but for the first and the last, which are stem and head."""
    hidden = {id(each) for each in matrices_of(module)[1:-1]}
    marked = []
    for group in groups:
        for orthogonal in (True, False):
            parameters = [each for each in group["params"] if (id(each) in hidden) == orthogonal]
            if parameters:
                marked.append({**group, "params": parameters, "orthogonal": orthogonal})
    return marked


OPTIMIZERS: dict[str, Any] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "muon": Muon,
    "lamb": Lamb,
}
