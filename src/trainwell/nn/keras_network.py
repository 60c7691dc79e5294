"""A Keras 3 model on its torch backend to a plain module that trains, moves, copies and saves as any other."""

import copy
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def is_keras(network: Any) -> bool:
    """Whether this is a model of Keras, on whichever backend; Keras is not imported to find out."""
    return any(kind.__module__.split(".")[0] == "keras" for kind in type(network).__mro__)


class KerasNetwork(nn.Module):
    """Someone's Keras model, which learns in place.

    Keras asks at each call whether it trains, where torch has `train()` and `eval()`; it has channels last unless it
    was built otherwise; and it numbers its layers over the whole program, so that the same model made twice has other
    names: here the weights are named by their place. `shape` is that of a row, (features,) or (channels, height,
    width). Chollet et al. 2015, https://keras.io.

    x: (batch, *shape) -> (batch, outputs)
    """

    def __init__(self, network: Any, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self._network = (network,)  # in a tuple, so that torch does not list its weights under Keras's names too
        self.channels_last = len(self.shape) == 3 and self._wants_channels_last()
        if not network.built:
            with torch.no_grad():
                self(torch.zeros(1, *self.shape))
        self.weights = nn.ParameterList([each.value for each in network.variables])

    @property
    def network(self) -> Any:
        """The Keras model itself, whose weights are these."""
        return self._network[0]

    def _wants_channels_last(self) -> bool:
        """By the shape it was built for; where that tells nothing, by Keras's setting."""
        expected = getattr(self.network, "input_shape", None) if self.network.built else None
        if expected and len(expected) == 4 and (expected[-1] == self.shape[0]) != (expected[1] == self.shape[0]):
            return bool(expected[-1] == self.shape[0])
        return bool(sys.modules["keras"].config.image_data_format() == "channels_last")

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.permute(0, 2, 3, 1) if self.channels_last else x, training=self.training)

    def __deepcopy__(self, memo: dict[int, Any]) -> "KerasNetwork":
        """A copy with weights of its own: Keras copies its model anew, which leaves the shared ones behind."""
        made = KerasNetwork(copy.deepcopy(self.network), self.shape)
        with torch.no_grad():
            for new, old in zip(made.weights, self.weights, strict=True):
                new.copy_(old)
                new.requires_grad_(old.requires_grad)
        return made.train(self.training)
