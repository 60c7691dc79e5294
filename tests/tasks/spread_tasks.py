"""What the tests of distributions share: tasks of two targets, one of them logarithmic, and outputs for them."""

from typing import Any

import torch

from trainwell.tasks import Gaussian, Mixture, Quantile, Spread

KINDS: dict[str, type[Spread]] = {"gaussian": Gaussian, "mixture": Mixture, "quantile": Quantile}
TARGET = torch.randn(10, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def task(kind: str, targets: int = 2, **more: Any) -> Any:
    """A task of one plain or two targets, the second of them of a logarithm."""
    told = {"center": [5.0, 1.0], "scale": [2.0, 0.5], "log": [False, True], "low": [-9.0, -9.0], "high": [9.0, 9.0]}
    return KINDS[kind](**{**{key: value[:targets] for key, value in told.items()}, **more})


def outputs(made: Spread, *shape: int, seed: int = 0) -> torch.Tensor:
    """What a network could give: (*shape, targets * each)"""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, made.outputs, generator=random, dtype=torch.float64)
