"""Faults to build into the small trainings: data, heads, weights."""

from collections.abc import Callable
from typing import Any

import torch
from loops import digits, mlp
from torch import Tensor, nn
from torch.nn import functional as F

Parts = tuple[Tensor, Tensor, Tensor, Tensor]


def regression(scale: float = 1.0, shift: float = 0.0, flat: bool = False) -> Callable[[], Parts]:
    """A made-up smooth function of eight inputs with a little noise; `flat` gives targets without their second axis."""

    def make() -> Parts:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1600, 8, generator=generator)
        w = torch.randn(8, generator=generator)
        y = torch.sin(x @ w * 0.5) + 0.3 * x[:, 0] + 0.05 * torch.randn(1600, generator=generator)
        y = y * scale + shift if flat else (y * scale + shift)[:, None]
        return x[:1400], y[:1400], x[1400:], y[1400:]

    return make


def raw_units() -> Parts:
    """Digits in unlike units, far from zero."""
    x, y, held_x, held_y = digits()
    scale = torch.linspace(1, 400, 64)
    return x * scale + 3 * scale, y, held_x * scale + 3 * scale, held_y


def wrong_labels(share: float) -> Callable[[], Parts]:
    """Digits with this share of the training labels drawn anew, and of the held-out ones where it is all."""

    def make() -> Parts:
        x, y, held_x, held_y = digits()
        generator = torch.Generator().manual_seed(3)
        y = y.clone()
        wrong = torch.rand(len(y), generator=generator) < share
        y[wrong] = torch.randint(0, 10, (int(wrong.sum()),), generator=generator)
        return x, y, held_x, held_y

    return make


def sorted_by_label() -> Parts:
    x, y, held_x, held_y = digits()
    order = y.argsort()
    return x[order], y[order], held_x, held_y


def rows_in_both() -> Parts:
    x, y, held_x, held_y = digits()
    return x, y, torch.cat([held_x, x[:100]]), torch.cat([held_y, y[:100]])


def answer_among_inputs() -> Parts:
    x, y, held_x, held_y = regression()()
    y, held_y = (y[:, 0] > 0).long(), (held_y[:, 0] > 0).long()
    x, held_x = x.clone(), held_x.clone()
    x[:, 3], held_x[:, 3] = 2.0 * y - 1, 2.0 * held_y - 1
    return x, y, held_x, held_y


def two_classes() -> Parts:
    x, y, held_x, held_y = regression()()
    return x, (y[:, 0] > 0).long(), held_x, (held_y[:, 0] > 0).long()


def rare_class(overlap: float) -> Callable[[], Parts]:
    """Forty to one; with overlap 0 the rare class lies far away, with 1 in the midst of the common one."""

    def make() -> Parts:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(2000, 8, generator=generator)
        y = (torch.arange(2000) % 40 == 0).long()
        x = x + (3.0 * (1 - overlap) + 0.3) * y[:, None]
        return x[:1400], y[:1400], x[1400:], y[1400:]

    return make


def shifted_held_out() -> Parts:
    x, y, held_x, held_y = digits()
    return x, y, held_x * 16 + 8, held_y


def outliers() -> Parts:
    x, y, held_x, held_y = regression()()
    x = x.clone()
    x[::97, 2] = 5000.0
    return x, y, held_x, held_y


def few_and_noisy() -> Parts:
    """So few rows, with part of their labels wrong, that they are soon known by heart."""
    x, y, held_x, held_y = digits()
    generator = torch.Generator().manual_seed(3)
    x, y = x[:200] + 1.5 * torch.randn(200, 64, generator=generator), y[:200].clone()
    held_x = held_x + 1.5 * torch.randn(held_x.shape, generator=generator)
    return x, y, held_x, held_y


def scaled_weights(factor: float, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = mlp(64, 64, 64, 10, **options)
        with torch.no_grad():
            for layer in model:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(factor)
        return model

    return make


def constant_weights() -> nn.Module:
    model = mlp(64, 64, 64, 10)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.05)
    return model


def zeroed(model: nn.Module) -> nn.Module:
    """Every weight and bias at zero."""
    for each in model.parameters():
        nn.init.zeros_(each)
    return model


class ZeroEnds(nn.Module):
    """Healthy: two residual branches and the head end in zeros, so that at first no gradient comes behind the head.

    x: (batch, 64) -> (batch, 10)
    """

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(mlp(64, 64, 64) for _ in range(2))
        self.head = zeroed(nn.Linear(64, 10))
        for each in self.branches:
            zeroed(each[-1])  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        for each in self.branches:
            x = x + each(x)
        return self.head(x)


def shifted_bias(shift: float, **options: Any) -> Callable[[], nn.Module]:
    """The biases of the first layer far from zero."""

    def make() -> nn.Module:
        model = mlp(64, 64, 64, 10, **options)
        with torch.no_grad():
            first = model[0]
            assert isinstance(first, nn.Linear)
            first.bias.fill_(shift)
            if options:
                first.bias[::2] *= -1
        return model

    return make


def sure_of_everything() -> nn.Module:
    """A sigmoid head whose outputs all start near 1."""
    model = mlp(64, 32, 10, head=nn.Sigmoid())
    with torch.no_grad():
        last = model[-2]
        assert isinstance(last, nn.Linear)
        last.bias.fill_(6.0)
    return model


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(output, F.one_hot(target, 10).float())


class Unused(nn.Module):
    """A network with a layer that its forward pass never calls.

    x: (batch, 64) -> (batch, 10)
    """

    def __init__(self) -> None:
        super().__init__()
        self.net, self.extra = mlp(64, 64, 10), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class MixesRows(nn.Module):
    """Subtracts half the batch's mean from each row.

    x: (batch, 64) -> (batch, 10)
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(64, 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - 0.5 * x.mean(0, keepdim=True))


class IgnoresInput(nn.Module):
    """A slip of the pen multiplies the input by zero.

    x: (batch, 64) -> (batch, 10)
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(64, 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x * 0)


def normed(dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10))
